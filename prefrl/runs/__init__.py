"""One run, from its settings to its summary."""

from prefrl.runs.parts import Parts, RunResult
from prefrl.runs.start import resume, run

__all__ = ["Parts", "RunResult", "resume", "run"]
