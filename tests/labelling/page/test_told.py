"""The page says how it stands whenever there is nothing to answer, or an answer is on its way."""

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.run_status import write_run_status
from tests.labelling.page.browsing import (
    WIDTHS,
    is_next_loaded,
    is_shown,
    picture,
    said_of,
    say,
)
from tests.labelling.page.films import film
from tests.session.stores import put
from tests.waiting import wait_until


def waits(page, title, text):
    expect(page.locator("#waiting")).to_be_visible()
    expect(page.locator("#waiting-title")).to_have_text(title)
    expect(page.locator("#waiting-text")).to_contain_text(text)


def test_why_no_question_waits_is_said_and_the_next_one_comes_by_itself(
    opened, labelling, tmp_path
):
    store, status = labelling.store, labelling.status
    store.withdraw(labelling.ids)
    page = opened()
    waits(page, "No question waits for you", "The run is at step 24,000 of 50,000.")
    write_run_status(store, replace(status, waits_for="The next questions come at step 26,000."))
    waits(page, "No question waits for you", "The next questions come at step 26,000.")
    picture(page, "waiting", tmp_path)
    (one,) = put(store, 1)
    store.add_clips(one.id, b"left", b"right")
    waits(page, "No question waits for you", "The clips of 1 question are being rendered.")
    store.withdraw([one.id])
    labelling.ask_about(1, film(1))
    is_shown(page)


@pytest.mark.parametrize("size", WIDTHS)
def test_that_the_agent_waits_is_seen_beside_the_question(opened, labelling, size):
    page = opened(size=size)
    is_shown(page)
    expect(page.locator("#state")).to_be_hidden()
    waiting = replace(labelling.status, waits_for="The agent waits for 3 answers.")
    write_run_status(labelling.store, waiting)
    expect(page.locator("#state")).to_have_text("The agent waits for 3 answers")
    cut_off = page.locator("#state").evaluate("one => one.scrollWidth - one.clientWidth")
    assert cut_off <= 0, "all of it is seen"
    write_run_status(labelling.store, labelling.status)
    expect(page.locator("#state")).to_be_hidden()


def test_a_budget_that_is_spent_is_said(opened, labelling):
    store = labelling.store
    store.set_settings(StoreSettings(budget=2))
    page = opened()
    for _ in range(2):
        is_shown(page)
        say(page, "ArrowLeft")
    waits(page, "No question waits for you", "All 2 answers of the budget are there.")
    assert len(store.answers()) == 2


def test_others_who_look_at_the_last_question_are_mentioned(opened, labelling):
    labelling.store.withdraw(labelling.ids[1:])
    other = opened("bob")
    is_shown(other)
    waits(opened("ann"), "No question waits for you", "Others are looking at 1 question.")


def test_an_owner_who_pauses_the_asking_is_the_reason(opened, labelling):
    labelling.store.pause(True)
    page = opened()
    waits(page, "The asking is paused", "the next question comes by itself then")
    labelling.store.pause(False)
    is_shown(page)


@pytest.mark.parametrize("num", [1, 2])
def test_answers_given_without_a_connection_are_counted_and_arrive_when_it_is_back(
    opened, labelling, tmp_path, num
):
    page = opened()
    is_next_loaded(page)
    page.context.set_offline(True)
    for _ in range(num):
        say(page, "ArrowLeft")
    kept = "Your answer is kept" if num == 1 else "Your 2 answers are kept"
    expect(page.locator("#connection")).to_contain_text(f"The connection is lost. {kept}")
    picture(page, f"offline-{num}", tmp_path)
    assert labelling.store.answers() == []
    page.context.set_offline(False)
    expected = {("ann", number): "left" for number in labelling.ids[:num]}
    wait_until(lambda: said_of(labelling.store) == expected)
    expect(page.locator("#connection")).to_be_hidden()
    is_shown(page)


def test_an_answer_that_is_on_its_way_outlives_the_page(opened, labelling):
    page = opened()
    is_shown(page)
    page.context.set_offline(True)
    say(page, "ArrowRight")
    expect(page.locator("#connection")).to_contain_text("Your answer is kept")
    page.close()
    page.context.set_offline(False)
    page.context.new_page().goto(labelling.url)
    wait_until(lambda: said_of(labelling.store) == {("ann", labelling.ids[0]): "right"})


def test_a_service_that_is_away_is_said_while_nothing_is_lost(opened, labelling):
    page = opened()
    is_shown(page)
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_contain_text("The service cannot be reached")
    page.context.set_offline(False)
    expect(page.locator("#connection")).to_be_hidden()


def test_a_token_that_is_revoked_ends_the_page_at_its_next_request(opened, labelling):
    page = opened("bob")
    is_shown(page)
    page.context.set_offline(True)
    say(page, "ArrowLeft")
    expect(page.locator("#connection")).to_be_visible()
    labelling.store.revoke("bob", with_answers=False)
    page.context.set_offline(False)
    waits(page, "This link is not valid, or not any more", "Your last answer was not taken.")
    expect(page.locator("#connection")).to_be_hidden()
    assert labelling.store.answers() == []
    assert page.evaluate("localStorage.getItem('prefrl.annotator')") is None


def test_a_link_that_is_not_valid_says_so(opened, labelling):
    labelling.store.revoke("bob", with_answers=False)
    waits(opened("bob"), "This link is not valid, or not any more", "Ask the owner of the run")


def test_the_end_of_a_run_takes_the_question_off_the_screen(opened, labelling, tmp_path):
    page = opened()
    is_shown(page)
    say(page, "ArrowLeft")
    wait_until(lambda: len(labelling.store.answers()) == 1)
    is_shown(page)
    write_run_status(labelling.store, replace(labelling.status, has_ended=True))
    waits(page, "The run has ended", "Thank you. Your answer is kept.")
    expect(page.locator("#labelling")).to_be_hidden()
    expect(page.locator("#undo-waiting")).to_be_hidden()
    picture(page, "ended", tmp_path)


def test_the_owner_sees_answers_as_they_come(opened, labelling):
    page = opened("owner", path="/owner")
    row = page.locator("#questions tbody tr").last
    expect(row).to_contain_text("open")
    labelling.ann.answer(labelling.ids[0], "left", response_time_s=3.1)
    expect(row).to_contain_text("ann: left")


def test_the_owner_reads_how_the_run_stands_and_what_cannot_be_shown(opened, labelling):
    store = labelling.store
    (one,) = put(store, 1)
    store.add_clips(one.id, b"left", b"right")
    while job := store.next_clip_job("test"):
        store.fail_clip(job.key, "the model has lost a leg")
    waiting = replace(labelling.status, waits_for="The agent waits for 3 answers.")
    write_run_status(store, waiting)
    page = opened("owner", path="/owner")
    told = "Step 24,000 of 50,000. The agent waits for 3 answers."
    expect(page.locator("#stands")).to_have_text(told)
    fault = f"1 question cannot be shown; question {one.id}: the model has lost a leg"
    expect(page.locator("#faults")).to_have_text(fault)
    write_run_status(store, replace(labelling.status, has_ended=True))
    expect(page.locator("#stands")).to_have_text("Step 24,000 of 50,000. The run has ended.")
