from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, SAC
from stable_baselines3.common.noise import OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecNormalize

from prefrl.agents import OffPolicyAgent, make_agent, make_model, off_policy
from prefrl.agents.exploration import StateEntropyReward
from prefrl.errors import ConfigError
from tests.agents.stacks import SMALL, SMALL_SAC, constant, stack


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> OffPolicyAgent:
    """Explores at random for 20 steps, and looks for novelty anew every 15."""
    monkeypatch.setattr(off_policy, "RANDOM_STEPS", 20)
    monkeypatch.setattr(off_policy, "REFERENCE_EVERY", 15)
    monkeypatch.setattr(off_policy, "CATCH_UP_UPDATES", 7)
    model: Any = make_model("sac", stack(1), SMALL_SAC, seed=0, device="cpu")
    return OffPolicyAgent(model)


def buffer_of(agent: OffPolicyAgent) -> Any:
    assert agent.model.replay_buffer is not None
    return agent.model.replay_buffer


def copied(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_exploring_is_random_first_and_then_learns_to_find_new_states(agent):
    agent.begin_phase(0)
    agent.explore(20)
    assert agent.model._n_updates == 0
    agent.explore(20)
    assert agent.model._n_updates == 20
    actions = buffer_of(agent).actions[:20]
    assert abs(actions).max() > 0.9  # Uniform on [-1, 1], as the buffer keeps them.


def test_novelty_is_looked_for_anew_and_episodes_are_cut_whatever_the_stride(monkeypatch):
    monkeypatch.setattr(off_policy, "REFERENCE_EVERY", 15)
    settings = {**SMALL_SAC, "train_freq": 4}
    model: Any = make_model("sac", stack(2), settings, seed=0, device="cpu")
    agent: Any = make_agent(model, explore_episode_steps=10)
    done: dict[str, list[int]] = {"_refresh_exploration": [], "_reset_environments": []}
    for name, steps in done.items():
        before = getattr(agent, name)
        monkeypatch.setattr(
            agent, name, lambda steps=steps, go=before: (steps.append(agent.num_steps), go())
        )
    agent.begin_phase(0)
    agent.explore(64)  # eight steps at once: of 15, 30, 45 and 60 not one is met
    assert done["_refresh_exploration"] == [0, 16, 32, 48, 64]
    assert done["_reset_environments"] == [0, 24, 40, 64]  # 20 and 60 are passed, 40 is met


def test_what_was_explored_is_rewarded_for_its_distance_from_all_that_was_visited(agent):
    agent.begin_phase(0)
    agent.explore(45)
    buffer = buffer_of(agent)
    visited = buffer.observations[:45, 0]
    reward = StateEntropyReward(visited, rng=np.random.default_rng(45))
    next_obs = buffer.next_observations[:45, 0]
    expected = reward(visited, visited[:, :0], next_obs, np.zeros(45, dtype=bool))
    np.testing.assert_array_equal(buffer.rewards[:45, 0], expected)
    assert buffer.rewards[:45].std() > 0


def test_no_true_reward_is_learned_from_while_exploring(agent):
    agent.begin_phase(0)
    agent.explore(45)
    assert (buffer_of(agent).rewards[:45] >= 0).all()  # Pendulum's own are below 0.


def test_after_a_new_reward_no_stale_one_is_left(agent):
    agent.begin_phase(0)
    agent.explore(40)
    for seed, value in enumerate((3.0, 5.0, 7.0), start=1):
        agent.begin_phase(seed)
        agent.set_reward(constant(value))
        agent.relabel(constant(value))
        assert (buffer_of(agent).rewards[: buffer_of(agent).size()] == value).all()
        agent.train(25)
        assert (buffer_of(agent).rewards[: buffer_of(agent).size()] == value).all()
    assert buffer_of(agent).full


def test_the_critic_that_learned_to_explore_is_replaced_and_the_actor_kept(agent, monkeypatch):
    agent.begin_phase(0)
    agent.explore(40)
    model: Any = agent.model
    monkeypatch.setattr(model, "train", lambda **_: None)  # It would catch up at once.
    actor, critic = copied(model.actor), copied(model.critic)
    assert model.critic.optimizer.state
    agent.relabel(constant(1.0))
    assert all(torch.equal(value, actor[name]) for name, value in copied(model.actor).items())
    for name, value in copied(model.critic).items():
        assert not torch.equal(value, critic[name])
        assert torch.equal(value, model.critic_target.state_dict()[name])
    assert not model.critic.optimizer.state


def test_the_critic_is_replaced_once_and_catches_up(agent):
    agent.begin_phase(0)
    agent.explore(40)
    updates = agent.model._n_updates
    agent.relabel(constant(1.0))
    assert agent.model._n_updates == updates + 7
    critic = copied(agent.model.critic)
    agent.relabel(constant(2.0))
    for name, value in copied(agent.model.critic).items():
        assert torch.equal(value, critic[name])
    assert agent.model._n_updates == updates + 7


def test_the_critic_is_kept_where_nothing_was_explored(agent):
    agent.begin_phase(0)
    agent.set_reward(constant(1.0))
    agent.train(30)
    critic = copied(agent.model.critic)
    agent.relabel(constant(2.0))
    for name, value in copied(agent.model.critic).items():
        assert torch.equal(value, critic[name])


def test_once_there_is_a_reward_every_step_is_learned_from(agent):
    agent.begin_phase(0)
    agent.explore(10)  # Shorter than the random part.
    agent.begin_phase(1)
    agent.set_reward(constant(1.0))
    agent.relabel(constant(1.0))
    updates = agent.model._n_updates
    agent.train(12)
    assert agent.model._n_updates == updates + 12


def sac_in(venv: Any, **settings: Any) -> Callable[[], Any]:
    return lambda: SAC(
        "MlpPolicy",
        venv,
        device="cpu",
        **{"buffer_size": 50, "policy_kwargs": {**SMALL}, **settings},
    )


def test_a_model_on_normalised_rewards_is_refused():
    with pytest.raises(ConfigError, match="must not stand on VecNormalize"):
        make_agent(sac_in(VecNormalize(stack(1), norm_obs=False))())


class Seeing(BaseFeaturesExtractor):
    """One layer before the others."""

    def __init__(self, observation_space: Any, is_frozen: bool = False) -> None:
        super().__init__(observation_space, features_dim=4)
        self.layer = torch.nn.Linear(3, 4).requires_grad_(not is_frozen)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return self.layer(observations)


@pytest.mark.parametrize(
    ("is_frozen", "is_shared"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_a_fresh_critic_keeps_layers_that_do_not_learn_and_those_of_the_actor(
    is_frozen, is_shared, monkeypatch
):
    policy = {
        **SMALL,
        "features_extractor_class": Seeing,
        "features_extractor_kwargs": {"is_frozen": is_frozen},
        "share_features_extractor": is_shared,
    }
    agent: Any = make_agent(sac_in(stack(1), policy_kwargs=policy, batch_size=8)())
    agent.begin_phase(0)
    agent.explore(20)
    monkeypatch.setattr(agent.model, "train", lambda **_: None)  # It would catch up at once.
    actor, critic = copied(agent.model.actor), copied(agent.model.critic)
    agent.relabel(constant(1.0))
    assert all(torch.equal(value, actor[name]) for name, value in copied(agent.model.actor).items())
    is_same = {name: torch.equal(critic[name], v) for name, v in copied(agent.model.critic).items()}
    assert is_same["features_extractor.layer.weight"] == (is_frozen or is_shared)
    assert not is_same["qf0.0.weight"]


@pytest.mark.parametrize("name", ["sac", "crossq"])
def test_a_reset_of_its_own_is_a_truncation_and_no_end(name):
    model: Any = make_model(name, stack(2, length=1_000), SMALL_SAC, seed=0, device="cpu")
    agent: Any = make_agent(model)
    agent.begin_phase(0)
    agent.explore(20)
    agent.begin_phase(1)
    agent.set_reward(constant(1.0))
    agent.relabel(constant(1.0))
    agent.train(20)
    buffer = buffer_of(agent)
    cut = np.zeros((20, 2))
    cut[[9]] = 1  # ten steps of two environments; of the rest nothing ends
    np.testing.assert_array_equal(buffer.dones[:20], cut)
    np.testing.assert_array_equal(buffer.timeouts[:20], cut)
    learned_from = buffer._get_samples(np.arange(20))
    assert not learned_from.dones.any()


def test_noise_begins_anew_with_each_phase():
    noise = OrnsteinUhlenbeckActionNoise(np.zeros(1), np.ones(1))
    agent = make_agent(sac_in(stack(1), action_noise=noise)())
    agent.begin_phase(0)
    agent.set_reward(constant(1.0))
    agent.train(5)
    assert noise.noise_prev.any()
    agent.begin_phase(1)
    assert not noise.noise_prev.any()


def test_a_restored_dqn_goes_on_to_explore_as_often_as_it_did():
    agents: list[Any] = []
    for _ in range(2):
        settings: dict[str, Any] = {"buffer_size": 60, "policy_kwargs": {**SMALL}}
        settings["exploration_fraction"] = 1.0
        model = DQN("MlpPolicy", stack(1, "CartPole-v1"), device="cpu", seed=0, **settings)
        agents.append(make_agent(model, total_steps=100))
    one, again = agents
    one.begin_phase(0)
    one.set_reward(constant(1.0))
    one.train(40)
    again.restore(one.state())
    for agent in agents:
        agent.begin_phase(1)
    assert again.model.exploration_rate == one.model.exploration_rate > 0.5
