"""People label in a browser: Debian's Chromium, where it is installed."""

import contextlib
import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from prefrl.labelling.run_status import RunStatus, write_run_status
from tests.labelling.page.browsing import META, TELLING, WIDTHS
from tests.labelling.page.films import film
from tests.labelling.service.serving import service_of
from tests.waiting import PATIENCE_S

CHROMIUM = shutil.which("chromium")
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*root, "--disable-gpu", "--no-first-run", *QUIET],
            timeout=PATIENCE_S * 1000,
        )
        yield browser
        browser.close()


@pytest.fixture
def labelling_of(template, server, tmp_path):
    """Serves twelve questions whose clips are films, of a run that has come some way."""

    @contextlib.contextmanager
    def served(settings=None):
        path = tmp_path / "labels.sqlite"
        with service_of(template, server, path, settings, budget=50) as service:
            service.ids = service.ask_about(12)
            store = service.store
            for index, key in enumerate(sorted(_keys_of(store))):
                store.put_clip(key, film(index % 4), META)
            policy = store.add_clip(b"the policy")
            store.put_clip(policy, film(3), META)
            curve = tuple((1_000 * i, 40 * i**1.5 - 200 * (i % 3)) for i in range(25))
            service.status = RunStatus(
                "HalfCheetah-v4",
                step=24_000,
                num_steps=50_000,
                policy_clip=policy,
                policy_step=22_000,
                curve=curve,
                curve_name="true return",
            )
            write_run_status(store, service.status)
            yield service

    return served


@pytest.fixture
def labelling(labelling_of):
    with labelling_of() as service:
        yield service


def _keys_of(store):
    """Returns the keys of all clips that the test's own film stands for."""
    found = set()
    for number in store.standings():
        for side in "lr":
            found.add(store.add_clip(f"{side} of {number}".encode()))
    return found


@pytest.fixture
def open_page(chromium):
    """Opens a page at an address and a size; fails where the browser complained."""
    contexts, complaints = [], []

    def open_(address, size="desk", *, is_first_use=False, **options):
        width, height = WIDTHS[size]
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        if not is_first_use:
            context.add_init_script("localStorage.setItem('prefrl.toured', 'yes')")
        context.add_init_script(TELLING)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else 0)
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    # What the tests themselves cut off, revoked or withdrew is no complaint.
    known = ("ERR_INTERNET_DISCONNECTED", "status of 401", "status of 410")
    assert [one for one in complaints if not any(part in one for part in known)] == []


@pytest.fixture
def opened(labelling, open_page):
    """Opens the page of somebody who has a token; pages are closed before their service is."""

    def open_(who="ann", size="desk", path="/", **options):
        token = getattr(labelling, who).token
        return open_page(f"{labelling.url}{path}#token={token}", size, **options)

    return open_
