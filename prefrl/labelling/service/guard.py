"""The door of the service: what a request must look like before anybody reads it.

Whatever comes from another site, is addressed to a name that is not ours, or is too large or too
slow, is refused here. Each response leaves with headers that tell a browser to run and load nothing
but the service's own files.
"""

import asyncio
import ipaddress
import json
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Clips are fetched with a token first, and then shown from the browser's memory.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
# A browser asks for a page by itself when somebody follows a link from elsewhere.
_NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
_SAME_SITE = ("same-origin", "none")
_BODY_TIMEOUT_S = 10.0


class _Refused(Exception):
    """A request is not answered; holds the status and why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class Guard:
    """Stands before an application and lets in what may be answered.

    Args:
        app: what answers.
        hosts: names that the service goes by, beside `localhost` and addresses in numbers. A page
            of somebody else's whose name is made to lead here is addressed to none of them.
        origins: `https://name:port` of reverse proxies that pass another `Host` on.
        max_body_bytes: of a request.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Iterable[str], origins: Collection[str], max_body_bytes: int
    ) -> None:
        self._app = app
        self._hosts = {"localhost", *(host.lower() for host in hosts)}
        self._origins = {origin.lower() for origin in origins}
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # web sockets are no part of the service: uvicorn refuses what is not accepted

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            headers = Headers(scope=scope)
            self._check_host(headers)
            self._check_site(headers, scope)
            body = await self._body(headers, receive)
        except _Refused as refused:
            await _say(send_guarded, refused)
            return
        handed_on = receive if body is None else _replay(body, receive)
        await self._app(scope, handed_on, send_guarded)

    def _check_host(self, headers: Headers) -> None:
        given = headers.getlist("host")
        name = _host_name(given[0]) if len(given) == 1 else None
        if name is None or not (name in self._hosts or _is_address(name)):
            raise _Refused(421, "this service goes by another name; see --allowed-hosts")

    def _check_site(self, headers: Headers, scope: Scope) -> None:
        site = headers.get("sec-fetch-site", "none")
        is_navigation = scope["method"] in ("GET", "HEAD") and all(
            headers.get(name) == value for name, value in _NAVIGATION.items()
        )
        is_page = not scope["path"].startswith("/api/")
        if site not in _SAME_SITE and not (is_navigation and is_page):
            raise _Refused(403, "requests from another site are refused")
        origin = headers.get("origin")
        if origin is None or origin.lower() in self._origins:
            return
        parts = _split(origin)
        if parts is None or parts.lower() != headers.get("host", "").lower():
            raise _Refused(403, "requests from another site are refused")

    async def _body(self, headers: Headers, receive: Receive) -> bytes | None:
        """Returns the body, which has then arrived; None: nothing says that there is one."""
        if "content-length" not in headers and "transfer-encoding" not in headers:
            return None
        too_large = _Refused(413, f"expected at most {self._max_body_bytes:,} bytes")
        declared = headers.get("content-length", "0")
        if not declared.isascii() or not declared.isdigit():
            raise _Refused(400, "Content-Length is no number")
        if len(declared) > 18 or int(declared) > self._max_body_bytes:
            raise too_large
        try:
            return await asyncio.wait_for(self._read(receive, too_large), _BODY_TIMEOUT_S)
        except asyncio.TimeoutError:
            raise _Refused(408, "the request took too long to arrive") from None

    async def _read(self, receive: Receive, too_large: _Refused) -> bytes:
        parts: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Refused(400, "the connection was closed")
            parts.append(message.get("body", b""))
            if sum(map(len, parts)) > self._max_body_bytes:
                raise too_large
            if not message.get("more_body", False):
                return b"".join(parts)


def _host_name(host: str) -> str | None:
    """Returns the name in `name:port`, without the port; None where it is nothing of that kind."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # is a number, or raises
    except ValueError:
        return None
    is_plain = parts.netloc == host and parts.username is None and host.isascii()
    return parts.hostname.rstrip(".") if is_plain and parts.hostname else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _split(origin: str) -> str | None:
    """Returns `name:port` of an origin as a browser sends it."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc if parts.scheme in ("http", "https") else None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Hands a body on that was read already."""
    is_handed_on = False

    async def receive_again() -> Message:
        nonlocal is_handed_on
        if is_handed_on:
            return await receive()
        is_handed_on = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


async def _say(send: Send, refused: _Refused) -> None:
    body = json.dumps({"detail": refused.detail}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
