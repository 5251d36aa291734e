"""Acquisitions: what an answer about each pair of a pool would be worth.

Each returns a symmetric (S, S) table for all pairs at once; the higher, the sooner asked. Segments
are scored once, so that a pair costs a subtraction a head.

Axes: S segments, K heads. p_k(i, j) = sigmoid(s_k(i) - s_k(j)) is head k's probability of "i".
"""

from collections.abc import Iterator

import numpy as np

from prefrl.arguments import floats
from prefrl.errors import DataError
from prefrl.queries.candidates import Candidates
from prefrl.queries.registry import Values, acquisition
from prefrl.segments import FloatArray

# QPA (Hu et al. 2024) asks about the newest ten episodes.
NEWEST_EPISODES = 10


@acquisition("uniform")
def uniform(candidates: Candidates) -> Values:
    """Gives all pairs the same value, so that chance decides; the predictor is not asked."""
    return np.zeros((len(candidates), len(candidates)), dtype=np.float32)


def preference_disagreement(scores: FloatArray) -> FloatArray:
    """Returns the variance over heads of the probability of "left", for all pairs.

    Christiano et al. 2017, section 2.2.4: the variance over the ensemble of the predicted
    preference.

    Args:
        scores: (S, K) each head's score of each segment, in nats.

    Returns:
        (S, S) population variance, symmetric, 0 on the diagonal, at most 0.25.
    """
    scores = floats("scores", scores, ("segments", "heads"))
    if not scores.shape[1]:
        raise DataError("scores has no head")
    total = np.zeros((len(scores), len(scores)), dtype=np.float32)
    squares = np.zeros_like(total)
    for signed in _signed_preferences(scores):
        total += signed
        squares += signed * signed
    # sigmoid(x) = (1 + tanh(x / 2)) / 2, hence the variance is a quarter of tanh's.
    heads = np.float32(scores.shape[1])
    variance: FloatArray = squares / heads - np.square(total / heads)
    return np.maximum(variance, np.float32(0.0)) * np.float32(0.25)


def _signed_preferences(scores: FloatArray) -> Iterator[FloatArray]:
    """Yields K times (S, S): 2 p_k - 1, from -1 for "right" to 1 for "left"."""
    for head in scores.T:  # K is a handful; an (S, S, K) array would not fit in cache
        yield np.tanh((head[:, None] - head[None, :]) * np.float32(0.5))


@acquisition("disagreement")
def disagreement(candidates: Candidates) -> Values:
    """Returns the variance over heads of p_k (Christiano et al. 2017; B-Pref takes its root).

    APReL's `disagreement` (Katz et al. 2019) is another thing: how far apart two samples of a
    linear reward's weights are.
    """
    return preference_disagreement(candidates.scores)


def _binary_entropy(signed: FloatArray) -> FloatArray:
    """Returns a coin's entropy, in nats, from 2 p - 1."""
    p = np.float32(0.5) + np.float32(0.5) * np.abs(signed)
    q = np.float32(1.0) - p
    tiny = np.float32(np.finfo(np.float32).tiny)
    entropy: FloatArray = -(p * np.log(p) + q * np.log(np.maximum(q, tiny)))
    return entropy


def _mean_preference(scores: FloatArray) -> FloatArray:
    """Returns (S, S) 2 p - 1 of the mean over heads."""
    total = np.zeros((len(scores), len(scores)), dtype=np.float32)
    for signed in _signed_preferences(scores):
        total += signed
    return total / np.float32(scores.shape[1])


@acquisition("entropy")
def entropy(candidates: Candidates) -> Values:
    """Returns the entropy of the mean prediction, in nats.

    B-Pref's `entropy` is `mean_entropy`.
    """
    return _binary_entropy(_mean_preference(candidates.scores))


@acquisition("mean_entropy")
def mean_entropy(candidates: Candidates) -> Values:
    """Returns the mean over heads of their predictions' entropies, in nats (B-Pref).

    Heads that are sure and contradict each other count for little, unlike with `entropy`.
    """
    scores = candidates.scores
    total = np.zeros((len(scores), len(scores)), dtype=np.float32)
    for signed in _signed_preferences(scores):
        total += _binary_entropy(signed)
    return total / np.float32(scores.shape[1])


@acquisition("information_gain")
def information_gain(candidates: Candidates) -> Values:
    """Returns the mutual information of the answer and the head that is right, in nats.

    H(mean p) - mean H(p) (BALD, Houlsby et al. 2011; for preferences Biyik et al. 2019): high where
    each head is sure and they contradict each other, 0 where all of them toss a coin.
    """
    scores = candidates.scores
    total = np.zeros((len(scores), len(scores)), dtype=np.float32)
    unsure = np.zeros_like(total)
    for signed in _signed_preferences(scores):
        total += signed
        unsure += _binary_entropy(signed)
    heads = np.float32(scores.shape[1])
    gain: Values = np.maximum(_binary_entropy(total / heads) - unsure / heads, np.float32(0.0))
    return gain


@acquisition("logit_variance")
def logit_variance(candidates: Candidates) -> Values:
    """Returns the population variance over heads of s_k(i) - s_k(j), as imitation's default."""
    scores = candidates.scores.astype(np.float64)
    centred = scores - scores.mean(1, keepdims=True)
    # The variance of a difference is the sum of variances less twice the covariance.
    covariance = centred @ centred.T / scores.shape[1]
    variance = np.diag(covariance)
    values: Values = np.maximum(variance[:, None] + variance[None, :] - 2 * covariance, 0.0)
    return values


@acquisition("volume_removal")
def volume_removal(candidates: Candidates) -> Values:
    """Returns the least share of belief that an answer removes (Sadigh et al. 2017, eq. 9).

    min(1 - mean p, mean p), at most 1/2: as heads weigh equally, pairs rank as by `entropy`.
    """
    return np.float32(0.5) - np.float32(0.5) * np.abs(_mean_preference(candidates.scores))


@acquisition("regret")
def regret(candidates: Candidates) -> Values:
    """Returns the loss, in nats, of following one head where another is right.

    After Wilde et al. 2020, eq. 7: the best segment of one head and that of another are worth
    asking about for what each loses by the other's choice. Carried over to any pair: the most that
    a head loses if "left" is taken wrongly plus the most that one loses if "right" is; nothing
    where all heads agree.
    """
    scores = candidates.scores.astype(np.float64)
    shape = (len(scores), len(scores))
    left, right = np.zeros(shape), np.zeros(shape)
    for head in scores.T:
        gap = head[:, None] - head[None, :]
        np.maximum(left, gap, out=left)
        np.maximum(right, -gap, out=right)
    return np.where((left > 0) & (right > 0), left + right, 0.0)


@acquisition("thompson")
def thompson(candidates: Candidates) -> Values:
    """Lets two heads, drawn for the batch, nominate: i is worth one's score, j the other's.

    The best pair is the favourite of one against that of the other (Thompson sampling, as in
    Tucker et al. 2020 and APReL). A head's scores are divided by their standard
    deviation.
    """
    scores = candidates.scores.astype(np.float64)
    num_heads = scores.shape[1]
    one, other = candidates.rng.choice(num_heads, size=2, replace=num_heads < 2)
    std = scores.std(0)
    scaled = (scores - scores.mean(0)) / np.where(std > 0, std, 1.0)
    one_way = scaled[:, one][:, None] + scaled[:, other][None, :]
    values: Values = np.maximum(one_way, one_way.T)
    return values


@acquisition("on_policy")
def on_policy(candidates: Candidates) -> Values:
    """Prefers the newest ten episodes, all alike; then older ones (QPA, Hu et al. 2024)."""
    too_old = np.maximum(candidates.age - (NEWEST_EPISODES - 1), 0).astype(np.float32)
    return -np.maximum(too_old[:, None], too_old[None, :])


@acquisition("duo")
def duo(candidates: Candidates) -> Values:
    """Returns the information gain, of the newest ten episodes before all others (DUO).

    With the selector `medoids`, its default, diverse as well: DUO (Feng et al. 2025), which keeps
    the most uncertain of the newest pairs and takes one from each of as many clusters as are asked
    for. There clusters are of reward differences step by step, here of embeddings.
    """
    is_new = candidates.age < NEWEST_EPISODES
    both = is_new[:, None] & is_new[None, :]
    # Information gain is at most ln 2.
    return information_gain(candidates) + both.astype(np.float32)
