"""Clips by their address, whole or a range of bytes; what is at an address never changes."""

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from prefrl.labelling.rows import StoredClip
from prefrl.labelling.service.access import Refused
from prefrl.labelling.service.parts import Parts
from prefrl.labelling.service.problems import may_answer

_FOREVER = "private, max-age=31536000, immutable"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
Key = Annotated[
    str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of what the clip is rendered from.")
]
_HEADERS = {
    "Clip-Fps": {"description": "Frames a second.", "schema": {"type": "number"}},
    "Clip-Frames": {"description": "How many frames it has.", "schema": {"type": "integer"}},
    "Clip-Counts": {
        "description": "FIRST-STOP: the frames that the question is about; others are context.",
        "schema": {"type": "string"},
    },
}
_FILM = {"content": {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}}


def clip_routes(parts: Parts) -> APIRouter:
    """Returns the endpoint of clips."""
    routes = APIRouter(prefix="/clips", tags=["answering"])
    allowed = Depends(parts.access.anybody)

    @routes.get(
        "/{key}",
        response_class=Response,
        dependencies=[allowed],
        responses={
            200: {"description": "The clip.", "headers": _HEADERS, **_FILM},
            206: {"description": "The bytes asked for.", "headers": _HEADERS, **_FILM},
            304: {"description": "You have it."},
            **may_answer(400, 401, 404, 416, 422, 429, 503),
        },
    )
    @routes.head("/{key}", include_in_schema=False, dependencies=[allowed])
    def clip(key: Key, request: Request) -> Response:
        """Returns a clip: an MP4 film."""
        found = parts.store.clip(key)
        if found is None:
            raise Refused(404, "there is no such clip, or it is rendered again first")
        return _response(found, request)

    return routes


def _response(clip: StoredClip, request: Request) -> Response:
    tag = f'"{clip.key}"'
    headers = {"ETag": tag, "Cache-Control": _FOREVER, "Accept-Ranges": "bytes", **_about(clip)}
    known = [one.strip() for one in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range", "")
    is_same = request.headers.get("if-range", tag) == tag
    asked = _asked(wanted, len(clip.mp4)) if is_same else None
    if asked is None:
        return _film(clip.mp4, 200, headers, request)
    first, stop = asked
    if first >= stop:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{len(clip.mp4)}"})
    headers["Content-Range"] = f"bytes {first}-{stop - 1}/{len(clip.mp4)}"
    return _film(clip.mp4[first:stop], 206, headers, request)


def _film(content: bytes, status: int, headers: dict[str, str], request: Request) -> Response:
    response = Response(content, status, headers, media_type="video/mp4")
    if request.method == "HEAD":
        response.body = b""  # after its length was noted
    return response


def _asked(header: str, size: int) -> tuple[int, int] | None:
    """Returns the first byte of a range and the one after the last; None: all of it.

    Several ranges at once, which no player asks for, and what is no range are not heeded, as RFC
    9110 allows.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        return max(size - int(last), 0), size
    if last != "" and int(last) < int(first):
        return None
    return int(first), size if last == "" else min(int(last) + 1, size)


def _about(clip: StoredClip) -> dict[str, str]:
    """Returns what a player must know of a clip, as headers: it is fetched together with it."""
    about = {}
    for header, name in (("Clip-Fps", "fps"), ("Clip-Frames", "num_frames")):
        if isinstance(value := clip.meta.get(name), (int, float)):
            about[header] = f"{value:g}" if name == "fps" else str(int(value))
    counts = clip.meta.get("counts")
    if isinstance(counts, (list, tuple)) and len(counts) == 2:
        about["Clip-Counts"] = f"{int(counts[0])}-{int(counts[1])}"
    return about
