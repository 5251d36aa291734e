"""The standing of a question with all that was said of it: the rules that its answers make."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from prefrl.feedback.protocols import Answer
from prefrl.session.question_store import QuestionState, Standing

# So many skips end a question for everybody.
ENOUGH_SKIPS = 2


def state_by_answers(
    num_told: int, num_skips: int, *, wanted: int, is_nobody_left: bool
) -> QuestionState:
    """Returns the state that the answers to a question make: the one rule of every kind of store.

    Args:
        num_told: answers that are no skips.
        num_skips: the others.
        wanted: annotators that are to answer it.
        is_nobody_left: all who could answer it have said something.

    Returns:
        answered, skipped or open.
    """
    if num_told >= wanted:
        return "answered"
    if num_skips >= ENOUGH_SKIPS or (num_skips and is_nobody_left):
        return "answered" if num_told else "skipped"
    return "open"


@dataclass(frozen=True)
class ToldStanding(Standing):
    """The standing of a question, with all that was said.

    Args:
        answers: one answer of an annotator, in the order in which they came.
        wanted: annotators that are to answer it.
        leases: who has leased it, and until when, in seconds since 1970. One that has ended stays:
            it says who had the question last.
    """

    answers: tuple[Answer, ...] = ()
    wanted: int = 1
    leases: Mapping[str, float] = field(default_factory=dict)

    @property
    def num_told(self) -> int:
        """Counts the answers that are no skips."""
        return sum(not answer.is_skip for answer in self.answers)

    def answer_of(self, annotator: str) -> Answer | None:
        """Returns what somebody has said; None: nothing."""
        return next((one for one in self.answers if one.annotator == annotator), None)

    def holders(self, now_s: float) -> set[str]:
        """Returns who looks at it."""
        return {name for name, until_s in self.leases.items() if until_s > now_s}

    def has_room(self, annotator: str, now_s: float) -> bool:
        """Tells whether it wants one more than have answered it, and than others look at it."""
        return self.num_told + len(self.holders(now_s) - {annotator}) < self.wanted

    def at(self, now_s: float) -> "ToldStanding":
        """Returns it as it stands at a time: leased, where somebody looks at it."""
        if not self.leases:
            return self
        name = max(self.leases, key=lambda one: (self.leases[one], one))
        is_leased = self.state == "open" and self.leases[name] > now_s
        state: QuestionState = "leased" if is_leased else self.state
        return replace(self, state=state, holder=name, leased_until_s=self.leases[name])

    def leased_to(self, annotator: str, until_s: float) -> "ToldStanding":
        """Returns it leased to somebody."""
        return replace(self, leases={**self.leases, annotator: until_s})

    def without_lease(self, annotator: str | None, now_s: float) -> "ToldStanding":
        """Returns it with a lease ended before its time; of None, with all of them ended."""
        ended = {
            name: min(until_s, now_s) if annotator in (None, name) else until_s
            for name, until_s in self.leases.items()
        }
        return replace(self, leases=ended)

    def settled(self, *, num_annotators: int, is_repeat: bool) -> "ToldStanding":
        """Returns it in the state that its answers make; one that was withdrawn stays that.

        Args:
            num_annotators: how many there are; where all have said something, nobody is left.
            is_repeat: it is for one of them alone.
        """
        if self.state == "withdrawn":
            return self
        state = state_by_answers(
            self.num_told,
            len(self.answers) - self.num_told,
            wanted=self.wanted,
            is_nobody_left=is_repeat or len(self.answers) >= num_annotators,
        )
        return self.in_state(state)

    def ended(self, now_s: float) -> "ToldStanding":
        """Returns it without waiting for more: answered with what was said, or withdrawn."""
        ended = self.without_lease(None, now_s)
        if not self.num_told:
            return ended.in_state("withdrawn")
        return replace(ended, wanted=self.num_told).in_state("answered")

    def in_state(self, state: QuestionState) -> "ToldStanding":
        """Returns it in another state, with the answer that it has there."""
        return replace(self, state=state, answer=self._joint_answer(state))

    def _joint_answer(self, state: QuestionState) -> Answer | None:
        if state not in ("answered", "skipped"):
            return None
        votes = [one for one in self.answers if one.is_skip == (state == "skipped")]
        if len(votes) < 2 or state == "skipped":
            return next(iter(votes), None)
        p_left = math.fsum(one.p_left for one in votes) / len(votes)
        return replace(votes[-1], p_left=p_left, annotator="")
