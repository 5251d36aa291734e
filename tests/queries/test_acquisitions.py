import itertools
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prefrl.queries import ACQUISITIONS, acquisition, preference_disagreement
from prefrl.queries.candidates import Candidates
from prefrl.testing.made_up import LinearPredictor
from tests import linear_task

SCORES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.integers(1, 5)),
    elements=st.floats(-30, 30, width=32),
)


def naive_disagreement(scores: np.ndarray) -> np.ndarray:
    """The population variance over heads of sigmoid(score - score), pair by pair."""
    num = len(scores)
    variance = np.zeros((num, num))
    for i, j in itertools.product(range(num), repeat=2):
        p_left = 1 / (1 + np.exp(-(scores[i].astype(np.float64) - scores[j])))
        variance[i, j] = p_left.var()
    return variance


class Given:
    """A predictor that was told what to say."""

    def __init__(self, scores):
        self.scores = np.asarray(scores, dtype=np.float32)

    def score_segments(self, segments):
        return self.scores

    def embed_segments(self, segments):
        raise AssertionError

    def asked_embeddings(self):
        raise AssertionError

    def asked_observation_embeddings(self):
        raise AssertionError


def values_of(name, scores, *, episode=None, seed=0):
    """The table that an acquisition makes of (S, K) scores."""
    pool = linear_task.segments(len(scores), rng=np.random.default_rng(0))
    if episode is not None:
        pool.episode[:] = episode
    return ACQUISITIONS[name](Candidates(pool, Given(scores), np.random.default_rng(seed)))


def entropy(p):
    return -p * log(p) - (1 - p) * log(1 - p)


# Two heads, three segments. p is 3/4 and 1/4 for the first pair; 3/4 and 1/2 for the two others.
L3 = log(3)
THREE = [[L3, 0.0], [0.0, L3], [0.0, 0.0]]
BY_HAND = {
    "uniform": (0.0, 0.0),
    "disagreement": (1 / 16, 1 / 64),
    "entropy": (log(2), entropy(5 / 8)),
    "mean_entropy": (entropy(3 / 4), (entropy(3 / 4) + log(2)) / 2),
    "information_gain": (log(2) - entropy(3 / 4), entropy(5 / 8) - (entropy(3 / 4) + log(2)) / 2),
    "logit_variance": (L3**2, L3**2 / 4),
    "volume_removal": (1 / 2, 3 / 8),
    # Of the second pair no head prefers the second segment.
    "regret": (2 * L3, 0.0),
    # A head's scores in its own spread are sqrt 2 for its favourite and -1/sqrt 2 for others.
    "thompson": (2 * sqrt(2), sqrt(2) - 1 / sqrt(2)),
    "on_policy": (0.0, 0.0),
    # All are of the newest ten episodes.
    "duo": (
        1 + log(2) - entropy(3 / 4),
        1 + entropy(5 / 8) - (entropy(3 / 4) + log(2)) / 2,
    ),
}


def test_every_acquisition_is_held_against_a_table_made_by_hand():
    assert set(BY_HAND) == set(ACQUISITIONS)


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_three_segments_by_hand(name, seed):
    first, other = BY_HAND[name]
    values = values_of(name, THREE, seed=seed)
    assert values[0, 1] == pytest.approx(first, abs=1e-6)
    assert values[0, 2] == pytest.approx(other, abs=1e-6)
    assert values[1, 2] == pytest.approx(other, abs=1e-6)
    np.testing.assert_array_equal(values, values.T)


@pytest.mark.parametrize("name", ACQUISITIONS)
@given(scores=SCORES)
def test_tables_are_symmetric_and_finite(name, scores):
    values = values_of(name, scores)
    assert values.shape == (len(scores), len(scores))
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values, values.T, atol=1e-6)


@pytest.mark.parametrize("name", ["disagreement", "information_gain", "logit_variance", "regret"])
def test_heads_of_one_mind_leave_nothing_to_disagree_on(name):
    scores = np.repeat(np.arange(5.0)[:, None], 3, axis=1)
    np.testing.assert_allclose(values_of(name, scores), 0, atol=1e-6)


def test_open_questions_that_no_head_knows_are_uncertain_but_teach_nothing():
    # All toss a coin about the first pair; about the second they contradict each other, surely.
    scores = [[0.0, 0.0], [0.0, 0.0], [50.0, -50.0]]
    assert values_of("entropy", scores)[0, 1] == pytest.approx(values_of("entropy", scores)[0, 2])
    gain = values_of("information_gain", scores)
    assert gain[0, 1] == pytest.approx(0, abs=1e-6)
    assert gain[0, 2] == pytest.approx(log(2), abs=1e-5)


@given(scores=SCORES)
def test_the_volume_removed_ranks_pairs_as_entropy_does(scores):
    removed, unsure = (values_of(name, scores) for name in ("volume_removal", "entropy"))
    order = np.argsort(removed, axis=None)
    assert (np.diff(unsure.reshape(-1)[order]) > -1e-5).all()


def test_thompson_pairs_the_favourites_of_two_heads():
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(30, 2))
    best = np.unravel_index(values_of("thompson", scores).argmax(), (30, 30))
    assert set(best) == set(scores.argmax(0))


def test_thompson_draws_other_heads_each_time():
    scores = np.eye(6, 5)
    nominated = {
        frozenset(np.unravel_index(values_of("thompson", scores, seed=seed).argmax(), (6, 6)))
        for seed in range(40)
    }
    assert nominated == {frozenset(pair) for pair in itertools.combinations(range(5), 2)}


class TestOnPolicy:
    EPISODES = np.array([7, 7, 12, *range(20, 32)])  # the newest ten are 22 to 31

    def test_pairs_of_the_newest_ten_episodes_come_first_and_all_alike(self):
        values = values_of("on_policy", np.zeros((15, 1)), episode=self.EPISODES)
        is_new = self.EPISODES >= 22
        both = is_new[:, None] & is_new[None, :]
        assert (values[both] == 0).all()
        assert (values[~both] < 0).all()

    def test_older_ones_follow_by_age(self):
        values = values_of("on_policy", np.zeros((15, 1)), episode=self.EPISODES)
        # 21, 20, 12 and 7 are one to four episodes too old; a pair is as old as its older segment.
        assert values[4, 14] == -1
        assert values[3, 14] == values[3, 4] == -2
        assert values[2, 14] == -3
        assert values[0, 1] == values[0, 14] == -4

    def test_duo_asks_about_new_pairs_first_and_about_uncertain_ones_among_them(self):
        scores = np.random.default_rng(0).normal(size=(15, 3))
        values = values_of("duo", scores, episode=self.EPISODES)
        gain = values_of("information_gain", scores)
        is_new = self.EPISODES >= 22
        both = is_new[:, None] & is_new[None, :]
        assert values[both].min() > values[~both].max()
        np.testing.assert_allclose(values[both] - 1, gain[both], atol=1e-6)


def test_what_is_registered_can_be_combined_and_names_are_taken_once():
    with pytest.raises(ValueError, match="there is an acquisition 'entropy' already"):
        acquisition("entropy")(lambda candidates: np.zeros((1, 1)))


class TestCandidates:
    def test_a_predictor_is_asked_once_and_only_for_what_is_needed(self):
        class Counting(LinearPredictor):
            def score_segments(self, segments):
                asked.append(len(segments))
                return super().score_segments(segments)

        asked: list[int] = []
        pool = linear_task.segments(30, rng=np.random.default_rng(0))
        candidates = Candidates(pool, Counting(), np.random.default_rng(0))
        ACQUISITIONS["uniform"](candidates)
        assert asked == []
        for name in ("entropy", "regret"):
            ACQUISITIONS[name](candidates)
        assert asked == [30]


class TestPreferenceDisagreement:
    def test_two_heads_of_opposite_mind_disagree_as_computed_by_hand(self):
        # Differences of +ln 3 and -ln 3: probabilities 3/4 and 1/4, a spread of 1/4.
        scores = np.array([[np.log(3), 0.0], [0.0, np.log(3)]], dtype=np.float32)
        np.testing.assert_allclose(
            preference_disagreement(scores), [[0, 1 / 16], [1 / 16, 0]], atol=1e-7
        )

    def test_heads_that_agree_do_not_disagree(self):
        scores = np.repeat(np.arange(4, dtype=np.float32)[:, None], 3, axis=1)
        np.testing.assert_allclose(preference_disagreement(scores), 0, atol=1e-7)

    def test_a_single_head_agrees_with_itself_exactly(self):
        scores = np.random.default_rng(0).normal(size=(30, 1)).astype(np.float32)
        assert (preference_disagreement(scores) == 0).all()

    @pytest.mark.parametrize(("num_heads", "largest"), [(2, 1 / 4), (3, 2 / 9)])
    def test_certain_heads_of_opposite_mind_disagree_as_much_as_can_be(self, num_heads, largest):
        scores = np.zeros((2, num_heads), dtype=np.float32)
        scores[0] = [1e4] + [-1e4] * (num_heads - 1)
        assert preference_disagreement(scores)[0, 1] == pytest.approx(largest)

    @given(scores=SCORES)
    def test_it_is_the_variance_of_the_predicted_preference(self, scores):
        values = preference_disagreement(scores)
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, naive_disagreement(scores), atol=1e-6)

    @given(scores=SCORES)
    def test_it_is_symmetric_in_range_and_0_for_a_segment_with_itself(self, scores):
        values = preference_disagreement(scores)
        np.testing.assert_array_equal(values, values.T)
        assert ((values >= 0) & (values <= 0.25 + 1e-7)).all()
        assert (np.diag(values) == 0).all()

    @given(scores=SCORES, shift=st.floats(-20, 20, width=32))
    def test_what_a_head_adds_to_every_segment_does_not_matter(self, scores, shift):
        shifted = scores.copy()
        shifted[:, 0] += np.float32(shift)
        np.testing.assert_allclose(
            preference_disagreement(shifted), preference_disagreement(scores), atol=1e-5
        )
