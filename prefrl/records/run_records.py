"""The records of a run: metrics, checkpoints and the log."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from prefrl.records.checkpoint import Checkpoints
from prefrl.records.event_files import EventFiles
from prefrl.records.metrics import JsonLinesSink, Metrics


def say_on_stderr(line: str) -> None:
    """Tells whoever watches the run."""
    print(line, file=sys.stderr, flush=True)


def tell_nobody(sentence: str) -> None:
    """Tells nobody what is waited for."""


def show_nothing(
    activity: str, detail: str = "", *, num_answers: int | None = None
) -> AbstractContextManager[None]:
    """Shows nobody what is being done."""
    return nullcontext()


@dataclass
class Records:
    """The records of a run.

    Args:
        metrics: receives what is measured.
        checkpoints: receives the state at the end of every phase; None keeps none.
        log: cut back to the last checkpoint on resume.
        events: likewise.
        on_checkpoint: called after each.
        on_phase_end: called when a phase has taken its steps and its checkpoint is written.
        say: called with what a session waits for.
        tell: called with what the run, or whoever answers, waits for, whenever that is something
            else; "" when nothing is waited for.
        doing: entered while something is done, with a word for it and what may be added, and while
            answers are waited for with `num_answers`, those that are there.
    """

    metrics: Metrics = field(default_factory=lambda: Metrics([]))
    checkpoints: Checkpoints | None = None
    log: JsonLinesSink | None = None
    events: EventFiles | None = None
    on_checkpoint: Callable[[], None] | None = None
    on_phase_end: Callable[[], None] | None = None
    say: Callable[[str], None] = say_on_stderr
    tell: Callable[[str], None] = tell_nobody
    doing: Callable[..., AbstractContextManager[None]] = show_nothing
