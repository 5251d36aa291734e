"""Every algorithm that Stable-Baselines3 and its contrib have is trained right, or refused."""

import importlib
import inspect
import itertools
import pkgutil
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sb3_contrib
import stable_baselines3
from stable_baselines3.common.base_class import BaseAlgorithm

from prefrl import Parts, QueryConfig, RunConfig, resume, run
from prefrl.agents import off_policy
from prefrl.agents.relabel_buffer import relabel
from prefrl.errors import ConfigError
from prefrl.testing.clauses import difference
from tests import tiny_runs
from tests.agents.stacks import SMALL, stack


def algorithms() -> list[type[BaseAlgorithm]]:
    """The classes in the packages that can be made."""
    found = {}
    for package in (stable_baselines3, sb3_contrib):
        for folder in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for name, item in vars(importlib.import_module(folder.name)).items():
                is_one = inspect.isclass(item) and issubclass(item, BaseAlgorithm)
                if is_one and not inspect.isabstract(item) and item.policy_aliases:
                    found[name] = item
    return [found[name] for name in sorted(found)]


pytestmark = pytest.mark.usefixtures("without_curves")
ALGORITHMS = algorithms()
OFTEN_USED = {"PPO", "A2C", "TRPO", "SAC", "TD3", "DDPG", "DQN", "TQC", "CrossQ", "QRDQN"}


def made(algorithm: Any, venv: Any) -> Any:
    """A small model of any algorithm."""
    small = {
        "policy_kwargs": {**SMALL},
        "batch_size": 16,
        "buffer_size": 200,
        "cg_max_steps": 3,
        "n_critic_updates": 1,
        "n_epochs": 1,
        "device": "cpu",
        "seed": 3,
        "train_freq": 2,
    }
    known = inspect.signature(algorithm).parameters
    small = {name: value for name, value in small.items() if name in known}
    if "gae_lambda" in known:
        small["n_steps"] = 32
    policy = next(name for name in algorithm.policy_aliases if name.startswith("Mlp"))
    return algorithm(policy, venv, **small)


def acts_in(algorithm: Any) -> str:
    """An environment whose actions the algorithm can choose."""
    for env_id in ("Pendulum-v1", "CartPole-v1"):
        try:
            made(algorithm, stack(1, env_id))
        except AssertionError:  # of this kind it says: "only supports ... as action spaces"
            continue
        return env_id
    raise AssertionError(f"no environment for {algorithm}")


def copied_at(folder: Path, index: int) -> Callable[[], None]:
    """Copies the run folder at one checkpoint, as a run that was killed then leaves it."""
    checkpoints = itertools.count()

    def at_checkpoint() -> None:
        if next(checkpoints) == index:
            shutil.copytree(folder / "whole", folder / "killed")

    return at_checkpoint


def small_run(env_id: str) -> RunConfig:
    return tiny_runs.tiniest(
        env=env_id,
        agent_settings={},
        max_episode_steps=20,
        num_envs=2,
        steps=240,
        explore_steps=80,
        checkpoint_every=80,
        budget=6,
        queries=QueryConfig(num_sessions=2, min_candidates=20),
        keep_checkpoints=True,
    )


def assert_a_run_is_right_and_goes_on_after_a_kill(
    config: RunConfig, parts: Parts, folder: Path, *, at: int
) -> None:
    """Takes a small run, and again from a copy of its folder at one of its checkpoints."""
    whole = run(
        config,
        out=folder / "whole",
        parts=parts,
        show_progress=False,
        on_checkpoint=copied_at(folder, at),
    )
    assert whole.agent.num_steps == whole.agent.model.num_timesteps == 240
    assert_rewards_are_the_learned_ones(whole)

    again = resume(folder / "killed", parts=parts, show_progress=False)
    assert not difference(whole.agent.state(), again.agent.state(), "state()")
    assert whole.summary["final_true_return_mean"] == again.summary["final_true_return_mean"]


@pytest.mark.filterwarnings("ignore:episodes end early")  # CartPole's
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.__name__)
def test_a_run_with_it_is_right_and_goes_on_after_a_kill_or_it_is_refused_before_its_first_step(
    algorithm, tmp_path, monkeypatch
):
    monkeypatch.setattr(off_policy, "RANDOM_STEPS", 40)
    monkeypatch.setattr(off_policy, "REFERENCE_EVERY", 30)
    monkeypatch.setattr(off_policy, "CATCH_UP_UPDATES", 5)
    name = algorithm.__name__
    parts = Parts(make_model=lambda venv: made(algorithm, venv))
    config = small_run(acts_in(algorithm))
    if name not in OFTEN_USED:
        with pytest.raises(ConfigError, match=f"^cannot train a {name}.* PPO") as refused:
            run(config, out=tmp_path / "whole", parts=parts, show_progress=False)
        assert "\n" not in str(refused.value)
        assert not (tmp_path / "whole").exists()
        return
    assert_a_run_is_right_and_goes_on_after_a_kill(config, parts, tmp_path, at=len(name) % 3)


def assert_rewards_are_the_learned_ones(result: Any) -> None:
    buffer = getattr(result.agent.model, "replay_buffer", None)
    if buffer is None:
        return
    stored = buffer.rewards[: buffer.size()].copy()
    relabel(buffer, result.reward_model.reward_function(), result.agent.venv)
    np.testing.assert_allclose(stored, buffer.rewards[: buffer.size()], rtol=1e-4, atol=1e-5)
    buffer.rewards[: buffer.size()] = stored
    assert stored.std() > 0


def test_the_often_used_ones_are_found() -> None:
    # CrossQ came with sb3-contrib 2.4.
    assert {algorithm.__name__ for algorithm in ALGORITHMS} >= OFTEN_USED - {"CrossQ"}
