"""Pairs that were not asked about are counted and drawn exactly, however few or many there are."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.config import SessionSettings
from prefrl.feedback.pairs import window_pairs, windows_of
from prefrl.queries import make_strategy
from prefrl.queries.pairs import num_pairs, pair_numbers, pairs_numbered
from prefrl.seeding import Streams
from prefrl.segments import Episode, EpisodeStore
from prefrl.session import chooser as chooser_module
from prefrl.session.asker import Asker
from prefrl.session.chooser import Chooser
from prefrl.session.pool import FixedSource, StoreSource
from prefrl.session.unasked import Asked, Unasked
from prefrl.testing.made_up import LinearPredictor

NOTHING = Asked(np.zeros((0, 4), np.int64), np.zeros(0, np.int64))


def store_of(*lengths):
    rng = np.random.default_rng(0)
    store = EpisodeStore()
    for length in lengths:
        store.add(
            Episode(
                rng.normal(size=(length + 1, 2)).astype(np.float32),
                rng.normal(size=(length, 1)).astype(np.float32),
                rng.normal(size=length).astype(np.float32),
                np.zeros((length, 0)),
            )
        )
    return store


def chooser_of(store, *, strategy="disagreement", **options):
    settings = SessionSettings(segment_length=5, min_candidates=10)
    source = StoreSource(store, settings)
    predictor = LinearPredictor(num_asked=0)
    return Chooser(source, make_strategy(strategy), predictor, Streams(0), 3, **options)


class PrefersLeft:
    def answer(self, left, right, *, rng, objective=None):
        return np.ones(len(left))


def queries_of(chosen):
    """Each query as its two windows and its objective."""
    pairs = window_pairs(windows_of(chosen.left), windows_of(chosen.right))
    return list(map(tuple, np.column_stack([pairs, chosen.objective]).tolist()))


@given(st.integers(0, 40))
def test_pairs_are_numbered_as_numpy_lists_them(num):
    expected = np.stack(np.triu_indices(num, k=1), axis=1)
    numbers = np.arange(num_pairs(num))
    assert np.array_equal(pairs_numbered(numbers, num), expected)
    assert np.array_equal(pair_numbers(expected, num), numbers)


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    num_before=st.integers(0, 60),
    num_queries=st.integers(1, 400),
    num_objectives=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_queries_are_drawn_of_all_that_are_left_and_of_nothing_else(
    lengths, num_before, num_queries, num_objectives, seed
):
    rng = np.random.default_rng(seed)
    store = store_of(*lengths)
    segments = store.sample(store.num_windows(5), 5, rng=rng)
    windows = sorted(map(tuple, windows_of(segments).tolist()))
    everything = {
        (*pair[0], *pair[1], objective)
        for pair in itertools.combinations(windows, 2)
        for objective in range(num_objectives)
    }
    before = [sorted(everything)[i] for i in rng.permutation(len(everything))[:num_before]]
    rows = np.array([*before, (77, 0, 78, 0, 0)])  # and one of windows that are gone
    asked = Asked(rows[:, :4], rows[:, 4])
    unasked = Unasked(segments, asked, num_objectives)
    assert len(unasked) == len(everything) - len(before)
    rows, objective = unasked.drawn(num_queries, rng=rng)
    pairs = window_pairs(*(windows_of(segments[side]) for side in rows.T))
    drawn = list(map(tuple, np.column_stack([pairs, objective]).tolist()))
    assert len(set(drawn)) == len(drawn) == min(num_queries, len(unasked))
    assert set(drawn) <= everything - set(before)


@pytest.mark.parametrize("strategy", ["uniform", "disagreement", "entropy+tournament"])
@pytest.mark.parametrize("num_objectives", [1, 2])
@pytest.mark.parametrize("sizes", [[28], [5, 5, 5, 5, 8], [1] * 28])
def test_each_pair_is_asked_about_once_until_none_is_left(strategy, num_objectives, sizes):
    chooser = chooser_of(store_of(8, 8), strategy=strategy, num_objectives=num_objectives)
    asker, total = Asker(chooser, PrefersLeft()), 0
    most = num_objectives * num_pairs(8)
    sizes = [min(num_objectives * size, most) for size in sizes]
    for session, size in enumerate(sizes):
        total += size
        asker.ask(total, session=session, is_fitted=session > 0)
        assert asker.dataset.num_answers == min(total, most)
    with pytest.warns(UserWarning, match="every pair of the 8 segments"):
        asker.ask(most + 1, session=len(sizes))
    asker.ask(most + 2, session=len(sizes) + 1)  # It is said once.
    put = np.column_stack([asker.dataset.window_pairs(), asker.dataset.objective])
    assert len(np.unique(put, axis=0)) == most


@pytest.mark.parametrize("strategy", ["uniform", "disagreement", "disagreement+medoids"])
@pytest.mark.parametrize(("is_fitted", "audit_share"), [(False, 0.0), (True, 0.25)])
def test_a_large_session_is_chosen_in_parts_and_beyond_what_takes_minutes_at_random(
    strategy, is_fitted, audit_share, monkeypatch
):
    for name, number in (("LARGE_SESSION", 20), ("PART", 8), ("MOST_CHOSEN", 30)):
        monkeypatch.setattr(chooser_module, name, number)
    chooser = chooser_of(store_of(60), strategy=strategy, audit_share=audit_share)
    chosen = chooser.choose(
        101, asked=NOTHING, num_before=0, num_audits_before=0, is_fitted=is_fitted
    )
    assert len(set(queries_of(chosen))) == len(chosen) == 101
    assert chosen.is_audit.sum() == int(101 * audit_share)


class Stubborn:
    """Chooses the windows that began first, whatever was asked before, and can choose no more."""

    def select(self, pool, num_queries, predictor, *, rng):
        assert num_queries <= 2
        order = np.lexsort([pool.start, pool.episode])
        return order[: 2 * num_queries].reshape(-1, 2)


def test_where_a_strategy_repeats_itself_other_pairs_are_drawn_and_it_is_named():
    chooser = chooser_of(store_of(60))
    chooser.strategy = Stubborn()
    chooser.source = FixedSource(chooser.source.draw(56, rng=np.random.default_rng(0)), size=56)
    asker = Asker(chooser, PrefersLeft())
    asker.ask(2, session=0, is_fitted=True)
    with pytest.warns(UserWarning, match="the query strategy Stubborn chose in 5 pools"):
        asker.ask(4, session=1, is_fitted=True)
    asker.ask(6, session=2, is_fitted=True)  # It is said once.
    assert len(np.unique(asker.dataset.window_pairs(), axis=0)) == 6


def test_a_single_segment_is_not_compared_with_itself():
    asker = Asker(chooser_of(store_of(5)), PrefersLeft())
    with pytest.warns(UserWarning, match="every pair of the 1 segments"):
        asker.ask(3, session=0)
    assert len(asker.dataset) == 0


def test_what_there_is_no_window_of_is_refused():
    asker = Asker(chooser_of(EpisodeStore()), PrefersLeft())
    with pytest.raises(Exception, match="the store holds no episodes yet"):
        asker.ask(3, session=0)
