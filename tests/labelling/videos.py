"""Reads clips back, as a browser would."""

import gc
import warnings
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np


def frames_of(mp4: bytes, folder: Path) -> np.ndarray:
    """(F, H, W, 3) the frames of a clip."""
    path = folder / "read.mp4"
    path.write_bytes(mp4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # imageio forgets its reader's pipes.
        reader: Any = imageio.get_reader(path)
        frames = np.stack([np.asarray(frame) for frame in reader])
        reader.close()
        del reader
        gc.collect()
    return frames
