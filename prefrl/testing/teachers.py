"""The contract of a teacher.

Axes: B queries.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import flag, whole_number
from prefrl.errors import ArgumentError, ContractError, shown
from prefrl.feedback.protocols import Teacher, is_async
from prefrl.segments import SegmentBatch
from prefrl.testing.async_teachers import check_in_its_own_time
from prefrl.testing.clauses import calling, leaving_alone, require
from prefrl.testing.made_up import ACTION_DIM, OBSERVATION_DIM, Dims, padded, segments

NUM_QUERIES = 100
MakeTeacher = Callable[[], Any]


def check_teacher(
    make_teacher: MakeTeacher,
    *,
    seed: int = 0,
    is_mirrored: bool = False,
    num_objectives: int = 1,
) -> None:
    """Checks that a teacher keeps to its contract.

    Each query gets one answer: left, right, tie, a share of votes, or skip; the same `rng` gives
    the same answers; no queries get none; padding behind short segments plays no part; what it
    observes it reports in finite, named numbers, and observing the same pool again changes nothing;
    and it writes to nothing and draws from `rng` alone.

    Of one with `ask` and `collect`, which answers in its own time: neither waits; what is collected
    are answers to questions that were asked; and asking the same questions again, as a run does
    that was restarted, is safe.

    Args:
        make_teacher: makes a new teacher that has seen nothing, as its class does.
        seed: of the made-up segments.
        is_mirrored: True for one that promises the opposite answer where a query's sides are
            swapped.
        num_objectives: M; of a teacher who learns each query's objective, 2 to 6.

    Raises:
        ContractError: it does not; the line names the clause.

    Example:
        >>> import numpy as np
        >>> class LikesCalm:
        ...     def answer(self, left, right, *, rng):
        ...         effort = [np.abs(side.actions).sum(axis=(1, 2)) for side in (left, right)]
        ...         return np.where(effort[0] < effort[1], 1.0, 0.0)
        >>> check_teacher(LikesCalm)
    """
    seed = whole_number("seed", seed)
    is_mirrored = flag("is_mirrored", is_mirrored)
    num_objectives = whole_number("num_objectives", num_objectives, least=1)
    if num_objectives > OBSERVATION_DIM + ACTION_DIM:
        raise ArgumentError(f"num_objectives is {shown(num_objectives)}; expected 1 to 6")
    dims = Dims(objectives=num_objectives if num_objectives > 1 else 0)
    pool = segments(40, rng=np.random.default_rng(seed), dims=dims)
    index = np.random.default_rng(seed + 1).integers(len(pool), size=(2, NUM_QUERIES))
    left, right = pool[index[0]], pool[index[1]]
    if is_async(_new(make_teacher)):
        _observe(_seen(make_teacher, pool), pool)
        check_in_its_own_time(lambda: _new(make_teacher), pool)
        return
    if num_objectives > 1:
        make_teacher = _about_each_in_turn(make_teacher, num_objectives)
    _check_answers(make_teacher, pool, left, right)
    _check_observing(make_teacher, pool, left, right)
    if is_mirrored:
        same, swapped = (
            _answers(_seen(make_teacher, pool), *s) for s in ((left, right), (right, left))
        )
        require(
            np.array_equal(same, 1 - swapped, equal_nan=True),
            "the teacher does not answer the opposite where the sides of a query are swapped",
        )


def _new(make_teacher: MakeTeacher) -> Any:
    if not callable(make_teacher):
        raise ContractError(
            f"check_teacher was given a {type(make_teacher).__name__}; expected its class, or a "
            "function that makes a new one"
        )
    with calling("making the teacher without arguments"):
        teacher = make_teacher()
    require(
        is_async(teacher) or callable(getattr(teacher, "answer", None)),
        f"a {type(teacher).__name__} is no teacher: expected a method `answer`, or `ask` and "
        "`collect`",
    )
    return teacher


def _about_each_in_turn(make_teacher: MakeTeacher, num_objectives: int) -> MakeTeacher:
    """Makes a teacher of several objectives one that is asked about each in turn."""

    def make() -> Any:
        teacher = _new(make_teacher)

        def answer(left: SegmentBatch, right: SegmentBatch, *, rng: np.random.Generator) -> Any:
            objective = np.arange(len(left)) % num_objectives
            return teacher.answer(left, right, rng=rng, objective=objective)

        observing = {"observe": teacher.observe} if hasattr(teacher, "observe") else {}
        return SimpleNamespace(answer=answer, **observing)

    return make


def _observe(teacher: Any, pool: SegmentBatch) -> Any:
    """Returns what it reports; nothing where it does not observe."""
    if not hasattr(teacher, "observe"):
        return {}
    with (
        leaving_alone("the teacher, in `observe`,", pool=pool),
        calling(f"the teacher, observing {len(pool)} segments,"),
    ):
        reported = teacher.observe(pool)
    require(
        isinstance(reported, dict),
        f"the teacher's `observe` returned a {type(reported).__name__}; expected a dict",
    )
    for name, value in reported.items():
        require(
            isinstance(name, str) and type(value) is float and np.isfinite(value),
            f"the teacher's `observe` returned {name!r}: {value!r}; expected a name and a finite "
            "float",
        )
    return reported


def _seen(make_teacher: MakeTeacher, pool: SegmentBatch) -> Any:
    """Makes a new teacher that has observed the pool."""
    teacher = _new(make_teacher)
    _observe(teacher, pool)
    return teacher


def _answers(
    teacher: Teacher, left: SegmentBatch, right: SegmentBatch, *, seed: int = 0
) -> NDArray[np.float64]:
    """Returns (B,) the answers, after the checks that hold for every batch."""
    with (
        leaving_alone("the teacher, in `answer`,", left=left, right=right),
        calling(f"the teacher, asked {len(left)} queries,"),
    ):
        answers = teacher.answer(left, right, rng=np.random.default_rng(seed))
    form = f"shape {np.shape(answers)} and type {getattr(answers, 'dtype', type(answers))}"
    require(
        isinstance(answers, np.ndarray)
        and answers.shape == (len(left),)
        and answers.dtype == np.float64,
        f"the teacher answered {len(left)} queries with {form}; expected ({len(left)},) float64",
    )
    odd = answers[~((answers >= 0) & (answers <= 1) | np.isnan(answers))]
    require(
        len(odd) == 0,
        f"the teacher answered {odd[:1]}; expected 1 left, 0 right, 0.5 tie, the share of votes "
        "for left, or NaN skipped",
    )
    return answers


def _check_answers(
    make_teacher: MakeTeacher, pool: SegmentBatch, left: SegmentBatch, right: SegmentBatch
) -> None:
    one, other = (_answers(_seen(make_teacher, pool), left, right, seed=5) for _ in range(2))
    require(
        np.array_equal(one, other, equal_nan=True),
        "two new teachers answer the same queries differently with the same `rng`; all chance "
        "comes from `rng`",
    )
    longer = _answers(_seen(make_teacher, padded(pool)), padded(left), padded(right), seed=5)
    require(
        np.array_equal(one, longer, equal_nan=True),
        "the teacher takes padding for steps: the same segments in longer arrays get other answers",
    )
    for num in (0, 1, 7):
        _answers(_seen(make_teacher, pool), left[:num], right[:num])


def _check_observing(
    make_teacher: MakeTeacher, pool: SegmentBatch, left: SegmentBatch, right: SegmentBatch
) -> None:
    once, twice = _new(make_teacher), _new(make_teacher)
    reports = [_observe(once, pool), _observe(twice, pool), _observe(twice, pool)]
    require(
        reports[0] == reports[1] == reports[2],
        "the teacher reports another thing of a pool that it observes again",
    )
    require(
        np.array_equal(
            _answers(once, left, right, seed=2),
            _answers(twice, left, right, seed=2),
            equal_nan=True,
        ),
        "the teacher answers differently after it observed the same pool again",
    )
    lonely = _seen(make_teacher, pool[:1])
    _answers(lonely, pool[:1], pool[:1])
