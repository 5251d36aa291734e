"""The store of labels: questions, answers, leases, annotators and clips in an SQL database."""

from prefrl.labelling.store.store import LabelStore

__all__ = ["LabelStore"]
