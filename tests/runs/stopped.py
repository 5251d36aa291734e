"""Runs that were stopped in the middle."""

import contextlib
from pathlib import Path
from typing import Any

from prefrl import RunConfig, run


def stopped_after(num_checkpoints: int, config: RunConfig, folder: Path, **options: Any) -> Path:
    """Runs until so many checkpoints were written; returns the folder, with what it then has."""
    left = [num_checkpoints]

    def stop() -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        run(config, out=folder, show_progress=False, on_checkpoint=stop, **options)
    return folder
