"""Dataclasses of everything that the labelling store hands out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from prefrl.errors import DataError, shown

Said = Literal["left", "right", "tie", "skip"]
P_LEFT: Mapping[Said, float | None] = {"left": 1.0, "right": 0.0, "tie": 0.5, "skip": None}


@dataclass(frozen=True)
class StoreSettings:
    """The rules by which questions are handed out.

    Args:
        budget: questions that may be answered; None: any number.
        overlap: share of the questions that two annotators are to answer, in [0, 1].
        lease_s: for so long a question is reserved for whoever looks at it.
        needs_clips: a question is handed out when both of its clips are there, not before.
        max_clip_bytes: clips take no more than this, those of pending questions set aside.
        active_s: an annotator counts as active for so long after the last call.

    Raises:
        DataError: one of them is out of range; it is named.
    """

    budget: int | None = None
    overlap: float = 0.0
    lease_s: float = 60.0
    needs_clips: bool = True
    max_clip_bytes: int = 256 * 2**20
    active_s: float = 600.0

    def __post_init__(self) -> None:
        if not 0 <= self.overlap <= 1:
            raise DataError(f"overlap is {shown(self.overlap)}; expected 0 to 1")
        for name in ("budget", "max_clip_bytes"):
            if (value := getattr(self, name)) is not None and value < 0:
                raise DataError(f"{name} is {shown(value)}; expected 0 or more")
        for name in ("lease_s", "active_s"):
            if not 0 < getattr(self, name) < math.inf:
                value = shown(getattr(self, name))
                raise DataError(f"{name} is {value}; expected a number of seconds above 0")


@dataclass(frozen=True)
class Owner:
    """The run that a database belongs to.

    Args:
        run: an id that no other run has.
        name: of its folder, for people.
        folder: where that is; "" is not known.
        turns: an id for each time that the run was gone on with in this database.
    """

    run: str
    name: str
    folder: str = ""
    turns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Annotator:
    """Somebody who answers.

    Args:
        name: theirs.
        added_s: when they were invited, in seconds since 1970.
        seen_s: when they last asked or answered; None: never.
    """

    name: str
    added_s: float
    seen_s: float | None = None


@dataclass(frozen=True)
class Leased:
    """A question that an annotator has leased.

    Args:
        question: its id; `LabelStore.question` has its segments.
        left_clip: key of the left segment's clip; None where it was never asked for.
        right_clip: likewise.
        leased_until_s: when the lease ends, in seconds since 1970.
        deadline_s: seconds until then.
        repeat_of: the question whose sides it shows swapped; None: it is no repeat.
    """

    question: int
    left_clip: str | None
    right_clip: str | None
    leased_until_s: float
    deadline_s: float
    repeat_of: int | None = None


@dataclass(frozen=True)
class GivenAnswer:
    """An answer, as it stands now.

    Args:
        question: the question's id.
        annotator: who said it.
        said: left, right, tie or skip; "" for a share of votes.
        p_left: 1 left, 0 right, 0.5 tie, NaN skip.
        response_time_s: from when it was shown to when it was answered; None: not known.
        answered_s: when, in seconds since 1970; None: not known.
        policy_step: environment steps that the policy had taken when the question was put.
        model_version: of the reward model that chose the question; None: not known.
        is_repeat_of: the question whose sides were swapped; None: it is no repeat.
        session: the round of queries that the question was put in.
        is_audit: the question was drawn at random.
        source: what kind of teacher said it, as the interchange format has it; "" unknown.
    """

    question: int
    annotator: str
    said: Said | Literal[""]
    p_left: float
    response_time_s: float | None
    answered_s: float | None
    policy_step: int
    model_version: int | None = None
    is_repeat_of: int | None = None
    session: int = 0
    is_audit: bool = False
    source: str = ""


class OwnAnswer(NamedTuple):
    """An answer, as far as the pace of whoever gave it goes by it.

    Args:
        said: as in `GivenAnswer`.
        answered_s: likewise.
        response_time_s: likewise.
    """

    said: Said | Literal[""]
    answered_s: float | None
    response_time_s: float | None


@dataclass(frozen=True)
class Pending:
    """The numbers of questions by which people are told why nothing is asked; repeats are left out.

    Args:
        open: questions that nobody looks at.
        leased: that somebody looks at.
        spent: as in `Counts`.
    """

    open: int = 0
    leased: int = 0
    spent: int = 0


@dataclass(frozen=True)
class Counts:
    """The numbers of questions and answers; repeats are counted apart.

    Args:
        open: questions that nobody looks at.
        leased: that somebody looks at.
        answered: that have all the answers they want.
        skipped: that nobody could answer.
        withdrawn: that were ended without an answer.
        spent: questions with at least one answer that is no skip: what the budget counts.
        answers: answers that are no skips.
        skips: answers that are.
        repeats: repeats that were put.
        repeats_answered: of these, answered.
    """

    open: int = 0
    leased: int = 0
    answered: int = 0
    skipped: int = 0
    withdrawn: int = 0
    spent: int = 0
    answers: int = 0
    skips: int = 0
    repeats: int = 0
    repeats_answered: int = 0


@dataclass(frozen=True)
class ClipJob:
    """A clip that is to be rendered.

    Args:
        key: SHA-256 of the spec, in hexadecimal digits.
        spec: what to render, as `prefrl.labelling.clips` has it.
        leased_until_s: until then no other worker is given it, in seconds since 1970.
        attempts: how often it was begun, this time included.
    """

    key: str
    spec: bytes = field(repr=False)
    leased_until_s: float
    attempts: int


@dataclass(frozen=True)
class StoredClip:
    """A clip that was rendered.

    Args:
        key: SHA-256 of its spec.
        mp4: the film.
        meta: what is known of it: fps, num_frames, which of them count.
    """

    key: str
    mp4: bytes = field(repr=False)
    meta: Mapping[str, Any]


@dataclass(frozen=True)
class Prediction:
    """The opinions that a reward model's heads have of a question.

    Args:
        question: its id.
        p_left_by_head: (K,) each head's chance that left is preferred.
        model_version: of the model.
    """

    question: int
    p_left_by_head: tuple[float, ...]
    model_version: int

    @property
    def p_left(self) -> float:
        """Returns the mean of the heads' chances."""
        return math.fsum(self.p_left_by_head) / len(self.p_left_by_head)
