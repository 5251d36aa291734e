"""Endpoints that say how far the labelling and the run are, and whether the service works."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends

from prefrl.labelling.rows import Annotator, OwnAnswer
from prefrl.labelling.run_status import read_run_status
from prefrl.labelling.service.bodies import Health, Me, Progress, Run
from prefrl.labelling.service.parts import Parts, clip_address
from prefrl.labelling.service.problems import may_answer
from prefrl.labelling.service.waiting import Situation, why_none
from prefrl.labelling.statistics import answers_per_hour

PACE_NEEDS = 20
"""Answers from which on somebody is told their pace: of fewer, one long look makes most of it."""


def progress_routes(parts: Parts) -> APIRouter:
    """Returns the endpoints that say how far it all is."""
    routes = APIRouter(tags=["answering"])
    store, digest = parts.store, parts.digest
    Asker = Annotated[Annotator, Depends(parts.access.annotator)]
    refusals = may_answer(400, 401, 403, 429, 503)

    @routes.get("/progress", responses=refusals)
    def progress(annotator: Asker) -> Progress:
        """Says how far the labelling is, and how far you are."""
        pending, run = digest.pending(), read_run_status(store)
        own = store.answers_of(annotator.name)
        num_answers, num_skips = _num(own)
        rules, is_paused = store.settings_and_pause()
        situation = Situation(
            run,
            pending,
            budget=rules.budget,
            is_paused=is_paused,
            num_unrendered=digest.num_unrendered(),
            num_faulty=len(digest.clip_failures()),
        )
        return Progress(
            answered=pending.spent,
            waiting=pending.open + pending.leased,
            budget=rules.budget,
            own_answers=num_answers,
            own_skips=num_skips,
            answers_per_hour=answers_per_hour(own) if num_answers >= PACE_NEEDS else None,
            is_paused=is_paused,
            waits_for=run.waits_for,
            why_none=why_none(situation),
            has_ended=run.has_ended,
        )

    @routes.get("/annotators/me", responses=refusals)
    def me(annotator: Asker) -> Me:
        """Says who you are."""
        num_answers, num_skips = _num(store.answers_of(annotator.name))
        return Me(
            name=annotator.name, answers=num_answers, skips=num_skips, added_s=annotator.added_s
        )

    @routes.get(
        "/run",
        dependencies=[Depends(parts.access.anybody)],
        responses=may_answer(400, 401, 429, 503),
    )
    def run() -> Run:
        """Says how the run stands that the answers are for."""
        status = read_run_status(store)
        return Run(
            env_id=status.env_id,
            step=status.step,
            num_steps=status.num_steps,
            waits_for=status.waits_for,
            has_ended=status.has_ended,
            policy_clip=clip_address(status.policy_clip) if status.policy_clip else None,
            policy_step=status.policy_step,
            curve=[list(point) for point in status.curve],
            curve_name=status.curve_name,
            instructions=parts.instructions,
        )

    return routes


def health_routes(parts: Parts) -> APIRouter:
    """Returns the endpoint that says whether the service works."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz", responses=may_answer(503))
    def healthz() -> Health:
        """Answers where the service and its database do."""
        parts.store.revision()
        return Health()

    return routes


def _num(answers: Sequence[OwnAnswer]) -> tuple[int, int]:
    num_skips = sum(one.said == "skip" for one in answers)
    return len(answers) - num_skips, num_skips
