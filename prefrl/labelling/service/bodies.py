"""Bodies of requests and responses, as JSON."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from prefrl.labelling.rows import Said

_LONGEST_RESPONSE_S = 7 * 86_400.0


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class AnswerGiven(_Given):
    """An answer to a question."""

    answer: Said
    response_time_s: Annotated[float, Field(ge=0, le=_LONGEST_RESPONSE_S, strict=True)] | None = (
        Field(None, description="Seconds from when both clips were shown until it was given.")
    )


class QuestionShown(BaseModel):
    """A question, leased to whoever asked for it."""

    id: int
    left: str = Field(description="Address of the left clip, below that of the service.")
    right: str = Field(description="Likewise of the right clip.")
    instructions: str = Field(description="What to look for: HTML without scripts or pictures.")
    deadline_s: float = Field(description="Seconds until the lease ends.")


class Progress(BaseModel):
    """The progress of the labelling, and of whoever asks."""

    answered: int = Field(description="Questions answered, as the budget counts them.")
    waiting: int = Field(description="Questions that wait for an answer, leased ones included.")
    budget: int | None = Field(description="Questions that may be answered; null: any number.")
    own_answers: int = Field(description="Answers of whoever asks, skips left out.")
    own_skips: int
    answers_per_hour: float | None = Field(
        description="Of whoever asks, while they answer; null: too few to tell."
    )
    is_paused: bool = Field(description="The owner has paused the asking.")
    waits_for: str = Field(description="What the run waits for; empty: it is at work.")
    why_none: str = Field(description="Why whoever asks is asked nothing, where that is so.")
    has_ended: bool = Field(description="The run wants no more answers.")


class Me(BaseModel):
    """Whoever asks."""

    name: str
    answers: int
    skips: int
    added_s: float = Field(description="When they were invited, in seconds since 1970.")


class Run(BaseModel):
    """The run that the answers are for."""

    env_id: str
    step: int
    num_steps: int | None
    waits_for: str
    has_ended: bool
    policy_clip: str | None = Field(
        description="Address of a clip of the present policy, below that of the service."
    )
    policy_step: int | None
    curve: list[list[float]] = Field(description="(step, return) pairs so far.")
    curve_name: str
    instructions: str = Field(description="What to look for, as in a question.")


class Side(BaseModel):
    """A segment of T steps, without rewards. A number that is not finite is null."""

    observations: list[list[float | None]] = Field(description="(T, O)")
    actions: list[list[float | None]] = Field(description="(T, A)")
    states: list[list[float | None]] = Field(description="(T, Q) of the simulator; Q may be 0.")


class Segments(BaseModel):
    """Both sides of a question, for teachers that are programs."""

    id: int
    left: Side
    right: Side


# It becomes part of an address, in which "." and ".." have a meaning.
_NAME = r"^[^/\\\x00-\x1f\x7f]*[^./\\\x00-\x20\x7f][^/\\\x00-\x1f\x7f]*$"


def _name(given: str) -> str:
    if re.fullmatch(_NAME, given) is None:
        raise ValueError(
            "expected letters, digits, blanks and signs, but no / or \\ and no mere dots"
        )
    return given.strip()


class Name(_Given):
    """The name of an annotator."""

    # The pattern stands in the document alone: whoever types a name is told in words.
    name: Annotated[str, AfterValidator(_name)] = Field(
        min_length=1, max_length=80, json_schema_extra={"pattern": _NAME}
    )


class Invitation(BaseModel):
    """An annotator's token. It is not kept, so it is said once."""

    name: str
    token: str
    url: str = Field(
        description="The public address, under which they label; empty: none was given."
    )


class Health(BaseModel):
    """The service answers, and so does its database."""

    status: str = "ok"


class Asking(_Given):
    """The switch of handing questions out."""

    is_paused: Annotated[bool, Field(strict=True)]


class ShareOf(BaseModel):
    """A share with its 95% interval; null: of nothing."""

    share: float | None
    low: float | None
    high: float | None
    num: int


class AnnotatorRow(BaseModel):
    """An annotator, and what their answers say of them."""

    name: str
    is_invited: bool = Field(description="Their token is valid.")
    added_s: float | None
    seen_s: float | None
    num_answers: int
    num_ties: int
    num_skips: int
    num_repeats: int
    self_agreement: ShareOf
    left_share: ShareOf
    model_agreement: ShareOf
    answers_per_hour: float | None
    median_response_time_s: float | None


class PairRow(BaseModel):
    """Two annotators, on the questions that both answered."""

    annotators: list[str]
    agreement: ShareOf
    kappa: float | None


class Overview(BaseModel):
    """Counts of questions and answers, and how well people agree."""

    open: int
    leased: int
    answered: int
    skipped: int
    withdrawn: int
    answers: int
    skips: int
    repeats: int
    repeats_answered: int
    budget: int | None
    is_paused: bool
    accuracy: float | None = Field(
        description="Share of held-out answers that the reward model predicts."
    )
    model_agreement: ShareOf = Field(
        description="Share of decisive answers that the reward model predicted."
    )
    agreement: ShareOf = Field(description="Of two annotators who answered the same question.")
    kappa: float | None = Field(description="Cohen's kappa, over all pairs of annotators.")
    pairs: list[PairRow]
    annotators: list[AnnotatorRow]
    clip_failures: dict[int, str] = Field(
        description="Questions that cannot be shown, and why not."
    )


class AnswerBy(BaseModel):
    """An answer, and who gave it."""

    annotator: str
    said: str


class QuestionRow(BaseModel):
    """A question, as its owner sees it."""

    id: int
    state: str
    holder: str
    answers: list[AnswerBy]
    p_left: float | None = Field(description="The heads' mean chance of left; null: not predicted.")
    p_left_by_head: list[float]
    model_version: int | None


class QuestionPage(BaseModel):
    """Some of the questions, newest first."""

    questions: list[QuestionRow]
    before: int | None = Field(description="Ask with before=ID for the next ones; null: no more.")
