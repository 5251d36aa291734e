"""Tokens: who may ask, and what happens to those who guess."""

import pytest

from prefrl.labelling.service import ServiceSettings
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


def test_no_token_is_in_what_the_store_keeps(service):
    content = b"".join(
        path.read_bytes() for path in service.path.parent.glob(f"{service.path.name}*")
    )
    for client in (service.owner, service.ann, service.bob):
        assert client.token.encode() not in content
