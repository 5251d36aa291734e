"""Endpoints for the owner: annotators, questions, how well it all goes, pause and export."""

import dataclasses
import tempfile
from pathlib import Path as FilePath
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Path, Query, Response
from numpy.typing import NDArray

from prefrl.errors import DataError, one_line
from prefrl.labelling.errors import UnknownAnnotator
from prefrl.labelling.run_status import read_run_status
from prefrl.labelling.service.access import Refused
from prefrl.labelling.service.bodies import (
    AnnotatorRow,
    AnswerBy,
    Asking,
    Invitation,
    Name,
    Overview,
    PairRow,
    QuestionPage,
    QuestionRow,
    Segments,
    ShareOf,
    Side,
)
from prefrl.labelling.service.parts import Parts
from prefrl.labelling.service.problems import may_answer
from prefrl.labelling.service.questions import Id, known_id
from prefrl.labelling.statistics import LabellingStatistics, labelling_statistics
from prefrl.segments import SegmentBatch
from prefrl.session.questions import QuestionState

_PAGE = 50
_refusals = may_answer(400, 401, 403, 429, 503)


def owner_routes(parts: Parts) -> APIRouter:
    """Returns the endpoints that the owner's token opens."""
    routes = APIRouter(tags=["owner"], dependencies=[Depends(parts.access.owner)])
    _add_annotators(routes, parts)
    _add_questions(routes, parts)
    _add_overview(routes, parts)
    return routes


def _add_annotators(routes: APIRouter, parts: Parts) -> None:
    store, public = parts.store, parts.settings.public_url.rstrip("/")
    url = f"{public}/" if public else ""

    @routes.post("/annotators", status_code=201, responses=_refusals | may_answer(409, 413, 422))
    def post_annotator(given: Name) -> Invitation:
        """Invites an annotator."""
        try:
            token = store.add_annotator(given.name)
            return Invitation(name=given.name, token=token, url=url)
        except DataError as error:
            raise Refused(409, one_line(str(error))) from None

    @routes.post("/annotators/tokens", responses=_refusals | may_answer(404, 413, 422))
    def post_token(given: Name) -> Invitation:
        """Gives an annotator another token; the old one is not valid from now on."""
        try:
            token = store.renew_token(given.name)
        except UnknownAnnotator as error:
            raise Refused(404, one_line(str(error))) from None
        parts.access.forget()
        return Invitation(name=given.name, token=token, url=url)

    @routes.delete(
        "/annotators/{name:path}", status_code=204, responses=_refusals | may_answer(404, 422)
    )
    def delete_annotator(
        name: Annotated[str, Path(max_length=80)],
        with_answers: Annotated[bool, Query(description="Their answers go, too.")] = False,
    ) -> None:
        """Removes an annotator: name and token; their answers stay unless told otherwise."""
        try:
            store.revoke(name, with_answers=with_answers)
        except UnknownAnnotator as error:
            raise Refused(404, one_line(str(error))) from None
        parts.access.forget()


def _add_questions(routes: APIRouter, parts: Parts) -> None:
    store = parts.store

    @routes.get("/questions/{id}/segments", responses=_refusals | may_answer(404, 422))
    def segments(id: Id) -> Segments:  # noqa: A002
        """Returns what a question is about, as numbers, without rewards."""
        question = store.question(known_id(id))
        return Segments(id=id, left=_side(question.left), right=_side(question.right))

    @routes.get("/questions", responses=_refusals | may_answer(422))
    def questions(
        state: QuestionState | None = None,
        before: Annotated[int | None, Query(ge=0, description="Older than this one.")] = None,
    ) -> QuestionPage:
        """Lists questions, the newest first, with what was said and predicted of them."""
        standings = store.standings(*((state,) if state else ()))
        ids = sorted((one for one in standings if before is None or one < before), reverse=True)
        shown, predictions = ids[:_PAGE], store.predictions()
        wanted = set(shown)
        said: dict[int, list[AnswerBy]] = {}
        for name, answers in parts.digest.answers().items():
            for one in answers:
                if one.question in wanted:
                    answer = AnswerBy(annotator=name, said=one.said or "votes")
                    said.setdefault(one.question, []).append(answer)
        rows = []
        for number in shown:
            standing, predicted = standings[number], predictions.get(number)
            by_head = list(predicted.p_left_by_head) if predicted else []
            rows.append(
                QuestionRow(
                    id=number,
                    state=standing.state,
                    holder=standing.holder if standing.state == "leased" else "",
                    answers=said.get(number, []),
                    p_left=predicted.p_left if predicted else None,
                    p_left_by_head=by_head,
                    model_version=predicted.model_version if predicted else None,
                )
            )
        return QuestionPage(questions=rows, before=shown[-1] if len(ids) > _PAGE else None)

    @routes.get(
        "/export",
        response_class=Response,
        responses={
            200: {"content": {"application/octet-stream": {"schema": {"type": "string"}}}},
            **_refusals,
            **may_answer(404),
        },
    )
    def export() -> Response:
        """Returns all answers as a file in the interchange format."""
        with tempfile.TemporaryDirectory() as folder:
            path = FilePath(folder) / "comparisons.npz"
            try:
                store.export(path, env_id=read_run_status(store).env_id or None)
            except DataError as error:
                raise Refused(404, one_line(str(error))) from None
            content = path.read_bytes()
        return Response(
            content,
            media_type="application/octet-stream",
            headers={"Content-Disposition": 'attachment; filename="comparisons.npz"'},
        )


def _add_overview(routes: APIRouter, parts: Parts) -> None:
    store = parts.store

    @routes.get("/overview", responses=_refusals)
    def overview() -> Overview:
        """Says how many questions there are, how well people agree, and how well they are known."""
        counts, run = parts.digest.counts(), read_run_status(store)
        told = _statistics(parts)
        numbers = dataclasses.asdict(counts)
        return Overview(
            **{name: numbers[name] for name in Overview.model_fields if name in numbers},
            budget=store.settings().budget,
            is_paused=store.is_paused(),
            accuracy=run.accuracy,
            model_agreement=_share(told.model_agreement),
            agreement=_share(told.agreement),
            kappa=told.kappa,
            pairs=[
                PairRow(
                    annotators=list(pair.annotators),
                    agreement=_share(pair.agreement),
                    kappa=pair.kappa,
                )
                for pair in told.pairs
            ],
            annotators=_annotators(parts, told),
            clip_failures=store.clip_failures(also_withdrawn=True),
        )

    @routes.put("/asking", status_code=204, responses=_refusals | may_answer(413, 422))
    def put_asking(given: Asking) -> None:
        """Pauses the handing out of questions, or goes on; what is leased may be answered."""
        store.pause(given.is_paused)


def _statistics(parts: Parts) -> LabellingStatistics:
    rows = [one for answers in parts.digest.answers().values() for one in answers]
    p_left = {number: one.p_left for number, one in parts.store.predictions().items()}
    return labelling_statistics(rows, p_left=p_left)


def _annotators(parts: Parts, told: LabellingStatistics) -> list[AnnotatorRow]:
    """Returns those who are invited, and those who have answered."""
    invited = {one.name: one for one in parts.store.annotators()}
    known = {one.annotator: one for one in told.annotators}
    nothing = labelling_statistics([]).agreement
    rows = []
    for name in [*invited, *(name for name in known if name not in invited)]:
        who, one = invited.get(name), known.get(name)
        rows.append(
            AnnotatorRow(
                name=name,
                is_invited=who is not None,
                added_s=who.added_s if who else None,
                seen_s=who.seen_s if who else None,
                num_answers=one.num_answers if one else 0,
                num_ties=one.num_ties if one else 0,
                num_skips=one.num_skips if one else 0,
                num_repeats=one.num_repeats if one else 0,
                self_agreement=_share(one.self_agreement if one else nothing),
                left_share=_share(one.left_share if one else nothing),
                model_agreement=_share(one.model_agreement if one else nothing),
                answers_per_hour=one.answers_per_hour if one else None,
                median_response_time_s=one.median_response_time_s if one else None,
            )
        )
    return rows


def _share(share: Any) -> ShareOf:
    return ShareOf(**dataclasses.asdict(share))


def _side(segment: SegmentBatch) -> Side:
    num = int(segment.length[0])
    return Side(
        observations=_rows(segment.observations[0, :num]),
        actions=_rows(segment.actions[0, :num]),
        states=_rows(segment.sim_states[0, :num]),
    )


def _rows(numbers: NDArray[Any]) -> list[list[float | None]]:
    """Returns (T, D) numbers as JSON has them."""
    if np.isfinite(numbers).all():
        rows: list[list[float | None]] = numbers.tolist()
        return rows
    return [[one if np.isfinite(one) else None for one in row] for row in numbers.tolist()]
