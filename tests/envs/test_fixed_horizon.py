import contextlib
import functools
import inspect
import warnings
from typing import Any

import gymnasium as gym
import pytest
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv
from gymnasium.envs.registration import EnvSpec, registry
from hypothesis import given
from hypothesis import strategies as st

from prefrl.envs import make_env
from prefrl.envs.fixed_horizon import CutEpisodes, fixed_horizon_settings, was_told
from prefrl.errors import ConfigError
from tests.envs.tasks import Counting

OFFERING = ("Hopper", "Walker2d", "Ant", "Humanoid")


@pytest.mark.parametrize(
    "env_id", [i for i in registry if i.endswith(("-v4", "-v5")) and i.split("-")[0] in OFFERING]
)
def test_tasks_that_may_end_early_are_asked_not_to(env_id):
    assert fixed_horizon_settings(registry[env_id]) == {"terminate_when_unhealthy": False}


@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "InvertedPendulum-v4", "CartPole-v1"])
def test_tasks_that_offer_nothing_are_left_alone(env_id):
    assert fixed_horizon_settings(registry[env_id]) == {}


def test_the_maker_may_be_a_function_or_missing():
    def make_arm(terminate_when_unhealthy: bool = True, **_: Any) -> Counting:
        return Counting()

    settings = fixed_horizon_settings(EnvSpec("Arm-v0", make_arm))
    assert settings == {"terminate_when_unhealthy": False}
    a_class: Any = Counting
    assert fixed_horizon_settings(EnvSpec("Arm-v0", a_class)) == {}
    assert fixed_horizon_settings(EnvSpec("Arm-v0", vector_entry_point="arms:Arms")) == {}


def lengths_of(env, num_episodes):
    """Steps of each episode, none of which may terminate."""
    lengths = []
    for _ in range(num_episodes):
        env.reset(seed=0)
        steps, truncated = 0, False
        while not truncated:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            assert not terminated
            steps += 1
        lengths.append(steps)
    return lengths


def test_episodes_are_cut_by_a_limit_that_can_be_moved():
    env = CutEpisodes(gym.make("Pendulum-v1", max_episode_steps=30), 7)
    assert lengths_of(env, 2) == [7, 7]
    env.max_steps = 12
    assert lengths_of(env, 1) == [12]
    env.max_steps = 100
    assert lengths_of(env, 1) == [30], "its own limit stays"


class Base(Counting):
    """Ends early unless it is told not to, and keeps what it was told as MuJoCo's tasks do."""

    def __init__(self, size: int = 1, terminate_when_unhealthy: bool = True) -> None:
        self._terminate_when_unhealthy = terminate_when_unhealthy
        super().__init__(lengths=(3 if terminate_when_unhealthy else 100,))


class Stubborn(Counting):
    """Ends early, and knows no setting against it."""

    def __init__(self, size: int = 1) -> None:
        super().__init__(lengths=(3,))


def subclass_with_keywords(base):
    def init(self: Any, **kwargs: Any) -> None:
        base.__init__(self, **kwargs)

    return type("Own", (base,), {"__init__": init})


def subclass_with_everything(base):
    def init(self: Any, *args: Any, extra: int = 0, **kwargs: Any) -> None:
        base.__init__(self, *args, **kwargs)

    return type("Own", (base,), {"__init__": init})


def subclass_without_init(base):
    return type("Own", (base,), {})


def wrapper_around(base):
    class Own(gym.Wrapper[Any, Any, Any, Any]):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(base(**kwargs))

    return Own


def factory(base):
    def make(**kwargs: Any) -> gym.Env[Any, Any]:
        return base(**kwargs)

    return make


def wrapped_factory(base):
    @functools.wraps(base)
    def make(*args: Any, **kwargs: Any) -> gym.Env[Any, Any]:
        return base(*args, **kwargs)

    return make


def callable_object(base):
    class Maker:
        def __call__(self, **kwargs: Any) -> gym.Env[Any, Any]:
            return base(**kwargs)

    return Maker()


def partial(base):
    return functools.partial(base, size=2)


def checking_factory(base):
    """Refuses what its base does not name in its own words, and in an error of its own."""

    def make(**kwargs: Any) -> gym.Env[Any, Any]:
        known = inspect.signature(base).parameters
        keeps_all = any(each.kind is each.VAR_KEYWORD for each in known.values())
        if not keeps_all and kwargs.keys() - known.keys():
            raise LookupError("there are settings that no robot has")
        return base(**kwargs)

    return make


def forgetful_factory(base):
    """Takes everything, and hands nothing on."""

    def make(**kwargs: Any) -> gym.Env[Any, Any]:
        return base()

    return make


SHAPES = [
    subclass_with_keywords,
    subclass_with_everything,
    subclass_without_init,
    wrapper_around,
    factory,
    wrapped_factory,
    callable_object,
    partial,
    checking_factory,
]


def episode_steps_of(env):
    """The length of the first episode, of at most 20 steps."""
    env.reset(seed=0)
    for step in range(1, 30):
        if any(env.step(env.action_space.sample())[2:4]):
            return step
    raise AssertionError("no end")


def applied(shapes, base):
    for shape in shapes:
        if isinstance(base, type) or not shape.__name__.startswith("subclass"):
            base = shape(base)
    return base


@pytest.fixture(scope="module")
def lab_of_shapes():
    before = set(registry)
    yield
    for name in set(registry) - before:
        del registry[name]


def made(maker, kwargs=None, **settings):
    gym.register("Lab/Shaped-v0", maker, max_episode_steps=20, kwargs=kwargs or {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium's, of a name registered twice.
        return make_env("Lab/Shaped-v0", **settings)


@given(shapes=st.lists(st.sampled_from(SHAPES), max_size=3))
@pytest.mark.filterwarnings("ignore:.*Overriding environment")
def test_the_setting_reaches_a_task_through_whatever_hands_it_on(lab_of_shapes, shapes):
    maker = applied(shapes, Base)
    assert episode_steps_of(made(maker)) == 20
    assert episode_steps_of(made(maker, fixed_horizon=False)) == 3
    assert episode_steps_of(made(maker, terminate_when_unhealthy=True)) == 3, "as was asked for"
    registered = {"terminate_when_unhealthy": True}
    assert episode_steps_of(made(maker, registered)) == 3, "as it is registered"
    chosen = functools.partial(maker, terminate_when_unhealthy=True)
    assert episode_steps_of(made(chosen)) == 3, "as its maker chose"


@given(
    before=st.lists(st.sampled_from(SHAPES), max_size=2),
    after=st.lists(st.sampled_from(SHAPES), max_size=2),
    is_lost=st.booleans(),
)
@pytest.mark.filterwarnings("ignore:.*Overriding environment")
def test_a_task_that_does_not_take_it_is_made_without(lab_of_shapes, before, after, is_lost):
    base = forgetful_factory(applied(before, Base)) if is_lost else applied(before, Stubborn)
    assert episode_steps_of(made(applied(after, base))) == 3


def test_a_mujoco_task_keeps_the_setting_where_it_can_be_read():
    class MyHopper(HopperEnv):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)

    gym.register("Lab/MyHopper-v0", MyHopper, max_episode_steps=50)
    try:
        with contextlib.closing(make_env("Lab/MyHopper-v0")) as env:
            assert was_told(env)
        with contextlib.closing(make_env("Lab/MyHopper-v0", fixed_horizon=False)) as env:
            assert not was_told(env)
    finally:
        del registry["Lab/MyHopper-v0"]


def test_an_error_of_a_task_is_its_own_not_one_about_the_setting():
    def fails(**kwargs: Any) -> gym.Env[Any, Any]:
        raise OSError(f"no port, {len(kwargs)} settings")

    gym.register("Lab/Fails-v0", fails, max_episode_steps=50)
    try:
        with pytest.raises(ConfigError, match="no port, 0 settings"):
            make_env("Lab/Fails-v0")
    finally:
        del registry["Lab/Fails-v0"]
