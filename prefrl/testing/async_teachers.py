"""The contract of a teacher that answers in its own time."""

import time
from collections.abc import Callable, Sequence

from prefrl.feedback.protocols import Answer, AsyncTeacher, Question
from prefrl.segments import SegmentBatch
from prefrl.testing.clauses import calling, leaving_alone, require

NUM_QUESTIONS = 20
FIRST_ID = 7
# Long for any machine, short for any person.
PATIENCE_S = 2.0


def check_in_its_own_time(make_teacher: Callable[[], AsyncTeacher], pool: SegmentBatch) -> None:
    """Checks `ask` and `collect` of a teacher that answers in its own time.

    Args:
        make_teacher: makes a new teacher that has been asked nothing.
        pool: 40 segments to ask about.

    Raises:
        ContractError: a clause is broken.
    """
    questions = [
        Question(FIRST_ID + i, pool[i], pool[i + NUM_QUESTIONS]) for i in range(NUM_QUESTIONS)
    ]
    teacher = make_teacher()
    _collect(teacher, ())
    _ask(teacher, ())
    _ask(teacher, questions[:1])
    _collect(teacher, questions[:1])
    _ask(teacher, questions[1:])
    _collect(teacher, questions)
    _ask(teacher, questions)  # as after a restart, under the ids that they had
    _collect(teacher, questions)
    newcomer = make_teacher()
    _ask(newcomer, questions[:5])
    _collect(newcomer, questions[:5])


def _ask(teacher: AsyncTeacher, questions: Sequence[Question]) -> None:
    began_s = time.monotonic()
    with (
        leaving_alone("the teacher, in `ask`,", questions=list(questions)),
        calling(f"the teacher, asked {len(questions)} questions,"),
    ):
        teacher.ask(questions)
    _require_at_once("ask", began_s)


def _collect(teacher: AsyncTeacher, questions: Sequence[Question]) -> None:
    """Collects, with the checks that hold for whatever has arrived."""
    began_s = time.monotonic()
    with (
        leaving_alone("the teacher, in `collect`,", questions=list(questions)),
        calling(f"the teacher, in `collect` after {len(questions)} questions,"),
    ):
        answers = teacher.collect()
    _require_at_once("collect", began_s)
    require(
        isinstance(answers, Sequence) and all(isinstance(one, Answer) for one in answers),
        f"the teacher's `collect` returned {_kind_of(answers)}; expected a list of `Answer`",
    )
    asked = {question.id for question in questions}
    for answer in answers:
        require(
            answer.question in asked,
            f"the teacher answered question {answer.question}, which it was not asked",
        )


def _kind_of(answers: object) -> str:
    if isinstance(answers, Sequence) and answers:
        return f"a {type(answers).__name__} of {type(answers[0]).__name__}"
    return f"a {type(answers).__name__}"


def _require_at_once(name: str, began_s: float) -> None:
    took_s = time.monotonic() - began_s
    require(
        took_s < PATIENCE_S,
        f"the teacher's `{name}` took {took_s:.1f} s; it returns at once, and `collect` gives what "
        "has arrived by then",
    )
