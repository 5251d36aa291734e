from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

from prefrl.agents import OnPolicyAgent, make_model
from prefrl.errors import ConfigError
from prefrl.segments import EpisodeStore
from tests.agents.stacks import SMALL_PPO, constant, stack


def agent_of(store: EpisodeStore | None = None, **settings: Any) -> OnPolicyAgent:
    model: Any = make_model(
        "ppo", stack(2, store=store), {**SMALL_PPO, **settings}, seed=0, device="cpu"
    )
    return OnPolicyAgent(model)


@pytest.mark.parametrize(
    ("num_steps", "sizes"),
    [(64, [32]), (66, [16, 17]), (2, [1]), (200, [25] * 4), (40, [20]), (0, [])],
)
def test_a_stretch_is_cut_into_equal_rollouts_none_too_long(monkeypatch, num_steps, sizes):
    agent = agent_of()
    collected: list[int] = []
    collect = agent.model.collect_rollouts

    def counting(env: Any, callback: Any, buffer: Any, n_rollout_steps: int) -> bool:
        collected.append(n_rollout_steps)
        assert buffer.buffer_size == n_rollout_steps
        return collect(env, callback, buffer, n_rollout_steps)

    monkeypatch.setattr(agent.model, "collect_rollouts", counting)
    agent.begin_phase(0)
    agent.train(num_steps)
    assert collected == sizes
    assert agent.model.n_steps == agent.model.rollout_buffer.buffer_size == 32


def test_the_rollout_buffer_keeps_the_models_discounts():
    agent = agent_of(gamma=0.8, gae_lambda=0.7)
    agent.begin_phase(0)
    agent.train(2 * 45)
    buffer = agent.model.rollout_buffer
    assert (buffer.gamma, buffer.gae_lambda) == (0.8, 0.7)


def test_exploring_acts_at_random_and_learns_no_policy():
    store = EpisodeStore()
    agent = agent_of(store)
    before = {k: v.clone() for k, v in agent.model.policy.state_dict().items()}
    agent.begin_phase(0)
    agent.explore(400)
    agent.begin_phase(1)
    actions = np.concatenate([episode.actions for episode in store.episodes])
    assert len(actions) == 400
    # Uniform on [-2, 2].
    assert abs(actions.mean()) < 0.2
    assert actions.std() == pytest.approx(4 / 12**0.5, rel=0.1)
    after = agent.model.policy.state_dict()
    assert all((after[k] == v).all() for k, v in before.items())


def test_training_goes_on_where_exploring_stopped():
    agent = agent_of()
    agent.begin_phase(0)
    agent.explore(20)
    agent.train(30)
    assert [episode.length for episode in agent.pop_finished()] == [25, 25]


def test_exploring_tells_the_scaling_of_rewards_nothing():
    agent = agent_of(normalize_reward=True)
    agent.begin_phase(0)
    agent.explore(100)
    scaling = agent.model.get_vec_normalize_env()
    assert scaling is not None
    assert scaling.ret_rms.count < 1
    agent.set_reward(constant(3.0))
    agent.train(100)
    assert scaling.ret_rms.count > 99


def test_relabelling_has_nothing_to_do():
    def never(obs: Any, action: Any, next_obs: Any, done: Any) -> Any:
        raise AssertionError("nothing is stored")

    agent = agent_of()
    agent.begin_phase(0)
    agent.train(64)
    agent.relabel(never)


def test_normalised_observations_around_the_stack_are_refused():
    venv = VecNormalize(stack(1), norm_obs=True)
    with pytest.raises(ConfigError, match="normalised observations"):
        OnPolicyAgent(PPO("MlpPolicy", venv, n_steps=8, batch_size=8, device="cpu"))
    venv = VecNormalize(stack(1), norm_obs=False)
    OnPolicyAgent(PPO("MlpPolicy", venv, n_steps=8, batch_size=8, device="cpu"))
