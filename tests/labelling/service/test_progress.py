"""The progress of the labelling, and the state of the run."""

from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.run_status import RunStatus, write_run_status


def test_progress_counts_the_answers_of_all_and_of_whoever_asks(service):
    first, second, third, _ = service.ask_about(4)
    service.store.set_settings(StoreSettings(budget=100))
    service.ann.answer(first, "left")
    service.bob.answer(second, "tie")
    service.ann.answer(third, "skip")
    told = service.ann.get("progress").json
    assert (told["answered"], told["budget"], told["waiting"]) == (2, 100, 2)
    assert (told["own_answers"], told["own_skips"]) == (1, 1)
    assert (told["waits_for"], told["has_ended"], told["is_paused"]) == ("", False, False)


def test_pace_is_that_of_answering_and_not_told_of_fewer_than_twenty_answers(service):
    ids = service.ask_about(20)
    now_s = service.store.clock()
    for seconds, number in enumerate(ids):
        assert service.ann.get("progress").json["answers_per_hour"] is None
        service.store.clock = lambda when=now_s + 4 * seconds: when
        service.ann.answer(number, "left", response_time_s=4)
    assert round(service.ann.get("progress").json["answers_per_hour"]) == 900


def test_a_run_says_what_it_waits_for_and_shows_its_policy_and_its_curve(service):
    key = service.store.add_clip(b"the policy")
    write_run_status(
        service.store,
        RunStatus(
            "Hopper-v4",
            step=2_000,
            num_steps=10_000,
            waits_for="The agent waits for 12 more answers.",
            policy_clip=key,
            policy_step=1_500,
            curve=((0, 1), (2_000, 9)),
            curve_name="true return",
        ),
    )
    run = service.ann.get("run").json
    assert (run["env_id"], run["step"], run["num_steps"]) == ("Hopper-v4", 2_000, 10_000)
    assert run["policy_clip"] == f"/api/v1/clips/{key}"
    assert run["curve"] == [[0, 1], [2_000, 9]]
    assert service.owner.get("run").status == 200
    told = service.ann.get("progress").json
    assert told["waits_for"] == "The agent waits for 12 more answers."


def test_an_annotator_may_ask_who_they_are(service):
    me = service.bob.get("annotators/me").json
    assert (me["name"], me["answers"], me["skips"]) == ("bob", 0, 0)


def test_the_health_is_asked_for_without_a_token(service):
    for path in ("/healthz", "healthz"):
        assert service.nobody.get(path).json == {"status": "ok"}
