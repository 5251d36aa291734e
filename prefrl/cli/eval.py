"""`prefrl eval`: play a finished run's policy on the true reward, and film it."""

import json
import math
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro

from prefrl.cli.parsing import parse
from prefrl.config.ranges import LARGEST_SEED
from prefrl.errors import ConfigError, at_least, at_most, option

_USUAL_SECONDS = 10.0

_MOST_EPISODES = 1_000_000
_MOST_PIXELS = 8_192  # what graphics cards and the codec can do


@dataclass(frozen=True)
class EvalCommand:
    """Evaluate a finished run's policy on the true reward, and film it.

    Nothing in the folder is run: the policy is made of its weights in policy.safetensors.

    Args:
        run: the run folder.
        policy: the final one, or the best of those evaluated while the run trained (--eval-every).
        episodes: how many to play; 0 only films.
        seed: of the episodes; no other seed plays one of them.
        video: write a clip of the first episode to this MP4 file.
        video_seconds: longest clip, in seconds of simulated time; 10 by default.
        video_size: pixels of the clip's longer side; by default 480 where the environment lets it
            be chosen, and its own size elsewhere.
        trust: where there is no policy.safetensors, load policy.zip, which runs code stored in it.
    """

    run: tyro.conf.Positional[Path]
    policy: Literal["final", "best"] = "final"
    episodes: int = 10
    seed: int = 0
    video: Path | None = None
    video_seconds: float | None = None
    video_size: int | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        clip = {"video_seconds": self.video_seconds, "video_size": self.video_size}
        for name, value in clip.items():
            if value is not None and self.video is None:
                raise ConfigError(f"{option(name)} is of a clip; say where with {option('video')}")
        if self.episodes == 0 and self.video is None:
            raise ConfigError(
                f"{option('episodes')} is 0, and there is no {option('video')}: nothing to do"
            )
        for name, least in (("episodes", 0), ("seed", 0), ("video_size", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(at_least(name, value, least))
        for name, most in (
            ("episodes", _MOST_EPISODES),
            ("seed", LARGEST_SEED),
            ("video_size", _MOST_PIXELS),
        ):
            value = getattr(self, name)
            if value is not None and value > most:
                raise ConfigError(at_most(name, value, most))
        if self.video_seconds is not None and not 0 < self.video_seconds < math.inf:
            raise ConfigError(
                f"{option('video_seconds')} is {self.video_seconds}; expected more than 0"
            )


def eval_command(words: list[str]) -> None:
    """Runs `prefrl eval`."""
    command = parse(EvalCommand, words, prog="prefrl eval")
    os.environ.setdefault("MUJOCO_GL", "egl")
    from prefrl.runs.playback import evaluate_run, film_run
    from prefrl.runs.video import check_clip_path

    if command.video is not None:
        check_clip_path(command.video)
    if command.episodes:
        _say(f"evaluating {command.episodes:,} episodes")
        result = evaluate_run(
            command.run,
            num_episodes=command.episodes,
            seed=command.seed,
            policy=command.policy,
            trust=command.trust,
        )
        known = {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(result).items()
        }
        print(json.dumps({"run": str(command.run), "policy": command.policy, **known}, indent=2))
    if command.video is not None:
        _say(f"filming {command.video}")
        num_frames = film_run(
            command.run,
            command.video,
            seed=command.seed,
            max_seconds=command.video_seconds or _USUAL_SECONDS,
            size=command.video_size,
            policy=command.policy,
            trust=command.trust,
        )
        print(f"{num_frames} frames in {command.video}")


def _say(activity: str) -> None:
    # Apart from the result, which programs may read; they get errors as the one line that there is.
    if sys.stderr.isatty():
        print(activity, file=sys.stderr, flush=True)
