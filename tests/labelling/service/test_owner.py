"""The owner's token opens endpoints that an annotator's does not."""

import io

import numpy as np
import pytest

from prefrl import load_comparisons

OWNERS = [
    ("POST", "annotators", {"name": "eve"}),
    ("POST", "annotators/tokens", {"name": "bob"}),
    ("DELETE", "annotators/bob", None),
    ("GET", "questions", None),
    ("GET", "questions/0/segments", None),
    ("GET", "overview", None),
    ("GET", "export", None),
    ("PUT", "asking", {"is_paused": True}),
]


@pytest.mark.parametrize(("method", "path", "body"), OWNERS)
def test_an_annotators_token_does_not_open_it(steady, method, path, body):
    assert steady.ann.ask(method, path, body).status == 403
    assert steady.nobody.ask(method, path, body).status == 401
    assert [one.name for one in steady.store.annotators()] == ["ann", "bob"]
    assert not steady.store.is_paused()


def test_every_endpoint_of_the_owner_is_among_those_tried(steady):
    paths = steady.nobody.get("openapi.json").json["paths"]
    known = {
        (method.upper(), path.removeprefix("/api/v1/"))
        for path, methods in paths.items()
        for method, one in methods.items()
        if one["tags"] == ["owner"]
    }
    tried = {
        (method, path.replace("/bob", "/{name}").replace("/0/", "/{id}/"))
        for method, path, _ in OWNERS
    }
    assert known == tried


def test_the_owners_token_answers_no_question(service):
    service.ask_about(1)
    refused = service.owner.get("questions/next")
    assert (refused.status, "annotator's" in refused.json["detail"]) == (403, True)
    assert service.owner.answer(0, "left").status == 403


def test_an_invited_annotator_can_answer(service):
    service.ask_about(1)
    made = service.owner.post("annotators", {"name": "Zoë K."})
    assert (made.status, made.json["name"]) == (201, "Zoë K.")
    zoe = type(service.ann)(service.url, made.json["token"])
    assert zoe.get("annotators/me").json["name"] == "Zoë K."
    assert zoe.get("questions/next").status == 200


def test_a_name_is_given_once(service):
    refused = service.owner.post("annotators", {"name": "ann"})
    assert refused.status == 409
    assert "there is an annotator 'ann' already" in refused.json["detail"]


@pytest.mark.parametrize("name", [" ", "a/b", "a\\b", "a\nb", "..", " . "])
def test_what_is_no_name_is_refused_and_it_is_said_what_is_one(steady, name):
    refused = steady.owner.post("annotators", {"name": name})
    assert refused.status == 422
    assert "expected letters, digits, blanks and signs" in refused.json["detail"]
    assert len(steady.store.annotators()) == 2


@pytest.mark.parametrize("name", ["", "x" * 81, 5, None, "\ud800"])
def test_what_is_too_long_or_no_text_is_refused(steady, name):
    assert steady.owner.post("annotators", {"name": name}).status == 422


@pytest.mark.parametrize("name", ["\u200b", "\u202eann", "\x9f"])
def test_a_name_that_nobody_can_read_is_refused(steady, name):
    refused = steady.owner.post("annotators", {"name": name})
    assert refused.status == 409
    assert "the annotator's name is " in refused.json["detail"]
    assert len(steady.store.annotators()) == 2


def test_a_new_token_ends_the_old_one(service):
    made = service.owner.post("annotators/tokens", {"name": "ann"})
    assert made.status == 200
    assert service.ann.get("annotators/me").status == 401
    assert type(service.ann)(service.url, made.json["token"]).get("annotators/me").status == 200
    assert service.owner.post("annotators/tokens", {"name": "nobody"}).status == 404


def test_an_annotator_goes_with_answers_or_without(service):
    first, second = service.ask_about(2)
    service.ann.answer(first, "left")
    service.bob.answer(second, "left")
    assert service.owner.delete("annotators/ann").status == 204
    assert service.owner.delete("annotators/bob?with_answers=true").status == 204
    (left,) = service.store.answers()
    assert (left.question, left.annotator) == (first, "removed 1")
    assert service.owner.delete("annotators/ann").status == 404


def test_segments_are_numbers_without_rewards(service):
    number, *_ = service.ask_about(1)
    told = service.owner.get(f"questions/{number}/segments").json
    question = service.store.question(number)
    for side in ("left", "right"):
        assert set(told[side]) == {"observations", "actions", "states"}
        segment = getattr(question, side)
        num = int(segment.length[0])
        for name, array in (
            ("observations", segment.observations),
            ("actions", segment.actions),
            ("states", segment.sim_states),
        ):
            np.testing.assert_allclose(np.array(told[side][name]), array[0, :num])


def test_the_overview_counts_questions_and_sums_annotators_up(service):
    first, second, third, *_ = service.ask_about(4)
    service.store.set_predictions([first], [[0.9, 0.7]], model_version=1)
    service.ann.answer(first, "left")
    service.ann.answer(second, "skip")
    service.store.withdraw([third])
    told = service.owner.get("overview").json
    counts = [told[name] for name in ("open", "answered", "skipped", "withdrawn", "answers")]
    assert counts == [1, 1, 1, 1, 1]  # skipped by all who are active
    assert told["model_agreement"]["share"] == 1
    ann, bob = told["annotators"]
    assert (ann["name"], ann["num_answers"], ann["num_skips"]) == ("ann", 1, 1)
    assert (bob["name"], bob["num_answers"], bob["is_invited"]) == ("bob", 0, True)


def test_questions_are_listed_with_what_was_said_and_predicted(service):
    ids = service.ask_about(60)
    service.ann.answer(ids[-1], "left")
    service.store.set_predictions([ids[-1]], [[0.9, 0.5]], model_version=3)
    told = service.owner.get("questions").json
    newest = told["questions"][0]
    assert len(told["questions"]) == 50
    assert newest["id"] == ids[-1]
    assert newest["state"] == "answered"
    assert newest["answers"] == [{"annotator": "ann", "said": "left"}]
    assert (newest["p_left"], newest["model_version"]) == (pytest.approx(0.7), 3)
    older = service.owner.get(f"questions?before={told['before']}").json
    assert [one["id"] for one in older["questions"]] == ids[9::-1]
    assert older["before"] is None
    answered = service.owner.get("questions?state=answered").json
    assert [one["id"] for one in answered["questions"]] == [ids[-1]]


def test_the_export_is_a_file_in_the_interchange_format(service, tmp_path):
    assert service.owner.get("export").status == 404
    ids = service.ask_about(3)
    service.ann.answer(ids[0], "left")
    service.bob.answer(ids[1], "tie")
    got = service.owner.get("export")
    assert "comparisons.npz" in got.headers["Content-Disposition"]
    path = tmp_path / "got.npz"
    path.write_bytes(got.content)
    dataset = load_comparisons(path)
    assert dataset.annotator.tolist() == ["ann", "bob"]
    assert dataset.question.tolist() == ids[:2]
    with np.load(io.BytesIO(got.content), allow_pickle=False) as arrays:
        assert arrays["p_left"].tolist() == [1.0, 0.5]
