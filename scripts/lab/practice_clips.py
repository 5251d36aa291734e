"""Draws the two clips that people practise on: a ball that stays back, and one that runs on.

python scripts/lab/practice_clips.py writes them into prefrl/labelling/page/.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prefrl.media.mp4 import mp4_bytes

PAGE = Path(__file__).parents[2] / "prefrl" / "labelling" / "page"
SIZE, FLOOR, RADIUS = 320, 236, 22
NUM_FRAMES, FRAMES_PER_S = 40, 20
SKY, GROUND, LIGHTER, BALL, SHINE = (
    np.array(colour, dtype=np.float64)
    for colour in ((28, 38, 58), (62, 76, 100), (76, 92, 120), (110, 176, 255), (225, 240, 255))
)


def picture(x: float, y: float) -> NDArray[np.uint8]:
    """Returns (H, W, 3) a ball above a floor of tiles.

    Args:
        x: of its middle, in pixels.
        y: likewise, downwards.
    """
    rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)
    image = np.broadcast_to(SKY, (SIZE, SIZE, 3)).copy()
    below = rows > FLOOR
    image[below] = GROUND
    image[below & (columns // 40 % 2 == 0)] = LIGHTER
    shadow = ((columns - x) / 24) ** 2 + ((rows - FLOOR - 8) / 6) ** 2 < 1
    image[shadow] *= 0.6
    distance = np.hypot(columns - x, rows - y)
    inside = np.clip(RADIUS + 0.5 - distance, 0, 1)[..., None]
    light = np.exp(-((columns - x + 8) ** 2 + (rows - y + 9) ** 2) / 90)[..., None]
    ball = BALL * (1 - light) + SHINE * light
    return np.asarray(image * (1 - inside) + ball * inside, dtype=np.uint8)


def clip(reach: float) -> bytes:
    """Returns the film of a ball that hops along.

    Args:
        reach: pixels that it comes forward.
    """
    along = np.linspace(0, 1, NUM_FRAMES)
    hops = np.abs(np.sin(along * np.pi * reach / 60))
    return mp4_bytes(
        (
            picture(45 + reach * a, FLOOR - RADIUS - 60 * h)
            for a, h in zip(along, hops, strict=True)
        ),
        FRAMES_PER_S,
    )


def main() -> None:
    """Writes both clips."""
    for side, reach in (("left", 70), ("right", 230)):
        (PAGE / f"practice-{side}.mp4").write_bytes(clip(reach))


if __name__ == "__main__":
    main()
