"""Windows are a whole batch to whoever looks at them, and cost what was looked at."""

import copy
import dataclasses
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prefrl.config import RewardConfig, SessionSettings
from prefrl.queries import make_strategy
from prefrl.rewards import RewardTrainer, build_model
from prefrl.seeding import Streams
from prefrl.segments import Episode, EpisodeStore, SegmentBatch, observation_embeddings
from prefrl.segments.episode import ROWS
from prefrl.session.chooser import Chooser
from prefrl.session.pool import StoreSource
from prefrl.session.unasked import Asked

ARRAYS = [field.name for field in dataclasses.fields(SegmentBatch)]


def store_of(lengths, *, num_dims=3):
    rng = np.random.default_rng(0)
    store = EpisodeStore()
    for number, length in enumerate(lengths):
        store.add(
            Episode(
                observations=rng.normal(size=(length + 1, num_dims)).astype(np.float32),
                actions=rng.normal(size=(length, 2)).astype(np.float32),
                true_rewards=rng.normal(size=length).astype(np.float32),
                sim_states=rng.normal(size=(length, 4)),
                terminated=number % 2 == 0,
                truncated=number % 2 == 1,
            )
        )
    return store


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    segment_length=st.integers(1, 6),
    num=st.integers(1, 9),
    looked_at=st.sets(st.sampled_from(ARRAYS)),
    data=st.data(),
)
def test_whatever_was_looked_at_before_windows_hold_what_a_plain_batch_does(
    lengths, segment_length, num, looked_at, data
):
    windows = store_of(lengths).sample(num, segment_length, rng=np.random.default_rng(1))
    plain = SegmentBatch(**{name: getattr(windows[:], name) for name in ARRAYS})
    for name in looked_at:
        getattr(windows, name)
    index = data.draw(
        st.one_of(
            st.integers(0, num - 1),
            st.lists(st.integers(0, num - 1), min_size=1, max_size=6).map(np.array),
            st.slices(num),
            st.lists(st.booleans(), min_size=num, max_size=num).map(np.array),
        )
    )
    for some, expected in (
        (windows[index], plain[index]),
        (copy.deepcopy(windows), plain),
        (pickle.loads(pickle.dumps(windows)), plain),  # noqa: S301 - made here
        (dataclasses.replace(windows, start=windows.start), plain),
        (windows.cut_out(), plain),
    ):
        assert len(some) == len(expected)
        assert some.segment_length == expected.segment_length
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(some, name), getattr(expected, name))
            assert getattr(some, name).dtype == getattr(expected, name).dtype
    if len(plain):
        np.testing.assert_array_equal(
            windows.observation_embeddings(),
            observation_embeddings(plain.observations, plain.length),
        )


def test_writing_to_windows_reaches_neither_the_episodes_nor_others():
    store = store_of([20, 20])
    before = copy.deepcopy(list(store.episodes))
    windows = store.sample(6, 5, rng=np.random.default_rng(0))
    other = windows[np.arange(6)]
    for name in ROWS:
        getattr(windows, name)[:] = 7
    assert (windows[[1, 2]].observations == 7).all()
    assert not (other.observations == 7).all()
    for one, kept in zip(store.episodes, before, strict=True):
        for name in ROWS:
            np.testing.assert_array_equal(getattr(one, name), getattr(kept, name))


def test_a_name_that_no_batch_has_is_an_attribute_error():
    windows = store_of([9]).sample(2, 3, rng=np.random.default_rng(0))
    with pytest.raises(AttributeError, match="no attribute 'observation'"):
        _ = windows.observation


@pytest.mark.parametrize("strategy", ["disagreement", "entropy+kcenter", "uniform"])
@pytest.mark.parametrize("segment_length", [20, 100])
def test_a_choice_takes_less_memory_than_twice_its_pool(strategy, segment_length):
    store = store_of([600] * 4, num_dims=150)
    settings = SessionSettings(segment_length=segment_length, min_candidates=300)
    streams, config = Streams(0), RewardConfig(hidden_dim=16)
    model = build_model(
        152,
        config,
        segment_length=segment_length,
        generator=torch.Generator().manual_seed(0),
    )
    chooser = Chooser(
        source=StoreSource(store, settings),
        strategy=make_strategy(strategy),
        predictor=RewardTrainer(model, config, streams=streams),
        streams=streams,
        spread_factor=settings.spread_factor,
        audit_share=0.2,
    )
    pool = store.sample(300, segment_length, rng=np.random.default_rng(0))
    pool_bytes = sum(getattr(pool.cut_out(), name).nbytes for name in ARRAYS)
    del pool
    tracemalloc.start()
    try:
        chosen = chooser.choose(
            20,
            num_before=0,
            num_audits_before=0,
            asked=Asked(np.zeros((0, 4), np.int64), np.zeros(0, np.int64)),
            is_fitted=True,
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert chosen is not None
    assert len(chosen) == 20
    assert type(chosen.left) is SegmentBatch  # It keeps no episode alive.
    # Torch's memory is not traced: what a script measures of the whole process is less than thrice.
    assert peak < 2 * pool_bytes + 12e6  # a turn of some thousand steps
