"""Acts and looks as somebody in front of the page does."""

import os
import shutil

from playwright.sync_api import expect

from tests.waiting import PATIENCE_S

META = {"fps": 20.0, "num_frames": 40, "counts": [8, 32]}
WIDTHS = {"desk": (1280, 800), "phone": (390, 844)}

# What a page does with its videos, told to tests: those that it made, and where each was played.
TELLING = """
  window.made = [];
  window.played = [];
  const make = document.createElement;
  document.createElement = function (name, ...more) {
    const one = make.call(this, name, ...more);
    if (name === "video") window.made.push(one);
    return one;
  };
  const play = HTMLVideoElement.prototype.play;
  HTMLVideoElement.prototype.play = function () {
    const side = document.querySelectorAll("#labelling video");
    if ([...side].includes(this)) window.played.push([this.seeking, this.currentTime]);
    return play.call(this);
  };
"""
expect.set_options(timeout=PATIENCE_S * 1000)


def is_shown(page):
    """Waits until a pair is on the screen."""
    expect(page.locator("#labelling video")).to_have_count(2)


def is_next_loaded(page):
    """Waits until a pair is on the screen, and both clips of the next one can be played."""
    page.wait_for_function(
        """() => {
          const shown = [...document.querySelectorAll("#labelling video")];
          const others = made.filter((one) => one.src && !shown.includes(one));
          return shown.length === 2 && others.length === 2
            && others.every((one) => one.readyState === HTMLMediaElement.HAVE_ENOUGH_DATA);
        }"""
    )
    # The page takes note of it in the same turn, or the next one.
    page.evaluate("new Promise((done) => setTimeout(done, 0))")


def is_replaced_after(page, act):
    """Acts, and waits until another pair is on the screen."""
    page.evaluate("window.before = document.querySelector('#labelling video')")
    act()
    page.wait_for_function(
        """() => {
          const now = document.querySelector("#labelling video");
          return now && now !== window.before;
        }"""
    )


def say(page, key):
    """Answers by a key, as somebody who has looked for a moment."""
    page.wait_for_timeout(250)
    page.keyboard.press(key)


def said_of(store):
    return {(one.annotator, one.question): one.said for one in store.answers()}


def picture(page, name, tmp_path):
    """Takes a picture of what is seen, which needs no scrolling sideways."""
    path = tmp_path / f"{name}.png"
    page.screenshot(path=path)
    if folder := os.environ.get("PREFRL_SCREENSHOTS"):
        shutil.copy(path, folder)
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]
