"""`prefrl eval`: play a finished run's policy on the true reward, and film it."""

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro

from prefrl.cli.parsing import parse
from prefrl.errors import ConfigError, at_least


@dataclass(frozen=True)
class EvalCommand:
    """Evaluate a finished run's policy on the true reward, and film it.

    Loading policy.zip or best_policy.zip runs code stored in it: evaluate only runs you trust.

    Args:
        run: the run folder.
        policy: the final one, or the best of those evaluated while the run trained (--eval-every).
        episodes: how many to play.
        seed: of the episodes.
        video: write a clip of one episode to this MP4 file.
        video_seconds: longest clip, in seconds of simulated time.
        video_size: width and height of the clip, in pixels.
    """

    run: tyro.conf.Positional[Path]
    policy: Literal["final", "best"] = "final"
    episodes: int = 10
    seed: int = 0
    video: Path | None = None
    video_seconds: float = 10.0
    video_size: int = 480

    def __post_init__(self) -> None:
        for name, least in (("episodes", 1), ("seed", 0), ("video_size", 1)):
            if getattr(self, name) < least:
                raise ConfigError(at_least(name, getattr(self, name), least))
        if not 0 < self.video_seconds < math.inf:
            raise ConfigError(f"video_seconds is {self.video_seconds}; expected more than 0")


def eval_command(words: list[str]) -> None:
    """Runs `prefrl eval`."""
    command = parse(EvalCommand, words, prog="prefrl eval")
    os.environ.setdefault("MUJOCO_GL", "egl")
    from prefrl.runs.playback import evaluate_run, film_run
    from prefrl.runs.video import check_clip_path

    if command.video is not None:
        check_clip_path(command.video)
    result = evaluate_run(
        command.run, num_episodes=command.episodes, seed=command.seed, policy=command.policy
    )
    known = {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(result).items()
    }
    print(json.dumps({"run": str(command.run), "policy": command.policy, **known}, indent=2))
    if command.video is not None:
        num_frames = film_run(
            command.run,
            command.video,
            seed=command.seed,
            max_seconds=command.video_seconds,
            size=command.video_size,
            policy=command.policy,
        )
        print(f"{num_frames} frames in {command.video}")
