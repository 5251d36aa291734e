"""A fixed pool of segments, from random play to the best that an agent learned.

Strategies are compared on the same material, without reinforcement learning in the loop: the pool
holds segments of every stage of one agent's training on the true reward.

Axes: S segments, T steps, O observation dims, A action dims.
"""

import dataclasses
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prefrl.config import PoolSettings, RunConfig, from_yaml
from prefrl.errors import DataError, StorageError
from prefrl.records import run_folder
from prefrl.records.checkpoint import Checkpoints, load_state, save_state
from prefrl.records.files import claimed, reason, remove_leftovers
from prefrl.runs.start import resume, run
from prefrl.segments import EpisodeStore, SegmentBatch
from prefrl.segments.stored import segments_of

# One episode in so many is kept for testing; no test segment overlaps one that is asked about.
TEST_EVERY = 4


@dataclass(frozen=True)
class Pool:
    """Segments without simulator states: nobody looks at them.

    Args:
        env: the environment.
        candidates: what may be asked about.
        test: of other episodes.
    """

    env: str
    candidates: SegmentBatch
    test: SegmentBatch

    @property
    def digest(self) -> str:
        """SHA-256 of the arrays that pools have had from the first; others follow from them."""
        found = hashlib.sha256()
        for part in _PARTS:
            for name in _DIGESTED:
                array = getattr(getattr(self, part), name)
                found.update(f"{part} {name} {array.dtype.str} {array.shape} ".encode())
                found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()


def collect(settings: PoolSettings, folder: Path) -> Pool:
    """Trains an agent on the true reward and draws from all it did.

    Args:
        settings: of the pool.
        folder: of the agent's run; one that was killed there is gone on with.

    Raises:
        PrefrlError: there is no such environment, or it cannot be learned from.
    """
    config = RunConfig(
        env=settings.env,
        steps=settings.steps,
        segment_length=settings.segment_length,
        reward="true",
        seed=settings.seed,
        eval_episodes=1,
        store_transitions=settings.steps,
        keep_checkpoints=True,
    )
    try:
        if (folder / run_folder.CONFIG).exists():
            resume(folder, show_progress=False)
        else:
            run(config, out=folder, show_progress=False)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same command goes on with the pool") from None
    resolved = from_yaml(folder / run_folder.CONFIG)
    found = Checkpoints(folder / run_folder.CHECKPOINTS, resolved.fingerprint()).latest()
    assert found is not None
    store = EpisodeStore(settings.steps)
    store.restore(found[1]["store"])
    rng = np.random.default_rng(settings.seed)
    parts = {"candidates": EpisodeStore(settings.steps), "test": EpisodeStore(settings.steps)}
    for number, episode in enumerate(store.episodes):
        parts["candidates" if (number + 1) % TEST_EVERY else "test"].add(episode)
    sizes = {"candidates": settings.num_candidates, "test": settings.num_test}
    drawn = {
        name: _kept(part.sample(sizes[name], settings.segment_length, rng=rng))
        for name, part in parts.items()
    }
    return Pool(settings.env, **drawn)


def _kept(drawn: SegmentBatch) -> SegmentBatch:
    """Takes each window once, as a short run has fewer than are drawn; no simulator states."""
    windows = np.stack([drawn.episode, drawn.start], axis=1)
    _, first = np.unique(windows, axis=0, return_index=True)
    batch = drawn[np.sort(first)]
    return dataclasses.replace(batch, sim_states=np.zeros((*batch.true_rewards.shape, 0)))


def cached(settings: PoolSettings, folder: Path) -> Pool:
    """Loads the pool from its file in `folder`, or collects it and saves it there.

    Raises:
        StorageError: the file is damaged, or the disk refused.
    """
    path, scratch = settings.path(folder), folder / f".{settings.name}"
    if not path.exists():
        try:
            scratch.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"could not make {scratch}: {reason(error)}") from None
        with claimed(scratch):
            remove_leftovers(scratch)
            pool = collect(settings, scratch / "run")
            state = {part: vars(getattr(pool, part)) for part in _PARTS}
            save_state(path, state, fingerprint=settings.name)
    if scratch.exists():  # a kill may have come just here
        shutil.rmtree(scratch, ignore_errors=True)
    state = load_state(path, fingerprint=settings.name)
    try:
        return Pool(settings.env, **{part: segments_of(state.get(part)) for part in _PARTS})
    except DataError as error:
        raise StorageError(f"{path} is damaged: {error}") from None


_PARTS = ("candidates", "test")
_DIGESTED = ("observations", "actions", "true_rewards", "sim_states", "episode", "start")
