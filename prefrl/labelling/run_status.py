"""The state of a run, as its trainer tells it to those who label."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prefrl.errors import ArgumentError, DataError, not_a, shown
from prefrl.labelling.store import LabelStore

_NAME = "run"
# A curve of more points than a page is wide shows nothing more.
MOST_POINTS = 500


@dataclass(frozen=True)
class RunStatus:
    """The state of a run.

    Args:
        env_id: the environment's name.
        step: environment steps so far.
        num_steps: steps that the run will have; None: as many as it gets.
        waits_for: why nothing is trained or asked just now, as a sentence for whoever labels; ""
            where nothing is waited for.
        has_ended: no more answers are wanted; services that belong to the run end.
        policy_clip: key of a clip of the present policy; None: there is none.
        policy_step: steps that this policy had taken.
        curve: (step, return) pairs in order, at most 500.
        curve_name: which return that is: "true return", "learned return".
        accuracy: share of held-out answers that the reward model predicts; None: not known.

    Raises:
        DataError: the curve has too many points, or a point is no pair.
    """

    env_id: str = ""
    step: int = 0
    num_steps: int | None = None
    waits_for: str = ""
    has_ended: bool = False
    policy_clip: str | None = None
    policy_step: int | None = None
    curve: tuple[tuple[float, float], ...] = ()
    curve_name: str = "return"
    accuracy: float | None = None

    def __post_init__(self) -> None:
        if len(self.curve) > MOST_POINTS:
            raise DataError(f"curve has {len(self.curve):,} points; expected at most {MOST_POINTS}")
        for point in self.curve:
            if len(point) != 2:
                raise DataError(f"curve holds {shown(point)}; expected pairs (step, return)")
        pairs = tuple((float(step), float(value)) for step, value in self.curve)
        object.__setattr__(self, "curve", pairs)


def thinned(curve: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """Returns at most 500 points of a curve, evenly, the first and the last among them."""
    if len(curve) <= MOST_POINTS:
        return curve
    last = len(curve) - 1
    return tuple(curve[round(i * last / (MOST_POINTS - 1))] for i in range(MOST_POINTS))


def write_run_status(store: LabelStore, status: RunStatus) -> None:
    """Tells the other processes how the run stands."""
    if not isinstance(status, RunStatus):
        raise ArgumentError(not_a("status", status, "a RunStatus"))
    store.set_status(_NAME, dataclasses.asdict(status))


def read_run_status(store: LabelStore) -> RunStatus:
    """Returns how the run stands; of a run that has said nothing yet, the defaults."""
    known: Any = store.status(_NAME, {})
    if not isinstance(known, Mapping):
        return RunStatus()
    names = {field.name for field in dataclasses.fields(RunStatus)}
    return RunStatus(**{name: value for name, value in known.items() if name in names})
