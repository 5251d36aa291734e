"""Tokens: who may ask, and what happens to those who guess."""

import asyncio

import pytest
from fastapi.security import HTTPAuthorizationCredentials
from starlette.requests import Request

from prefrl.labelling.service import ServiceSettings
from prefrl.labelling.service.access import Access, Refused
from prefrl.labelling.service.failures import FailedTokens
from tests.labelling.service.serving import Client, service_of


@pytest.mark.parametrize("path", ["questions/next", "progress", "annotators/me", "run", "overview"])
def test_without_a_token_it_is_401(steady, path):
    refused = steady.nobody.get(path)
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_a_token_is_taken_from_the_header_alone(steady):
    token = steady.ann.token
    assert steady.nobody.get(f"progress?token={token}").status == 401
    assert steady.nobody.get("progress", Cookie=f"token={token}").status == 401


@pytest.mark.parametrize(
    "given", ["Bearer", "Bearer ", "Basic {}", "{}", "Bearer {}x", "Bearer x{}"]
)
def test_what_is_not_the_token_is_401(template, server, tmp_path, given):
    with service_of(template, server, tmp_path / "l.sqlite") as service:
        header = given.format(service.ann.token)
        assert service.nobody.get("progress", Authorization=header).status == 401


def test_wrong_tokens_are_made_to_wait_and_right_ones_are_not(template, server, tmp_path):
    settings = ServiceSettings(failed_per_minute=2)
    with service_of(template, server, tmp_path / "l.sqlite", settings) as service:
        guesses = [Client(service.url, f"guess-{i}").get("progress") for i in range(5)]
        assert [one.status for one in guesses] == [401] * 2 + [429] * 3
        assert 1 <= int(guesses[-1].headers["Retry-After"]) <= 30
        assert Client(service.url, "x" * 5_000).get("progress").status == 429
        for client in (service.ann, service.bob) * 10:
            assert client.get("progress").status == 200
        assert service.owner.get("overview").status == 200
        assert service.nobody.get("progress").status == 401  # that was no guess


class Slow:
    """A store that counts who looks tokens up."""

    def __init__(self, store):
        self.store, self.num_looks = store, 0

    def annotator_of(self, token):
        self.num_looks += 1
        return self.store.annotator_of(token)

    def is_owner(self, token):
        return self.store.is_owner(token)


def asks(access, token):
    request = Request({"type": "http", "headers": [], "client": ("127.0.0.1", 1)})
    bearer = HTTPAuthorizationCredentials(scheme="Bearer", credentials=token)
    return asyncio.run(access.annotator(request, bearer)).name


def test_a_right_token_is_looked_up_once_a_second_and_a_wrong_one_each_time(service):
    times_s = iter([0.0, 0.9, 1.0, 1.9, 2.0, 2.0])
    store = Slow(service.store)
    access = Access(store, FailedTokens(10), clock=lambda: next(times_s))  # type: ignore[arg-type]
    for num_looks in (1, 1, 2, 2):
        assert asks(access, service.ann.token) == "ann"
        assert store.num_looks == num_looks
    for num_looks in (3, 4):
        with pytest.raises(Refused, match="the token is not valid"):
            asks(access, "guess")
        assert store.num_looks == num_looks


def test_a_token_that_somebody_else_takes_away_ends_within_a_second(service):
    now_s = 0.0
    access = Access(service.store, FailedTokens(10), clock=lambda: now_s)
    assert asks(access, service.ann.token) == "ann"
    service.store.revoke("ann", with_answers=False)
    now_s = 1.0
    with pytest.raises(Refused, match="the token is not valid, or not any more"):
        asks(access, service.ann.token)


def test_one_that_is_looked_up_while_tokens_are_forgotten_is_not_known_after(service):
    class Meanwhile(Slow):
        def annotator_of(self, token):
            found = super().annotator_of(token)
            if self.num_looks == 1:
                service.store.revoke("ann", with_answers=False)
                access.forget()
            return found

    store = Meanwhile(service.store)
    access = Access(store, FailedTokens(10), clock=lambda: 0.0)  # type: ignore[arg-type]
    assert asks(access, service.ann.token) == "ann"
    with pytest.raises(Refused, match="not any more"):
        asks(access, service.ann.token)


def test_a_new_link_ends_the_old_one_at_once(service):
    assert service.ann.get("progress").status == 200
    made = service.owner.post("annotators/tokens", {"name": "ann"})
    assert made.status == 200
    assert service.ann.get("progress").status == 401
    assert Client(service.url, made.json["token"]).get("progress").status == 200


def test_no_token_is_in_what_the_store_keeps(service):
    content = b"".join(
        path.read_bytes() for path in service.path.parent.glob(f"{service.path.name}*")
    )
    for client in (service.owner, service.ann, service.bob):
        assert client.token.encode() not in content
