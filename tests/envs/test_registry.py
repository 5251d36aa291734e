import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec as find_module
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import registry
from gymnasium.wrappers import TimeLimit

from prefrl.envs import make_env
from prefrl.envs.description import time_limit
from prefrl.envs.registry import episode_steps, find_spec, prepared
from prefrl.errors import ConfigError, SpaceError
from tests.envs.tasks import Camera, Counting, Pieces

TASKS = [
    "HalfCheetah",
    "Hopper",
    "Walker2d",
    "Ant",
    "Swimmer",
    "Reacher",
    "InvertedPendulum",
    "InvertedDoublePendulum",
    "Pusher",
    "Humanoid",
]
IDS = [f"{task}-{version}" for task in TASKS for version in ("v4", "v5")]
# They fall over within a second of random play, and would end there.
FALLING = [f"{task}-{v}" for task in ("Hopper", "Walker2d", "Humanoid") for v in ("v4", "v5")]


def made_or_skipped(env_id: str, **settings: Any) -> gym.Env[Any, Any]:
    """The environment; skips where this gymnasium or this MuJoCo has none of it."""
    if env_id not in registry:
        pytest.skip(f"gymnasium {gym.__version__} has no {env_id}")
    try:
        return make_env(env_id, **settings)
    except ConfigError as error:
        if "mujoco<3" in str(error) or "mujoco>=3" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture
def lab() -> Iterator[Callable[..., None]]:
    """Registers environments that are forgotten after the test."""

    def register(env_id: str, maker: Any, **settings: Any) -> None:
        gym.register(env_id, maker, **settings)

    before = set(registry)
    yield register
    for env_id in set(registry) - before:
        del registry[env_id]


@pytest.mark.parametrize("env_id", IDS)
def test_every_preset_environment_can_be_made_and_stepped(env_id):
    env = made_or_skipped(env_id)
    assert isinstance(env.observation_space, spaces.Box)
    assert len(env.observation_space.shape) == 1
    env.action_space.seed(0)
    obs, _ = env.reset(seed=0)
    assert env.observation_space.contains(obs)
    obs, reward, *_ = env.step(env.action_space.sample())
    assert env.observation_space.contains(obs)
    assert np.isfinite(float(reward))
    assert env.spec is not None
    assert env.spec.id == env_id
    env.close()


@pytest.mark.parametrize("env_id", [*FALLING, "Ant-v4", "Ant-v5"])
def test_at_a_fixed_horizon_no_fall_ends_an_episode(env_id):
    env = made_or_skipped(env_id, max_episode_steps=120)
    env.action_space.seed(0)
    env.reset(seed=0)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(120)]
    assert ends == [(False, False)] * 119 + [(False, True)]
    env.close()


@pytest.mark.parametrize("env_id", FALLING)
def test_without_a_fixed_horizon_a_fall_ends_the_episode(env_id):
    env = made_or_skipped(env_id, fixed_horizon=False)
    env.action_space.seed(0)
    env.reset(seed=0)
    assert any(env.step(env.action_space.sample())[2] for _ in range(300))
    env.close()


def test_who_asks_for_early_ends_gets_them():
    env = make_env("Hopper-v4", terminate_when_unhealthy=True)
    env.action_space.seed(0)
    env.reset(seed=0)
    assert any(env.step(env.action_space.sample())[2] for _ in range(300))


def test_settings_reach_the_environment():
    env = make_env("HalfCheetah-v4", forward_reward_weight=0.0, ctrl_cost_weight=0.0)
    env.reset(seed=0)
    assert env.step(np.ones(6, dtype=np.float32))[1] == 0.0


def test_an_unknown_setting_is_named():
    with pytest.raises(ConfigError, match=r"^CartPole-v1 could not be made: .*colour"):
        make_env("CartPole-v1", colour="red")


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        ("HalfCheetah-v9", "HalfCheetah-v4"),
        ("halfcheetah-v4", "HalfCheetah-v4"),
        ("HalfCheetah", "HalfCheetah-v4"),
        ("HalfCheeta-v4", "HalfCheetah-v4"),
        ("Hoper-v4", "Hopper-v4"),
        ("CartPol-v1", "CartPole-v1"),
    ],
)
def test_an_unknown_environment_is_refused_with_the_nearest_names(asked, offered):
    with pytest.raises(ConfigError) as error:
        make_env(asked)
    message = str(error.value)
    assert message.startswith(f"unknown environment {asked!r}; the nearest names are ")
    near = message.split("names are ")[1].split(", ")
    assert offered in near
    assert all(name in registry for name in near)
    assert len(near) <= 4


def test_names_that_gymnasium_keeps_only_to_say_they_moved_are_not_offered():
    with pytest.raises(ConfigError) as error:
        find_spec("HalfCheetah-v9")
    for name in re.findall(r"HalfCheetah-v\d", str(error.value).split("nearest")[1]):
        assert registry[name].max_episode_steps


@pytest.mark.parametrize("nonsense", ["", "a/b/c", "zzzqqq-v0", "no name"])
def test_a_name_like_no_other_is_refused_in_one_line(nonsense):
    with pytest.raises(
        ConfigError, match=re.escape(f"unknown environment {nonsense!r}; ")
    ) as error:
        find_spec(nonsense)
    assert "\n" not in str(error.value)


def test_a_name_like_no_other_may_be_of_ones_own_module():
    with pytest.raises(
        ConfigError, match=r"; one of your own is found by .*: my_module:Zzzqqq-v0$"
    ):
        find_spec("Zzzqqq-v0")


def test_an_uninstalled_collection_is_said_to_be_missing():
    with pytest.raises(ConfigError, match=r"unknown environment 'NoSuch/Pong-v5'; .*NoSuch"):
        make_env("NoSuch/Pong-v5")


def test_an_environment_whose_dependencies_are_missing_is_refused_in_one_line(lab):
    def needs_more(**_: Any) -> gym.Env[Any, Any]:
        raise gym.error.DependencyNotInstalled("the arm needs armlib:\npip install armlib")

    lab("Lab/Arm-v0", needs_more, max_episode_steps=10)
    lab("Lab/Phase-v0", "no_such_module_at_all:Phase", max_episode_steps=10)
    for env_id, said in (("Lab/Arm-v0", "pip install armlib"), ("Lab/Phase-v0", "no_such_module")):
        with pytest.raises(ConfigError, match=f"^{env_id} could not be made: .*{said}") as error:
            make_env(env_id)
        assert "\n" not in str(error.value)


@pytest.mark.skipif(find_module("Box2D") is not None, reason="Box2D is installed")
def test_lunar_lander_without_box2d_is_refused_in_one_line():
    env_id = next(name for name in registry if name.startswith("LunarLander-"))
    with pytest.raises(ConfigError, match=f"^{env_id} could not be made: .*[bB]ox2"):
        make_env(env_id)


def test_an_environment_without_a_time_limit_needs_one(lab):
    lab("Lab/Endless-v0", lambda: Counting(lengths=(10**6,)))
    with pytest.raises(ConfigError, match=r"Lab/Endless-v0 has no time limit; .*max_episode_steps"):
        make_env("Lab/Endless-v0")
    env = make_env("Lab/Endless-v0", max_episode_steps=3)
    env.reset()
    assert [env.step(np.zeros(2, dtype=np.float32))[3] for _ in range(3)] == [False, False, True]


def test_a_version_with_a_time_limit_is_offered_where_the_asked_one_has_none(lab):
    lab("Lab/Arm-v0", Counting)
    lab("Lab/Arm-v1", Counting, max_episode_steps=5)
    with pytest.raises(ConfigError, match=r"Lab/Arm-v0 has no time limit.*, or Lab/Arm-v1"):
        make_env("Lab/Arm-v0")


def test_an_environment_whose_maker_takes_nothing_can_be_made(lab):
    lab("Lab/Plain-v0", lambda: Counting(lengths=(3,)), max_episode_steps=9)
    make_env("Lab/Plain-v0").reset()
    with pytest.raises(ConfigError, match=r"could not be made: .*render_mode"):
        make_env("Lab/Plain-v0", render_mode="rgb_array")


@pytest.mark.parametrize("limit", [0, -1])
def test_a_time_limit_below_one_is_refused(limit):
    with pytest.raises(ConfigError, match=f"max_episode_steps is {limit}; expected 1 or more"):
        episode_steps(find_spec("CartPole-v1"), limit)


def test_a_module_named_before_the_id_is_imported_first(tmp_path, monkeypatch, lab):
    (tmp_path / "lab_of_mine.py").write_text(
        "import gymnasium\n"
        "from tests.envs.tasks import Counting\n"
        "gymnasium.register('Lab/Mine-v0', Counting, max_episode_steps=4)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    env = make_env("lab_of_mine:Lab/Mine-v0")
    assert env.spec is not None
    assert env.spec.id == "Lab/Mine-v0"
    with pytest.raises(ConfigError, match=r"'no_such_lab:Mine-v0'; No module named 'no_such_lab'"):
        make_env("no_such_lab:Mine-v0")


def test_dictionaries_and_actions_that_start_anywhere_are_made_fit_for_agents(lab):
    lab("Lab/Pieces-v0", Pieces, max_episode_steps=4)
    env = make_env("Lab/Pieces-v0")
    assert env.observation_space == spaces.Box(-np.inf, np.inf, (7,), np.float32)
    assert env.action_space == spaces.Discrete(5)
    env.reset(seed=0)
    assert env.step(np.int64(0))[1] == 2.0


def test_an_environment_of_ones_own_is_prepared_the_same_way():
    env = prepared(Pieces(), env_id="Pieces", max_episode_steps=3)
    assert env.observation_space.shape == (7,)
    assert time_limit(env) is not None
    limited = TimeLimit(Counting(), 2)
    assert prepared(limited, env_id="Counting", max_episode_steps=9) is limited
    with pytest.raises(SpaceError, match="Camera: observation is an image"):
        prepared(Camera(), env_id="Camera", max_episode_steps=3)


def test_images_are_refused_with_the_id_named(lab):
    lab("Lab/Camera-v0", Camera, max_episode_steps=4)
    with pytest.raises(SpaceError, match="Lab/Camera-v0: observation is an image of shape"):
        make_env("Lab/Camera-v0")


def test_asking_for_an_old_version_by_name_warns_of_nothing(recwarn):
    make_env("HalfCheetah-v4")
    assert not recwarn.list
