"""The pages: static files, read once, so that no path of a request reaches the file system."""

import hashlib
from collections.abc import Callable
from importlib import resources

from fastapi import APIRouter, Request, Response

SCRIPTS = ("page", "owner", "shared", "player", "outbox", "curve", "tour")
# Each file by its address.
FILES = {
    "/": "index.html",
    "/owner": "owner.html",
    "/page/page.css": "page.css",
    "/page/icon.svg": "icon.svg",
    "/page/practice-left.mp4": "practice-left.mp4",
    "/page/practice-right.mp4": "practice-right.mp4",
    **{f"/page/{name}.js": f"{name}.js" for name in SCRIPTS},
}
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mp4": "video/mp4",
    "svg": "image/svg+xml",
}


def page_routes() -> APIRouter:
    """Returns the endpoints of the pages."""
    routes = APIRouter(include_in_schema=False)
    folder = resources.files("prefrl.labelling") / "page"
    for address, name in FILES.items():
        content = (folder / name).read_bytes()
        routes.add_api_route(
            address, _endpoint(content, _TYPES[name.rpartition(".")[2]]), methods=["GET", "HEAD"]
        )
    return routes


def _endpoint(content: bytes, media_type: str) -> Callable[[Request], Response]:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    # A page of an older version must not meet the service of a newer one.
    headers = {"ETag": tag, "Cache-Control": "no-cache"}

    def page(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        response = Response(content, headers=headers, media_type=media_type)
        if request.method == "HEAD":
            response.body = b""
        return response

    return page
