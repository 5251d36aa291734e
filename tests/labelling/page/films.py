"""Films of a ball that runs, as a renderer would make them."""

import functools
from typing import Any

import imageio
import numpy as np

SIZE = 320


@functools.cache
def film(seed, *, num_frames=40, fps=20):
    """Returns an MP4 of a ball that bounces along; `seed` says how fast, and in which colour."""
    rng = np.random.default_rng(seed)
    speed, height = rng.uniform(0.3, 2.2), rng.uniform(30, 110)
    colour = np.array([90 + 150 * rng.random(), 120 + 120 * rng.random(), 255], dtype=np.uint8)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    frames: list[Any] = []
    for index in range(num_frames):
        frame = np.full((SIZE, SIZE, 3), (24, 32, 48), dtype=np.uint8)
        floor = (rows > 250) & ((columns + int(4 * speed * index)) // 40 % 2 == 0)
        frame[rows > 250] = (60, 72, 92)
        frame[floor] = (74, 88, 112)
        x = (40 + 6 * speed * index) % (SIZE + 40) - 20
        y = 232 - height * abs(np.sin(index * 0.28 * speed))
        frame[(columns - x) ** 2 + (rows - y) ** 2 < 18**2] = colour
        frames.append(frame)
    return imageio.mimwrite(
        "<bytes>",
        frames,
        format="mp4",
        fps=fps,
        codec="libx264",
        pixelformat="yuv420p",
        macro_block_size=1,
        ffmpeg_params=["-movflags", "+faststart"],
    )
