"""In which units a reward model sees its inputs.

Axes: N rows, S segments, T steps, D input dims.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# What moves less over the fitted rows stands still; it is not divided by that.
MIN_SPREAD = 1e-6
# Relative to its size, an input whose unit says nothing moves by more than float32 rounds; and by
# more than can be divided by.
RESOLUTION, SMALLEST = 1e-6, 1e-35
# Segments that all but agree are not blown up by more than this.
MIN_SEGMENT_SPREAD = 1e-2


@dataclass(frozen=True)
class InputStatistics:
    """How inputs lie over what is fitted to.

    Args:
        mean: (D,).
        std: (D,) population standard deviation; 1 of an input that stands still.
        segment_spread: () how much less segments differ than single rows; None: not told by rows.
    """

    mean: Tensor
    std: Tensor
    segment_spread: Tensor | None


@torch.no_grad()
def input_statistics(rows: Tensor, *, any_unit: bool = False) -> InputStatistics:
    """Means and spreads of (N, D) rows or (S, T, D) segments.

    Inputs are measured by the mean and spread of single rows. Segments differ by less, as what
    comes and goes within them cancels; rewards are divided by how much less, so that an untrained
    network, and the prior that draws it to zero, see segments of every robot alike.

    Args:
        rows: what is fitted to.
        any_unit: an input is used however small it is, as long as float32 tells its values apart.
            Else one that moves by less than 1e-6 stands still: that is a simulator's rounding,
            which must not be blown up to what the robot may yet do.
    """
    flat = rows.reshape(-1, rows.shape[-1])
    if any_unit:  # in float64, as squares may underflow
        spread = flat.double().std(0, correction=0).to(flat)
        is_moving = spread > (RESOLUTION * flat.abs().amax(0)).clamp(min=SMALLEST)
    else:
        spread = flat.std(0, correction=0)
        is_moving = spread > MIN_SPREAD
    std = torch.where(is_moving, spread, torch.ones_like(spread))
    if rows.ndim < 3 or len(rows) < 2:
        return InputStatistics(flat.mean(0), std, None)
    if any_unit:  # in units of their own first, for the same reason
        moving = ((rows - flat.mean(0)) / std).mean(1).std(0, correction=0)[is_moving]
    else:
        moving = (rows.mean(1).std(0, correction=0) / std)[is_moving]
    ratio = moving.square().mean().sqrt() if len(moving) else std.new_tensor(1.0)
    return InputStatistics(flat.mean(0), std, ratio.clamp(min=MIN_SEGMENT_SPREAD))
