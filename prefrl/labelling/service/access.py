"""Tokens: who is asking, and what each kind of them opens."""

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from prefrl.labelling.rows import Annotator
from prefrl.labelling.service.failures import FailedTokens
from prefrl.labelling.store import LabelStore

# Far more than ours have; nobody need compute with what is longer.
_LONGEST_TOKEN = 200
# For so long a right token is good without another look into the database, which takes as long as
# many a request itself. One that this service takes away ends at once, by another process then.
_GOOD_S = 1.0
_BEARER = HTTPBearer(auto_error=False, description="The token of an annotator, or of the owner.")
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


class Refused(Exception):
    """A request that is answered with a status and a line."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


class Access:
    """Tells annotators from the owner, and both from everybody else.

    The store knows the hashes of tokens only, and compares them in constant time. A right token is
    never made to wait, however many wrong ones came from the same address, and is looked up once a
    second at most.

    Args:
        store: knows the tokens.
        failed: counts the wrong ones.
        clock: seconds, never running back.
    """

    def __init__(
        self,
        store: LabelStore,
        failed: FailedTokens,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._failed, self._clock = store, failed, clock
        # Right ones by their hashes, so that how long a search takes tells nothing of them: until
        # when they are not looked up again, and whose they are; None is the owner.
        self._known: dict[bytes, tuple[float, Annotator | None]] = {}

    async def annotator(self, request: Request, bearer: Bearer) -> Annotator:
        """Returns who is asking.

        Raises:
            Refused: 401 there is no token, or a wrong one; 403 it is the owner's; 429 there were
                too many wrong ones.
        """
        who = await self._who(request, bearer)
        if who is None:
            raise Refused(403, "this is the owner's token; an annotator's is expected")
        return who

    async def owner(self, request: Request, bearer: Bearer) -> None:
        """Lets nobody but the owner pass.

        Raises:
            Refused: as `annotator`, the other way round.
        """
        if await self._who(request, bearer) is not None:
            raise Refused(403, "this is an annotator's token; the owner's is expected")

    async def anybody(self, request: Request, bearer: Bearer) -> None:
        """Lets annotators and the owner pass.

        Raises:
            Refused: as `annotator`, without 403.
        """
        await self._who(request, bearer)

    def forget(self) -> None:
        """Has every token looked up again: one was taken away."""
        self._known = {}

    async def _who(self, request: Request, bearer: Bearer) -> Annotator | None:
        """Returns whose token it is, None for the owner's."""
        token = self._token(request, bearer)
        key = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        # What is looked up while tokens are forgotten is noted where nobody looks any more.
        known, now_s = self._known, self._clock()
        until_s, who = known.get(key, (now_s, None))
        if now_s < until_s:
            return who
        who = await run_in_threadpool(self._look_up, request, token)
        known[key] = (now_s + _GOOD_S, who)
        return who

    def _look_up(self, request: Request, token: str) -> Annotator | None:
        found = self._store.annotator_of(token)
        if found is None and not self._store.is_owner(token):
            raise self._wrong(request)
        return found

    def _token(self, request: Request, bearer: HTTPAuthorizationCredentials | None) -> str:
        if bearer is None:
            if "authorization" in request.headers:
                raise self._wrong(request)
            raise _no_token("a token is missing: Authorization: Bearer TOKEN")
        if len(bearer.credentials) > _LONGEST_TOKEN:
            raise self._wrong(request)
        return bearer.credentials

    def _wrong(self, request: Request) -> Refused:
        wait_s = self._failed.note(request.client.host if request.client else "")
        if wait_s:
            return Refused(429, "too many wrong tokens", {"Retry-After": str(wait_s)})
        return _no_token("the token is not valid, or not any more")


def _no_token(detail: str) -> Refused:
    return Refused(401, detail, {"WWW-Authenticate": "Bearer"})
