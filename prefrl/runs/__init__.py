"""One run, from its settings to its summary."""

from prefrl.runs.compose import Parts, RunResult, resume, run

__all__ = ["Parts", "RunResult", "resume", "run"]
