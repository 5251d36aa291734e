"""A learner that breaks a clause of its contract is found out, in one line that says which."""

from typing import Any

import numpy as np
import pytest

from prefrl.errors import ContractError
from prefrl.loop import RewardLearner
from prefrl.segments import FloatArray, SegmentBatch, observation_embeddings
from prefrl.testing import check_learner
from prefrl.types import RewardFunction, State
from tests.testing.broken import broken


class Fair:
    """Linear in mean inputs: the least that learns."""

    def __init__(self) -> None:
        self.weights = np.zeros(6, dtype=np.float32)
        self.num_fits = 0
        self.asked: FloatArray = np.zeros((0, 8), dtype=np.float32)

    def score_segments(self, segments: SegmentBatch) -> FloatArray:
        score = segments.inputs().sum(1) @ self.weights
        return np.stack([score, score], axis=1)

    def embed_segments(self, segments: SegmentBatch) -> FloatArray:
        points = segments.inputs().mean(1)
        return points / np.linalg.norm(points, axis=1, keepdims=True)

    def asked_embeddings(self) -> FloatArray:
        return np.zeros((0, 6), dtype=np.float32)

    def asked_observation_embeddings(self) -> FloatArray:
        return self.asked

    def fit(self, comparisons: Any, *, session: int) -> dict[str, float]:
        train, _ = comparisons.split()
        gaps = (train.left - train.right).sum(1)
        self.weights = np.linalg.lstsq(gaps, 2 * train.p_left - 1, rcond=None)[0]
        self.weights = self.weights.astype(np.float32)
        self.num_fits += 1
        batches = [*comparisons.left, *comparisons.right]
        self.asked = np.concatenate([observation_embeddings(b.observations) for b in batches])
        return {"num_answers": float(len(gaps))}

    def reward_function(self) -> RewardFunction:
        weights = self.weights.copy()

        def reward(obs: Any, action: Any, next_obs: Any, done: Any) -> FloatArray:
            inputs = np.concatenate([obs, action], axis=1)
            return (inputs * weights).sum(1, dtype=np.float32)

        return reward

    def state(self) -> State:
        return {"weights": self.weights.copy(), "num_fits": self.num_fits, "asked": self.asked}

    def restore(self, state: State) -> None:
        self.weights, self.asked = np.array(state["weights"]), np.array(state["asked"])
        self.num_fits = int(state["num_fits"])


BROKEN: dict[str, tuple[str, type[Any]]] = {}
breaks = broken(BROKEN)


@breaks("`fit` returned 'num_answers': 3; expected a name and a float")
class CountsInWholeNumbers(Fair):
    def fit(self, comparisons: Any, *, session: int) -> Any:
        super().fit(comparisons, session=session)
        return {"num_answers": 3}


@breaks("fitted to 120 comparisons, raised KeyError")
class CannotFit(Fair):
    def fit(self, comparisons: Any, *, session: int) -> Any:
        raise KeyError("left")


@breaks("in `fit`, draws from the global generator['numpy']")
class FitsByGlobalChance(Fair):
    def fit(self, comparisons: Any, *, session: int) -> Any:
        np.random.random()  # noqa: NPY002
        return super().fit(comparisons, session=session)


@breaks("`score_segments` returned shape (50,) for 50 segments")
class OneScoreOnly(Fair):
    def score_segments(self, segments: SegmentBatch) -> Any:
        return super().score_segments(segments)[:, 0]


@breaks("`score_segments` returned a number that is not finite")
class ScoresInfinitely(Fair):
    def score_segments(self, segments: SegmentBatch) -> Any:
        return super().score_segments(segments) * np.inf


@breaks("`score_segments` says another thing of a segment alone than among others")
class CentresTheBatch(Fair):
    def score_segments(self, segments: SegmentBatch) -> Any:
        scores = super().score_segments(segments)
        return scores - scores.mean()


@breaks("`score_segments` takes padding for steps")
class ScoresTheMean(Fair):
    def score_segments(self, segments: SegmentBatch) -> Any:
        return super().score_segments(segments) / segments.segment_length


@breaks("expected 1")
class LongEmbeddings(Fair):
    def embed_segments(self, segments: SegmentBatch) -> Any:
        return 2 * super().embed_segments(segments)


@breaks("`asked_embeddings` returned shape (4, 2); expected (M, 6)")
class EmbedsElsewhere(Fair):
    def asked_embeddings(self) -> Any:
        return np.zeros((4, 2))


@breaks("`asked_observation_embeddings` returned shape (4, 3); expected (M, 8)")
class RemembersElsewhere(Fair):
    def asked_observation_embeddings(self) -> Any:
        return np.zeros((4, 3))


@breaks("scoring changes the learner: state()['num_fits'] differs")
class CountsItsScores(Fair):
    def score_segments(self, segments: SegmentBatch) -> Any:
        self.num_fits += 1
        return super().score_segments(segments)


@breaks("scoring, writes to pool.observations, which is not its own")
class ScalesThePool(Fair):
    def score_segments(self, segments: SegmentBatch) -> Any:
        segments.observations[:] *= 2
        return super().score_segments(segments)


@breaks("the learner says another thing of the same segments when asked again")
class ScoresByChance(Fair):
    rng = np.random.default_rng(0)

    def score_segments(self, segments: SegmentBatch) -> Any:
        return super().score_segments(segments) + 1e-6 * self.rng.normal()


@breaks("of new ones; expected 65% or more")
class NeverLearns(Fair):
    def score_segments(self, segments: SegmentBatch) -> Any:
        return 0 * super().score_segments(segments)


@breaks("the same answers give another learner: state()['weights'] differs")
class ChanceOfItsOwn(Fair):
    def fit(self, comparisons: Any, *, session: int) -> Any:
        metrics = super().fit(comparisons, session=session)
        self.weights = self.weights * np.float32(np.random.default_rng().uniform(0.9, 1.1))
        return metrics


@breaks("a restored learner says another thing of the same segments: its answer['score_segments']")
class ForgetsWhatItLearned(Fair):
    def restore(self, state: State) -> None:
        self.num_fits = int(state["num_fits"])


@breaks("a restored learner learns in another way: state()['num_fits'] differs after a fit")
class ForgetsHowOftenItWasFitted(Fair):
    def restore(self, state: State) -> None:
        super().restore({**state, "num_fits": 0})


@breaks("the reward function returned float64; expected float32")
class RewardsInDoubles(Fair):
    def reward_function(self) -> Any:
        reward = super().reward_function()
        return lambda *batch: reward(*batch).astype(np.float64)


@breaks("agents would optimise another reward than queries are chosen by")
class RewardsAnotherThing(Fair):
    def reward_function(self) -> Any:
        return lambda obs, action, next_obs, done: obs[:, 0].copy()


@pytest.mark.parametrize(("said", "make_learner"), BROKEN.values(), ids=BROKEN)
def test_a_broken_learner_is_found_out(said: str, make_learner: Any) -> None:
    with pytest.raises(ContractError) as caught:
        check_learner(make_learner, observation_dim=4, action_dim=2)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fair_learner_passes() -> None:
    learner: RewardLearner = Fair()
    assert learner.state()["num_fits"] == 0
    check_learner(Fair, observation_dim=4, action_dim=2)
