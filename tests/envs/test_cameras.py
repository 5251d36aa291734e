import pytest

from prefrl.envs import make_env
from prefrl.envs.cameras import render_settings


@pytest.mark.parametrize(
    "task", ["HalfCheetah", "Hopper", "Walker2d", "Swimmer", "Ant", "Humanoid"]
)
def test_a_robot_that_runs_away_is_followed(task):
    env = make_env(f"{task}-v4")
    settings = render_settings(env, 64)
    assert settings == {"width": 64, "height": 64, "camera_name": "track"}
    make_env(f"{task}-v4", render_mode="rgb_array", **settings).close()
    env.close()


@pytest.mark.parametrize("task", ["Reacher", "InvertedPendulum"])
def test_a_robot_that_stays_is_filmed_from_where_gymnasium_stands(task):
    env = make_env(f"{task}-v4")
    settings = render_settings(env, 32)
    assert settings == {"width": 32, "height": 32}
    make_env(f"{task}-v4", render_mode="rgb_array", **settings).close()
    env.close()


def test_what_is_not_mujocos_is_rendered_as_it_likes():
    assert render_settings(make_env("CartPole-v1"), 64) == {}
