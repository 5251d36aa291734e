"""Labelling apart from a run: what `prefrl label` does with a run's folder, or with a file."""

from prefrl.runs.label.start import Labelled, label_data, label_run

__all__ = ["Labelled", "label_data", "label_run"]
