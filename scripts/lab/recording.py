"""Timing of what recording adds to the stepping of real environments."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lab.speed import ACTION_DIM, CLOCKS, NUM_ENVS
from prefrl.envs.recorder import Recorder
from prefrl.envs.registry import make_env
from prefrl.envs.vec_env import SameProcessVecEnv
from prefrl.segments import EpisodeStore

ENV = "HalfCheetah-v4"


def recording_overhead(*, rounds: int, num_steps: int, clock: str) -> dict[str, Any]:
    """Steps eight HalfCheetahs with `Recorder` around them and without, in turns.

    What it adds is a few hundredths of what is timed, less than the weather on a busy machine: so
    rounds are short and many, and the fastest of each kind are compared as well as the median ones.

    Args:
        rounds: of both.
        num_steps: of the vector environment, in each.
        clock: a key of `CLOCKS`.

    Returns:
        milliseconds a step without and with, fastest and median, and by what share it is more.
    """
    makers = [lambda: make_env(ENV)] * NUM_ENVS
    actions = np.random.default_rng(0).uniform(-1, 1, (num_steps, NUM_ENVS, ACTION_DIM))
    actions = actions.astype(np.float32)
    bare = SameProcessVecEnv(makers)
    recorded = Recorder(SameProcessVecEnv(makers), EpisodeStore(200_000), env_id=ENV)
    now = CLOCKS[clock]

    def stepper(venv: Any) -> Callable[[], float]:
        venv.seed(0)
        venv.reset()

        def milliseconds() -> float:
            start = now()
            for action in actions:
                venv.step(action)
            return 1e3 * (now() - start) / num_steps

        return milliseconds

    runs = [stepper(bare), stepper(recorded)]
    without, with_it = np.array([[run() for run in runs] for _ in range(rounds + 1)])[1:].T
    bare.close()
    recorded.close()
    results: dict[str, Any] = {"env": ENV, "num_envs": NUM_ENVS, "rounds": rounds}
    for name, summary in (("fastest", np.min), ("median", np.median)):
        before, after = float(summary(without)), float(summary(with_it))
        results |= {
            f"step_ms_{name}": before,
            f"recorded_step_ms_{name}": after,
            f"share_{name}": after / before - 1,
        }
    return results
