"""Endpoints for whoever answers: the next question, its answer, and that they are still there."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from prefrl.labelling.errors import UnknownQuestion
from prefrl.labelling.rows import Annotator
from prefrl.labelling.service.bodies import AnswerGiven, QuestionShown
from prefrl.labelling.service.parts import NOTHING_RETRY_S, Parts, clip_address
from prefrl.labelling.service.problems import may_answer

LARGEST_ID = 2**63 - 1
Id = Annotated[int, Path(ge=0, description="The question's id.")]


def question_routes(parts: Parts) -> APIRouter:
    """Returns the endpoints for whoever answers."""
    routes = APIRouter(prefix="/questions", tags=["answering"])
    store = parts.store
    Asker = Annotated[Annotator, Depends(parts.access.annotator)]

    @routes.get(
        "/next",
        response_model=QuestionShown,
        responses={
            204: {"description": "No question waits; Retry-After says when to ask again."},
            **may_answer(400, 401, 403, 422, 429, 503),
        },
    )
    def next_question(
        annotator: Asker,
        after: Annotated[
            int | None,
            Query(
                ge=0,
                le=LARGEST_ID,
                description="The question you have: one more is leased, two at most.",
            ),
        ] = None,
    ) -> QuestionShown | Response:
        """Leases a question: your oldest lease, prolonged, else the oldest that waits for you."""
        leased = store.next_question(annotator.name, after=after)
        if leased is None:
            return Response(status_code=204, headers={"Retry-After": str(NOTHING_RETRY_S)})
        return QuestionShown(
            id=leased.question,
            left=clip_address(leased.left_clip) if leased.left_clip else "",
            right=clip_address(leased.right_clip) if leased.right_clip else "",
            instructions=parts.instructions,
            deadline_s=leased.deadline_s,
        )

    @routes.put(
        "/{id}/answer",
        status_code=204,
        responses=may_answer(400, 401, 403, 404, 409, 410, 413, 422, 429, 503),
    )
    def put_answer(annotator: Asker, id: Id, given: AnswerGiven) -> None:  # noqa: A002
        """Records your answer, in the place of an earlier one of yours.

        It is on disk when this returns. The same answer may be sent any number of times.
        """
        store.give(
            annotator.name, known_id(id), given.answer, response_time_s=given.response_time_s
        )

    @routes.delete(
        "/{id}/answer",
        status_code=204,
        responses=may_answer(400, 401, 403, 404, 409, 410, 422, 429, 503),
    )
    def delete_answer(annotator: Asker, id: Id) -> None:  # noqa: A002
        """Takes your answer back; the question is leased to you again."""
        store.undo(annotator.name, known_id(id))

    return routes


def presence_routes(parts: Parts) -> APIRouter:
    """Returns the endpoint by which a page says that somebody still looks at it."""
    routes = APIRouter(tags=["answering"])
    Asker = Annotated[Annotator, Depends(parts.access.annotator)]

    @routes.put(
        "/annotators/me/presence", status_code=204, responses=may_answer(400, 401, 403, 429, 503)
    )
    def put_presence(annotator: Asker) -> None:
        """Prolongs your leases: you are still there."""
        parts.store.renew(annotator.name)

    return routes


def known_id(number: int) -> int:
    """Returns the id of a question, unless no database could hold it."""
    if number > LARGEST_ID:
        raise UnknownQuestion(f"there is no question {str(number)[:40]}")
    return number
