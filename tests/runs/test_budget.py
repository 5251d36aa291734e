"""A budget is refused where it could only be spent on the same questions again."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prefrl import QueryConfig, run
from prefrl.envs import make_vec_env
from prefrl.errors import ConfigError
from prefrl.plan import growing_episode
from prefrl.runs.budget import num_pairs
from prefrl.runs.resolve import make_configured_env, plan, resolve
from prefrl.segments import EpisodeStore
from tests import tiny_runs


def test_the_largest_budget_is_taken_and_one_more_is_refused_before_there_is_a_folder(tmp_path):
    config = tiny_runs.ppo(
        num_envs=1,
        steps=40,
        segment_length=10,
        explore_steps=13,
        queries=QueryConfig(num_sessions=1, min_candidates=10),
        eval_episodes=0,
    )
    out = tmp_path / "deep" / "run"
    said = (
        r"^budget is 7, but .* only 6 different pairs .* choose at most 6, more steps, or shorter"
    )
    with pytest.raises(ConfigError, match=said):
        run(replace(config, budget=7), out=out, show_progress=False)
    assert not out.parent.exists()
    summary = run(replace(config, budget=6), out=out, show_progress=False).summary
    assert summary["num_answers"] == 6


@given(
    steps=st.integers(20, 200),
    num_envs=st.integers(1, 3),
    segment_length=st.integers(2, 12),
    limit=st.integers(4, 30),
    checkpoint_every=st.integers(10, 100),
    train_episode_steps=st.none() | st.integers(4, 30),
)
def test_pairs_are_counted_as_the_store_has_them(
    steps, num_envs, segment_length, limit, checkpoint_every, train_episode_steps
):
    steps -= steps % num_envs
    first = train_episode_steps
    assume(first is None or min(segment_length, limit) <= first <= limit)
    config = tiny_runs.ppo(
        steps=steps,
        num_envs=num_envs,
        segment_length=segment_length,
        max_episode_steps=limit,
        checkpoint_every=checkpoint_every,
        train_episode_steps=first,
        explore_steps=None,
    )
    try:
        resolved = resolve(config)
        phases = plan(resolved)
    except ConfigError:
        assume(False)
    store = EpisodeStore()
    for phase in phases:
        length = limit
        if first is not None:
            step = phase.start_step
            length = growing_episode(step, first=first, whole=limit, total_steps=steps)
        shorter = replace(resolved, max_episode_steps=length)
        venv = make_vec_env(lambda c=shorter: make_configured_env(c), num_envs, store)  # type: ignore[misc]
        venv.reset()
        for _ in range(phase.num_steps // num_envs):
            venv.step(np.zeros((num_envs, 2)))
        venv.reset()
        venv.close()
    lengths = np.array([len(episode) for episode in store.episodes])
    whole = np.array([episode.is_complete for episode in store.episodes])
    num = int(np.where(lengths >= segment_length, lengths - segment_length + 1, whole).sum())
    assert num_pairs(resolved, phases) == num * (num - 1) // 2
