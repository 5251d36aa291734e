"""Tokens: who is asking, and what each kind of them opens."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from prefrl.labelling.rows import Annotator
from prefrl.labelling.service.failures import FailedTokens
from prefrl.labelling.store import LabelStore

# Far more than ours have; nobody need compute with what is longer.
_LONGEST_TOKEN = 200
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
    never made to wait, however many wrong ones came from the same address.

    Args:
        store: knows the tokens.
        failed: counts the wrong ones.
    """

    def __init__(self, store: LabelStore, failed: FailedTokens) -> None:
        self._store, self._failed = store, failed

    def annotator(self, request: Request, bearer: Bearer) -> Annotator:
        """Returns who is asking.

        Raises:
            Refused: 401 there is no token, or a wrong one; 403 it is the owner's; 429 there were
                too many wrong ones.
        """
        token = self._token(request, bearer)
        found = self._store.annotator_of(token)
        if found is None:
            if self._store.is_owner(token):
                raise Refused(403, "this is the owner's token; an annotator's is expected")
            raise self._wrong(request)
        return found

    def owner(self, request: Request, bearer: Bearer) -> None:
        """Lets nobody but the owner pass.

        Raises:
            Refused: as `annotator`, the other way round.
        """
        token = self._token(request, bearer)
        if not self._store.is_owner(token):
            if self._store.annotator_of(token) is not None:
                raise Refused(403, "this is an annotator's token; the owner's is expected")
            raise self._wrong(request)

    def anybody(self, request: Request, bearer: Bearer) -> None:
        """Lets annotators and the owner pass.

        Raises:
            Refused: as `annotator`, without 403.
        """
        token = self._token(request, bearer)
        if self._store.annotator_of(token) is None and not self._store.is_owner(token):
            raise self._wrong(request)

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
