"""Records episodes with what clips of them are made from, as a run does."""

from collections.abc import Callable
from typing import Any

import numpy as np

from prefrl.envs import make_env, make_vec_env
from prefrl.envs.beginnings import NotedResets
from prefrl.labelling.clips import ClipMaker, ClipSource, NamedEnv, choose_source
from prefrl.segments import EpisodeStore, SegmentBatch

ROBOTS = "tests.labelling.robots"


def named(env_id: str, **settings: Any) -> tuple[Callable[[str | None], Any], NamedEnv]:
    """Returns what makes an environment here, and what makes it elsewhere."""

    def make(render_mode: str | None) -> Any:
        return make_env(env_id, render_mode=render_mode, **settings)

    return make, NamedEnv(env_id, settings)


class Recorded:
    """Some episodes of an environment, and a maker of their clips."""

    def __init__(
        self,
        make: Callable[[str | None], Any],
        scene: NamedEnv | None,
        *,
        num_steps: int = 70,
        size: int = 64,
    ) -> None:
        self.source: ClipSource = choose_source(make, scene)
        self.maker = ClipMaker(self.source, size=size)
        self.store = EpisodeStore()

        def make_one() -> Any:
            env = make("rgb_array" if self.source.kind == "pictures" else None)
            return NotedResets(env) if self.source.kind == "actions" else env

        venv = make_vec_env(make_one, 2, self.store, beside=self.maker.beside)
        venv.seed(5)
        venv.reset()
        venv.action_space.seed(5)
        for _ in range(num_steps):
            venv.step(np.array([venv.action_space.sample() for _ in range(2)]))
        venv.reset()
        venv.close()

    def segments(self, num: int, length: int) -> SegmentBatch:
        return self.store.sample(num, length, rng=np.random.default_rng(0))
