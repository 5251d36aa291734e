"""The command line: arguments become a run, or the evaluation of one."""

import contextlib
import dataclasses
import io
import json
import math
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from prefrl.config import RunConfig, TeacherConfig, from_yaml
from prefrl.errors import ConfigError, PrefrlError

USAGE = """usage: prefrl COMMAND [OPTIONS]

  run    learn a task from preferences:  prefrl run --env HalfCheetah-v4
  eval   evaluate a finished run:        prefrl eval RUN --video out.mp4
  bench  compare query strategies:       prefrl bench --strategies uniform disagreement --out DIR
  report make its report anew:           prefrl report DIR

prefrl COMMAND --help lists a command's options."""

_Command = TypeVar("_Command")


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

    def __post_init__(self) -> None:
        for name, least in (("episodes", 1), ("seed", 0), ("video_size", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected {least} or more")
        if not 0 < self.video_seconds < math.inf:
            raise ConfigError(f"video_seconds is {self.video_seconds}; expected more than 0")


@dataclass(frozen=True)
class BenchCommand:
    """Compare query strategies; what is finished in the output folder is not run again.

    Args:
        out: the benchmark's folder, new or that of a benchmark with the same settings. What is
            finished is not run again; a cell is, once its cells/ID/result.json is removed.
        envs: environments, by Gymnasium id.
        strategies: acquisitions, acquisition+selector, or module:name of your own.
        teachers: oracle, noisy, mistake, skip, equal or myopic, with a number as in mistake:0.2.
        seeds: how many, counted from 0.
        budgets: answers at which models are measured; in mode rl each is that of a run by itself.
        mode: reward fits models to a fixed pool of segments; rl makes whole runs, with the true
            reward beside them.
        steps: of the agent from whose training the pool is drawn, or of each run.
        segment_length: steps of a segment: 50, or in mode rl the environment's own.
        executor: local: processes on this machine; ray: a cluster that there is (prefrl[ray]).
        jobs: cells side by side on this machine; as many as there are cores if nothing is said.
        threads: of each cell.
        ray_address: the cluster, as ray.init takes it.
    """

    out: Path
    # Each goes by the name that `prefrl run` has for one of them, too.
    envs: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--env"])] = ("HalfCheetah-v4",)
    strategies: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--strategy"])] = (
        "uniform",
        "disagreement",
    )
    teachers: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--teacher"])] = ("oracle",)
    seeds: int = 5
    budgets: Annotated[tuple[int, ...], tyro.conf.arg(aliases=["--budget"])] = (100, 300, 700)
    mode: Literal["reward", "rl"] = "reward"
    steps: int = 300_000
    segment_length: int | None = None
    executor: Literal["local", "ray"] = "local"
    jobs: int | None = None
    threads: int | None = None
    ray_address: str = "auto"


@dataclass(frozen=True)
class ReportCommand:
    """Make a benchmark's report anew, from its results alone.

    Args:
        folder: the benchmark's, with its cells or, of a part of it, a results.parquet alone.
    """

    folder: tyro.conf.Positional[Path]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the process's exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    commands: dict[str, Callable[[list[str]], None]] = {
        "run": _run, "eval": _eval, "bench": _bench, "report": _report
    }  # fmt: skip
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if words else 2
    try:
        if words[0] not in commands:
            raise ConfigError(f"unknown command {words[0]!r}; choose from {', '.join(commands)}")
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            threading.excepthook = _show_thread_error
            commands[words[0]](words[1:])
    except PrefrlError as error:
        print(f"prefrl: {_one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"\nprefrl: {str(stop) or 'stopped'}", file=sys.stderr)
        return 130
    return 0


def _show_warning(message: Warning | str, *_: Any) -> None:
    # Where in the code it was raised is of no use to whoever types a command.
    print(f"warning: {_one_line(str(message))}", file=sys.stderr)


def _show_thread_error(failed: threading.ExceptHookArgs) -> None:
    # TensorBoard writes in a thread, and hands a full disk on to the main one, which says so.
    if not issubclass(failed.exc_type, OSError):
        threading.__excepthook__(failed)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _parse(command: type[_Command], words: list[str], **options: Any) -> _Command:
    """What tyro makes of the words.

    Raises:
        ConfigError: one line in place of the box that tyro draws around what is wrong.
    """
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            parsed: _Command = tyro.cli(command, args=words, **options)
            return parsed
    except SystemExit as end:
        if not end.code:  # It was asked for help.
            raise
        raise ConfigError(f"{_without_box(box.getvalue())}; see {options['prog']} --help") from None


def _without_box(text: str) -> str:
    """What is wrong, and the name that was perhaps meant; not tyro's frame and further help."""
    lines = [line.strip(" │|") for line in text.splitlines() if not re.match(r"[╭╰+]", line)]
    rule = next((i for i, line in enumerate(lines) if re.fullmatch(r"[─-]+", line)), len(lines))
    said = _one_line(" ".join(lines[:rule])).split(" Got errors:")[0].rstrip(".")
    meant = re.match(r"Perhaps you meant: *(--[\w.-]+)", _one_line(" ".join(lines[rule + 1 :])))
    return f"{said}; did you mean {meant[1]}?" if meant else said


def _run(words: list[str]) -> None:
    command, start = _run_command(words)
    if command.resume is not None and (
        command.settings != start or command.config is not None or command.out is not None
    ):
        raise ConfigError("--resume goes on with the run's own settings; give it alone")
    from prefrl.runs import resume, run  # torch and its friends take seconds to import

    if command.resume is not None:
        result = resume(command.resume, wandb_project=command.wandb)
    else:
        result = run(command.settings, out=command.out, wandb_project=command.wandb)
    summary = result.summary
    print(
        f"true return {summary['final_true_return_mean']:.0f} "
        f"(std {summary['final_true_return_std']:.0f}) over {summary['eval_episodes']} episodes, "
        f"{summary['num_answers']} answers, {summary['wall_s']:.0f} s; "
        f"policy, curve and summary are in {result.folder}"
    )


def _run_command(words: list[str]) -> tuple[RunCommand, RunConfig]:
    """The command, and the settings that its options have changed."""
    path = _parse(_ConfigOnly, _config_words(words), prog="prefrl run").config
    start = from_yaml(path) if path is not None else RunConfig()
    command = _parse(
        RunCommand,
        words,
        prog="prefrl run",
        default=RunCommand(settings=start),
        config=(tyro.conf.AvoidSubcommands,),
    )
    return dataclasses.replace(command, settings=_consistent(command.settings, start)), start


@dataclass(frozen=True)
class _ConfigOnly:
    """The one option that must be known before the others, whose defaults it holds."""

    config: Path | None = None


def _config_words(words: list[str]) -> list[str]:
    for index, word in enumerate(words):
        if word == "--config":
            return words[index : index + 2]
        if word.startswith("--config="):
            return [word]
    return []


def _consistent(settings: RunConfig, start: RunConfig) -> RunConfig:
    """Another teacher or agent than the file's comes with its own parameters, not the file's."""
    teacher = settings.teacher
    if teacher.name != start.teacher.name:
        own = {
            name: value
            for name, value in asdict(teacher).items()
            if value != getattr(start.teacher, name)
        }
        settings = dataclasses.replace(settings, teacher=TeacherConfig(**own))
    if settings.agent != start.agent and settings.agent_settings == start.agent_settings:
        settings = dataclasses.replace(settings, agent_settings={})
    return settings


def _eval(words: list[str]) -> None:
    command = _parse(EvalCommand, words, prog="prefrl eval")
    os.environ.setdefault("MUJOCO_GL", "egl")
    from prefrl.playback import evaluate_run, film_run

    result = asdict(evaluate_run(command.run, num_episodes=command.episodes, seed=command.seed))
    known = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in result.items()}
    print(json.dumps({"run": str(command.run), **known}, indent=2))
    if command.video is not None:
        num_frames = film_run(
            command.run,
            command.video,
            seed=command.seed,
            max_seconds=command.video_seconds,
            size=command.video_size,
        )
        print(f"{num_frames} frames in {command.video}")


def _bench(words: list[str]) -> None:
    command = _parse(BenchCommand, words, prog="prefrl bench")
    from prefrl.benchmark.executors import Executor, LocalExecutor
    from prefrl.benchmark.queries import QueryBenchmark, run_benchmark
    from prefrl.benchmark.report import make_report
    from prefrl.benchmark.results import import_pyarrow

    import_pyarrow()  # rather now than after hours
    benchmark = QueryBenchmark(
        envs=command.envs,
        strategies=command.strategies,
        teachers=command.teachers,
        seeds=command.seeds,
        budgets=command.budgets,
        mode=command.mode,
        steps=command.steps,
        segment_length=command.segment_length,
    )
    threads = command.threads
    if command.mode == "rl":
        if threads not in (None, 1):
            raise ConfigError(
                f"threads is {threads}; runs of mode rl take 1, so that they repeat exactly"
            )
        threads = 1
    executor: Executor
    if command.executor == "ray":
        from prefrl.benchmark.ray_executor import RayExecutor

        if command.jobs is not None:
            raise ConfigError("jobs is of this machine; a Ray cluster runs what its CPUs allow")
        executor = RayExecutor(command.ray_address, threads=threads or 1)
    else:
        executor = LocalExecutor(jobs=command.jobs, threads=threads)
    ledger, failures = run_benchmark(benchmark, command.out, executor=executor)
    if num_cells := ledger.gather():
        print(f"{num_cells} cells are finished; the report is {make_report(command.out)}")
    if failures:
        raise PrefrlError(f"{len(failures)} cells failed; the same command tries them again")


def _report(words: list[str]) -> None:
    command = _parse(ReportCommand, words, prog="prefrl report")
    from prefrl.benchmark.grid import Ledger
    from prefrl.benchmark.report import make_report
    from prefrl.benchmark.results import import_pyarrow

    import_pyarrow()
    # A benchmark that was killed has not gathered what its cells returned.
    if (command.folder / "cells").exists():
        Ledger(command.folder).gather()
    print(make_report(command.folder))
