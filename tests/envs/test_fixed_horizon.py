from typing import Any

import pytest
from gymnasium.envs.registration import EnvSpec, registry

from prefrl.envs.fixed_horizon import fixed_horizon_settings
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
