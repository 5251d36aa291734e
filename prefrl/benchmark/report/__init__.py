"""The report of a benchmark, from its results alone."""

from prefrl.benchmark.report.report import make_report

__all__ = ["make_report"]
