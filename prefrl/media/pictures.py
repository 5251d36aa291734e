"""Pictures as arrays.

Axes: H, W height and width in pixels.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import DataError


def check_picture(frame: Any) -> NDArray[np.uint8]:
    """Returns a picture as an array.

    Raises:
        DataError: it is none of (H, W, 3) whole numbers from 0 to 255.
    """
    array: NDArray[np.uint8] = np.asarray(frame)
    if array.ndim != 3 or array.shape[2] != 3 or not array.size or array.dtype != np.uint8:
        raise DataError(
            f"it is of shape {array.shape} and type {array.dtype}; expected (height, width, 3) of "
            "uint8"
        )
    return array


def resized(frame: Any, size: int) -> Any:
    """Returns a frame whose longer side has so many pixels; its shape stays."""
    from PIL import Image

    height, width = frame.shape[:2]
    scale = size / max(height, width)
    if scale == 1.0:
        return frame
    shape = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(Image.fromarray(np.asarray(frame, dtype=np.uint8)).resize(shape))
