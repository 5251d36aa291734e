"""Service, renderer and store on a real PostgreSQL, which is stopped in the middle."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np

from prefrl.labelling.clips import ClipSpec, Recorded
from prefrl.labelling.renderer import RendererProcess
from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.service.link_file import read_links
from prefrl.labelling.starting import DATABASE_VARIABLE
from prefrl.labelling.store import LabelStore
from prefrl.media.mp4 import mp4_bytes
from tests.labelling.service.serving import Client
from tests.session.stores import put
from tests.waiting import wait_until

PATIENCE_S = 120.0  # a slow machine that does much else
NUM_QUESTIONS = 4


def film(brightness):
    return mp4_bytes([np.full((16, 16, 3), brightness, np.uint8)] * 10, 10.0)


FILMS = [(film(20 * number), film(20 * number + 10)) for number in range(NUM_QUESTIONS)]


@contextmanager
def serving(url, folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "prefrl.labelling.serve", "--folder", str(folder)],
        env={**os.environ, DATABASE_VARIABLE: url},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield read_links(folder)
    finally:
        process.kill()
        process.communicate()


def ask_until(client, path, status):
    """Asks until the answer has that status, and returns it."""
    until_s = time.monotonic() + PATIENCE_S
    while (answered := client.get(path)).status != status:
        assert time.monotonic() < until_s, f"{path}: {answered.status} {answered.content!r}"
        time.sleep(0.05)
    return answered


def test_clips_and_answers_are_in_the_database_and_outlast_its_stop(durable_postgres, tmp_path):
    url = durable_postgres.new_database()
    store = LabelStore(url)
    for question, sides in zip(put(store, NUM_QUESTIONS), FILMS, strict=True):
        specs = (ClipSpec(Recorded(mp4, 10), counts=(0, 10), dt=0.1) for mp4 in sides)
        store.add_clips(question.id, *(spec.to_bytes() for spec in specs))
    renderer = RendererProcess(url)
    with serving(url, tmp_path) as links:
        ann = Client(links.url, links.token)
        given = {}
        for number in range(2):
            shown = ask_until(ann, "questions/next", 200).json
            assert shown["id"] == number
            for side, mp4 in zip(("left", "right"), FILMS[number], strict=True):
                assert ann.get(shown[side]).content == mp4
            given[number] = "left"
            assert ann.answer(number, "left").status == 204
        leased = ask_until(ann, "questions/next", 200).json["id"]

        durable_postgres.stop()
        for asked in (
            ann.get("questions/next"),
            ann.answer(leased, "right"),
            ann.get("progress"),
            ann.get("healthz"),
        ):
            assert asked.status == 503
            assert int(asked.headers["Retry-After"]) >= 1
            assert asked.json == {"detail": "the database is away"}
        durable_postgres.start()

        # Both go on by themselves, with the connections that they make anew.
        assert ann.get("progress").json["own_answers"] == len(given)
        given[leased] = "right"
        assert ann.answer(leased, "right").status == 204
        last = ask_until(ann, "questions/next", 200).json
        assert ann.get(last["right"]).content == FILMS[last["id"]][1]
        given[last["id"]] = "tie"
        assert ann.answer(last["id"], "tie").status == 204
    # What was rendered last may be gone with the server, and is then rendered anew.
    whole = sum(len(mp4) for sides in FILMS for mp4 in sides)
    wait_until(lambda: store.clip_bytes() == whole)
    renderer.close()
    assert [(one.question, one.said) for one in store.answers()] == sorted(given.items())
    store.close()


def test_a_server_that_hangs_is_told_as_one_that_is_away(durable_postgres, tmp_path):
    url = durable_postgres.new_database()
    store = LabelStore(url)
    store.set_settings(StoreSettings(needs_clips=False))
    put(store, 2)
    with serving(url, tmp_path) as links:
        ann = Client(links.url, links.token)
        assert ann.get("questions/next").json["id"] == 0
        durable_postgres.freeze()
        for asked in (ann.answer(0, "left"), ann.get("healthz")):
            assert asked.status == 503
            assert int(asked.headers["Retry-After"]) >= 1
            assert asked.json == {"detail": "the database is away"}
        durable_postgres.thaw()
        assert ann.answer(0, "left").status == 204
        assert ann.get("questions/next").json["id"] == 1
    assert [(one.question, one.said) for one in store.answers()] == [(0, "left")]
    store.close()
