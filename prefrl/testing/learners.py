"""The contract of what learns a reward.

Axes: B comparisons, S segments, K heads, D features, O observation dims, M segments asked about.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from prefrl.arguments import function, whole_number
from prefrl.loop import RewardLearner
from prefrl.records.checkpoint import load_state, save_state
from prefrl.segments import FloatArray, SegmentBatch
from prefrl.testing.clauses import calling, difference, leaving_alone, require
from prefrl.testing.made_up import Dims, comparisons, padded, segments
from prefrl.testing.reward_functions import check_reward_function

MakeLearner = Callable[[], RewardLearner]

NUM_COMPARISONS = 120
LEAST_ACCURACY = 0.65


def check_learner(
    make_learner: MakeLearner,
    *,
    observation_dim: int,
    action_dim: int,
    segment_length: int = 6,
    seed: int = 0,
) -> None:
    """Checks that what learns a reward keeps to its contract.

    It learns a linear reward from 120 answers; what it says of segments has the promised shapes, is
    the same alone, among others and with padding behind, and changes nothing; the same answers give
    the same learner; its state goes to disk and back into a new one; its reward function keeps to
    the contract of those, and its rewards order segments as its scores do.

    Args:
        make_learner: makes a new learner, the same each time.
        observation_dim: O.
        action_dim: A.
        segment_length: steps of the made-up segments.
        seed: of the made-up comparisons.

    Raises:
        ContractError: it does not; the line names the clause.

    Example:
        >>> from prefrl import EnhancedRewardModel, RewardConfig
        >>> from prefrl.rewards import RewardTrainer
        >>> from prefrl.seeding import Streams
        >>> from prefrl.testing import check_learner
        >>> def make_learner():
        ...     settings = RewardConfig(recipe="plain")
        ...     return RewardTrainer(EnhancedRewardModel(4), settings, streams=Streams(0))
        >>> check_learner(make_learner, observation_dim=3, action_dim=1)
    """
    function("make_learner", make_learner, "a function that makes a new learner")
    seed = whole_number("seed", seed)
    dims = Dims(observation_dim, action_dim, segment_length).checked()
    pool = segments(50, rng=np.random.default_rng(seed), dims=dims)
    learner = _fitted(make_learner, dims, seed)
    _check_predictions(learner, pool, dims, seed)
    _check_learning(learner, dims, seed)
    twin = _fitted(make_learner, dims, seed)
    place = difference(learner.state(), twin.state(), "state()")
    require(not place, f"the same answers give another learner: {place} differs")
    _check_state(learner, make_learner, pool, dims, seed)
    with calling("the learner, in `reward_function()`,"):
        reward_function = learner.reward_function()
    check_reward_function(
        reward_function, observation_dim=observation_dim, action_dim=action_dim, seed=seed
    )
    _check_one_reward(learner, pool)


def _fitted(make_learner: MakeLearner, dims: Dims, seed: int) -> RewardLearner:
    with calling("make_learner"):
        learner = make_learner()
    _fit(learner, dims, seed, session=0)
    return learner


def _fit(learner: RewardLearner, dims: Dims, seed: int, *, session: int) -> None:
    dataset = comparisons(NUM_COMPARISONS, rng=np.random.default_rng(seed + 1), dims=dims)
    given = {"left": dataset.left, "right": dataset.right, "p_left": dataset.p_left}
    with (
        leaving_alone("the learner, in `fit`,", **given),
        calling(f"the learner, fitted to {NUM_COMPARISONS} comparisons,"),
    ):
        metrics = learner.fit(dataset, session=session)
    for name, value in metrics.items():
        require(
            isinstance(name, str) and type(value) is float,
            f"the learner's `fit` returned {name!r}: {value!r}; expected a name and a float",
        )


def _said(learner: RewardLearner, pool: SegmentBatch) -> dict[str, FloatArray]:
    with leaving_alone("the learner, scoring,", pool=pool), calling("the learner, scoring,"):
        return {
            "score_segments": learner.score_segments(pool),
            "embed_segments": learner.embed_segments(pool),
        }


def _check_predictions(learner: RewardLearner, pool: SegmentBatch, dims: Dims, seed: int) -> None:
    before = learner.state()
    said = _said(learner, pool)
    for name, array in said.items():
        require(
            isinstance(array, np.ndarray) and array.ndim == 2 and len(array) == len(pool),
            f"`{name}` returned shape {np.shape(array)} for {len(pool)} segments; expected one row "
            "for each",
        )
        require(np.isfinite(array).all(), f"`{name}` returned a number that is not finite")
        few = _said(learner, pool[:3])[name]
        require(
            np.allclose(few, array[:3], rtol=1e-3, atol=1e-4),
            f"`{name}` says another thing of a segment alone than among others",
        )
    for name, array in _said(learner, padded(pool)).items():
        require(
            np.allclose(array, said[name], rtol=1e-3, atol=1e-4),
            f"`{name}` takes padding for steps: it says another thing of the same segments in "
            "longer arrays",
        )
    lengths = np.linalg.norm(said["embed_segments"], axis=1)
    require(
        np.allclose(lengths, 1.0, atol=1e-3),
        f"`embed_segments` returned embeddings of length {lengths.min():g} to {lengths.max():g}; "
        "expected 1",
    )
    asked = learner.asked_embeddings()
    require(
        len(asked) == 0 or asked.shape[1:] == said["embed_segments"].shape[1:],
        f"`asked_embeddings` returned shape {asked.shape}; expected (M, "
        f"{said['embed_segments'].shape[1]})",
    )
    seen, num_dims = learner.asked_observation_embeddings(), 2 * pool.observations.shape[-1]
    require(
        len(seen) == 0 or seen.shape[1:] == (num_dims,),
        f"`asked_observation_embeddings` returned shape {seen.shape}; expected (M, {num_dims})",
    )
    if callable(getattr(learner, "asked_pairs", None)):
        _check_pairs(learner, dims, seed)
    place = difference(before, learner.state(), "state()")
    require(not place, f"scoring changes the learner: {place} differs")
    place = difference(said, _said(learner, pool), "its answer")
    require(not place, "the learner says another thing of the same segments when asked again")


def _check_pairs(learner: Any, dims: Dims, seed: int) -> None:
    """Checks what ease is told from; a learner need not have it."""
    dataset = comparisons(NUM_COMPARISONS, rng=np.random.default_rng(seed + 1), dims=dims)
    with calling("the learner, in `asked_pairs()`,"):
        asked = learner.asked_pairs()
    require(
        np.array_equal(asked.p_left, dataset.p_left, equal_nan=True),
        f"`asked_pairs` returned other answers than the {NUM_COMPARISONS} it was fitted to",
    )
    for side in ("left", "right"):
        segments = SegmentBatch.concatenate(getattr(dataset, side))
        expected = {
            "scores": learner.score_segments(segments),
            "points": segments.observation_embeddings(),
        }
        for kind, array in expected.items():
            found = getattr(asked, f"{side}_{kind}")
            require(
                np.shape(found) == array.shape and np.allclose(found, array, rtol=1e-3, atol=1e-4),
                f"`asked_pairs` returned other {side}_{kind} than segments have",
            )


def _check_learning(learner: RewardLearner, dims: Dims, seed: int) -> None:
    rng = np.random.default_rng(seed + 2)
    left, right = segments(300, rng=rng, dims=dims), segments(300, rng=rng, dims=dims)
    gap = (learner.score_segments(left) - learner.score_segments(right)).mean(1)
    accuracy = np.mean((gap > 0) == (left.true_returns > right.true_returns))
    require(
        accuracy >= LEAST_ACCURACY,
        f"fitted to {NUM_COMPARISONS} answers about a linear reward, the learner predicts "
        f"{accuracy:.0%} of new ones; expected {LEAST_ACCURACY:.0%} or more",
    )


def _check_state(
    learner: RewardLearner, make_learner: MakeLearner, pool: SegmentBatch, dims: Dims, seed: int
) -> None:
    again = make_learner()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "learner.npz"
        with calling("saving the learner's `state()`, or restoring it into a new learner,"):
            save_state(path, learner.state())
            again.restore(load_state(path))
    place = difference(_said(learner, pool), _said(again, pool), "its answer")
    require(not place, f"a restored learner says another thing of the same segments: {place}")
    for one in (learner, again):
        _fit(one, dims, seed, session=1)
    place = difference(learner.state(), again.state(), "state()")
    require(not place, f"a restored learner learns in another way: {place} differs after a fit")


def _check_one_reward(learner: RewardLearner, pool: SegmentBatch) -> None:
    """Checks that agents optimise what queries weigh: one reward, up to unit and offset."""
    obs, action = (part.reshape(-1, part.shape[-1]) for part in (pool.observations, pool.actions))
    done = np.zeros(len(obs), dtype=bool)
    rewards = learner.reward_function()(obs, action, obs, done)
    returns = rewards.reshape(len(pool), -1).sum(1)
    scores = learner.score_segments(pool).mean(1)
    require(
        np.corrcoef(scores, returns)[0, 1] > 0.99,
        "the learner's reward function and its scores of segments do not agree: agents would "
        "optimise another reward than queries are chosen by",
    )
