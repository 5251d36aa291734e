"""The records of a run: metrics, checkpoints and the log."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from prefrl.records.checkpoint import Checkpoints
from prefrl.records.event_files import EventFiles
from prefrl.records.metrics import JsonLinesSink, Metrics


def say_on_stderr(line: str) -> None:
    """Tells whoever watches the run."""
    print(line, file=sys.stderr, flush=True)


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
    """

    metrics: Metrics = field(default_factory=lambda: Metrics([]))
    checkpoints: Checkpoints | None = None
    log: JsonLinesSink | None = None
    events: EventFiles | None = None
    on_checkpoint: Callable[[], None] | None = None
    on_phase_end: Callable[[], None] | None = None
    say: Callable[[str], None] = say_on_stderr
