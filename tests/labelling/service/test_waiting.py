"""Whoever is asked nothing is told why."""

import pytest

from prefrl.labelling.rows import Pending
from prefrl.labelling.run_status import RunStatus
from prefrl.labelling.service.waiting import Situation, why_none

RUN = RunStatus("HalfCheetah-v4", step=1_200, num_steps=20_000)
COMES = "The next question comes by itself."


def waiting(sentence):
    return RunStatus("HalfCheetah-v4", step=1_200, num_steps=20_000, waits_for=sentence)


@pytest.mark.parametrize(
    ("situation", "said"),
    [
        (Situation(RunStatus(), Pending()), COMES),
        (Situation(RUN, Pending()), f"The run is at step 1,200 of 20,000. {COMES}"),
        (
            Situation(waiting("The next questions come at step 2,000."), Pending()),
            "The next questions come at step 2,000.",
        ),
        (
            Situation(waiting("The agent waits for 2 answers."), Pending(leased=2)),
            f"The agent waits for 2 answers. Others are looking at 2 questions. {COMES}",
        ),
        (
            Situation(RUN, Pending(open=3), num_unrendered=3),
            f"The clips of 3 questions are being rendered. {COMES}",
        ),
        (
            Situation(RUN, Pending(open=3, leased=1), num_unrendered=2, num_faulty=1),
            "The clips of 1 question are being rendered. 1 question cannot be shown; the owner's "
            "page says why. Others are looking at 1 question. 1 question that you have seen waits "
            f"for somebody else. {COMES}",
        ),
        (
            Situation(RUN, Pending(spent=50, open=2), budget=50),
            "All 50 answers of the budget are there. The run trains on them until its end.",
        ),
        (
            Situation(RunStatus(), Pending(spent=50), budget=50),
            "All 50 answers of the budget are there.",
        ),
        (
            Situation(waiting("All questions of this run are answered."), Pending(spent=49)),
            "All questions of this run are answered.",
        ),
        (
            Situation(RUN, Pending(open=2), is_paused=True),
            "The owner of the run will let it go on; the next question comes by itself then.",
        ),
        (Situation(RunStatus(has_ended=True), Pending(open=2)), "The run has ended."),
    ],
)
def test_the_reason_is_the_one_that_holds(situation, said):
    assert why_none(situation) == said


def test_progress_tells_it(service):
    service.ask_about(1)
    assert service.ann.get("progress").json["why_none"].startswith("1 question that you have seen")
    service.bob.get("questions/next")
    assert "Others are looking at 1 question." in service.ann.get("progress").json["why_none"]
    service.owner.put("asking", {"is_paused": True})
    assert "owner of the run" in service.ann.get("progress").json["why_none"]
