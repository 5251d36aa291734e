"""The settings of pace: what the agent does while questions are open."""

from typing import Literal

from prefrl.config.checking import settings
from prefrl.config.ranges import CountInt, PositiveFloat, PositiveInt

PaceName = Literal["sync", "answers", "steps"]


@settings()
class PaceConfig:
    """The pace of a run: what the agent does while a teacher takes its time.

    Args:
        pace: sync: each session waits for its answers. answers: the agent goes on with the reward
            it has, or explores before it has one, for `max_steps_ahead` steps at most, and then
            waits, so that the rest of a phase is trained on its share of the answers. steps: the
            agent never waits; sessions are fitted to what has arrived, and what is open at the end
            is withdrawn.
        answer_timeout: seconds after which a session stops waiting; a question that was open for so
            long is withdrawn when the next session begins, and another one asked in its place.
            None: there is no end to waiting.
        max_steps_ahead: steps that pace `answers` takes before it waits. None: as many as the phase
            has that the session belongs to, but half of what the run still has at most.
        min_first_answers: answers before pace `steps` fits for the first time; until then the agent
            explores. The budget, where that is smaller.
        open_ahead: questions that are open at once, at most; others are put as these are answered,
            chosen by the newest model, and one that nobody has answered for two sessions is
            withdrawn, unless somebody looks at it. None: all of a session are put at once.
        sync_feedback: each session is put at once, waited for, and taken as a whole, so that the
            run ends as one whose teacher answers at once and says the same.
    """

    pace: PaceName = "sync"
    answer_timeout: PositiveFloat | None = None
    max_steps_ahead: CountInt | None = None
    min_first_answers: PositiveInt = 20
    open_ahead: PositiveInt | None = None
    sync_feedback: bool = False
