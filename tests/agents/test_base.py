import contextlib
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecNormalize

from prefrl.agents import make_agent, make_model
from prefrl.agents.policy_file import weights_path
from prefrl.agents.reward_stage import find_reward_stage
from prefrl.envs import RewardVecEnv
from prefrl.errors import ConfigError, EnvironmentFault, StorageError
from tests.agents.stacks import SMALL, SMALL_PPO, SMALL_SAC, constant, stack, stack_of
from tests.envs.tasks import Counting, Failing, side_by_side


def ppo(venv: Any, **settings: Any) -> PPO:
    merged = {**SMALL_PPO, **settings, "policy_kwargs": {**SMALL}}
    return PPO("MlpPolicy", venv, device="cpu", seed=0, **merged)


@pytest.mark.parametrize("wraps", [0, 1, 2])
def test_the_reward_stage_is_found_within_what_stands_around_it(wraps):
    inner = RewardVecEnv(side_by_side([Counting]), None)
    venv: Any = inner
    for _ in range(wraps):
        venv = VecNormalize(venv)
    assert find_reward_stage(venv) is inner


def test_a_model_whose_reward_cannot_be_replaced_is_refused():
    with pytest.raises(ConfigError, match="no RewardVecEnv in it"):
        make_agent(ppo(side_by_side([Counting])))
    with pytest.raises(ConfigError, match="no RewardVecEnv in it"):
        find_reward_stage(None)


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_every_step_of_the_environments_is_told(algorithm):
    told: list[int] = []
    settings = SMALL_PPO if algorithm == "ppo" else SMALL_SAC
    model = make_model(algorithm, stack(2), settings, seed=0, device="cpu")
    agent = make_agent(model, on_step=told.append)
    agent.begin_phase(0)
    agent.explore(20)
    agent.begin_phase(1)
    agent.train(20)
    assert told == list(range(2, 41, 2))


@pytest.mark.parametrize("num_steps", [-4, 1, 5])
@pytest.mark.parametrize("method", ["explore", "train"])
@pytest.mark.parametrize(
    ("algorithm", "settings", "stride"),
    [("ppo", SMALL_PPO, 2), ("sac", SMALL_SAC, 2), ("sac", {**SMALL_SAC, "train_freq": 3}, 6)],
)
def test_steps_that_cannot_be_taken_exactly_are_refused_before_the_first(
    algorithm, settings, stride, method, num_steps
):
    agent = make_agent(make_model(algorithm, stack(2), settings, seed=0, device="cpu"))
    agent.begin_phase(0)
    with pytest.raises(ConfigError, match=f"^{num_steps} steps .* multiple of {stride} "):
        getattr(agent, method)(num_steps)
    assert agent.num_steps == 0
    assert agent.stride == stride


def test_a_schedule_runs_once_over_the_whole_run():
    rates: list[float] = []
    agent = make_agent(
        ppo(stack(1), learning_rate=lambda left: 1e-2 * left, n_steps=20, batch_size=20),
        total_steps=200,
    )
    for seed in range(2):
        agent.begin_phase(seed)
        for _ in range(2):
            agent.train(40)
            rates.append(agent.model.policy.optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(rates, [0.8e-2, 0.6e-2, 0.4e-2, 0.2e-2])


def test_a_schedule_whose_end_nobody_said_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"lr_schedule and clip_range .* total_steps"):
        make_agent(ppo(stack(1), learning_rate=lambda left: left, clip_range=lambda left: left))


def test_an_agent_leaves_nothing_of_itself_on_the_model_it_saves(tmp_path):
    agent = make_agent(ppo(stack(1)), on_step=lambda step: None, total_steps=100)
    agent.begin_phase(0)
    agent.train(20)
    agent.save_policy(tmp_path / "policy.zip")
    loaded = PPO.load(tmp_path / "policy.zip", device="cpu")
    assert "_update_current_progress_remaining" not in vars(agent.model)
    assert "_update_current_progress_remaining" not in vars(loaded)


def test_an_environment_that_goes_wrong_leaves_the_model_whole(tmp_path):
    agent = make_agent(ppo(stack_of(lambda: Failing("raises"))))
    agent.begin_phase(0)
    with pytest.raises(EnvironmentFault, match="Failing failed in a step"):
        agent.train(20)
    agent.save_policy(tmp_path / "policy.zip")
    assert "_update_current_progress_remaining" not in vars(agent.model)


def test_a_policy_that_cannot_be_written_is_named_and_its_weights_are_written_first(tmp_path):
    agent = make_agent(ppo(stack(1)))
    (tmp_path / "taken.zip").mkdir()
    with pytest.raises(StorageError, match=f"could not write {tmp_path}/gone/policy.safetensors"):
        agent.save_policy(tmp_path / "gone" / "policy.zip")
    with pytest.raises(StorageError, match=f"could not write {tmp_path}/taken.zip"):
        agent.save_policy(tmp_path / "taken.zip")
    names = {path.name for path in tmp_path.rglob("*")}
    assert names == {"taken.zip", "taken.safetensors"}


def test_a_silent_model_leaves_no_folders_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("SB3_LOGDIR", str(tmp_path / "logs"))
    agent = make_agent(ppo(stack(1)))
    agent.begin_phase(0)
    agent.train(100)
    assert not (tmp_path / "logs").exists()


def test_a_logger_of_ones_own_stays():
    model = ppo(stack(1))
    own = Logger(folder=None, output_formats=[])
    model.set_logger(own)
    assert make_agent(model).model.logger is own


def test_a_fresh_phase_starts_fresh_episodes():
    agent = make_agent(ppo(stack(1)))
    for seed in (0, 1):
        agent.begin_phase(seed)
        agent.train(20)
    assert agent.pop_finished() == []  # Each phase cut its episode of 25 steps short.
    agent.train(10)
    assert [episode.length for episode in agent.pop_finished()] == [25]


def test_a_new_reward_holds_from_the_next_step_on_in_both_returns():
    agent = make_agent(make_model("sac", stack(1), SMALL_SAC, seed=0, device="cpu"))
    agent.begin_phase(0)
    agent.set_reward(constant(1.0))
    agent.train(10)
    agent.set_reward(constant(2.0))
    agent.train(15)
    (episode,) = agent.pop_finished()
    assert episode.learned_return == 10 * 1.0 + 15 * 2.0
    assert episode.true_return < 0


def test_predictions_are_the_policys_most_likely_actions():
    agent = make_agent(SAC("MlpPolicy", stack(1), policy_kwargs={**SMALL}, device="cpu", seed=0))
    rows = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    actions = agent.predict(rows)
    assert actions.shape == (6, 1)
    torch.manual_seed(99)
    np.testing.assert_array_equal(agent.predict(rows), actions)


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_a_policy_plays_with_the_weights_of_a_file_and_then_with_its_own_again(algorithm, tmp_path):
    def model(venv, seed):
        if algorithm == "ppo":
            return PPO("MlpPolicy", venv, seed=seed, **{**SMALL_PPO, "policy_kwargs": {**SMALL}})
        return SAC("MlpPolicy", venv, seed=seed, **{**SMALL_SAC, "policy_kwargs": {**SMALL}})

    agent, other = (make_agent(model(stack(), seed)) for seed in (0, 1))
    observations = np.linspace(-1, 1, 15).reshape(5, 3).astype(np.float32)
    own, others = agent.predict(observations), other.predict(observations)
    other.save_policy(tmp_path / "policy.zip")
    with contextlib.suppress(KeyError), agent.weights_of(tmp_path / "policy.zip"):
        assert agent.predict(observations).tolist() == others.tolist()
        raise KeyError
    assert agent.predict(observations).tolist() == own.tolist()
    weights_path(tmp_path / "policy.zip").unlink()  # As older versions left it.
    with agent.weights_of(tmp_path / "policy.zip"):
        assert agent.predict(observations).tolist() == others.tolist()
    (tmp_path / "policy.zip").write_text("no archive")
    with (
        pytest.raises(StorageError, match=r"policy.zip holds no policy: it is no .zip archive"),
        agent.weights_of(tmp_path / "policy.zip"),
    ):
        pass
    assert agent.predict(observations).tolist() == own.tolist()
