"""The units in which a reward model sees its inputs.

Axes: N rows, S segments, T steps, D input dims.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# Inputs whose standard deviation is below this count as constant and are not divided by it.
MIN_STD = 1e-6
# Where inputs may be of any unit, one is constant whose standard deviation is below this share of
# its largest value (float32 rounds by as much), or too small to divide by.
RESOLUTION, SMALLEST = 1e-6, 1e-35
# Differences between segments are not blown up by more than the inverse of this.
MIN_SEGMENT_SPREAD = 1e-2


@dataclass(frozen=True)
class InputStatistics:
    """Means and standard deviations of inputs over what is fitted to.

    Args:
        mean: (D,).
        std: (D,) population standard deviation; 1 of a constant input.
        segment_spread: () standard deviation of segments' means in units of `std`, the root mean
            square over inputs; None where only rows were given.
    """

    mean: Tensor
    std: Tensor
    segment_spread: Tensor | None


@torch.no_grad()
def input_statistics(
    rows: Tensor, mask: Tensor | None = None, *, any_unit: bool = False
) -> InputStatistics:
    """Measures (N, D) rows or (S, T, D) segments.

    Inputs are measured by the mean and standard deviation of single rows. Segments differ by less,
    as what comes and goes within them cancels; rewards are divided by how much less, so that an
    untrained network, and the prior that draws it to zero, see segments of every robot alike.

    Args:
        rows: what is fitted to.
        mask: (N,) or (S, T) 0 at padding, which is left out; None: there is none.
        any_unit: an input is used however small it is, as long as float32 tells its values apart.
            Else one with a standard deviation below 1e-6 is constant: that is a simulator's
            rounding, which must not be blown up to what the robot may yet do.
    """
    flat = rows.reshape(-1, rows.shape[-1]) if mask is None else rows[mask.to(rows.device) != 0]
    if any_unit:  # in float64, as squares may underflow
        std = flat.double().std(0, correction=0).to(flat)
        is_moving = std > (RESOLUTION * flat.abs().amax(0)).clamp(min=SMALLEST)
    else:
        std = flat.std(0, correction=0)
        is_moving = std > MIN_STD
    std = torch.where(is_moving, std, torch.ones_like(std))
    mean = flat.mean(0)
    if rows.ndim < 3 or len(rows) < 2:
        return InputStatistics(mean, std, None)
    if any_unit:  # in units of their own first, for the same reason
        moving = _means((rows - mean) / std, mask).std(0, correction=0)[is_moving]
    else:
        moving = (_means(rows, mask).std(0, correction=0) / std)[is_moving]
    ratio = moving.square().mean().sqrt() if len(moving) else std.new_tensor(1.0)
    return InputStatistics(mean, std, ratio.clamp(min=MIN_SEGMENT_SPREAD))


def _means(segments: Tensor, mask: Tensor | None) -> Tensor:
    """Maps (S, T, D) -> (S, D) means over each segment's own steps."""
    if mask is None:
        return segments.mean(1)
    is_real = (mask != 0).to(segments.device)[..., None]
    return segments.where(is_real, 0.0).sum(1) / is_real.sum(1)
