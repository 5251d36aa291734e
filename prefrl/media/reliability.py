"""A reliability diagram: how far predicted probabilities can be believed."""

import os
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from prefrl.media.canvas import FAINT, MUTED, SQUARE_IN, TRUE, mute, new_figure, save
from prefrl.types import Float64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DOT_POINTS2 = (24.0, 130.0)  # areas of the smallest dot drawn and of that of the fullest bin
_Z_95 = 1.96


class Bins(Protocol):
    """Predictions in groups, as those of `reliability_bins`."""

    @property
    def mean_predicted(self) -> Float64Array:
        """(bins,) mean predicted probability of "left", in [0, 1]."""

    @property
    def mean_observed(self) -> Float64Array:
        """(bins,) mean answer: 1 left, 0 right, 0.5 a tie."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """(bins,) answers in each, at least 1."""


def plot_reliability(bins: Bins, path: str | os.PathLike[str], *, title: str) -> None:
    """Draws what was answered against what was predicted; on the diagonal a model is calibrated.

    The area of a dot is in proportion to the answers in its bin (very small ones are drawn larger,
    to be seen); its bar is Wilson's 95% interval (1927), too long where ties are among them.

    Args:
        bins: may be none.
        path: the PNG file.
        title: above it all; taken literally.

    Raises:
        StorageError: the file could not be written.
    """
    figure = new_figure(title, SQUARE_IN)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    _finish_shares(axes)
    axes.set_xlabel("predicted probability that left is better")
    axes.set_ylabel("share of answers that said left")
    note = "no answers yet"
    if len(bins.counts):
        x, y = bins.mean_predicted, bins.mean_observed
        smallest, largest = _DOT_POINTS2
        areas = np.maximum(largest * bins.counts / bins.counts.max(), smallest)
        low, high = _wilson(y, bins.counts)
        axes.vlines(x, low, high, color=TRUE, alpha=0.45, linewidth=1.4, clip_on=False)
        axes.scatter(x, y, areas, color=TRUE, edgecolors="white", zorder=4, clip_on=False)
        note = f"{bins.counts.sum():,} answers, {_span(bins.counts)} a dot;  "
        note += "bars: 95% interval;  dashed: calibrated"
    axes.set_title(note, loc="left", color=MUTED, fontsize=9)
    save(figure, path)


def _wilson(share: Float64Array, counts: NDArray[np.int64]) -> tuple[Float64Array, Float64Array]:
    """Returns (bins,) ends of the score interval of each share; honest at 0, 1 and for few."""
    shrink = 1 / (1 + _Z_95**2 / counts)
    centre = shrink * (share + _Z_95**2 / (2 * counts))
    half = shrink * _Z_95 * np.sqrt(share * (1 - share) / counts + (_Z_95 / (2 * counts)) ** 2)
    return centre - half, centre + half


def _span(counts: NDArray[np.int64]) -> str:
    fewest, most = counts.min(), counts.max()
    return f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"


def _finish_shares(axes: "Axes") -> None:
    """Makes it a square from 0 to 1 in both directions."""
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.grid(color=FAINT, linewidth=0.7)
    mute(axes)
