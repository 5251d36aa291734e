"""Errors as responses: a status and one line, and never a trace of where they came from."""

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from prefrl.errors import one_line, shown
from prefrl.labelling.errors import (
    Closed,
    LeasedByOther,
    Unavailable,
    UnknownAnnotator,
    UnknownQuestion,
)
from prefrl.labelling.service.access import Refused

LOG = logging.getLogger("prefrl.labelling.service")
# The database may be back any moment; nobody should ask all the time.
AWAY_RETRY_S = 2
_STATUS: Mapping[type[Exception], int] = {
    UnknownQuestion: 404,
    LeasedByOther: 409,
    Closed: 410,
}
_SAYS: Mapping[int, str] = {
    400: "The request is not well-formed.",
    401: "There is no token, or it is not valid, or not any more.",
    403: "The token is valid, but for something else.",
    404: "There is no such thing.",
    409: "Somebody else has it.",
    410: "It was withdrawn, others have answered it, or the budget is spent.",
    413: "The request is too large.",
    416: "No byte of the clip is in that range.",
    422: "A value is missing, or is none that is expected.",
    429: "Too many wrong tokens came from this address; Retry-After says when to try again.",
    503: "The database is away, or something is not ready; Retry-After says when to try again.",
}
_LONGEST = 300


class Problem(BaseModel):
    """One line that says what was wrong."""

    detail: str


def may_answer(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declares the errors of an endpoint, for its OpenAPI entry."""
    return {status: {"model": Problem, "description": _SAYS[status]} for status in statuses}


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Returns an error as a response."""
    return JSONResponse({"detail": detail}, status, headers=headers)


def add_problems(app: FastAPI) -> None:
    """Makes an application answer each kind of error with its status."""

    def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refused)
        return problem(error.status, error.detail, error.headers)

    def of_store(_: Request, error: Exception) -> JSONResponse:
        return problem(_STATUS[type(error)], one_line(str(error)))

    def revoked(_: Request, __: Exception) -> JSONResponse:
        headers = {"WWW-Authenticate": "Bearer"}
        return problem(401, "the token is not valid any more", headers)

    def away(_: Request, error: Exception) -> JSONResponse:
        # The line names the database, which is nothing to everybody who asks.
        LOG.warning("%s", error)
        return problem(503, "the database is away", {"Retry-After": str(AWAY_RETRY_S)})

    def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        errors = error.errors()
        # FastAPI then takes the whole body for one text, and says that this is no object.
        if any(one["loc"] == ("body",) and isinstance(one.get("input"), bytes) for one in errors):
            given = request.headers.get("content-type")
            named = f"Content-Type is {shown(given)}" if given else "Content-Type is missing"
            return problem(422, f"{named}; expected application/json")
        is_json = all(one["type"] not in ("json_invalid", "json_type") for one in errors)
        return problem(422 if is_json else 400, _worded(errors))

    def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, one_line(str(error.detail)), error.headers)

    def unforeseen(_: Request, __: Exception) -> JSONResponse:
        return problem(500, "the service failed; its log says why")

    app.add_exception_handler(Refused, refused)
    for kind in _STATUS:
        app.add_exception_handler(kind, of_store)
    app.add_exception_handler(UnknownAnnotator, revoked)
    app.add_exception_handler(Unavailable, away)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unforeseen)


def _worded(errors: Any) -> str:
    """Says what is wrong with a request, without repeating what was sent."""
    lines = []
    for one in errors:
        where = ".".join(str(part) for part in one["loc"] if part not in ("body", "query", "path"))
        said = str(one["msg"]).removeprefix("Value error, ")
        lines.append(f"{where[:60]}: {said}" if where else said)
    return one_line("; ".join(lines))[:_LONGEST]
