"""Says in a few words why nobody is asked anything just now."""

from dataclasses import dataclass

from prefrl.labelling.rows import Pending
from prefrl.labelling.run_status import RunStatus


@dataclass(frozen=True)
class Situation:
    """The situation of a run's questions, as far as it explains that none is handed out.

    Args:
        run: how the run stands; of a dataset, the defaults.
        pending: how many wait for an answer, and how many were answered.
        budget: questions that may be answered; None: any number.
        is_paused: the owner has paused the asking.
        num_unrendered: pending questions whose clips are not there.
        num_faulty: of these, those whose clips cannot be rendered.
    """

    run: RunStatus
    pending: Pending
    budget: int | None = None
    is_paused: bool = False
    num_unrendered: int = 0
    num_faulty: int = 0


def why_none(situation: Situation) -> str:
    """Returns why somebody has no question before them, in a sentence or several."""
    run, pending = situation.run, situation.pending
    if run.has_ended:
        return "The run has ended."
    if situation.is_paused:
        return "The owner of the run will let it go on; the next question comes by itself then."
    if situation.budget is not None and pending.spent >= situation.budget:
        is_training = run.num_steps is not None
        trains = " The run trains on them until its end." if is_training else ""
        return f"All {situation.budget:,} answers of the budget are there.{trains}"
    reasons = [run.waits_for] if run.waits_for else []
    num_rendering = situation.num_unrendered - situation.num_faulty
    if num_rendering > 0:
        reasons.append(f"The clips of {_questions(num_rendering)} are being rendered.")
    if situation.num_faulty > 0:
        cannot = f"{_questions(situation.num_faulty)} cannot be shown"
        reasons.append(f"{cannot}; the owner's page says why.")
    if pending.leased:
        reasons.append(f"Others are looking at {_questions(pending.leased)}.")
    if (num_others := pending.open - situation.num_unrendered) > 0:
        wait = "waits" if num_others == 1 else "wait"
        reasons.append(f"{_questions(num_others)} that you have seen {wait} for somebody else.")
    if not reasons and run.num_steps is not None:
        reasons.append(f"The run is at step {run.step:,} of {run.num_steps:,}.")
    if not run.waits_for.startswith(("All questions", "The next questions")):
        reasons.append("The next question comes by itself.")
    return " ".join(reasons)


def _questions(num: int) -> str:
    return f"{num:,} {'question' if num == 1 else 'questions'}"
