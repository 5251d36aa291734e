"""Every algorithm of SBX keeps to the contract of agents, and is trained right in a run."""

from typing import Any

import pytest
from stable_baselines3 import SAC

from prefrl import Parts, RunConfig, resume, run
from prefrl.agents import make_agent, off_policy
from prefrl.errors import ContractError, StorageError
from prefrl.testing import check_agent
from tests.agents.jax_models import made, sbx_or_skip
from tests.agents.stacks import SMALL
from tests.contracts.test_algorithms import (
    assert_a_run_is_right_and_goes_on_after_a_kill,
    small_run,
)

sbx = sbx_or_skip()
pytestmark = pytest.mark.usefixtures("without_curves", "short_exploration")


@pytest.fixture
def short_exploration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exploration that is random, then seeks novelty, within 40 steps."""
    monkeypatch.setattr(off_policy, "RANDOM_STEPS", 15)
    monkeypatch.setattr(off_policy, "REFERENCE_EVERY", 20)
    monkeypatch.setattr(off_policy, "CATCH_UP_UPDATES", 1)  # As in a step: nothing is compiled.


@pytest.mark.parametrize(("name", "stride"), [("PPO", 1), ("SAC", 2), ("CrossQ", 2)])
def test_it_keeps_to_the_contract(name: str, stride: int) -> None:
    check_agent(lambda seed: make_agent(made(name, seed=seed)), stride=stride)


@pytest.mark.filterwarnings("ignore:episodes end early")  # CartPole's
@pytest.mark.parametrize("name", sbx.__all__)
def test_a_run_with_it_is_right_and_goes_on_after_a_kill(name: str, tmp_path: Any) -> None:
    env_id = "CartPole-v1" if name == "DQN" else "Pendulum-v1"
    settings = {} if name == "PPO" else {"buffer_size": 200}
    parts = Parts(make_model=lambda venv: made(name, venv, **settings))
    config = small_run(env_id)
    assert_a_run_is_right_and_goes_on_after_a_kill(config, parts, tmp_path, at=len(name) % 3)
    files = {path.name for path in (tmp_path / "whole").iterdir()}
    assert {"policy.zip", "policy.safetensors"} <= files


def test_a_run_is_not_gone_on_with_by_a_model_of_the_other_library(tmp_path: Any) -> None:
    def make(library: str) -> Parts:
        return Parts(
            make_model=lambda venv: (
                made("SAC", venv)
                if library == "jax"
                else SAC("MlpPolicy", venv, policy_kwargs={**SMALL}, device="cpu")
            )
        )

    config = small_run("Pendulum-v1")
    for own, other in (("jax", "torch"), ("torch", "jax")):
        folder = tmp_path / own
        with pytest.raises(KeyboardInterrupt):
            run(config, out=folder, parts=make(own), show_progress=False, on_checkpoint=_interrupt)
        said = f"does not fit this run: its agent was saved by a model of {own}, this run's is one "
        with pytest.raises(StorageError, match=said) as refused:
            resume(folder, parts=make(other), show_progress=False)
        assert "\n" not in str(refused.value)


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_discrete_actions_are_refused_in_one_line_before_the_first_step(tmp_path: Any) -> None:
    config: RunConfig = small_run("CartPole-v1")
    parts = Parts(make_model=lambda venv: made("CrossQ", venv))
    with pytest.raises(ContractError, match=r"only supports .*Box.* but Discrete\(2\)") as refused:
        run(config, out=tmp_path / "run", parts=parts, show_progress=False)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()
