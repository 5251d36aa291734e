"""The command line: arguments become a run, or the evaluation of one."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from prefrl.config import RunConfig, from_yaml
from prefrl.errors import ConfigError, PrefrlError

USAGE = """usage: prefrl COMMAND [OPTIONS]

  run    learn a task from preferences:  prefrl run --env HalfCheetah-v4
  eval   evaluate a finished run:        prefrl eval RUN --video out.mp4

prefrl COMMAND --help lists a command's options."""


@dataclass(frozen=True)
class RunCommand:
    """Learn a task from preferences, or go on with an interrupted run.

    Args:
        settings: the run's settings; None means the environment's preset decides.
        out: the run folder, new or empty; runs/... by default.
        resume: go on with the run in this folder; its own settings hold.
        config: start from the settings in this file (a run's config.yaml reruns it exactly).
        wandb: log to this Weights & Biases project, too.
    """

    settings: Annotated[RunConfig, tyro.conf.arg(name="")]
    out: Path | None = None
    resume: Path | None = None
    config: Path | None = None
    wandb: str | None = None


@dataclass(frozen=True)
class EvalCommand:
    """Evaluate a finished run's policy on the true reward, and film it.

    Loading policy.zip runs code stored in it: evaluate only runs you trust.

    Args:
        run: the run folder.
        episodes: how many to play.
        seed: of the episodes.
        video: write a clip of one episode to this MP4 file.
        video_seconds: longest clip, in seconds of simulated time.
        video_size: width and height of the clip, in pixels.
    """

    run: tyro.conf.Positional[Path]
    episodes: int = 10
    seed: int = 0
    video: Path | None = None
    video_seconds: float = 10.0
    video_size: int = 480


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the process's exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    commands: dict[str, Callable[[list[str]], None]] = {"run": _run, "eval": _eval}
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if words else 2
    if words[0] not in commands:
        valid = ", ".join(commands)
        print(f"prefrl: unknown command {words[0]!r}; choose from {valid}", file=sys.stderr)
        return 2
    try:
        commands[words[0]](words[1:])
    except PrefrlError as error:
        print(f"prefrl: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nprefrl: stopped; go on with --resume and the run folder", file=sys.stderr)
        return 130
    return 0


def _run(words: list[str]) -> None:
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config", type=Path)
    config_path = finder.parse_known_args(words)[0].config
    start = from_yaml(config_path) if config_path is not None else RunConfig()
    command = tyro.cli(
        RunCommand,
        args=words,
        prog="prefrl run",
        default=RunCommand(settings=start),
        config=(tyro.conf.AvoidSubcommands,),
    )
    from prefrl.runs import resume, run  # torch and its friends take seconds to import

    if command.resume is not None:
        if command.settings != start or command.config is not None or command.out is not None:
            raise ConfigError("--resume goes on with the run's own settings; give it alone")
        folder = command.resume
        result = resume(folder, wandb_project=command.wandb)
    else:
        result = run(command.settings, out=command.out, wandb_project=command.wandb)
    summary = result.summary
    print(
        f"true return {summary['final_true_return_mean']:.0f} "
        f"± {summary['final_true_return_std']:.0f} over {summary['eval_episodes']} episodes, "
        f"{summary['num_answers']} answers, {summary['wall_s']:.0f} s; "
        f"policy, curve and summary are in {result.folder}"
    )


def _eval(words: list[str]) -> None:
    command = tyro.cli(EvalCommand, args=words, prog="prefrl eval")
    os.environ.setdefault("MUJOCO_GL", "egl")
    from prefrl.runs import evaluate_run, film_run

    result = evaluate_run(command.run, num_episodes=command.episodes, seed=command.seed)
    print(json.dumps({"run": str(command.run), **asdict(result)}, indent=2))
    if command.video is not None:
        num_frames = film_run(
            command.run,
            command.video,
            seed=command.seed,
            max_seconds=command.video_seconds,
            size=command.video_size,
        )
        print(f"{num_frames} frames in {command.video}")
