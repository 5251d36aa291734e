"""`ClipMaker`: from the segments of a question to the specs of its clips.

Axes: S segments, L steps of an episode, Q simulator-state dims, F frames.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefrl.arguments import instance
from prefrl.envs.beginnings import Beginnings
from prefrl.envs.films import Films
from prefrl.errors import DataError
from prefrl.labelling.clips.shown import ShownSteps, shown_steps
from prefrl.labelling.clips.sources import ClipSource
from prefrl.labelling.clips.spec import ClipSpec, Content, NamedEnv, Recorded, Replay, SimStates
from prefrl.media.mp4 import mp4_bytes
from prefrl.segments import Episode, EpisodeStore, SegmentBatch


class ClipMaker:
    """Describes clips of a run's segments, with what happened around them.

    Args:
        source: of the environment, as `choose_source` found it.
        size: height and width of the clips, in pixels.

    Attributes:
        beside: what a run's recorder keeps for it, for `make_vec_env(beside=...)`; None where
            episodes hold everything.
    """

    def __init__(self, source: ClipSource, *, size: int = 320) -> None:
        self.source = instance("source", source, ClipSource)
        self.size = size
        kinds: dict[str, Films | Beginnings | None] = {
            "states": None,
            "pictures": Films(size),
            "actions": Beginnings(),
        }
        self.beside = kinds[source.kind]

    def specs(self, segments: SegmentBatch, store: EpisodeStore | None = None) -> list[ClipSpec]:
        """Returns the specs of S segments' clips.

        Args:
            segments: S of them.
            store: the episodes that they lie in, a run's own or those of `load_episodes`. Of one
                that is not there any more, the segment is shown without what was around it.

        Raises:
            DataError: a segment has no states, or what it is made from is not kept any more.
        """
        return [self._spec(segments[[row]], store) for row in range(len(segments))]

    def _spec(self, segment: SegmentBatch, store: EpisodeStore | None) -> ClipSpec:
        first, length = int(segment.start[0]), int(segment.length[0])
        number = int(segment.episode[0])
        episode = None if store is None else _episode(store, number)
        if episode is None:
            steps = shown_steps(0, length, num_steps=length, dt=self.source.dt)
        else:
            steps = shown_steps(first, first + length, num_steps=len(episode), dt=self.source.dt)
        if self.source.kind == "states":
            states = segment.sim_states[0] if episode is None else episode.sim_states
            return spec_of_states(states, steps, scene=self.source.scene, size=self.size)
        if episode is None:
            raise DataError(f"episode {number} is not kept any more; no clip can be made of it")
        content: Content
        if isinstance(self.beside, Films):
            pictures = self.beside.pictures(number, steps.steps)
            content = Recorded(mp4_bytes(pictures, 1 / steps.dt), len(pictures))
        else:
            assert isinstance(self.beside, Beginnings)
            content = self._replay(self.beside.of(number), episode, steps)
        return ClipSpec(content, counts=steps.counts, dt=steps.dt, size=self.size)

    def _replay(self, beginning: Any, episode: Episode, steps: ShownSteps) -> Replay:
        last = int(steps.steps[-1])
        assert isinstance(self.source.scene, NamedEnv)
        return Replay(
            self.source.scene,
            beginning,
            episode.actions[:last].astype(np.float32),
            steps.steps,
            episode.observations[last].astype(np.float32),
        )


def spec_of_states(
    states: NDArray[np.floating[Any]], steps: ShownSteps, *, scene: Any, size: int
) -> ClipSpec:
    """Returns the spec of a clip of simulator states.

    Args:
        states: (L, Q) of all steps that may be shown.
        steps: those that are.
        scene: whose model they are states of.
        size: height and width in pixels.

    Raises:
        DataError: there are no states.
    """
    if not states.shape[1]:
        raise DataError("the segment has no simulator states, so that no clip can be made of it")
    rows, frames = np.unique(steps.steps, return_inverse=True)
    content = SimStates(scene, states[rows].astype(np.float32), frames.astype(np.int64))
    return ClipSpec(content, counts=steps.counts, dt=steps.dt, size=size)


def _episode(store: EpisodeStore, number: int) -> Episode | None:
    index = number - store.num_dropped
    return store.episodes[index] if 0 <= index < len(store.episodes) else None
