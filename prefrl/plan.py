"""When a run explores, asks and trains: the whole schedule, laid out before the first step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prefrl.config import ScheduleName
from prefrl.errors import ConfigError

# The time constant of Christiano et al. 2017, appendix A: label rate proportional to 2e6/(T+2e6).
DECAY_STEPS = 2e6


@dataclass(frozen=True)
class Leg:
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
    """How many answers each session asks for.

    Args:
        session_steps: environment step of each session, ascending.
        budget: answers in all; the sizes sum to it exactly.
        schedule: constant; decreasing, in proportion to 2e6 / (T + 2e6) at step T (Christiano et al.
            2017); or increasing, in proportion to (T + 2e6) / 2e6 (our mirror of it).
        initial_fraction: share of the budget that the first session gets.

    Returns:
        one size per session.
    """
    later = np.asarray(session_steps[1:], dtype=np.float64)
    rate = DECAY_STEPS / (later + DECAY_STEPS)
    weights = {"constant": np.ones_like(later), "decreasing": rate, "increasing": 1 / rate}[schedule]
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
    num_sessions: int,
    last_session_at: float,
    schedule: ScheduleName,
    initial_fraction: float,
    checkpoint_every: int,
    multiple: int,
) -> tuple[Leg, ...]:
    """Lays a run out as legs whose steps and queries sum to `steps` and `budget` exactly.

    Args:
        steps: environment steps in all.
        explore_steps: steps before the first session; 0 plans a run that asks nothing.
        budget: answers in all.
        num_sessions: rounds of queries, at most one per multiple of steps.
        last_session_at: share of `steps` after which nothing is asked.
        schedule: see `session_sizes`.
        initial_fraction: see `session_sizes`.
        checkpoint_every: no leg is longer than this, rounded to the multiple.
        multiple: environments stepped side by side; every leg takes a multiple of it.

    Raises:
        ConfigError: the numbers do not fit each other.
    """
    if steps % multiple:
        low = steps // multiple * multiple
        choices = " or ".join(str(n) for n in (low, low + multiple) if n > 0)
        raise ConfigError(
            f"steps is {steps}, which {multiple} environments side by side cannot take exactly; "
            f"choose {choices}, or --num-envs 1"
        )
    explore_steps = min(-(-explore_steps // multiple) * multiple, steps)
    marks = {0: 0}  # step -> answers asked for there
    if explore_steps:
        if explore_steps == steps:
            raise ConfigError(
                f"steps is {steps}, all of it exploration ({explore_steps} steps); "
                "choose more steps or fewer explore_steps"
            )
        last = max(explore_steps, int(steps * last_session_at))
        spread = np.linspace(explore_steps, last, num_sessions)
        when = np.unique((spread // multiple * multiple).astype(np.int64))
        when = when[when < steps]
        sizes = session_sizes(when.tolist(), budget, schedule, initial_fraction)
        marks |= {int(t): int(n) for t, n in zip(when, sizes, strict=True) if n > 0}
    bounds = [*sorted(marks), steps]
    longest = max(checkpoint_every // multiple, 1) * multiple
    legs = []
    for start, end in zip(bounds[:-1], bounds[1:], strict=True):
        queries = marks[start]
        for begin in range(start, end, longest):
            size = min(longest, end - begin)
            legs.append(Leg(begin, size, queries if begin == start else 0, begin < explore_steps))
    return tuple(legs)
