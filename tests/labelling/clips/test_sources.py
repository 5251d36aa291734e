from importlib.util import find_spec
from typing import Any

import gymnasium as gym
import pytest

from prefrl.envs import make_env
from prefrl.errors import ConfigError
from prefrl.labelling.clips import ClipSource, NamedEnv, SavedModel, choose_source
from prefrl.labelling.clips.sources import seconds_a_step
from tests.labelling.clips.recorded import ROBOTS, named
from tests.own_envs import PointMass, Single

needs_dm_control = pytest.mark.skipif(
    find_spec("shimmy") is None or find_spec("dm_control") is None,
    reason="needs shimmy and dm_control",
)


@pytest.mark.parametrize(
    ("env_id", "dt"),
    [
        ("HalfCheetah-v4", 0.05),
        ("Hopper-v5", 0.008),
        (f"{ROBOTS}:Crawler-v0", 0.02),
        (f"{ROBOTS}:Standard-v0", 0.02),
        pytest.param("dm_control/walker-walk-v0", 0.025, marks=needs_dm_control),
    ],
)
def test_mujocos_environments_are_rendered_from_their_states(env_id, dt):
    make, scene = named(env_id)
    assert choose_source(make, scene) == ClipSource("states", scene, dt)


def test_a_robot_that_no_id_makes_is_rendered_from_its_model():
    source = choose_source(lambda _: make_env(f"{ROBOTS}:Crawler-v0"))
    assert source.kind == "states"
    assert isinstance(source.scene, SavedModel)
    assert len(source.scene.packed) < 20_000


@pytest.mark.parametrize(
    ("env_id", "settings", "dt"),
    [(f"{ROBOTS}:Crawler-v0", {"drift": True}, 0.02), (f"{ROBOTS}:Dot-v0", {}, 0.1)],
)
def test_what_no_state_restores_is_filmed(env_id, settings, dt):
    source = choose_source(*named(env_id, **settings))
    assert (source.kind, source.scene) == ("pictures", None)
    assert source.dt == pytest.approx(dt)


def test_what_is_not_made_to_be_filmed_is_played_again_where_another_process_finds_it():
    source = choose_source(lambda _: gym.make(f"{ROBOTS}:Dot-v0"))
    assert source.kind == "actions"
    assert source.scene == NamedEnv(f"{ROBOTS}:Dot-v0", {"max_episode_steps": 100})


def test_what_cannot_be_shown_is_refused_with_all_that_stands_in_the_way():
    with pytest.raises(ConfigError) as error:
        choose_source(lambda _: gym.make(f"{ROBOTS}:Dot-v0", is_repeatable=False))
    said = str(error.value)
    assert said.startswith("Dot-v0 cannot be shown to people. From its state: it has no MuJoCo")
    assert "By pictures: its render_mode is None, not 'rgb_array'." in said
    assert "it is another episode from step 1 on." in said
    assert said.endswith("made with render_mode='rgb_array' always can")


def test_what_nothing_is_registered_for_cannot_be_played_again():
    def make(_: str | None) -> Any:
        return gym.wrappers.TimeLimit(PointMass(), 50)

    with pytest.raises(ConfigError, match=r"From its actions: nothing is registered by which it"):
        choose_source(make)


def test_no_two_environments_are_open_at_once():
    with pytest.raises(ConfigError, match="Single-v0 cannot be shown to people"):
        choose_source(*named("tests.own_envs:Single-v0"))
    assert not Single.is_taken


def test_an_environment_that_says_nothing_of_time_takes_a_thirtieth_of_a_second_a_step():
    env = PointMass()
    assert seconds_a_step(env) == pytest.approx(1 / 30)
    env.metadata = {"render_fps": 4}
    assert seconds_a_step(env) == 0.25


def test_repeated_actions_make_a_step_longer():
    class Twice(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> Any:
            self.env.step(action)
            return self.env.step(action)

    env = Twice(make_env("HalfCheetah-v4"))
    assert seconds_a_step(env) == pytest.approx(0.1)
    env.close()
