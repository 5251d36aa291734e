"""`DatasetClips`: clips of the pairs in a file of comparisons.

Axes: N pairs, R rows of the table of steps.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import instance
from prefrl.envs.opening import close_envs
from prefrl.envs.registry import make_env
from prefrl.errors import DataError, shown
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.steps import episodes_of
from prefrl.labelling.clips.checking import check_states
from prefrl.labelling.clips.making import spec_of_states
from prefrl.labelling.clips.shown import ShownSteps, shown_steps
from prefrl.labelling.clips.sources import seconds_a_step
from prefrl.labelling.clips.spec import ClipSpec, NamedEnv, Recorded
from prefrl.media.mp4 import mp4_bytes
from prefrl.media.pictures import resized

_USUAL_DT = 1 / 30
_NUM_CHECKED = 200  # rows
_TIME_LIMIT = 1_000_000


class DatasetClips:
    """Describes clips of recorded pairs: of their pictures where they have some, else of states.

    What lies around a segment is shown only where the file says which rows are of one episode.

    Args:
        dataset: with `frames` among its steps, or with `sim_states` and an `env_id`.
        size: height and width of the clips, in pixels; pictures keep their shape.
        dt: seconds of a step; None: the environment's, where `env_id` names one, else 1/30.

    Raises:
        DataError: it has neither, or its states are not the environment's.
        ConfigError: the environment cannot be made.
    """

    def __init__(
        self, dataset: PreferenceDataset, *, size: int = 320, dt: float | None = None
    ) -> None:
        self._pairs = instance("dataset", dataset, PreferenceDataset).pairs
        self._size = size
        # None of its episodes is played to the end, so any time limit will do.
        limit = {"max_episode_steps": _TIME_LIMIT}
        self._scene = None if dataset.env_id is None else NamedEnv(dataset.env_id, limit)
        steps = self._pairs.steps
        self._first, self._stop = _episode_rows(steps)
        self._has_frames = "frames" in steps and steps["frames"].size > 0
        if not self._has_frames and ("sim_states" not in steps or self._scene is None):
            raise DataError(
                "it has nothing to show to people: neither frames, (rows, height, width, 3), nor "
                "sim_states with the env_id that they are of"
            )
        if not self._has_frames:
            dt = self._checked() if dt is None else dt
        if dt is not None and not 0 < dt < 1e6:
            raise DataError(f"dt is {shown(dt)}; expected seconds above 0")
        self._dt = float(_USUAL_DT if dt is None else dt)

    def pair(self, row: int) -> tuple[ClipSpec, ClipSpec]:
        """Returns the specs of the left and of the right clip of a pair.

        Args:
            row: of the pair, from 0 to N - 1.
        """
        length = int(self._pairs.length[row])
        starts = int(self._pairs.left_start[row]), int(self._pairs.right_start[row])
        left, right = (self.clip(start, length) for start in starts)
        return left, right

    @property
    def has_frames(self) -> bool:
        """Tells clips of pictures from those that are rendered from states."""
        return self._has_frames

    @property
    def episodes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns (R,) the first row of each row's episode, and the one after its last."""
        return self._first, self._stop

    def clip(self, start: int, length: int) -> ClipSpec:
        """Returns the spec of a segment's clip.

        Args:
            start: row of its first step.
            length: its steps.
        """
        first, stop = int(self._first[start]), int(self._stop[start])
        # A segment that goes past its episode, as nothing forbids in a file, is all that is shown.
        first, stop = (first, stop) if start + length <= stop else (start, start + length)
        within = shown_steps(
            start - first, start - first + length, num_steps=stop - first, dt=self._dt
        )
        steps = ShownSteps(within.steps + first, within.counts, within.dt)
        table = self._pairs.steps
        if not self._has_frames:
            scene = self._scene
            return spec_of_states(table["sim_states"], steps, scene=scene, size=self._size)
        pictures = [
            resized(picture, self._size) for picture in _pictures(table["frames"], steps.steps)
        ]
        content = Recorded(mp4_bytes(pictures, 1 / steps.dt), len(pictures))
        return ClipSpec(content, counts=steps.counts, dt=steps.dt, size=self._size)

    def _checked(self) -> float:
        """Makes sure that the states are the environment's, and returns the seconds of a step."""
        assert self._scene is not None
        table, name = self._pairs.steps, self._scene.env_id
        faulty = ~np.isfinite(table["sim_states"]).all(axis=1)
        if faulty.any():
            raise DataError(f"sim_states holds NaN or an infinity in row {np.argmax(faulty)}")
        env = make_env(name, **self._scene.settings)
        try:
            dt = seconds_a_step(env)
            rows, following = self._followed()
            check_states(
                env,
                name,
                states=table["sim_states"][rows],
                actions=table["actions"][rows],
                following=following,
            )
        finally:
            close_envs([env])
        return dt

    def _followed(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Returns rows of which the file says what was observed after them, and that."""
        table = self._pairs.steps
        if "next_observations" in table:
            rows = np.arange(min(len(self._stop), _NUM_CHECKED))
            return rows, table["next_observations"][rows]
        rows = np.arange(len(self._stop) - 1)
        rows = rows[self._stop[:-1] > rows + 1][:_NUM_CHECKED]
        return rows, table["observations"][rows + 1]


def _episode_rows(steps: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns (R,) first row of each row's episode, and the first after it.

    Without `episode` in the table every row stands for itself, as nothing says what is next to it.
    """
    row = np.arange(len(steps["observations"]))
    if "episode" not in steps:
        return row, row + 1
    episode, step = episodes_of(steps)
    begins = np.ones(len(row), dtype=bool)
    begins[1:] = (episode[1:] != episode[:-1]) | (step[1:] != step[:-1] + 1)
    first = np.maximum.accumulate(np.where(begins, row, 0))
    ends = np.append(row[begins], len(row))
    return first, ends[np.searchsorted(ends, row, side="right")]


def _pictures(frames: NDArray[Any], rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    chosen = frames[rows]
    if chosen.dtype.kind == "f" and frames.max(initial=0) <= 1:
        chosen = chosen * 255
    return list(np.clip(np.nan_to_num(chosen), 0, 255).astype(np.uint8))
