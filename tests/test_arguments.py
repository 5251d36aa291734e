"""Whatever a public call is given, it works or ends in an error of prefrl's, of one line.

For each public callable valid arguments are written down once; each of them in turn is replaced by
something odd. A public name without an entry fails: a new one is covered from its first day.
"""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import prefrl
import prefrl.envs
import prefrl.rewards
from prefrl.agents import make_agent, make_model
from prefrl.feedback.protocols import Answer
from prefrl.plan import Phase
from prefrl.runs.evaluation import evaluate
from prefrl.runs.video import film
from prefrl.seeding import Streams
from prefrl.segments import EpisodeStore
from prefrl.testing import made_up
from tests.odd import MASKED, NUMBERS, Valid, faults_of


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def nothing_happens(obs: Any, action: Any, next_obs: Any, done: Any) -> Any:
    return np.zeros(len(obs), dtype=np.float32)


def stands_still(observations: Any) -> Any:
    return np.zeros((len(observations), 1), dtype=np.float32)


def pendulum() -> Any:
    return gym.make("Pendulum-v1", max_episode_steps=3)


def vec_env(store: EpisodeStore) -> Any:
    return prefrl.envs.make_vec_env(lambda: prefrl.envs.make_env("Pendulum-v1"), 1, store)


def calls() -> dict[str, Valid]:
    """Valid arguments of everything that is public; runs are of environments there are not."""
    model = prefrl.EnhancedRewardModel(6, hidden_dim=8)
    model.save("model")
    segments = made_up.segments(4, rng=rng())
    answers = made_up.comparisons(12, rng=rng())
    answers.save("comparisons.npz")
    inputs = segments.inputs()
    frozen = model.reward_function()
    rows = {"obs": np.zeros((2, 4)), "action": np.zeros((2, 2))}
    store = EpisodeStore()
    agent = make_agent(make_model("ppo", vec_env(store), {}, seed=0, device="cpu"))
    quick = prefrl.RewardConfig(recipe="plain", max_updates=2, hidden_dim=8)
    told = {"show_progress": False, "wandb_project": None, "on_checkpoint": None, "parts": None}
    told["serving"] = None
    return {
        "EnhancedRewardModel": (
            prefrl.EnhancedRewardModel,
            {"input_dim": 6, "generator": None, "hidden_dim": 8, "num_reward_heads": 2},
        ),
        "EnhancedRewardModel.load": (prefrl.EnhancedRewardModel.load, {"folder": "model"}),
        "EnhancedRewardModel.save": (model.save, {"folder": "again"}),
        "EnhancedRewardModel.forward": (
            model.forward,
            {"inputs": torch.zeros(2, 4, 6), "attention_mask": None, "objective_weights": None},
        ),
        "EnhancedRewardModel.score": (
            model.score,
            {"sequences": inputs, "objective_weights": None, "attention_mask": None},
        ),
        "EnhancedRewardModel.preference_probability": (
            model.preference_probability,
            {"left": inputs, "right": inputs, "attention_mask": None},
        ),
        "EnhancedRewardModel.reward_function": (
            model.reward_function,
            {"objective_weights": None},
        ),
        "ModelReward": (prefrl.rewards.ModelReward, {"model": model, "objective_weights": None}),
        "ModelReward.__call__": (
            frozen,
            {**rows, "next_obs": np.zeros((2, 4)), "done": np.zeros(2, bool)},
        ),
        "ModelReward.with_uncertainty": (frozen.with_uncertainty, rows),
        "RewardModelConfig": (prefrl.rewards.RewardModelConfig, {"input_dim": 6}),
        "RewardTrainer": (
            prefrl.rewards.RewardTrainer,
            {"model": model, "config": quick, "streams": Streams(0), "objective_weights": None},
        ),
        "build_model": (
            prefrl.rewards.build_model,
            {
                "input_dim": 6,
                "config": quick,
                "segment_length": 5,
                "generator": torch.Generator().manual_seed(0),
                "observation_dim": 4,
                "env_id": "a",
                "num_objectives": 1,
            },
        ),
        "score_interval": (
            prefrl.rewards.score_interval,
            {"model": model, "left": inputs, "right": inputs, "attention_mask": None},
        ),
        "Parts": (
            prefrl.Parts,
            {"make_env": None, "teacher": None, "strategy": None, "make_model": None}
            | {"callbacks": ()},
        ),
        "PreferenceDataset": (
            prefrl.PreferenceDataset,
            {"validation_fraction": 0.2, "left": [segments], "right": [segments], "env_id": "a"}
            | {"p_left": np.zeros(4), "session": 0, "annotator": "a"},
        ),
        "PreferenceDataset.add": (
            prefrl.PreferenceDataset().add,
            {"left": segments, "right": segments, "p_left": np.zeros(4), "session": 0}
            | {"rng": rng(), "objective": 0, "annotator": "a"},
        ),
        "PreferenceDataset.select": (answers.select, {"rows": [0, 1]}),
        "PreferenceDataset.first": (answers.first, {"count": 2}),
        "PreferenceDataset.save": (answers.save, {"path": "more.npz", "is_compact": False}),
        "PreferenceDataset.load": (
            prefrl.PreferenceDataset.load,
            {"path": "comparisons.npz", "validation_fraction": 0.1},
        ),
        "PreferenceLoop": (
            prefrl.PreferenceLoop,
            {
                "plan": [Phase(start_step=0, num_steps=64, num_queries=0)],
                "agent": agent,
                "store": store,
                "streams": Streams(0),
                "feedback": None,
                "records": None,
            },
        ),
        "PrefrlError": (prefrl.PrefrlError, {}),
        "QueryConfig": (prefrl.QueryConfig, {"num_sessions": 3, "schedule": "constant"}),
        "RewardConfig": (prefrl.RewardConfig, {"recipe": "plain", "hidden_dim": 8}),
        "RunConfig": (
            prefrl.RunConfig,
            {"env": "a", "steps": 5, "budget": 3, "teacher": prefrl.TeacherConfig(), "seed": 0}
            | {"agent_settings": {}, "objectives": (), "objective_weights": None},
        ),
        "ServingConfig": (
            prefrl.ServingConfig,
            {"host": "127.0.0.1", "port": 0, "public_url": None, "allowed_hosts": ()}
            | {"trusted_proxies": (), "instructions": None, "database": None, "open_page": False},
        ),
        "TeacherConfig": (prefrl.TeacherConfig, {"name": "oracle", "beta": 1.0}),
        "RunResult": (
            prefrl.RunResult,
            {"folder": Path("a"), "summary": {}, "agent": agent, "reward_model": model},
        ),
        "RewardVecEnv": (
            prefrl.RewardVecEnv,
            {"venv": vec_env(EpisodeStore()), "reward": nothing_happens, "env_id": None},
        ),
        "RewardWrapper": (
            prefrl.RewardWrapper,
            {"env": pendulum(), "reward": nothing_happens, "objective_weights": None},
        ),
        "fit_reward_model": (
            prefrl.fit_reward_model,
            {"comparisons": answers, "config": quick, "seed": 0, "num_objectives": 1},
        ),
        "load_comparisons": (
            prefrl.load_comparisons,
            {"path": "comparisons.npz", "validation_fraction": 0.1},
        ),
        "load_episodes": (prefrl.load_episodes, {"path": "episodes.npz"}),
        "run": (prefrl.run, {"config": prefrl.RunConfig(env="Nowhere-v0"), "out": "new", **told}),
        "resume": (prefrl.resume, {"folder": "nowhere", "steps": None, "budget": None, **told}),
        "make_env": (
            prefrl.envs.make_env,
            {"env_id": "Pendulum-v1", "fixed_horizon": True, "max_episode_steps": 9}
            | {"render_mode": None},
        ),
        "make_vec_env": (
            prefrl.envs.make_vec_env,
            {"make_env": pendulum, "num_envs": 1, "store": EpisodeStore(), "objectives": ()},
        ),
        "evaluate": (
            evaluate,
            {"predict": stands_still, "make_env": pendulum, "num_episodes": 1, "seed": 0}
            | {"reward_function": nothing_happens, "num_envs": 1},
        ),
        "film": (
            film,
            {"predict": stands_still, "make_env": pendulum, "path": Path("a.mp4")}
            | {"max_seconds": 1.0, "seed": 0, "size": None},
        ),
        "Answer": (
            Answer,
            {"question": 0, "p_left": 0.5, "annotator": "", "answered_s": None, "source": ""},
        ),
    }


NAMES = sorted(
    {
        *(n for module in (prefrl, prefrl.envs, prefrl.rewards) for n in module.__all__),
        *(f"EnhancedRewardModel.{n}" for n in ("load", "save", "forward", "score")),
        *(f"EnhancedRewardModel.{n}" for n in ("preference_probability", "reward_function")),
        *(f"PreferenceDataset.{n}" for n in ("add", "select", "first", "save", "load")),
        *("ModelReward.__call__", "ModelReward.with_uncertainty", "evaluate", "film", "Answer"),
    }
    - {"ScoreInterval"}  # what `score_interval` returns
)


@pytest.mark.parametrize("name", NAMES)
def test_odd_arguments_work_or_end_in_an_error_of_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = calls()[name]  # once, as it writes files
    faults = faults_of(lambda: made)
    assert not faults, faults


@pytest.mark.parametrize(
    "sequences",
    [
        np.asfortranarray(NUMBERS),
        NUMBERS.astype(np.float32)[:, ::-1],
        NUMBERS.astype(np.longdouble),
        NUMBERS.astype(NUMBERS.dtype.newbyteorder()),
        NUMBERS.tolist(),
        list(NUMBERS),
        torch.from_numpy(NUMBERS).requires_grad_(),
        np.ma.masked_array(NUMBERS, mask=False),
    ],
    ids=["columns", "reversed", "long", "bytes", "list", "arrays", "trained", "nothing masked"],
)
def test_numbers_are_the_same_however_they_are_held(sequences: Any) -> None:
    model = prefrl.EnhancedRewardModel(6, hidden_dim=8)
    plain = sequences.detach().numpy() if torch.is_tensor(sequences) else np.array(sequences)
    expected = model.score(plain.astype(np.float32))
    np.testing.assert_allclose(model.score(sequences), expected, rtol=1e-5)


def test_entries_that_are_masked_are_no_numbers() -> None:
    model = prefrl.EnhancedRewardModel(6, hidden_dim=8)
    with pytest.raises(prefrl.PrefrlError, match="MaskedArray of shape"):
        model.score(MASKED)
    with pytest.raises(prefrl.PrefrlError, match="MaskedArray of shape"):
        model.reward_function().with_uncertainty(MASKED[0, :, :4], NUMBERS[0, :, :2])


def test_numbers_in_single_precision_that_overflow_are_refused() -> None:
    model = prefrl.EnhancedRewardModel(3)
    model.set_input_statistics(torch.randn(50, 3) * 1e-3)
    frozen = model.reward_function()
    for size in (1e36, 3e38, np.inf, np.nan):
        rows = np.full((1, 2), size, dtype=np.float32)
        with pytest.raises(prefrl.PrefrlError, match="hold NaN, an infinity, or numbers too large"):
            model.score(np.full((1, 4, 3), size, dtype=np.float32))
        with pytest.raises(prefrl.PrefrlError, match="hold NaN, an infinity, or numbers too large"):
            frozen.with_uncertainty(rows, rows[:, :1])
