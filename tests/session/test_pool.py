"""Candidates drawn from a store or from a fixed batch, and those of them that lie far apart."""

import numpy as np
import pytest

from prefrl.config import SessionSettings
from prefrl.errors import DataError
from prefrl.queries import standardised
from prefrl.segments import Episode, EpisodeStore, SegmentBatch, observation_embeddings
from prefrl.session.pool import FixedSource, StoreSource, farthest_apart


def made_up(num_segments, *, seed=0):
    rng = np.random.default_rng(seed)
    return SegmentBatch(
        observations=rng.normal(size=(num_segments, 4, 2)).astype(np.float32),
        actions=np.zeros((num_segments, 4, 1), np.float32),
        true_rewards=np.zeros((num_segments, 4), np.float32),
        sim_states=np.zeros((num_segments, 4, 0)),
        episode=np.arange(num_segments),
        start=np.zeros(num_segments, np.int64),
    )


def rng():
    return np.random.default_rng(3)


def test_a_fixed_batch_gives_different_segments():
    drawn = FixedSource(made_up(50), size=20).draw(30, rng=rng())
    assert len(drawn) == 30
    assert len(np.unique(drawn.episode)) == 30


def test_a_fixed_batch_that_is_too_small_gives_all_it_has():
    source = FixedSource(made_up(50), size=20)
    assert source.pool_size(3) == 20
    drawn = source.draw(3 * source.pool_size(3), rng=rng())
    assert sorted(drawn.episode) == list(range(50))
    assert FixedSource(made_up(50), size=80).pool_size(3) == 50


def test_the_same_stream_draws_the_same_segments():
    source = FixedSource(made_up(50), size=20)
    assert np.array_equal(source.draw(9, rng=rng()).episode, source.draw(9, rng=rng()).episode)


def test_a_store_gives_windows_of_its_newest_episodes():
    store = EpisodeStore()
    for _ in range(4):
        steps = np.zeros((10, 1), np.float32)
        store.add(Episode(np.zeros((11, 1), np.float32), steps, steps[:, 0], np.zeros((10, 0))))
    source = StoreSource(store, SessionSettings(segment_length=5, newest_steps=20))
    drawn = source.draw(8, rng=rng())
    assert drawn.segment_length == 5
    assert set(drawn.episode) <= {2, 3}


def test_a_store_gives_windows_of_the_episodes_that_may_be_asked_about():
    store = EpisodeStore(40)
    for _ in range(6):
        steps = np.zeros((10, 1), np.float32)
        store.add(Episode(np.zeros((11, 1), np.float32), steps, steps[:, 0], np.zeros((10, 0))))
    assert store.num_dropped == 2
    settings = SessionSettings(segment_length=5)
    source = StoreSource(store, settings, among={0, 3, 5, 9})
    assert source.num_segments() == 12
    drawn = source.draw(12, rng=rng())
    assert len(set(zip(drawn.episode.tolist(), drawn.start.tolist(), strict=True))) == 12
    assert set(drawn.episode) == {3, 5}
    none = StoreSource(store, settings, among=())
    assert none.num_segments() == 0
    with pytest.raises(DataError, match="holds none of the episodes that are to be drawn from"):
        none.draw(1, rng=rng())


@pytest.mark.parametrize(
    ("num_queries", "expected"), [(1, 200), (30, 300), (100, 1_000), (400, 1_000), (600, 1_200)]
)
def test_the_pool_has_ten_segments_a_query_within_bounds(num_queries, expected):
    settings = SessionSettings(segment_length=50)
    assert StoreSource(EpisodeStore(), settings).pool_size(num_queries) == expected


def test_what_is_kept_lies_farther_apart_than_what_was_drawn():
    drawn = made_up(60)
    kept = farthest_apart(drawn, 20, rng=rng())
    assert len(np.unique(kept)) == 20

    points = standardised(observation_embeddings(drawn.observations))
    distances = np.linalg.norm(points[:, None] - points[None, :], axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert distances[np.ix_(kept, kept)].min() > 2 * distances[:20, :20].min()


def test_where_no_more_were_drawn_than_are_kept_all_are():
    kept = farthest_apart(made_up(12), 30, rng=rng())
    assert sorted(kept) == list(range(12))
