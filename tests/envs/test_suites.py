import re
from functools import partial
from importlib.util import find_spec as find_module
from typing import Any

import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec, registry

from prefrl.envs import make_env
from prefrl.envs.registry import episode_steps, find_spec
from prefrl.envs.suites import METAWORLD, SUITES, bring, suite_of, suite_settings
from prefrl.envs.vec_env import make_vec_env
from prefrl.errors import ConfigError
from prefrl.segments import EpisodeStore

# Name, its suite's module, and the steps of its episodes, without being asked.
SHOWN = [
    ("FetchReach-v4", "gymnasium_robotics", 50),
    ("AdroitHandDoor-v1", "gymnasium_robotics", 200),
    ("button-press-v3", "metaworld", 500),
    ("dm_control/walker-walk-v0", "shimmy", 1000),
    ("dm_control/cartpole-swingup-v0", "shimmy", 1000),
]


def installed(module: str) -> bool:
    return all(suite.is_installed for suite in SUITES if suite.module == module)


def skip_without(module: str) -> None:
    if not installed(module):
        pytest.skip(f"{module} is not installed")


@pytest.mark.parametrize(("name", "module", "steps"), SHOWN)
@pytest.mark.filterwarnings("ignore")  # Theirs.
def test_an_environment_of_a_suite_is_found_made_and_repeated(name, module, steps):
    skip_without(module)
    spec = find_spec(name)
    assert episode_steps(spec, None) == steps
    firsts: list[Any] = []
    for seed in (3, 3, 4):
        venv = make_vec_env(partial(make_env, name), 1, EpisodeStore(1))
        venv.seed(seed)
        firsts.append(venv.reset())
        venv.step(np.array([venv.action_space.sample()]))
        venv.close()
    assert np.array_equal(firsts[0], firsts[1])
    assert not np.array_equal(firsts[0], firsts[2])


@pytest.mark.parametrize(("name", "module", "steps"), SHOWN)
def test_without_its_package_it_is_said_which_to_install(name, module, steps):
    if installed(module):
        pytest.skip(f"{module} is installed")
    suite = next(suite for suite in SUITES if suite.module == module)
    with pytest.raises(ConfigError) as error:
        find_spec(name)
    assert str(error.value).startswith(f"unknown environment {name!r}; ")
    assert str(error.value).endswith(f"pip install {suite.install}")


@pytest.mark.parametrize("name", ["hopper-v3", "HalfCheetah-v9", "cartpole-v7"])
def test_a_name_near_gymnasiums_own_is_not_taken_for_a_suites(name):
    with pytest.raises(ConfigError, match="the nearest names are"):
        find_spec(name)


@pytest.mark.filterwarnings("ignore")  # Theirs.
def test_metaworlds_many_tasks_ask_for_the_name_of_one():
    skip_without("metaworld")
    with pytest.raises(ConfigError, match="not said which: choose env='button-press-v3'"):
        make_env("Meta-World/MT1")
    with pytest.raises(ConfigError, match="side by side; choose one of them"):
        make_env("Meta-World/MT10")
    assert make_env("Meta-World/MT1", env_name="button-press-v3").observation_space.shape == (39,)


def test_a_task_of_ones_own_that_is_named_alike_is_not_metaworlds():
    spec = EnvSpec("my-arm-v3", "tests.own_envs:PointMass", max_episode_steps=50)
    assert re.fullmatch(METAWORLD.names, spec.id)
    assert suite_of(spec) is None
    assert suite_settings(spec, {"a": 1}) == {"a": 1}


def test_gymnasiums_own_environments_are_of_no_suite():
    own = [s for s in registry.values() if str(s.entry_point).startswith("gymnasium.envs")]
    assert own
    assert not [spec.id for spec in own if suite_of(spec) is not None]
    assert bring("Pendulum-v7") is None


def test_every_suite_is_named_by_its_package():
    for suite in SUITES:
        re.compile(suite.names)
        assert (
            suite.install.strip("'").partition("[")[0].replace("-", "_").lower()[:4]
            == (suite.module.lower()[:4])
        )
        if suite.is_installed:
            assert find_module(suite.module) is not None
