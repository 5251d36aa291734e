from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer
from stable_baselines3.common.vec_env import VecEnvWrapper, VecFrameStack, VecMonitor, VecNormalize
from stable_baselines3.her.her_replay_buffer import HerReplayBuffer

from prefrl.agents import make_agent
from prefrl.agents.supported import check_replay
from prefrl.errors import ConfigError, ContractError
from tests.agents.stacks import SMALL, constant, stack, stack_of
from tests.envs.tasks import Pieces


def ppo(venv: Any, kind: Any = PPO, **settings: Any) -> Any:
    small = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "policy_kwargs": {**SMALL}}
    return kind("MlpPolicy", venv, device="cpu", **{**small, **settings})


def sac(venv: Any, kind: Any = SAC, **settings: Any) -> Any:
    small = {"buffer_size": 50, "batch_size": 8, "policy_kwargs": {**SMALL}}
    return kind("MlpPolicy", venv, device="cpu", **{**small, **settings})


class OwnRollouts(PPO):
    def collect_rollouts(self, *args: Any, **kwargs: Any) -> bool:
        return PPO.collect_rollouts(self, *args, **kwargs)


class Extended(OwnRollouts):
    def collect_rollouts(self, *args: Any, **kwargs: Any) -> bool:
        return super().collect_rollouts(*args, **kwargs)


class Logs(PPO):
    def collect_rollouts(self, *args: Any, **kwargs: Any) -> bool:
        goes_on = super().collect_rollouts(*args, **kwargs)
        self.logger.record("own/steps", self.num_timesteps)
        return goes_on


class LogsOffPolicy(SAC):
    def collect_rollouts(self, *args: Any, **kwargs: Any) -> Any:
        return super().collect_rollouts(*args, **kwargs)

    def _sample_action(self, *args: Any, **kwargs: Any) -> Any:
        return super()._sample_action(*args, **kwargs)


class OwnStoring(SAC):
    def _store_transition(self, *args: Any, **kwargs: Any) -> None:
        super()._store_transition(*args, **kwargs)


class OwnUpdates(PPO):
    def train(self) -> None:
        super().train()


class Scaled(VecEnvWrapper):
    """Shows half of what there is, in a space of the same form."""

    def reset(self) -> Any:
        observations: Any = self.venv.reset()
        return observations / 2

    def step_wait(self) -> Any:
        observations: Any
        observations, *rest = self.venv.step_wait()
        return observations / 2, *rest


class Rescaled(Scaled):
    def __init__(self, venv: Any) -> None:
        super().__init__(venv, action_space=spaces.Box(-1.0, 1.0, (1,), np.float32))


class Weighted(ReplayBuffer):
    """Keeps a weight of each row beside it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.weights = np.zeros(self.buffer_size)


class Reversed(ReplayBuffer):
    def add(self, *args: Any) -> None:
        super().add(*args)


class Halved(ReplayBuffer):
    """Samples in a way of its own, which is nobody else's business."""

    def sample(self, batch_size: int, env: Any = None) -> Any:
        return super().sample(batch_size // 2, env)


class Demanding(RolloutBuffer):
    def __init__(self, *args: Any, hidden: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


def demanding() -> Any:
    model = ppo(stack(1))
    model.rollout_buffer.__class__ = Demanding
    return model


def patched() -> Any:
    model = ppo(stack(1))
    model.collect_rollouts = model.collect_rollouts
    return model


def with_a_buffer_of_one() -> Any:
    """A model that goes on in two environments with what it stored of one."""
    model = sac(stack(2))
    model.replay_buffer = sac(stack(1)).replay_buffer
    return model


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ppo(stack(1), OwnRollouts), r"train a OwnRollouts: .*collect_rollouts.* PPO, A2C"),
        (lambda: ppo(stack(1), Extended), r"train a Extended: .*collect_rollouts"),
        (lambda: sac(stack(1), OwnStoring), "train a OwnStoring: .*_store_transition"),
        (patched, r"train a PPO: .*collect_rollouts"),
        (lambda: PPO, r"cannot train a class; make a model of it: PPO\('MlpPolicy', venv\)"),
        (lambda: None, "cannot train a NoneType; expected .* such as PPO"),
        (lambda: ppo(stack(1), _init_setup_model=False), "has no policy yet"),
        (lambda: ppo(VecFrameStack(stack(1), 3)), r"observation_space .*VecFrameStack.*make_env"),
        (lambda: ppo(Rescaled(stack(1))), r"action_space is Box.*\(Rescaled between them\)"),
        (lambda: ppo(VecNormalize(stack(1))), "must not stand on normalised observations"),
        (lambda: sac(stack(1), train_freq=(1, "episode")), "train_freq is .*number of steps"),
        (lambda: sac(stack(1), train_freq=0), "train_freq is 0; expected 1 step or more"),
        (lambda: sac(stack(1), replay_buffer_class=Weighted), r"Weighted keeps .*\(weights\)"),
        (lambda: sac(stack(1), replay_buffer_class=Reversed), "Reversed keeps more .*or adds them"),
        (
            lambda: sac(stack(1), replay_buffer_kwargs={"handle_timeout_termination": False}),
            "handle_timeout_termination is False",
        ),
        (
            lambda: sac(
                stack(1),
                optimize_memory_usage=True,
                replay_buffer_kwargs={"handle_timeout_termination": False},
            ),
            "optimize_memory_usage",
        ),
        (with_a_buffer_of_one, "replay buffer is of 1 environments .* the SAC has 2; .*num_envs=1"),
        (demanding, "the rollout buffer Demanding cannot be made .*'hidden'"),
    ],
)
def test_a_model_that_could_not_be_trained_right_is_refused_by_name(make, said):
    with pytest.raises(ConfigError, match=said) as refused:
        make_agent(make())
    assert "\n" not in str(refused.value)


def test_a_buffer_of_dictionaries_is_refused_and_hindsight_with_what_to_do():
    venv = stack_of(lambda: Pieces(first=0))
    model = DQN("MultiInputPolicy", venv, buffer_size=50, policy_kwargs={**SMALL}, device="cpu")
    with pytest.raises(ConfigError, match=r"buffer of dictionaries .*FlatObservation"):
        make_agent(model, total_steps=100)
    model.replay_buffer = HerReplayBuffer.__new__(HerReplayBuffer)
    with pytest.raises(ConfigError, match=r"not the learned reward; leave replay_buffer_class out"):
        check_replay(model)


def test_a_model_that_is_shown_other_observations_is_refused_before_its_first_step():
    agent = make_agent(ppo(Scaled(stack(1))))
    with pytest.raises(ConfigError, match=r"does not see .*\(Scaled between them\).*make_env"):
        agent.begin_phase(0)
    assert agent.num_steps == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: ppo(stack(1), OwnUpdates),
        lambda: ppo(stack(1), Logs),
        lambda: sac(stack(1), LogsOffPolicy),
        lambda: ppo(VecMonitor(stack(1))),
        lambda: ppo(VecNormalize(stack(1), norm_obs=False)),
        lambda: sac(stack(1), replay_buffer_class=Halved),
    ],
)
def test_what_changes_neither_steps_nor_rewards_is_taken(make):
    agent = make_agent(make())
    agent.begin_phase(0)
    agent.set_reward(constant(1.0))
    agent.train(32)
    assert agent.num_steps == 32


@pytest.mark.parametrize("make", [ppo, sac])
def test_a_model_that_takes_other_steps_than_it_is_asked_for_is_named(make):
    kind: Any = type(make(stack(1)))

    class Hasty(kind):
        def learn(self, total_timesteps: int, **options: Any) -> Any:
            return super().learn(total_timesteps + 16, **options)

    agent = make_agent(make(stack(1), Hasty))
    agent.begin_phase(0)
    with pytest.raises(ContractError, match=r"the Hasty is at step .*, but was to stop at 16"):
        agent.train(16)


@pytest.mark.parametrize("make", [ppo, sac])
def test_a_model_that_has_learned_before_counts_its_steps_from_where_a_run_begins(make, tmp_path):
    venv = stack(1)
    model = make(venv)
    model.learn(48)
    model.save(tmp_path / "before.zip")
    kind: Any = type(model)
    agent = make_agent(kind.load(tmp_path / "before.zip", env=venv, device="cpu"))
    assert (agent.num_steps, agent.steps_before) == (0, 48)
    agent.begin_phase(0)
    agent.explore(32)
    agent.set_reward(constant(1.0))
    agent.relabel(constant(1.0))
    agent.train(32)
    assert agent.num_steps == agent.model.num_timesteps == 64
    agent.save_policy(tmp_path / "after.zip")
    assert agent.num_steps == 64
    assert kind.load(tmp_path / "after.zip", device="cpu").num_timesteps == 48 + 64
