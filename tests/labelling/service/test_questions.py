"""Questions go out, answers come in: what a page or a script does over HTTP."""

import math

import numpy as np
import pytest

from prefrl.labelling.rows import StoreSettings


def test_a_question_names_its_clips_and_what_to_look_for(service):
    (first, *_) = service.ask_about(2)
    question = service.ann.get("questions/next")
    assert question.status == 200
    assert set(question.json) == {"id", "left", "right", "instructions", "deadline_s"}
    assert question.json["id"] == first
    assert question.json["deadline_s"] == 60
    assert "<strong>left</strong>" in question.json["instructions"]
    assert service.ann.get(question.json["left"]).content


def test_whoever_asks_again_is_given_the_same_question(service):
    service.ask_about(3)
    ids = [service.ann.get("questions/next").json["id"] for _ in range(3)]
    assert len(set(ids)) == 1


def test_one_more_question_may_be_asked_for_to_be_loaded_ahead_and_no_third(service):
    first, second, _ = service.ask_about(3)
    assert service.ann.get("questions/next").json["id"] == first
    assert service.ann.get(f"questions/next?after={first}").json["id"] == second
    assert service.ann.get(f"questions/next?after={first}").json["id"] == second
    assert service.ann.get(f"questions/next?after={second}").json["id"] == first


def test_two_annotators_never_have_the_same_question(service):
    ids = service.ask_about(8)
    given: dict[str, list[int]] = {"ann": [], "bob": []}
    for _ in range(4):
        for name, client in (("ann", service.ann), ("bob", service.bob)):
            number = client.get("questions/next").json["id"]
            given[name].append(number)
        for name, client in (("ann", service.ann), ("bob", service.bob)):
            assert client.answer(given[name][-1], "left").status == 204
    assert not set(given["ann"]) & set(given["bob"])
    assert sorted(given["ann"] + given["bob"]) == ids


def test_where_no_question_waits_it_is_said_when_to_ask_again(service):
    nothing = service.ann.get("questions/next")
    assert (nothing.status, nothing.content, nothing.headers["Retry-After"]) == (204, b"", "2")


def test_an_answer_is_in_the_store_when_it_is_acknowledged(service):
    number, *_ = service.ask_about(1)
    service.ann.get("questions/next")
    assert service.ann.answer(number, "left", response_time_s=2.5).status == 204
    (answer,) = service.store.answers()
    assert (answer.annotator, answer.said, answer.response_time_s) == ("ann", "left", 2.5)


def test_each_answer_means_what_it_says(service):
    meaning = {"left": 1.0, "right": 0.0, "tie": 0.5, "skip": math.nan}
    for number, said in zip(service.ask_about(4), meaning, strict=True):
        assert service.ann.answer(number, said).status == 204
    answers = service.store.answers()
    assert [one.said for one in answers] == list(meaning)
    np.testing.assert_equal([one.p_left for one in answers], list(meaning.values()))


def test_the_same_answer_sent_twice_counts_once_and_another_one_replaces_it(service):
    number, *_ = service.ask_about(1)
    for said in ("left", "left", "right"):
        assert service.ann.answer(number, said).status == 204
    assert [one.said for one in service.store.answers()] == ["right"]


def test_an_answer_taken_back_leaves_the_question_to_whoever_gave_it(service):
    first, _ = service.ask_about(2)
    service.ann.answer(first, "left")
    assert service.ann.delete(f"questions/{first}/answer").status == 204
    assert service.store.answers() == []
    assert service.bob.get("questions/next").json["id"] != first
    assert service.ann.get("questions/next").json["id"] == first


def test_an_unknown_question_is_404(service):
    for number in (7, 2**63, 10**400):
        assert service.ann.answer(number, "left").status == 404
        assert service.ann.delete(f"questions/{number}/answer").status == 404
    assert service.owner.get("questions/7/segments").status == 404


def test_a_question_that_somebody_else_looks_at_is_409(service):
    number, *_ = service.ask_about(1)
    service.bob.get("questions/next")
    refused = service.ann.answer(number, "left")
    assert refused.status == 409
    assert refused.json == {"detail": f"somebody else is looking at question {number}"}


def test_a_withdrawn_question_is_410(service):
    number, *_ = service.ask_about(1)
    service.store.withdraw([number])
    refused = service.ann.answer(number, "left")
    assert (refused.status, refused.json["detail"]) == (410, f"question {number} was withdrawn")


def test_an_answer_after_the_budget_is_spent_is_410_and_skips_cost_nothing(service):
    first, second, third = service.ask_about(3)
    service.store.set_settings(StoreSettings(budget=1))
    assert service.ann.answer(first, "skip").status == 204
    assert service.ann.answer(second, "left").status == 204
    refused = service.ann.answer(third, "left")
    assert (refused.status, "budget" in refused.json["detail"]) == (410, True)


def test_others_answers_are_neither_seen_nor_changed(service):
    number, *_ = service.ask_about(1)
    service.bob.answer(number, "left")
    assert service.ann.answer(number, "right").status == 410
    assert service.ann.delete(f"questions/{number}/answer").status == 204  # of which there is none
    assert [(one.annotator, one.said) for one in service.store.answers()] == [("bob", "left")]
    assert service.ann.get("annotators/me").json["answers"] == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"answer": "both"}, 422),
        ({}, 422),
        ({"answer": "left", "question": 3}, 422),
        ({"answer": "left", "response_time_s": -1}, 422),
        ({"answer": "left", "response_time_s": "3"}, 422),
        (b'{"answer": "left", "response_time_s": NaN}', 422),
        (b'{"answer": "left", "response_time_s": 1e999}', 422),
        (b"[" * 5_000, 400),
        (b'{"answer": "left"', 400),
        (b"\xff\xfe", 400),
        ([], 422),
        (b"", 422),
    ],
)
def test_what_is_no_answer_is_refused_in_a_line_and_changes_nothing(steady, body, status):
    number = min(steady.store.standings())
    refused = steady.ann.put(f"questions/{number}/answer", body, Content_Type="application/json")
    assert refused.status == status
    assert list(refused.json) == ["detail"]
    assert len(refused.json["detail"].splitlines()) == 1
    assert steady.store.answers() == []


@pytest.mark.parametrize("number", ["x", "-1", "1.5", "%00", "1" * 5_000])
def test_what_is_no_number_of_a_question_is_refused(steady, number):
    assert steady.ann.answer(number, "left").status in (404, 422)


def test_a_page_that_is_open_keeps_its_questions(service):
    service.ask_about(1)
    service.ann.get("questions/next")
    now_s = service.store.clock()
    service.store.clock = lambda: now_s + 50
    assert service.ann.put("annotators/me/presence").status == 204
    service.store.clock = lambda: now_s + 100
    assert service.bob.get("questions/next").status == 204
    service.store.clock = lambda: now_s + 120
    assert service.bob.get("questions/next").status == 200


def test_nothing_is_handed_out_while_the_asking_is_paused(service):
    first, _ = service.ask_about(2)
    service.ann.get("questions/next")
    assert service.owner.put("asking", {"is_paused": True}).status == 204
    assert service.bob.get("questions/next").status == 204
    assert service.ann.answer(first, "left").status == 204
    assert service.ann.get("progress").json["is_paused"] is True
    assert service.owner.put("asking", {"is_paused": False}).status == 204
    assert service.bob.get("questions/next").status == 200


def test_a_revoked_token_is_401_at_once(service):
    service.ask_about(1)
    assert service.ann.get("questions/next").status == 200
    assert service.owner.delete("annotators/ann").status == 204
    refused = service.ann.get("questions/next")
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert service.bob.get("questions/next").status == 200


@pytest.mark.parametrize("number", [2**63, 10**30])
def test_no_question_has_a_number_that_no_database_holds(service, number):
    service.ask_about(1)
    assert service.ann.get(f"questions/next?after={number}").status == 422
    assert service.ann.answer(number, "left").status == 404


def test_a_body_that_does_not_say_that_it_is_json_is_told_so(service):
    (number,) = service.ask_about(1)
    for said in ({}, {"Content_Type": "application/x-www-form-urlencoded"}):
        refused = service.ann.put(f"questions/{number}/answer", b'{"answer": "left"}', **said)
        assert refused.status == 422
        assert "Content-Type is " in refused.json["detail"]
        assert refused.json["detail"].endswith("expected application/json")
