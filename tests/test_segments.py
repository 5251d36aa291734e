import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl.errors import ConfigError, DataError
from prefrl.segments import (
    Episode,
    EpisodeStore,
    SegmentBatch,
    equally_long,
    observation_embeddings,
)
from prefrl.segments.episode import FLAGS, ROWS


def episode(number: int, length: int, *, is_complete: bool = True) -> Episode:
    """An episode in which every number tells the episode and the step it belongs to.

    Of three, two were cut, the third was terminated.
    """
    seen = np.arange(length + 1, dtype=np.float32)
    step, which = seen[:-1], np.full(length, number, dtype=np.float32)
    return Episode(
        observations=np.stack([np.full_like(seen, number), seen, number * 1000 + seen], axis=1),
        actions=np.stack([-which, -step], axis=1),
        true_rewards=(which + step / 1024).astype(np.float32),
        sim_states=np.stack([which, step, which, step], axis=1).astype(np.float64) / 8,
        is_complete=is_complete,
        terminated=number % 3 == 2,
        truncated=number % 3 != 2,
        objective_rewards=np.stack([which, -step], axis=1),
    )


def store_of(lengths: Sequence[int], max_transitions: int = 1_000_000) -> EpisodeStore:
    """A store to which episodes of these lengths were added, numbered from 0."""
    store = EpisodeStore(max_transitions)
    for number, length in enumerate(lengths):
        store.add(episode(number, length, is_complete=number % 2 == 0))
    return store


def assert_is_cut_from_its_episode(batch: SegmentBatch, lengths: Sequence[int]) -> None:
    """Every window lies inside the episode it names and holds that episode's rows."""
    for s in range(len(batch)):
        number, start, length = (int(x[s]) for x in (batch.episode, batch.start, batch.length))
        assert length == min(lengths[number], batch.segment_length)
        assert 0 <= start <= lengths[number] - length
        whole = episode(number, lengths[number])
        rows = slice(start, start + length)
        for name in ROWS:
            column = getattr(batch, name)[s]
            np.testing.assert_array_equal(column[:length], getattr(whole, name)[rows])
            assert not column[length:].any()
            assert column.dtype == getattr(whole, name).dtype
        is_end = start + np.arange(batch.segment_length) == lengths[number] - 1
        for name in ("terminated", "truncated"):
            np.testing.assert_array_equal(getattr(batch, name)[s], is_end & getattr(whole, name))


def assert_same_batch(one: SegmentBatch, other: SegmentBatch) -> None:
    for name in SegmentBatch.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


class TestEpisode:
    def test_its_return_is_the_sum_of_its_true_rewards(self):
        assert episode(2, 3).true_return == pytest.approx(6 + 3 / 1024)
        assert len(episode(2, 3)) == 3

    def test_arrays_of_different_length_are_refused_by_name(self):
        good = episode(0, 4)
        with pytest.raises(DataError, match=r"sim_states has shape \(3, 4\); expected \(4, dims\)"):
            Episode(good.observations, good.actions, good.true_rewards, good.sim_states[:3])
        with pytest.raises(DataError, match=r"observations has shape \(4, 3\); expected \(5, dims"):
            Episode(good.observations[:4], good.actions, good.true_rewards, good.sim_states)
        with pytest.raises(DataError, match=r"true_rewards has shape \(4, 1\); expected \(4,\)"):
            Episode(good.observations, good.actions, good.true_rewards[:, None], good.sim_states)

    def test_an_episode_without_steps_is_refused(self):
        with pytest.raises(DataError, match="at least one step"):
            episode(0, 0)

    def test_an_episode_without_an_end_is_refused(self):
        good = episode(0, 4)
        parts = {name: getattr(good, name) for name in ROWS}
        with pytest.raises(DataError, match="this one is neither"):
            Episode(**parts, truncated=False)

    def test_where_there_is_one_objective_it_has_no_rewards_of_its_own(self):
        good = episode(0, 4)
        plain = Episode(good.observations, good.actions, good.true_rewards, good.sim_states)
        assert plain.objective_rewards.shape == (4, 0)


class TestSegmentBatch:
    @pytest.fixture
    def batch(self) -> SegmentBatch:
        return store_of([9, 12]).sample(6, 4, rng=np.random.default_rng(0))

    def test_returns_are_sums_over_steps_in_double_precision(self, batch):
        expected = [sum(map(float, rewards)) for rewards in batch.true_rewards]
        np.testing.assert_array_equal(batch.true_returns, expected)
        assert batch.true_returns.dtype == np.float64

    def test_inputs_are_observations_beside_actions(self, batch):
        assert batch.inputs().shape == (6, 4, 5)
        np.testing.assert_array_equal(batch.inputs()[..., :3], batch.observations)
        np.testing.assert_array_equal(batch.inputs()[..., 3:], batch.actions)

    @pytest.mark.parametrize(
        "index", [slice(1, 4), np.array([5, 0, 5]), np.arange(6) % 2 == 0, np.array([], dtype=int)]
    )
    def test_indexing_picks_segments(self, batch, index):
        picked = batch[index]
        np.testing.assert_array_equal(picked.start, batch.start[index])
        np.testing.assert_array_equal(picked.observations, batch.observations[index])
        assert picked.segment_length == 4

    def test_a_single_index_gives_a_batch_of_one(self, batch):
        assert_same_batch(batch[2], batch[[2]])
        assert len(batch[np.int64(2)]) == 1

    def test_concatenating_parts_gives_the_whole(self, batch):
        assert_same_batch(SegmentBatch.concatenate([batch[:2], batch[2:]]), batch)

    @pytest.mark.parametrize(
        ("name", "shape"),
        [
            ("observations", (6, 4)),
            ("actions", (6, 3, 2)),
            ("true_rewards", (6, 4, 1)),
            ("true_rewards", (5, 4)),
            ("sim_states", (6, 5, 4)),
            ("episode", (5,)),
            ("start", (6, 1)),
            ("length", (5,)),
            ("terminated", (6, 3)),
            ("truncated", (6, 4, 1)),
            ("objective_rewards", (6, 4)),
        ],
    )
    def test_a_shape_that_does_not_fit_is_refused_by_name(self, batch, name, shape):
        arrays = {field: getattr(batch, field) for field in SegmentBatch.__dataclass_fields__}
        with pytest.raises(DataError, match=name):
            SegmentBatch(**{**arrays, name: np.zeros(shape, arrays[name].dtype)})


def ragged(lengths: Sequence[int], segment_length: int) -> SegmentBatch:
    """One window of each episode, in order."""
    store = EpisodeStore()
    for number, length in enumerate(lengths):
        store.add(episode(number, length))
    batch = store.sample(len(lengths), segment_length, rng=np.random.default_rng(0))
    return batch[np.argsort(batch.episode)]


class TestShortWindows:
    def test_the_mask_is_true_at_a_windows_own_steps(self):
        batch = ragged([2, 4, 3], 4)
        assert batch.mask().tolist() == [
            [True, True, False, False],
            [True, True, True, True],
            [True, True, True, False],
        ]
        assert not batch.is_full
        assert batch[[1]].is_full

    def test_sums_are_over_a_windows_own_steps_whatever_padding_holds(self):
        batch = ragged([2, 4, 3], 4)
        dirty = dataclasses.replace(batch, true_rewards=batch.true_rewards + ~batch.mask())
        np.testing.assert_array_equal(dirty.true_returns, batch.true_returns)

    @given(
        lengths=st.lists(st.integers(1, 9), min_size=2, max_size=10),
        segment_length=st.integers(9, 12),
    )
    def test_both_segments_of_a_pair_are_cut_to_the_shorter_one(self, lengths, segment_length):
        batch = ragged(lengths, segment_length)
        order = np.random.default_rng(0).permutation(len(lengths))
        left, right = equally_long(batch, batch[order])
        np.testing.assert_array_equal(left.length, np.minimum(lengths, np.array(lengths)[order]))
        np.testing.assert_array_equal(left.length, right.length)
        for one, whole in ((left, batch), (right, batch[order])):
            for name in (*ROWS, "terminated", "truncated"):
                now, before = getattr(one, name), getattr(whole, name)
                assert now.dtype == before.dtype
                np.testing.assert_array_equal(now[one.mask()], before[one.mask()])
                assert not now[~one.mask()].any()

    def test_segments_of_equal_length_are_not_even_copied(self):
        left = store_of([9, 12]).sample(6, 4, rng=np.random.default_rng(0))
        right = left[::-1]
        cut = equally_long(left, right)
        assert cut[0] is left
        assert cut[1] is right

    def test_embeddings_are_of_a_windows_own_steps(self):
        batch = ragged([2, 4], 4)
        embedded = observation_embeddings(batch.observations, batch.length)
        np.testing.assert_array_equal(embedded[0], [0, 0.5, 0.5, 0, 1, 1])
        np.testing.assert_array_equal(embedded[1], [1, 1.5, 1001.5, 1, 3, 1003])
        np.testing.assert_array_equal(
            observation_embeddings(batch.observations[1:], batch.length[1:]),
            observation_embeddings(batch.observations[1:]),
        )

    @pytest.mark.parametrize("length", [0, 5])
    def test_a_length_out_of_range_is_refused(self, length):
        batch = ragged([2, 4], 4)
        with pytest.raises(DataError, match=r"length goes from . to .; expected 1 to 4"):
            dataclasses.replace(batch, length=np.array([2, length]))


class TestSampling:
    @settings(deadline=None, max_examples=100)
    @given(
        lengths=st.lists(st.integers(1, 15), min_size=1, max_size=8),
        segment_length=st.integers(1, 15),
        num_segments=st.integers(1, 40),
        max_transitions=st.integers(1, 60),
        seed=st.integers(0, 1000),
    )
    def test_windows_never_cross_an_episodes_end_and_equal_the_rows_stored(
        self, lengths, segment_length, num_segments, max_transitions, seed
    ):
        store = store_of(lengths, max_transitions)
        if not any(len(e) >= segment_length or e.is_complete for e in store.episodes):
            with pytest.raises(DataError):
                store.sample(num_segments, segment_length, rng=np.random.default_rng(seed))
            return
        batch = store.sample(num_segments, segment_length, rng=np.random.default_rng(seed))
        assert len(batch) == num_segments
        assert batch.segment_length == segment_length
        assert_is_cut_from_its_episode(batch, lengths)
        assert batch.episode.min() >= store.num_dropped

    def test_every_position_is_drawn_once_where_there_are_just_enough(self):
        lengths = [3, 10, 4, 7, 2, 3]  # windows of 4: one, 7, 1, 4, one, and none of a fragment
        batch = store_of(lengths).sample(14, 4, rng=np.random.default_rng(0))
        drawn = sorted(zip(batch.episode.tolist(), batch.start.tolist(), strict=True))
        long = [(e, s) for e, n in enumerate(lengths) for s in range(n - 3)]
        assert drawn == sorted([(0, 0), *long, (4, 0)])
        assert_is_cut_from_its_episode(batch, lengths)

    def test_where_no_whole_episode_is_shorter_the_draws_are_as_if_there_were_no_short_ones(self):
        long = [20, 9, 30]
        plain, mixed = EpisodeStore(), EpisodeStore()
        for number, length in enumerate(long):
            plain.add(episode(number, length))
            mixed.add(episode(number, length))
        mixed.add(episode(3, 4, is_complete=False))
        draws = [store.sample(30, 6, rng=np.random.default_rng(5)) for store in (plain, mixed)]
        assert_same_batch(*draws)

    def test_episodes_that_all_ended_early_are_drawn_whole(self):
        lengths = [2, 5, 1, 3]
        store = EpisodeStore()
        for number, length in enumerate(lengths):
            store.add(episode(number, length))
        batch = store.sample(4, 8, rng=np.random.default_rng(0))
        assert sorted(batch.length.tolist()) == [1, 2, 3, 5]
        assert_is_cut_from_its_episode(batch, lengths)
        # The end is at an episode's own last step, not at the padding's.
        ends = (batch.terminated | batch.truncated).argmax(axis=1)
        np.testing.assert_array_equal(ends, batch.length - 1)

    def test_windows_repeat_only_where_there_are_too_few(self):
        store = store_of([30])
        for seed in range(20):
            starts = store.sample(25, 5, rng=np.random.default_rng(seed)).start
            assert len(set(starts.tolist())) == 25
        assert len(store.sample(27, 5, rng=np.random.default_rng(0))) == 27

    def test_draws_are_uniform_over_positions_not_over_episodes(self):
        store = store_of([5, 13, 24])  # windows of 5: 1, 9, 20
        num_draws = 30_000
        batch = store.sample(num_draws, 5, rng=np.random.default_rng(0))
        counts = np.bincount(np.array([0, 1, 10])[batch.episode] + batch.start, minlength=30)
        chi_squared = ((counts - num_draws / 30) ** 2 / (num_draws / 30)).sum()
        assert chi_squared < 75  # 29 degrees of freedom: exceeded with probability 6e-6

    def test_one_window_at_a_time_is_uniform_too(self):
        store = store_of([4, 9])  # windows of 3: 2, 7
        rng = np.random.default_rng(0)
        counts = np.zeros(9)
        for _ in range(4_500):
            batch = store.sample(1, 3, rng=rng)
            counts[[0, 2][int(batch.episode[0])] + int(batch.start[0])] += 1
        assert ((counts - 500) ** 2 / 500).sum() < 38  # 8 degrees of freedom: 8e-6

    def test_the_same_stream_draws_the_same_windows(self):
        store = store_of([20, 30])
        one, other = (store.sample(8, 6, rng=np.random.default_rng(3)) for _ in range(2))
        assert_same_batch(one, other)

    def test_what_was_drawn_does_not_share_memory_with_the_store(self):
        store = store_of([8])
        batch = store.sample(1, 8, rng=np.random.default_rng(0))
        batch.observations[:] = -1
        assert store.episodes[0].observations.min() == 0

    def test_an_environment_without_simulator_states_can_be_sampled(self):
        good = episode(0, 5)
        store = EpisodeStore()
        store.add(Episode(good.observations, good.actions, good.true_rewards, np.zeros((5, 0))))
        assert store.sample(2, 3, rng=np.random.default_rng(0)).sim_states.shape == (2, 3, 0)

    @pytest.mark.parametrize(
        ("max_newest", "expected"),
        [
            (1, {3}),  # at least one episode, though longer than asked for
            (10, {3}),
            (29, {3}),
            (30, {2, 3}),
            (39, {2, 3}),
            (40, {1, 2, 3}),
            (1_000, {0, 1, 2, 3}),
            (None, {0, 1, 2, 3}),
        ],
    )
    def test_max_newest_draws_from_the_newest_whole_episodes_only(self, max_newest, expected):
        lengths = [25, 10, 20, 10]
        batch = store_of(lengths).sample(
            400, 3, rng=np.random.default_rng(0), max_newest=max_newest
        )
        assert set(batch.episode.tolist()) == expected
        assert_is_cut_from_its_episode(batch, lengths)

    def test_a_segment_longer_than_every_episode_is_refused_with_what_to_do(self):
        store = EpisodeStore()
        for number, length in enumerate([7, 12, 9]):
            store.add(episode(number, length, is_complete=False))
        with pytest.raises(DataError) as error:
            store.sample(4, 13, rng=np.random.default_rng(0))
        assert str(error.value) == (
            "segment_length is 13, but the longest of the 3 newest episodes has 12 steps, and "
            "none was ended by the environment; choose a shorter segment"
        )

    def test_an_empty_store_says_so(self):
        with pytest.raises(DataError, match="no episodes yet"):
            EpisodeStore().sample(1, 1, rng=np.random.default_rng(0))
        with pytest.raises(DataError, match="no episodes yet"):
            EpisodeStore().sample(1, 1, rng=np.random.default_rng(0), max_newest=5)

    @pytest.mark.parametrize(("num_segments", "segment_length"), [(0, 3), (3, 0), (3, -1)])
    def test_numbers_below_one_are_refused(self, num_segments, segment_length):
        with pytest.raises(ConfigError, match=r"_(segments|length) is .*; expected 1 or more"):
            store_of([9]).sample(num_segments, segment_length, rng=np.random.default_rng(0))


class TestBound:
    @settings(deadline=None, max_examples=100)
    @given(
        lengths=st.lists(st.integers(1, 20), min_size=1, max_size=12),
        max_transitions=st.integers(1, 60),
    )
    def test_the_newest_episodes_that_fit_are_kept(self, lengths, max_transitions):
        store = store_of(lengths, max_transitions)
        kept = [int(e.observations[0, 0]) for e in store.episodes]
        assert kept == list(range(store.num_dropped, len(lengths)))
        assert store.num_transitions == sum(lengths[store.num_dropped :])
        assert store.num_transitions <= max_transitions or len(store) == 1
        # One more would not have fitted.
        assert store.num_dropped == 0 or sum(lengths[store.num_dropped - 1 :]) > max_transitions

    def test_segments_keep_the_number_of_their_episode_after_older_ones_went(self):
        lengths = [10, 10, 10, 10]
        store = store_of(lengths, max_transitions=25)
        batch = store.sample(100, 4, rng=np.random.default_rng(0))
        assert set(batch.episode.tolist()) == {2, 3}
        assert_is_cut_from_its_episode(batch, lengths)

    def test_a_bound_below_one_is_refused(self):
        with pytest.raises(ConfigError, match="max_transitions is 0; expected 1 or more"):
            EpisodeStore(max_transitions=0)

    def test_a_million_half_cheetah_steps_with_simulator_states_fit_in_a_gigabyte(self):
        store = EpisodeStore()
        for _ in range(5):
            store.add(
                Episode(
                    observations=np.zeros((1001, 17), dtype=np.float32),
                    actions=np.zeros((1000, 6), dtype=np.float32),
                    true_rewards=np.zeros(1000, dtype=np.float32),
                    sim_states=np.zeros((1000, 18)),
                )
            )
        num_bytes = sum(
            array.nbytes for e in store.episodes for array in (getattr(e, name) for name in ROWS)
        )
        assert num_bytes / store.num_transitions == pytest.approx(240, rel=1e-3)
        assert num_bytes * (1_000_000 / store.num_transitions) < 1e9


class TestRestoring:
    @settings(deadline=None, max_examples=50)
    @given(
        lengths=st.lists(st.integers(1, 20), max_size=10),
        max_transitions=st.integers(1, 80),
    )
    def test_a_restored_store_is_the_same_store(self, lengths, max_transitions):
        store = store_of(lengths, max_transitions)
        restored = EpisodeStore(max_transitions)
        restored.add(episode(99, 3))  # what was there before goes
        restored.restore(store.state())
        assert len(restored) == len(store)
        assert restored.num_transitions == store.num_transitions
        assert restored.num_dropped == store.num_dropped
        for one, other in zip(store.episodes, restored.episodes, strict=True):
            assert all(getattr(one, name) is getattr(other, name) for name in FLAGS)
            for name in ROWS:
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
                assert getattr(one, name).dtype == getattr(other, name).dtype

    def test_numbering_goes_on_where_it_stopped(self):
        lengths = [10] * 6
        store = store_of(lengths[:4], max_transitions=25)
        restored = EpisodeStore(25)
        restored.restore(store.state())
        for number in (4, 5):
            for either in (store, restored):
                either.add(episode(number, 10))
        draws = [s.sample(12, 4, rng=np.random.default_rng(1)) for s in (store, restored)]
        assert_same_batch(*draws)
        assert set(draws[0].episode.tolist()) == {4, 5}
        assert_is_cut_from_its_episode(draws[1], lengths)

    def test_a_smaller_bound_keeps_the_newest_under_their_own_numbers(self):
        lengths = [10] * 5
        restored = EpisodeStore(max_transitions=20)
        restored.restore(store_of(lengths, max_transitions=40).state())
        assert restored.num_dropped == 3
        batch = restored.sample(14, 4, rng=np.random.default_rng(0))
        assert set(batch.episode.tolist()) == {3, 4}
        assert_is_cut_from_its_episode(batch, lengths)

    def test_a_restored_store_shares_no_memory_with_the_state(self):
        state = store_of([5, 5]).state()
        restored = EpisodeStore()
        restored.restore(state)
        for held in restored.episodes:
            for name in ROWS:
                assert not np.shares_memory(getattr(held, name), state[name])
                assert getattr(held, name).base is None
