"""Requests are checked before anybody reads them, and every response carries headers."""

import json
import socket

import pytest

from prefrl.labelling.service import ServiceSettings
from tests.labelling.service.serving import service_of
from tests.waiting import PATIENCE_S

PATHS = ("/", "/page/page.js", "/nowhere", "/api/v1/healthz", "/api/v1/progress")


@pytest.mark.parametrize("path", PATHS)
def test_every_response_tells_browsers_to_load_and_run_nothing_from_elsewhere(steady, path):
    for client in (steady.nobody, steady.ann):
        headers = client.get(path).headers
        policy = dict(one.split(" ", 1) for one in headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers


def test_what_a_token_opens_is_not_kept_by_browsers(steady):
    assert steady.ann.get("progress").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:80", "192.168.0.7", "LOCALHOST."]
)
def test_it_goes_by_localhost_and_by_addresses_in_numbers(steady, host):
    assert steady.nobody.get("healthz", Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "",
        "a b",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost:x",
        "127.1",
        "[::1",
        "ö.de",
    ],
)
def test_a_name_that_is_made_to_lead_here_is_refused(steady, host):
    refused = steady.ann.get("progress", Host=host.encode("utf-8"))
    assert refused.status in (400, 421)
    assert b"answered" not in refused.content


def test_a_name_that_was_allowed_is_answered(template, server, tmp_path):
    settings = ServiceSettings(
        allowed_hosts=("lab.example",), public_url="https://label.example.org/"
    )
    with service_of(template, server, tmp_path / "l.sqlite", settings) as service:
        for host in ("lab.example", "lab.example:80", "label.example.org", "localhost"):
            assert service.nobody.get("healthz", Host=host).status == 200
        assert service.nobody.get("healthz", Host="other.example").status == 421
        # Behind a proxy that passes another Host on, the browser's origin is the public address.
        origin = "https://label.example.org"
        assert service.ann.get("progress", Origin=origin, Host="127.0.0.1").status == 200
        assert service.ann.get("progress", Origin="https://lab.example").status == 403


@pytest.mark.parametrize(
    ("public", "origin"),
    [
        ("https://Lab.example:443/prefrl", "https://lab.example"),
        ("http://lab.example:80", "http://lab.example"),
        ("https://lab.example:80", "https://lab.example:80"),
        ("HTTPS://lab.example", "https://lab.example"),
    ],
)
def test_browsers_leave_the_usual_port_out_of_an_origin(template, server, tmp_path, public, origin):
    settings = ServiceSettings(public_url=public)
    with service_of(template, server, tmp_path / "l.sqlite", settings) as service:
        assert service.ann.get("progress", Origin=origin, Host="127.0.0.1").status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_requests_from_another_site_are_refused(steady, site):
    number = min(steady.store.standings())
    refused = steady.ann.put(f"questions/{number}/answer", {"answer": "left"}, Sec_Fetch_Site=site)
    assert (refused.status, steady.store.answers()) == (403, [])
    assert steady.nobody.get("/page/page.js", Sec_Fetch_Site=site).status == 403


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "http://127.0.0.1", "file://", "["]
)
def test_an_origin_that_is_not_this_one_is_refused(steady, origin):
    assert steady.ann.get("progress", Origin=origin).status == 403


def test_the_pages_own_requests_are_answered(steady):
    assert steady.ann.get("progress", Origin=steady.url, Sec_Fetch_Site="same-origin").status == 200


def test_a_link_from_elsewhere_opens_the_page_and_nothing_of_the_api(steady):
    followed = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    assert steady.nobody.get("/", **followed).status == 200
    assert steady.ann.get("progress", **followed).status == 403
    assert steady.nobody.get("/", **followed | {"Sec-Fetch-Dest": "iframe"}).status == 403


def test_a_large_request_is_refused(steady):
    number = min(steady.store.standings())
    body = json.dumps({"answer": "left", "more": "x" * 20_000}).encode()
    assert steady.ann.put(f"questions/{number}/answer", body).status == 413
    chunked = steady.ann.put(
        f"questions/{number}/answer", body, Content_Length="99999999999999999999"
    )
    assert chunked.status in (400, 413)


def test_a_large_request_of_unknown_length_is_refused_before_it_ends(steady):
    host, port = steady.ann.address.split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(
            f"PUT /api/v1/questions/0/answer HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Bearer {steady.ann.token}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        connection.sendall((b"400\r\n" + b" " * 0x400 + b"\r\n") * 17)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_an_error_of_its_own_is_a_line_without_a_trace(service):
    def fails(*_, **__):
        raise ValueError("secret detail at /some/path")

    service.store.settings_and_pause = fails
    answered = service.ann.get("progress")
    assert answered.status == 500
    assert answered.json == {"detail": "the service failed; its log says why"}


def test_a_database_that_is_away_is_503_and_says_when_to_ask_again(service):
    service.store.close()
    for file in service.path.parent.glob("labels.sqlite*"):
        file.unlink()
    service.path.mkdir()
    for answered in (
        service.nobody.get("/healthz"),
        service.ann.get("questions/next"),
        service.ann.answer(0, "left"),
        service.owner.get("overview"),
    ):
        assert (answered.status, answered.headers["Retry-After"]) == (503, "2")
        assert answered.json == {"detail": "the database is away"}
