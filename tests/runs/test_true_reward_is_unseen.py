"""The true reward reaches no learner, at any time."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from prefrl import Parts, QueryConfig, run
from prefrl.agents import AGENTS, off_policy
from prefrl.envs import make_env
from prefrl.records.weights import read_weights
from tests import tiny_runs


class StubTeacher:
    """Prefers the segment whose observations are greater; knows nothing of rewards."""

    def answer(self, left: Any, right: Any, *, rng: np.random.Generator) -> Any:
        scores = (side.observations.reshape(len(side), -1).sum(1) for side in (left, right))
        return np.greater(*scores).astype(float)


def tiny(agent: str) -> Any:
    """A run in which the agent explores, is asked twice, relabels, and trains."""
    settings = tiny_runs.PPO_SETTINGS if agent == "ppo" else tiny_runs.SAC_SETTINGS
    return tiny_runs.tiniest(
        agent=agent, agent_settings=settings, queries=QueryConfig(num_sessions=2)
    )


def policy_with(agent: str, folder: Path, change: Any) -> dict[str, torch.Tensor]:
    """Returns the policy learned in environments whose rewards were changed."""
    config = tiny(agent)

    def make() -> Any:
        return gym.wrappers.TransformReward(make_env(config.env), change)

    parts = Parts(make_env=make, teacher=StubTeacher())
    run(config, out=folder, parts=parts, show_progress=False)
    return read_weights(folder / "policy.safetensors")[0]


@pytest.mark.usefixtures("without_curves")
@pytest.mark.parametrize("agent", AGENTS)
def test_a_policy_is_the_same_to_the_bit_whatever_the_true_rewards_are(
    agent, tmp_path, monkeypatch
):
    monkeypatch.setattr(off_policy, "RANDOM_STEPS", 20)
    monkeypatch.setattr(off_policy, "REFERENCE_EVERY", 15)
    own = policy_with(agent, tmp_path / "own", lambda reward: reward)
    other = policy_with(agent, tmp_path / "other", lambda reward: 1_000.0 - 2.0 * reward)
    assert own.keys() == other.keys()
    assert all(torch.equal(own[name], other[name]) for name in own)
