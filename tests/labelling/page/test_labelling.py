"""People label in a browser."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from prefrl.labelling.renderer import RenderWork
from prefrl.labelling.run_status import RunStatus, write_run_status
from tests.labelling.clips.recorded import Recorded, named
from tests.labelling.page.browsing import (
    WIDTHS,
    is_next_loaded,
    is_replaced_after,
    is_shown,
    picture,
    said_of,
    say,
)
from tests.waiting import wait_until


@pytest.mark.parametrize("size", WIDTHS)
def test_six_answers_by_keys_and_by_mouse(opened, labelling, tmp_path, size):
    page = opened(size=size)
    keys = [("ArrowLeft", "left"), ("ArrowRight", "right"), ("ArrowUp", "tie"), ("4", "skip")]
    for index, (key, _) in enumerate([*keys, ("1", "left")]):
        is_shown(page)
        if index == 1:
            page.wait_for_timeout(700)
            picture(page, f"label-{size}", tmp_path)
        say(page, key)
        wait_until(lambda num=index + 1: len(labelling.store.answers()) == num)
    is_next_loaded(page)
    page.wait_for_timeout(250)
    # Both clicks of it are in one moment, however long the machine is busy between them.
    page.evaluate("{ const now = performance.now(); performance.now = () => now; }")
    page.get_by_role("button", name=re.compile("^Right$")).last.dblclick()
    page.evaluate("delete performance.now")
    wait_until(lambda: len(labelling.store.answers()) == 6)
    page.wait_for_timeout(500)
    said = [*[said for _, said in keys], "left", "right"]  # the second click was about nothing seen
    expected = {("ann", number): one for number, one in zip(labelling.ids, said, strict=False)}
    assert said_of(labelling.store) == expected
    assert all(one.response_time_s > 0 for one in labelling.store.answers())
    assert "token" not in page.url
    expect(page.locator("#answered")).to_have_text("5")  # a skip is no answer


def test_the_next_pair_is_on_the_screen_before_anything_else_happens(opened, labelling):
    page = opened()
    for num in range(1, 4):
        is_next_loaded(page)
        page.wait_for_timeout(250)
        is_shown_at_once = page.evaluate(
            """() => {
              const shown = () => [...document.querySelectorAll("#labelling video")];
              const before = shown();
              const next = made.filter((one) => one.src && !before.includes(one));
              const said = new KeyboardEvent("keydown", { key: "1", bubbles: true });
              document.body.dispatchEvent(said);
              const isReady = (one) => next.includes(one) && one.readyState >= 3;
              return shown().length === 2 && shown().every(isReady);
            }"""
        )
        assert is_shown_at_once  # No request, no timer and no decoder came between.
        wait_until(lambda num=num: len(labelling.store.answers()) == num)


@pytest.mark.slow  # It measures: other tests beside it would be what it measures.
def test_the_next_pair_is_seen_within_a_tenth_of_a_second(opened, labelling):
    page = opened()
    is_shown(page)
    page.evaluate(
        """() => {
          window.times = [];
          let begun = null;
          addEventListener("keydown", () => { begun = performance.now(); }, true);
          const watch = () => {
            for (const video of document.querySelectorAll("#labelling video")) {
              if (video.seen) continue;
              video.seen = true;
              video.requestVideoFrameCallback(() => {
                if (begun !== null) window.times.push(performance.now() - begun);
              });
            }
          };
          new MutationObserver(watch).observe(document.body, { childList: true, subtree: true });
          watch();
        }"""
    )
    for index in range(4):
        page.wait_for_timeout(1_500)  # people look for longer
        say(page, "ArrowLeft")
        wait_until(lambda num=index + 1: len(labelling.store.answers()) == num)
        wait_until(lambda num=2 * index + 2: page.evaluate("window.times.length") >= num)
    times_ms = sorted(page.evaluate("window.times"))
    # The median: the machine that runs tests is busy with others.
    assert times_ms[len(times_ms) // 2] < 100, times_ms


def test_both_clips_stay_in_step_and_are_moved_together(opened):
    page = opened()
    is_shown(page)
    # Both are started at their first frame, one after the other, and again when both have ended.
    page.wait_for_function("() => played.length >= 4")
    assert page.evaluate("played.slice(0, 4)") == [[False, 0]] * 4
    times = "[...document.querySelectorAll('#labelling video')].map((one) => one.currentTime)"
    page.keyboard.press("Space")
    expect(page.locator("#pause")).to_have_text("Play")
    wait_until(lambda: len(set(page.evaluate(times))) == 1)  # paused at one frame
    page.locator("#scrubber").fill("20")
    are_at(page, 20.5 / 20)
    page.keyboard.press(".")
    are_at(page, 21.5 / 20)
    page.keyboard.press("h")
    rates = page.evaluate(times.replace("currentTime", "playbackRate"))
    assert rates == [0.5, 0.5]


def are_at(page, time_s):
    """Waits until both clips on the screen stand at that time."""
    page.wait_for_function(
        """(time_s) => [...document.querySelectorAll("#labelling video")].every(
          (one) => one.paused && !one.seeking && Math.abs(one.currentTime - time_s) < 1e-3)""",
        arg=time_s,
    )


def test_an_answer_is_taken_back_and_given_anew(opened, labelling):
    page = opened()
    is_shown(page)
    say(page, "ArrowLeft")
    wait_until(lambda: len(labelling.store.answers()) == 1)
    is_shown(page)
    is_replaced_after(page, lambda: page.keyboard.press("Backspace"))
    assert labelling.store.answers() == []
    say(page, "ArrowRight")
    wait_until(lambda: len(labelling.store.answers()) == 1)
    assert said_of(labelling.store) == {("ann", labelling.ids[0]): "right"}
    is_shown(page)
    say(page, "ArrowUp")
    wait_until(lambda: len(labelling.store.answers()) == 2)
    assert said_of(labelling.store)["ann", labelling.ids[1]] == "tie"


def test_a_reload_shows_the_same_question(opened, labelling):
    page = opened()
    is_shown(page)
    say(page, "ArrowLeft")
    wait_until(lambda: len(labelling.store.answers()) == 1)
    page.reload()
    is_shown(page)
    say(page, "ArrowRight")
    wait_until(lambda: len(labelling.store.answers()) == 2)
    first, second = labelling.ids[:2]
    assert said_of(labelling.store) == {("ann", first): "left", ("ann", second): "right"}


@pytest.mark.parametrize("size", WIDTHS)
def test_whoever_comes_first_practises_on_a_pair_that_does_not_count(
    opened, labelling, tmp_path, size
):
    page = opened(size=size, is_first_use=True)
    is_shown(page)
    expect(page.locator("#instructions")).to_contain_text("which ball gets further?")
    page.wait_for_timeout(1_600)
    picture(page, f"tour-{size}", tmp_path)
    say(page, "ArrowLeft")
    expect(page.locator("#tour-text")).to_contain_text("the ball on the right gets further")
    say(page, "ArrowRight")
    expect(page.locator("#tour-text")).to_contain_text("That is it.")
    page.keyboard.press("Enter")
    expect(page.locator("#tour")).to_be_hidden()
    assert labelling.store.answers() == []
    is_shown(page)
    say(page, "ArrowRight")
    wait_until(lambda: said_of(labelling.store) == {("ann", labelling.ids[0]): "right"})
    page.reload()
    is_shown(page)
    expect(page.locator("#tour")).to_be_hidden()


@pytest.mark.usefixtures("graphics")
def test_robots_rendered_from_their_states_are_seen_and_judged(opened, labelling, tmp_path):
    store = labelling.store
    store.withdraw(labelling.ids)
    recorded = Recorded(*named("HalfCheetah-v4"), num_steps=60, size=320)
    segments = recorded.segments(4, 25)
    specs = recorded.maker.specs(segments, recorded.store)
    questions = store.put(segments[[0, 1]], segments[[2, 3]], session=1, policy_step=60)
    for row, one in enumerate(questions):
        store.add_clips(one.id, specs[row].to_bytes(), specs[2 + row].to_bytes())
    write_run_status(store, RunStatus(has_ended=True))
    RenderWork(store).run()
    write_run_status(store, RunStatus("HalfCheetah-v4"))
    page = opened()
    is_shown(page)
    page.wait_for_timeout(1_000)
    picture(page, "cheetah", tmp_path)
    sizes = page.evaluate(
        "[...document.querySelectorAll('#labelling video')].map((v) => [v.videoWidth, v.duration])"
    )
    assert [width for width, _ in sizes] == [320, 320]
    assert all(duration >= 1 for _, duration in sizes)
    say(page, "ArrowLeft")
    wait_until(lambda: said_of(store) == {("ann", questions[0].id): "left"})


def test_two_people_never_see_one_question(opened, labelling):
    pages = [opened("ann"), opened("bob")]
    for num in range(1, 4):
        for page in pages:
            is_shown(page)
            say(page, "ArrowLeft")
        wait_until(lambda num=num: len(labelling.store.answers()) == 2 * num)
    answered = [one.question for one in labelling.store.answers()]
    assert sorted(answered) == labelling.ids[:6]


@pytest.mark.parametrize(("who", "path"), [("ann", "/"), ("owner", "/owner")])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_that_keeps_anybody_out(opened, labelling, who, path, scheme):
    labelling.ann.answer(labelling.ids[0], "left", response_time_s=3.1)
    page = opened(who, path=path, color_scheme=scheme)
    expect(page.locator("#labelling video" if who == "ann" else "#questions tr")).not_to_have_count(
        0
    )
    page.wait_for_timeout(800)
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


@pytest.mark.parametrize("size", WIDTHS)
def test_the_owner_invites_pauses_and_revokes(opened, labelling, tmp_path, size):
    for number, said in zip(labelling.ids, ("left", "right", "tie", "skip"), strict=False):
        labelling.store.set_predictions([number], [[0.8, 0.6, 0.7]], model_version=1)
        labelling.ann.answer(number, said, response_time_s=3.1)
    page = opened("owner", size=size, path="/owner")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Name").fill("Zoë")
    page.get_by_role("button", name="Invite").click()
    expect(page.locator("#link")).to_contain_text("/#token=")
    told = "The link of Zoë. It is shown only this once. It opens on this machine only."
    expect(page.locator("#invited")).to_have_text(told)
    assert [one.name for one in labelling.store.annotators()] == ["ann", "bob", "Zoë"]
    page.get_by_role("button", name="Pause the asking").click()
    expect(page.get_by_role("button", name="Go on asking")).to_be_visible()
    assert labelling.store.is_paused()
    picture(page, f"owner-{size}", tmp_path)
    row = page.locator("#annotators tr", has_text="Zoë")
    row.get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all answers").click()
    assert download.value.suggested_filename == "comparisons.npz"
    assert "token" not in page.url
