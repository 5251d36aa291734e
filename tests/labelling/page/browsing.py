"""Acts and looks as somebody in front of the page does."""

import os
import shutil
import time

from playwright.sync_api import expect

META = {"fps": 20.0, "num_frames": 40, "counts": [8, 32]}
WIDTHS = {"desk": (1280, 800), "phone": (390, 844)}
PATIENCE_S = 120.0  # a machine that does much else

expect.set_options(timeout=PATIENCE_S * 1000)


def is_shown(page):
    """Waits until a pair is on the screen."""
    expect(page.locator("#labelling video")).to_have_count(2)


def say(page, key):
    """Answers by a key, as somebody who has looked for a moment."""
    page.wait_for_timeout(250)
    page.keyboard.press(key)


def said_of(store):
    return {(one.annotator, one.question): one.said for one in store.answers()}


def wait_for(what):
    until_s = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < until_s, "it did not happen"
        time.sleep(0.02)


def picture(page, name, tmp_path):
    """Takes a picture of what is seen, which needs no scrolling sideways."""
    path = tmp_path / f"{name}.png"
    page.screenshot(path=path)
    if folder := os.environ.get("PREFRL_SCREENSHOTS"):
        shutil.copy(path, folder)
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]
