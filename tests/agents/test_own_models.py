from functools import partial
from typing import Any

import pytest
from stable_baselines3 import PPO

from prefrl.agents.own_models import made_by
from prefrl.errors import ArgumentError, ConfigError
from tests.agents.stacks import SMALL_PPO, stack

small: Any = partial(PPO, "MlpPolicy", device="cpu", **{**SMALL_PPO, "policy_kwargs": None})


class Own(PPO):
    """Takes the vector environment alone, as a function would."""

    def __init__(self, venv: Any) -> None:
        super().__init__("MlpPolicy", venv, n_steps=8, batch_size=8, device="cpu")


class NoModel:
    def __init__(self, venv: Any) -> None:
        del venv


WRITE = r"make_model=lambda venv: PPO\('MlpPolicy', venv\)"


@pytest.mark.parametrize(
    ("make_model", "said"),
    [
        (PPO, "make_model is the class PPO; write " + WRITE),
        ("ppo", r"make_model is a str \('ppo'\); expected a function .*" + WRITE),
        (small(stack(1)), "make_model is a PPO; expected a function"),
        (lambda: None, "make_model does not take the vector environment alone; write " + WRITE),
        (lambda venv: None, "what make_model returned is a NoneType; expected a Stable-Baselines3"),
        (lambda venv: PPO, "what make_model returned is the class PPO; expected"),
        (lambda venv: venv, "what make_model returned is a RewardVecEnv; expected"),
        (NoModel, "what make_model returned is a NoModel; expected"),
    ],
)
def test_what_makes_no_model_is_refused_with_what_to_write(make_model, said):
    with pytest.raises(ArgumentError, match=said) as refused:
        made_by(make_model, stack(1))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("env", ["Pendulum-v1", stack(1), stack(2), stack(1).unwrapped])
def test_a_model_on_other_environments_than_it_was_given_is_refused(env):
    with pytest.raises(ConfigError, match="built its PPO on other environments than .*" + WRITE):
        made_by(lambda venv: small(env), stack(1))


def test_a_model_on_part_of_its_environment_is_refused():
    with pytest.raises(ConfigError, match=r"built its PPO on other|has no RewardVecEnv"):
        made_by(lambda venv: small(venv.venv), stack(1))


@pytest.mark.parametrize("make_model", [Own, small])
def test_functions_and_classes_of_the_environment_alone_make_models(make_model):
    venv = stack(2)
    model = made_by(make_model, venv)
    assert isinstance(model, PPO)
    assert model.get_env() is venv
