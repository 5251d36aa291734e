"""One run, from its settings to its summary."""

from prefrl.runs.compose import resume, run
from prefrl.runs.parts import Parts, RunResult

__all__ = ["Parts", "RunResult", "resume", "run"]
