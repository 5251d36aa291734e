"""The service as an application: endpoints under /api/v1, the pages, and the guard before them."""

from urllib.parse import SplitResult, urlsplit

from fastapi import FastAPI

from prefrl.labelling.service.clips import clip_routes
from prefrl.labelling.service.guard import Guard
from prefrl.labelling.service.owner import owner_routes
from prefrl.labelling.service.pages import page_routes
from prefrl.labelling.service.parts import API, Parts
from prefrl.labelling.service.problems import add_problems
from prefrl.labelling.service.progress import health_routes, progress_routes
from prefrl.labelling.service.questions import presence_routes, question_routes
from prefrl.labelling.service.settings import ServiceSettings
from prefrl.labelling.store import LabelStore
from prefrl.records.versions import version_of

_TEXT = """Questions to people, and their answers.

Ask with `Authorization: Bearer TOKEN`. The tokens of the owner and of one annotator are in the
run's `labelling.json`; the owner makes tokens for others.
"""


def make_app(store: LabelStore, settings: ServiceSettings | None = None) -> FastAPI:
    """Makes the labelling service of a store, as an ASGI application.

    Args:
        store: where questions, answers and clips are; other processes use it at the same time.
        settings: of the service.
    """
    settings = settings or ServiceSettings()
    parts = Parts(store, settings)
    app = FastAPI(
        title="prefrl labelling",
        version=version_of("prefrl") or "unknown",
        description=_TEXT,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # it would load scripts from elsewhere
        redoc_url=None,
        # An address that is sent on to would lack what a reverse proxy has put before it.
        redirect_slashes=False,
    )
    add_problems(app)
    # Of two that fit an address, the first one answers: annotators/me is no annotator's name.
    for routes in (
        question_routes(parts),
        presence_routes(parts),
        progress_routes(parts),
        health_routes(parts),
        clip_routes(parts),
        owner_routes(parts),
    ):
        app.include_router(routes, prefix=API)
    app.include_router(health_routes(parts), include_in_schema=False)
    app.include_router(page_routes())
    url = urlsplit(settings.public_url)
    app.add_middleware(
        Guard,
        hosts=[*settings.allowed_hosts, *([url.hostname] if url.hostname else [])],
        origins=[_origin(url)] if url.netloc else [],
        max_body_bytes=settings.max_body_bytes,
    )
    return app


def _origin(url: SplitResult) -> str:
    """Returns the origin of an address as browsers say it, without a port that is the usual one."""
    usual = {"http": ":80", "https": ":443"}[url.scheme]
    return f"{url.scheme}://{url.netloc.removesuffix(usual)}"
