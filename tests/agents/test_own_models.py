from functools import partial
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3 import DQN, PPO, SAC, TD3

from prefrl.agents import make_agent
from prefrl.agents.own_models import made_by
from prefrl.errors import ArgumentError, ConfigError, ContractError, Diverged
from tests.agents.stacks import SMALL, SMALL_PPO, SMALL_SAC, constant, stack

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


def sac(venv: Any, kind: Any = SAC, **settings: Any) -> Any:
    return kind(
        "MlpPolicy", venv, device="cpu", **{**SMALL_SAC, "policy_kwargs": {**SMALL}, **settings}
    )


class FailsToTrain(PPO):
    def train(self) -> None:
        raise ValueError("of two\nlines")


class FailsToPredict(PPO):
    def predict(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError


class CannotBeSaved(PPO):
    def save(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("cannot pickle 'generator' object")


def own(kind: Any, **settings: Any) -> Any:
    return kind(
        "MlpPolicy", stack(1), device="cpu", **{**SMALL_PPO, "policy_kwargs": {**SMALL}, **settings}
    )


def falls_over(left: float) -> float:
    return 1 / 0 if left < 1 else 1e-3


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: own(FailsToTrain), "^the FailsToTrain raised ValueError: of two lines$"),
        (lambda: own(FailsToPredict), "^the FailsToPredict raised AssertionError$"),
        (lambda: own(PPO, learning_rate=falls_over), "^the PPO raised ZeroDivisionError: div"),
        (lambda: sac(stack(1), TD3, action_noise="much"), "^the TD3 raised AttributeError: 'str'"),
    ],
)
def test_whatever_a_model_of_ones_own_raises_is_one_line_that_names_it(make, said):
    with pytest.raises(ContractError, match=said):  # noqa: PT012 - whichever of the calls it is
        agent = make_agent(make(), total_steps=64)
        agent.begin_phase(0)
        agent.train(64)
        agent.predict([[0.0, 0.0, 0.0]])


def test_what_raises_while_it_makes_a_model_is_named():
    with pytest.raises(ContractError, match=r"^make_model raised AssertionError: .* only supports"):
        made_by(lambda venv: DQN("MlpPolicy", venv), stack(1))


@pytest.mark.parametrize(("kind", "rate"), [(PPO, 1e3), (PPO, 1e30), (SAC, 1e30), (TD3, 1e30)])
def test_a_model_that_diverges_says_so(kind, rate):
    settings = {"learning_starts": 0, "learning_rate": rate}
    model = (
        own(PPO, learning_rate=rate, n_epochs=10)
        if kind is PPO
        else sac(stack(1), kind, **settings)
    )
    agent = make_agent(model)
    agent.begin_phase(0)
    agent.set_reward(constant(1.0))
    with pytest.raises(
        Diverged, match=r"has diverged by step \d+: .*choose a smaller learning_rate"
    ):
        agent.train(128)


def test_a_model_that_cannot_be_saved_leaves_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "policy.zip"
    make_agent(own(PPO)).save_policy(path)
    assert {one.name for one in tmp_path.iterdir()} == {"policy.zip", "policy.safetensors"}
    with pytest.warns(UserWarning, match="CannotBeSaved cannot be saved: TypeError: cannot pickle"):
        make_agent(own(CannotBeSaved)).save_policy(path)
    assert [one.name for one in tmp_path.iterdir()] == ["policy.safetensors"]


def test_settings_of_a_model_that_a_run_takes_over_are_said():
    with pytest.warns(UserWarning, match="tensorboard_log of the PPO has no effect: a run writes"):
        made_by(lambda venv: small(venv, tensorboard_log="somewhere"), stack(1))


@pytest.mark.parametrize(("given", "random"), [({}, 1_000), ({"learning_starts": 7}, 7)])
def test_learning_starts_of_a_model_is_how_many_steps_of_exploring_are_random(given, random):
    agent = make_agent(sac(stack(1), **given))
    assert agent.random_steps == random  # type: ignore[attr-defined]
