"""Sizes that no machine can hold are refused by name, soon, and before anything is made."""

import dataclasses
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.config import QueryConfig, ResolvedRun, RewardConfig, RunConfig
from prefrl.errors import ConfigError
from prefrl.runs.resolve import resolve
from tests.cli.in_process import call, contents

BASE = RunConfig(env="Pendulum-v1", steps=20_000)


def refusal(**changes: Any) -> str:
    """The line that refuses settings, which comes soon."""
    began = time.process_time()
    with pytest.raises(ConfigError) as refused:
        resolve(dataclasses.replace(BASE, **changes))
    assert time.process_time() - began < 2.0
    return str(refused.value)


@pytest.mark.parametrize("value", [10**13, 2**53])
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("num_envs", {"num_envs": ...}),
        ("eval_episodes", {"eval_episodes": ...}),
        ("store_transitions", {"store_transitions": ..., "steps": ..., "checkpoint_every": ...}),
        ("queries.num_sessions", {"queries": lambda n: QueryConfig(num_sessions=n)}),
        ("reward_model.hidden_dim", {"reward_model": lambda n: RewardConfig(hidden_dim=n)}),
        ("reward_model.num_layers", {"reward_model": lambda n: RewardConfig(num_layers=n)}),
        ("reward_model.num_reward", {"reward_model": lambda n: RewardConfig(num_reward_heads=n)}),
        ("reward_model.bank_size", {"reward_model": lambda n: RewardConfig(bank_size=n)}),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_what_takes_more_memory_than_there_is_is_named(name, changes, value):
    given = {
        key: value if change is ... else change(value) if callable(change) else change
        for key, change in changes.items()
    }
    said = refusal(**given)
    assert said.startswith(name)
    assert "GB of memory, and this machine has" in said


def test_a_plan_of_too_many_phases_is_refused():
    said = refusal(steps=10**12, checkpoint_every=1_000)
    assert said == (
        "steps is 1,000,000,000,000, which is 1,000,000,000 times checkpoint_every (1,000); "
        "expected at most 100,000 times"
    )


def test_more_threads_than_a_machine_can_start_are_refused():
    assert refusal(threads=2_000) == "threads is 2,000; expected at most 1,024"


def test_whole_numbers_beyond_what_a_float_can_count_are_refused_by_name():
    for name in ("steps", "budget", "num_envs", "eval_episodes", "segment_length"):
        with pytest.raises(ConfigError, match=rf"^{name} is .*; expected at most 9,007,199"):
            RunConfig(**{name: 10**30})  # type: ignore[arg-type]


SIZES = st.sampled_from([1, 7, 1_000, 10**6, 10**9, 10**12, 2**53])


@given(
    steps=SIZES, num_envs=SIZES, segment_length=SIZES, explore=SIZES, every=SIZES, episodes=SIZES,
    limit=SIZES, budget=SIZES,
)  # fmt: skip
def test_any_sizes_are_decided_or_refused_soon(
    steps, num_envs, segment_length, explore, every, episodes, limit, budget
):
    config = RunConfig(
        env="Pendulum-v1",
        steps=steps,
        num_envs=num_envs,
        segment_length=segment_length,
        explore_steps=explore,
        checkpoint_every=every,
        eval_episodes=episodes,
        max_episode_steps=limit,
        budget=budget,
    )
    began = time.process_time()
    try:
        decided = resolve(config)
    except ConfigError:
        decided = None
    assert decided is None or isinstance(decided, ResolvedRun)
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("eval run --episodes 1e30", "--episodes is "),
        ("eval run --seed 1e30", "--seed is "),
        ("eval run --video x.mp4 --video-size 1e9", "--video-size is 1000000000; expected at most"),
        ("learn --data a.npz --out b --seed 1e30", "--seed is "),
        ("bench --env Pendulum-v1 --out b --seeds 1e12", "--seeds is 1000000000000; expected at"),
        ("bench --env Pendulum-v1 --out b --jobs 1e9", "--jobs is 1000000000; expected at most"),
        ("run --env Pendulum-v1 --out b --num-envs 1e12", "--num-envs asks for at least"),
        ("run --env Pendulum-v1 --out b --threads 1e5", "--threads is 100,000; expected at most"),
    ],
)
def test_commands_refuse_what_has_no_end_by_its_option(words, said, tmp_path):
    assert call(tmp_path, words.split()).refusal.startswith(f"prefrl: {said}")
    assert not contents(tmp_path)
