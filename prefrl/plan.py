"""When a run explores, asks and trains: the whole schedule, laid out before the first step."""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prefrl.config import QueryConfig, ScheduleName
from prefrl.errors import ConfigError, at_least, option

# The time constant of Christiano et al. 2017, appendix A: label rate proportional to 2e6/(T+2e6).
DECAY_STEPS = 2e6
# The part of a run in which training episodes grow to their whole length.
GROWING_SHARE = 0.5
# What floating point may leave a step short of, of a whole number.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Phase:
    """A stretch of a run between two checkpoints.

    Args:
        start_step: environment steps taken before it.
        num_steps: environment steps it takes.
        num_queries: answers asked for at its start; 0 asks nothing.
        is_exploration: steps are gathered before any reward is known.
    """

    start_step: int
    num_steps: int
    num_queries: int = 0
    is_exploration: bool = False


def session_sizes(
    session_steps: Sequence[int], budget: int, schedule: ScheduleName, initial_fraction: float
) -> NDArray[np.int64]:
    """Divides the budget among the sessions.

    Args:
        session_steps: environment step of each session, ascending; at least one.
        budget: answers in all; the sizes sum to it exactly.
        schedule: constant; decreasing, in proportion to 2e6 / (T + 2e6) at step T (Christiano et
            al. 2017); or increasing, in proportion to (T + 2e6) / 2e6 (our mirror of it).
        initial_fraction: share of the budget that the first session gets; at least one answer.

    Returns:
        one size per session.
    """
    later = np.asarray(session_steps[1:], dtype=np.float64)
    rate = DECAY_STEPS / (later + DECAY_STEPS)
    rates = {"constant": np.ones_like(later), "decreasing": rate, "increasing": 1 / rate}
    weights = rates[schedule]
    first = budget if len(later) == 0 else max(1, round(budget * initial_fraction))
    # Rounding the running total keeps the sum exact and every size within one of its share.
    shares = np.cumsum(weights) / max(weights.sum(), 1e-12)
    totals = first + np.rint(shares * (budget - first)).astype(np.int64)
    return np.diff(np.concatenate([[0, first], totals]))


def plan_run(
    *,
    steps: int,
    explore_steps: int,
    budget: int,
    queries: QueryConfig,
    checkpoint_every: int,
    multiple: int,
) -> tuple[Phase, ...]:
    """Lays a run out as phases whose steps and queries sum to `steps` and `budget` exactly.

    Args:
        steps: environment steps in all.
        explore_steps: steps before the first session; 0 plans a run that asks nothing.
        budget: answers in all.
        queries: when sessions are held; `num_sessions` is decided. Sessions that would
            fall on the same step are one, and none is held at the very end, so that a short run may
            have fewer.
        checkpoint_every: no phase is longer than this, rounded down to the multiple (at least one).
        multiple: steps that are taken at once; every phase takes a multiple of it.

    Raises:
        ConfigError: the numbers do not fit each other.
    """
    if queries.num_sessions is None:
        raise ConfigError(f"{option('queries.num_sessions')} is None; a plan needs a number")
    for name, value, least in (
        ("steps", steps, 1),
        ("explore_steps", explore_steps, 0),
        ("budget", budget, 1),
        ("checkpoint_every", checkpoint_every, 1),
    ):
        if value < least:
            raise ConfigError(at_least(name, value, least))
    _check_multiple(steps, multiple)
    explore_steps = min(-(-explore_steps // multiple) * multiple, steps)
    marks = {0: 0}  # step -> answers asked for there
    if explore_steps:
        if explore_steps == steps:
            raise ConfigError(
                f"{option('steps')} is {steps}, all of it exploration ({explore_steps} steps); "
                f"choose more, or fewer {option('explore_steps')}"
            )
        last = max(explore_steps, int(steps * queries.last_session_at + _ROUNDING))
        passed = np.linspace(0.0, 1.0, queries.num_sessions) ** queries.session_spacing
        held_at = explore_steps + (last - explore_steps) * passed
        when = _whole_multiples(held_at, multiple)
        when = when[when < steps]
        sizes = session_sizes(when.tolist(), budget, queries.schedule, queries.initial_fraction)
        marks |= {int(t): int(n) for t, n in zip(when, sizes, strict=True) if n > 0}
    phases = _cut_at(marks, steps, longest=_multiple_of(multiple, checkpoint_every))
    return tuple(
        dataclasses.replace(phase, is_exploration=phase.start_step < explore_steps)
        for phase in phases
    )


def plan_more(
    *,
    start: int,
    steps: int,
    budget: int,
    queries: QueryConfig,
    checkpoint_every: int,
    multiple: int,
) -> tuple[Phase, ...]:
    """Lays out what is new where a run that has ended is given more steps or more answers.

    Nothing is explored, and the policy changes slowly by now: sessions, as many as the run had, are
    evenly spaced from the first new step on, and of equal size but for what the schedule says.

    Args:
        start: environment steps taken before.
        steps: environment steps in all; may be `start`, then there is one phase without steps.
        budget: answers asked for beside those that the run has; may be 0.
        queries: as in `plan_run`.
        checkpoint_every: as in `plan_run`.
        multiple: as in `plan_run`.

    Raises:
        ConfigError: there would be fewer steps or answers than before, or steps cannot be taken.
    """
    for name, value, least in (("steps", steps, start), ("budget", budget, 0)):
        if value < least:
            raise ConfigError(at_least(name, value, least))
    _check_multiple(steps, multiple)
    if steps == start:
        return (Phase(start, 0, budget),)
    marks = {start: 0}
    if budget:
        last = start + (steps - start) * queries.last_session_at
        held_at = np.linspace(start, last, queries.num_sessions or 1)
        when = _whole_multiples(held_at, multiple)
        when = when[when < steps]
        sizes = session_sizes(when.tolist(), budget, queries.schedule, 1 / len(when))
        marks |= {int(t): int(n) for t, n in zip(when, sizes, strict=True) if n > 0}
    return tuple(_cut_at(marks, steps, longest=_multiple_of(multiple, checkpoint_every)))


def _check_multiple(steps: int, multiple: int) -> None:
    if steps % multiple:
        low = steps // multiple * multiple
        choices = " or ".join(str(n) for n in (low, low + multiple) if n > 0)
        raise ConfigError(
            f"{option('steps')} is {steps}, but they are taken {multiple} at a time "
            f"({option('num_envs')} times train_freq); choose {choices}"
        )


def _whole_multiples(steps: NDArray[np.float64], multiple: int) -> NDArray[np.int64]:
    """Rounds steps down to multiples; those that meet are one.

    A step that only floating-point error keeps below a multiple is that multiple.
    """
    return np.unique(np.floor(steps / multiple + _ROUNDING).astype(np.int64) * multiple)


def _multiple_of(multiple: int, steps: int) -> int:
    return max(steps // multiple, 1) * multiple


def _cut_at(marks: dict[int, int], steps: int, *, longest: int) -> list[Phase]:
    """Returns phases that begin where queries are asked, none longer than `longest` steps."""
    return [
        Phase(begin, min(longest, end - begin), marks[start] if begin == start else 0)
        for start, end in itertools.pairwise([*sorted(marks), steps])
        for begin in range(start, end, longest)
    ]


def check_plan(plan: Sequence[Phase], *, has_teacher: bool) -> None:
    """Refuses a plan by which the agent would train before there is a reward to train on.

    Raises:
        ConfigError: it would, or there are queries and nobody to ask.
    """
    has_asked = False
    for index, phase in enumerate(plan):
        has_asked |= phase.num_queries > 0
        if phase.num_queries and not has_teacher:
            raise ConfigError(f"phase {index} has queries, but there is no teacher to ask")
        if has_teacher and not has_asked and not phase.is_exploration:
            raise ConfigError(
                f"phase {index} trains before the first queries; let it explore, or ask at "
                "its start"
            )


def growing_episode(step: int, *, first: int, whole: int, total_steps: int) -> int:
    """Returns the length of training episodes that are cut short at first.

    They grow from `first` to `whole` steps over the first half of the run, and are whole in the
    second, so that what comes late in an episode is learned as well.

    Args:
        step: environment steps taken before.
        first: steps of an episode at the start of the run.
        whole: steps of an episode that is not cut.
        total_steps: of the run.
    """
    passed = min(1.0, step / (GROWING_SHARE * total_steps))
    return round(first + passed * (whole - first))
