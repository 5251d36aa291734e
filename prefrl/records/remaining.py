"""Estimates how long a run still takes, by what it has left of each kind of work."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefrl.plan import Phase

EXPLORING, TRAINING, EVALUATING, SAVING = "exploring", "training", "evaluating", "saving"
WAITING = "waiting"
ASKING, FITTING, RELABELLING = SESSION = ("asking", "fitting", "relabelling")
_NUM_RECENT = 3  # Sessions: later ones have more answers, and take longer.
_ENOUGH_S = 2.0  # of training, or so many steps, for a pace to be known
_ENOUGH_STEPS = 500


@dataclass(frozen=True)
class Workload:
    """The work of a whole run.

    Args:
        plan: its phases.
        lump: steps after which an on-policy learner learns all at once; 0: it learns at every step.
        eval_every: steps between evaluations on the way; None: there are none.
        eval_steps: environment steps of an evaluation, at most.
    """

    plan: "Sequence[Phase]"
    lump: int = 0
    eval_every: int | None = None
    eval_steps: int = 0

    def steps_left(self, step: int, *, exploring: bool) -> int:
        """Returns the steps of a kind that are left after so many."""
        ends = ((phase, phase.start_step + phase.num_steps) for phase in self.plan)
        return sum(
            max(end - max(step, phase.start_step), 0)
            for phase, end in ends
            if phase.is_exploration == exploring
        )

    def sessions_left(self, step: int, *, at_step: bool) -> int:
        """Returns how many sessions follow; with `at_step`, one at this very step counts."""
        first = step if at_step else step + 1
        return sum(phase.num_queries > 0 and phase.start_step >= first for phase in self.plan)

    def phases_left(self, step: int) -> int:
        """Returns how many phases end after this step."""
        return sum(phase.start_step + phase.num_steps > step for phase in self.plan)

    def evaluations_left(self, step: int) -> int:
        """Returns how many evaluations follow, the final policy's among them."""
        total = max((phase.start_step + phase.num_steps for phase in self.plan), default=0)
        on_the_way = 0
        if self.eval_every is not None:
            on_the_way = -(-total // self.eval_every) - step // self.eval_every
        return max(on_the_way, 0) + (self.eval_steps > 0)


class Stopwatch:
    """Measures what each kind of work takes, and estimates how long the rest of a run will.

    Args:
        work: of the run.
        clock: seconds, from any moment on.
    """

    def __init__(self, work: Workload, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._work = work
        self._clock = clock
        self._activities: list[str] = []
        self._last_s = clock()
        self._seconds: dict[str, float] = defaultdict(float)
        self._steps: dict[str, int] = defaultdict(int)
        self._counts: dict[str, int] = defaultdict(int)
        self._sessions_s: list[float] = []
        self._has_stepped = False  # since the last session
        # A learner that learns all at once is measured just after it did.
        self._whole_lumps = (0, 0.0)

    def begin(self, activity: str) -> None:
        """Begins an activity, within another one or not."""
        self._tick()
        self._activities.append(activity)
        self._counts[activity] += 1
        if activity == ASKING:
            self._sessions_s.append(0.0)
            self._has_stepped = False

    def end(self) -> None:
        """Ends the activity that was begun last."""
        self._tick()
        if self._activities.pop() == TRAINING:
            self._whole_lumps = (self._steps[TRAINING], self._seconds[TRAINING])

    def took(self, num_steps: int) -> None:
        """Takes note of environment steps of the present activity."""
        self._tick()
        self._has_stepped |= num_steps > 0
        activity = self._activities[-1] if self._activities else ""
        before = self._steps[activity]
        self._steps[activity] += num_steps
        lump = max(self._work.lump, 1)
        if activity == TRAINING and -(-before // lump) < -(-self._steps[activity] // lump):
            # Of a lump, the step that is told of is the first one after it was learned from.
            steps = before if self._work.lump else self._steps[activity]
            self._whole_lumps = (steps, self._seconds[TRAINING])

    def left_s(self, step: int) -> float | None:
        """Estimates the seconds that are left after so many steps; None: it is not known yet."""
        self._tick()
        work, total_s = self._work, 0.0
        for activity in (EXPLORING, TRAINING):
            num_steps = work.steps_left(step, exploring=activity == EXPLORING)
            if num_steps:
                pace_s = self._pace_s(activity)
                if pace_s is None:
                    return None
                total_s += num_steps * pace_s
        if (sessions := work.sessions_left(step, at_step=self._has_stepped)) > 0:
            recent = self._sessions_s[-_NUM_RECENT:]
            if not recent:
                return None
            total_s += sessions * sum(recent) / len(recent)
        total_s += work.phases_left(step) * self._mean_s(SAVING)
        return total_s + work.evaluations_left(step) * self._evaluation_s()

    def _tick(self) -> None:
        now_s = self._clock()
        passed_s, self._last_s = now_s - self._last_s, now_s
        activity = self._activities[-1] if self._activities else ""
        self._seconds[activity] += passed_s
        if activity in SESSION and self._sessions_s:
            self._sessions_s[-1] += passed_s

    def _pace_s(self, activity: str) -> float | None:
        """Returns seconds a step; None where too little of it was seen."""
        steps, seconds = self._steps[activity], self._seconds[activity]
        if activity == TRAINING:
            steps, seconds = self._whole_lumps
            if steps < _ENOUGH_STEPS and seconds < _ENOUGH_S:
                return None
        return seconds / steps if steps else None

    def _mean_s(self, activity: str) -> float:
        count = self._counts[activity]
        return self._seconds[activity] / count if count else 0.0

    def _evaluation_s(self) -> float:
        if self._counts[EVALUATING]:
            return self._mean_s(EVALUATING)
        # Nothing is learned in it: its steps take about as long as those of exploring do.
        pace_s = self._pace_s(EXPLORING) or self._pace_s(TRAINING) or 0.0
        return self._work.eval_steps * pace_s
