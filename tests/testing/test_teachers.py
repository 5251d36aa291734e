"""A teacher who breaks a clause of the contract is found out, in one line that says which."""

from typing import Any

import numpy as np
import pytest

from prefrl.errors import ContractError
from prefrl.testing import check_teacher
from tests.testing.broken import broken


class Fair:
    """Keeps to every clause, and answers the opposite when the sides are swapped."""

    def observe(self, pool):
        return {"mean_return": float(pool.true_returns.mean())}

    def answer(self, left, right, *, rng):
        return (1.0 + np.sign(left.true_returns - right.true_returns)) / 2


BROKEN: dict[str, tuple[str, type[Any]]] = {}
breaks = broken(BROKEN)


@breaks("a NoAnswers is no teacher: expected a method `answer`")
class NoAnswers:
    pass


@breaks("with shape (99,) and type float64; expected (100,) float64")
class OneTooFew(Fair):
    def answer(self, left, right, *, rng):
        return super().answer(left, right, rng=rng)[1:]


@breaks("type bool; expected (100,) float64")
class Booleans(Fair):
    def answer(self, left, right, *, rng):
        return left.true_returns > right.true_returns


@breaks("the teacher answered [2.]; expected 1 left, 0 right, 0.5 tie, the share of votes")
class Twos(Fair):
    def answer(self, left, right, *, rng):
        return np.full(len(left), 2.0)


@breaks("differently with the same `rng`")
class ChanceOfItsOwn(Fair):
    def answer(self, left, right, *, rng):
        return np.random.default_rng().integers(2, size=len(left)).astype(float)


@breaks("the teacher takes padding for steps")
class LooksAtTheLastStep(Fair):
    def answer(self, left, right, *, rng):
        return (left.true_rewards[:, -1] > right.true_rewards[:, -1]).astype(float)


@breaks("asked 0 queries, raised ValueError")
class SomethingMustBeAsked(Fair):
    def answer(self, left, right, *, rng):
        left.true_returns.max()
        return super().answer(left, right, rng=rng)


@breaks("writes to left.true_rewards, which is not its own")
class Writes(Fair):
    def answer(self, left, right, *, rng):
        left.true_rewards[:] += 1
        return super().answer(left, right, rng=rng)


@breaks("writes to pool.actions, which is not its own")
class WritesWhileObserving(Fair):
    def observe(self, pool):
        pool.actions[:] = 0
        return {}


@breaks("draws from the global generator['numpy']")
class DrawsGlobally(Fair):
    def answer(self, left, right, *, rng):
        return np.random.randint(2, size=len(left)).astype(float)  # noqa: NPY002


@breaks("returned 'mean_return': nan; expected a name and a finite float")
class ReportsNaN(Fair):
    def observe(self, pool):
        return {"mean_return": float("nan")}


@breaks("`observe` returned a NoneType; expected a dict")
class ReportsNothing(Fair):
    def observe(self, pool):
        return None


@breaks("reports another thing of a pool that it observes again")
class CountsItsPools(Fair):
    num = 0

    def observe(self, pool):
        self.num += 1
        return {"num": float(self.num)}


@breaks("answers differently after it observed the same pool again")
class GrowsTired(Fair):
    num = 0

    def observe(self, pool):
        self.num += 1
        return {}

    def answer(self, left, right, *, rng):
        return super().answer(left, right, rng=rng) if self.num < 2 else np.full(len(left), 0.5)


@breaks("observing 1 segments, raised IndexError")
class NeedsTwoSegments(Fair):
    def observe(self, pool):
        return {"second": float(pool.true_returns[1])}


@pytest.mark.parametrize(("said", "teacher"), BROKEN.values(), ids=BROKEN)
def test_a_broken_teacher_is_found_out(said: str, teacher: type[Any]) -> None:
    with pytest.raises(ContractError) as caught:
        check_teacher(teacher)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fair_teacher_passes() -> None:
    check_teacher(Fair, is_mirrored=True)


def test_a_teacher_who_favours_a_side_is_not_mirrored() -> None:
    class FavoursLeft(Fair):
        def answer(self, left, right, *, rng):
            return np.ones(len(left))

    check_teacher(FavoursLeft)
    with pytest.raises(ContractError, match="does not answer the opposite"):
        check_teacher(FavoursLeft, is_mirrored=True)


def test_a_teacher_of_objectives_is_told_which() -> None:
    class OfObjectives:
        def answer(self, left, right, *, rng, objective):
            returns = [side.objective_rewards.sum(1) for side in (left, right)]
            gaps = (returns[0] - returns[1])[np.arange(len(left)), objective]
            return (gaps > 0).astype(float)

    check_teacher(OfObjectives, num_objectives=3)
    with pytest.raises(ContractError, match=r"raised TypeError: .*objective"):
        check_teacher(Fair, num_objectives=3)


def test_a_teacher_need_not_observe() -> None:
    class Blind:
        def answer(self, left, right, *, rng):
            return np.full(len(left), 0.5)

    check_teacher(Blind)


def test_one_that_has_seen_something_is_no_new_one() -> None:
    with pytest.raises(ContractError, match="given a Fair; expected its class, or a function"):
        check_teacher(Fair())  # type: ignore[arg-type]
