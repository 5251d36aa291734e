"""Plots of a run, a benchmark and a reward model: PNG files of 1200 x 500 px, or 750 x 750."""

from prefrl.media.arms import plot_arms
from prefrl.media.canvas import FAINT, INK, MUTED, mute
from prefrl.media.learning_curve import plot_learning_curve
from prefrl.media.reliability import plot_reliability

__all__ = [
    "FAINT",
    "INK",
    "MUTED",
    "mute",
    "plot_arms",
    "plot_learning_curve",
    "plot_reliability",
]
