"""Clips are fetched by their address, whole or in ranges, and kept by browsers."""

import pytest

from tests.labelling.service.serving import FILM


@pytest.fixture(scope="module")
def clip(steady):
    return steady.ann.get("questions/next").json["left"]


def test_a_clip_is_a_film_that_says_how_it_is_to_be_played(steady, clip):
    film = steady.ann.get(clip)
    assert (film.status, film.content) == (200, FILM)
    assert film.headers["Content-Type"] == "video/mp4"
    assert film.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    told = [film.headers[f"Clip-{name}"] for name in ("Fps", "Frames", "Counts")]
    assert told == ["20", "50", "10-40"]


@pytest.mark.parametrize(
    ("asked", "first", "stop"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=10-", 10, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes=1000-99999", 1000, 1024),
        ("bytes=-99999", 0, 1024),
    ],
)
def test_a_range_of_it_is_206(steady, clip, asked, first, stop):
    part = steady.ann.get(clip, Range=asked)
    assert (part.status, part.content) == (206, FILM[first:stop])
    assert part.headers["Content-Range"] == f"bytes {first}-{stop - 1}/1024"


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_beyond_its_end_is_416(steady, clip, asked):
    refused = steady.ann.get(clip, Range=asked)
    assert (refused.status, refused.headers["Content-Range"]) == (416, "bytes */1024")


@pytest.mark.parametrize("asked", ["bytes=9-5", "bytes=-", "lines=1-2", "bytes=0-1,5-6", "bytes=x"])
def test_what_is_no_range_is_not_heeded(steady, clip, asked):
    assert steady.ann.get(clip, Range=asked).status == 200


def test_a_browser_that_has_it_is_told_so(steady, clip):
    tag = steady.ann.get(clip).headers["ETag"]
    assert steady.ann.get(clip, If_None_Match=tag).status == 304
    assert steady.ann.get(clip, Range="bytes=0-9", If_Range='"another"').status == 200
    assert steady.ann.get(clip, Range="bytes=0-9", If_Range=tag).status == 206


def test_its_length_is_known_without_it(steady, clip):
    head = steady.ann.ask("HEAD", clip)
    assert (head.status, head.content, head.headers["Content-Length"]) == (200, b"", "1024")


def test_the_owner_may_see_it_and_nobody_without_a_token(steady, clip):
    assert steady.owner.get(clip).status == 200
    assert steady.nobody.get(clip).status == 401


@pytest.mark.parametrize(
    ("key", "status"),
    [("0" * 64, 404), ("A" * 64, 422), ("..%2f..%2fetc%2fpasswd", 404), ("x", 422), ("%00", 422)],
)
def test_what_is_no_clip_is_not_found(steady, key, status):
    assert steady.ann.get(f"clips/{key}").status == status
