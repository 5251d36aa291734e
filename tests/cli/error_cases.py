"""Commands and folders that must be refused in one line."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests import tiny_runs

OWN = "tests.own_envs"
TINY = ["--num-envs", "2", "--segment-length", "10", "--steps", "1206", "--budget", "23"]
GOLDEN = Path(__file__).parents[1] / "golden/0.1"
GOLDEN_RUN = GOLDEN / "ppo"
EARLIER = ("run", "--env", tiny_runs.POINT_MASS, *TINY, "--out", "run")


def nothing(folder: Path) -> None:
    """An empty folder."""


@dataclass(frozen=True)
class Case:
    """A command that is refused.

    Args:
        words: what follows `prefrl`.
        prepare: puts into the folder what lies there beforehand.
    """

    words: tuple[str, ...]
    prepare: Callable[[Path], None] = nothing


def file(name: str, text: str) -> Callable[[Path], None]:
    """A folder with one file."""

    def prepare(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")

    return prepare


def finished_run(damaged: str = "", without: str = "") -> Callable[[Path], None]:
    """A finished run in `run`, one of whose files may be damaged, or gone."""

    def prepare(folder: Path) -> None:
        shutil.copytree(GOLDEN_RUN, folder / "run")
        if damaged:
            (folder / "run" / damaged).write_text("damaged", encoding="utf-8")
        if without:
            (folder / "run" / without).unlink()

    return prepare


def run(*words: str) -> Case:
    """`prefrl run` on a point mass, with further words."""
    out = [] if "--out" in words else ["--out", "run"]
    return Case(("run", "--env", tiny_runs.POINT_MASS, *TINY, *out, *words))


def config(text: str) -> Case:
    """`prefrl run` with a file of settings."""
    return Case(("run", "--config", "mine.yaml", "--out", "run"), file("mine.yaml", f"{text}\n"))


def bench(*words: str) -> Case:
    """`prefrl bench` with further words."""
    return Case(("bench", "--out", "bench", *words))


def answers(*names: str) -> Callable[[Path], None]:
    """A folder with files of answers."""

    def prepare(folder: Path) -> None:
        for name in names:
            shutil.copy(GOLDEN_RUN / "comparisons.npz", folder / f"{name}.npz")

    return prepare


def labelled() -> Callable[[Path], None]:
    """A folder with a run that people are asked in, as far as there is a page."""
    return file("run/serving.json", '{"run": "abc"}\n')


def cut(name: str) -> Callable[[Path], None]:
    """A folder with half a file of answers."""

    def prepare(folder: Path) -> None:
        whole = (GOLDEN_RUN / "comparisons.npz").read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])

    return prepare


def arrays(name: str, **content: Any) -> Callable[[Path], None]:
    """A folder with an archive of arrays."""
    return lambda folder: np.savez(folder / name, **content)


def changed(name: str, **content: Any) -> Callable[[Path], None]:
    """A folder with a file of answers, some of whose arrays say another thing everywhere."""

    def prepare(folder: Path) -> None:
        with np.load(GOLDEN_RUN / "comparisons.npz") as whole:
            given = dict(whole)
        for array, value in content.items():
            given[array] = np.full(np.shape(given.get(array, 0)), value)
        np.savez(folder / name, **given)

    return prepare


def all_of(*prepare: Callable[[Path], None]) -> Callable[[Path], None]:
    """A folder with what several put there."""

    def prepare_all(folder: Path) -> None:
        for one in prepare:
            one(folder)

    return prepare_all


def learn(*words: str) -> Case:
    """`prefrl learn` from a file of answers, with further words."""
    return Case(("learn", "--data", "a.npz", "--out", "model", *words), answers("a"))


def label(*words: str) -> Case:
    """`prefrl label` of a file of answers, which shows nothing, with further words."""
    return Case(("label", "--data", "a.npz", *words), answers("a"))


def merged(*prepare: Callable[[Path], None]) -> Case:
    """`prefrl answers merge` of two files."""
    return Case(("answers", "merge", "a.npz", "b.npz", "--out", "c.npz"), all_of(*prepare))


CASES: dict[str, Case] = {
    "no such command": Case(("train",)),
    # What is asked of a run.
    "run: an unknown environment": run("--env", "HalfCheeta-v4"),
    "run: a version that does not exist": run("--env", "Pendulum-v7"),
    "run: an environment of a module that does not exist": run("--env", "no_such_module:Robot-v0"),
    "run: images": run("--env", f"{OWN}:Seeing-v0"),
    "run: text": run("--env", f"{OWN}:Reading-v0"),
    "run: no time limit": run("--env", f"{OWN}:Endless-v0"),
    "run: a segment longer than what is explored": run(
        "--explore-steps", "30", "--segment-length", "20"
    ),
    "run: a segment longer than the time between checkpoints": run(
        "--checkpoint-every", "30", "--segment-length", "20"
    ),
    "run: no exploration": run("--explore-steps", "0"),
    "run: nothing but exploration": run("--explore-steps", "1206"),
    "run: a budget of 0": run("--budget", "0"),
    "run: a budget below 0": run("--budget", "-5"),
    "run: steps of 0": run("--steps", "0"),
    "run: steps below 0": run("--steps", "-7"),
    "run: steps that the environments cannot share": run("--steps", "1207"),
    "run: evaluations every 0 steps": run("--eval-every", "0"),
    "run: evaluations in no known place": run("--eval-in", "hall"),
    "run: a seed below 0": run("--seed", "-1"),
    "run: an unknown teacher": run("--teacher", "orcale"),
    "run: a teacher that errs more than always": run("--teacher.p-mistake", "1.5"),
    "run: an unknown strategy": run("--strategy", "unifrom"),
    "run: an unknown selector": run("--strategy", "disagreement+medoid"),
    "run: a strategy of a module that does not exist": run("--strategy", "no_such_module:mine"),
    "run: an unknown agent": run("--agent", "td3"),
    "run: an unknown reward": run("--reward", "fake"),
    "run: SAC on discrete actions": run("--agent", "sac", "--env", f"{OWN}:Kitchen-v0"),
    "run: a setting that the agent does not know": run("--agent-settings", "{n_stepps: 5}"),
    "run: a setting that the agent refuses": run("--agent-settings", "{batch_size: 1}"),
    "run: a setting that the environment does not know": run("--env-kwargs", "{gravity: 1}"),
    "run: settings that are no mapping": run("--agent-settings", "n_steps"),
    "run: an unknown device": run("--device", "tpu9"),
    "run: an unknown option": run("--stepps", "3"),
    "run: a number that is none": run("--steps", "many"),
    "run: an option without its value": run("--budget"),
    "run: a stray word": run("HalfCheetah-v4"),
    "run: W&B that is not installed": run("--wandb", "my-project"),
    "run: a page on which nobody is asked": run("--port", "8080"),
    "run: an unknown pace": run("--pace", "slowly"),
    "run: no time to answer": run("--answer-timeout", "0"),
    "run: steps ahead below 0": run("--max-steps-ahead", "-1"),
    "run: no first answers": run("--min-first-answers", "0"),
    "run: more audits than queries": run("--audit-share", "2"),
    "run: one objective among several": run("--objectives", "speed"),
    "run: a weight too few": run(
        "--env", "HalfCheetah-v4", "--objectives", "run", "ctrl", "--objective-weights", "1"
    ),
    "run: evaluations nowhere": run("--eval-every", "100", "--eval-in", "nowhere"),
    "run: an unknown schedule": run("--queries.schedule", "rising"),
    "run: an oracle that errs": run("--teacher.p-mistake", "0.2"),
    "run: a budget of a run that asks nobody": run("--reward", "true"),
    "run: a teacher whom nobody asks": run("--reward", "true", "--teacher", "noisy"),
    "run: a pace of a teacher that answers at once": run("--pace", "answers"),
    # Files and folders.
    "run: a config file that is not there": run("--config", "nowhere.yaml"),
    "run: a folder that cannot be made": run("--out", "/dev/null/run"),
    "run: a folder in use": Case(EARLIER, file("run/thesis.tex", "all my work")),
    "run: a file where the folder should be": Case(EARLIER, file("run", "a file")),
    "run: a folder with a run": Case(EARLIER, finished_run()),
    "run: a file with an unknown key": config("bugdet: 3"),
    "run: a file with an unknown key further in": config("teacher: {bta: 1}"),
    "run: a file with a key given twice": config("seed: 1\nseed: 2"),
    "run: a file with a value out of range": config("budget: 0"),
    "run: a file with a value of another kind": config("steps: many"),
    "run: a file that is no mapping": config("- budget"),
    "run: a file that is no YAML": config("budget: [3"),
    "run: a file with an unknown teacher": config("teacher: {name: god}"),
    "run: a file with an unknown agent": config("agent: td3"),
    "run: resuming with other settings": Case(("run", "--resume", "run", "--seed", "9")),
    "run: resuming into another folder": Case(("run", "--resume", "run", "--out", "other")),
    "run: a finished run with a budget of 0": Case(
        ("run", "--resume", "run", "--budget", "0"), finished_run()
    ),
    "run: resuming what is no run": Case(("run", "--resume", "run")),
    "run: resuming from damaged settings": Case(
        ("run", "--resume", "run"), finished_run(damaged="config.yaml")
    ),
    # eval.
    "eval: what is no run": Case(("eval", "run")),
    "eval: nothing": Case(("eval",)),
    "eval: over no episodes": Case(("eval", "run", "--episodes", "0")),
    "eval: a seed below 0": Case(("eval", "run", "--seed", "-1")),
    "eval: a clip without length": Case(
        ("eval", "run", "--video", "clip.mp4", "--video-seconds", "0")
    ),
    "eval: a clip without size": Case(("eval", "run", "--video", "clip.mp4", "--video-size", "0")),
    "eval: the size of a clip that is not asked for": Case(("eval", "run", "--video-size", "64")),
    "eval: a clip that is no MP4 file": Case(
        ("eval", "run", "--video", "clip.gif"), finished_run(without="policy.zip")
    ),
    "eval: a clip into a folder that is not there": Case(
        ("eval", "run", "--video", "clips/run.mp4"), finished_run(without="policy.zip")
    ),
    "eval: a run without its policy": Case(("eval", "run"), finished_run(without="policy.zip")),
    "eval: the best policy of a run that was not evaluated": Case(
        ("eval", "run", "--policy", "best"), finished_run()
    ),
    "eval: a policy that is none": Case(("eval", "run", "--policy", "worst"), finished_run()),
    "eval: a policy in an archive alone": Case(("eval", "run"), finished_run()),
    "eval: a damaged policy": Case(("eval", "run", "--trust"), finished_run(damaged="policy.zip")),
    "eval: damaged settings": Case(("eval", "run"), finished_run(damaged="config.yaml")),
    "eval: a damaged reward model": Case(
        ("eval", "run", "--trust"), finished_run(damaged="reward_model/config.json")
    ),
    # bench.
    "bench: no folder": Case(("bench",)),
    "bench: an unknown environment": bench("--env", "HalfCheeta-v4"),
    "bench: an unknown strategy": bench("--strategy", "uniform", "disagremeent"),
    "bench: one strategy under two names": bench("--strategies", "random", "uniform"),
    "bench: an unknown teacher": bench("--teacher", "orcale"),
    "bench: a teacher that takes no number": bench("--teachers", "oracle:0.5"),
    "bench: a teacher whose number is none": bench("--teachers", "mistake:often"),
    "bench: a teacher whose number is out of range": bench("--teachers", "mistake:1.5"),
    "bench: no seeds": bench("--seeds", "0"),
    "bench: budgets that fall": bench("--budget", "100", "50"),
    "bench: a budget of 0": bench("--budgets", "0"),
    "bench: an unknown mode": bench("--mode", "both"),
    "bench: no steps": bench("--steps", "0"),
    "bench: a mode's setting in the other": bench("--mode", "rl", "--spread-factor", "3"),
    "bench: threads of whole runs": bench("--mode", "rl", "--threads", "2"),
    "bench: no jobs": bench("--jobs", "0"),
    "bench: jobs on a cluster": bench("--executor", "ray", "--jobs", "2"),
    "bench: an unknown executor": bench("--executor", "slurm"),
    "bench: a file where the folder should be": Case(
        ("bench", "--out", "bench"), file("bench", "")
    ),
    "bench: damaged settings of the folder": Case(
        ("bench", "--out", "bench"), file("bench/grid.json", "{")
    ),
    # report.
    "report: nothing": Case(("report",)),
    "report: a folder that is not there": Case(("report", "bench")),
    "report: an empty folder": Case(("report", "bench"), lambda at: (at / "bench").mkdir()),
    "report: damaged results": Case(("report", "bench"), file("bench/results.parquet", "PAR1")),
    "report: cells without their benchmark": Case(
        ("report", "bench"), file("bench/cells/one/result.json", "{}")
    ),
    # learn.
    "learn: nothing": Case(("learn",)),
    "learn: a file and a run": Case(("learn", "--data", "a.npz", "--run", "run")),
    "learn: no folder for the model": Case(("learn", "--data", "a.npz"), answers("a")),
    "learn: a run with other settings": Case(
        ("learn", "--run", "run", "--reward-model.hidden-dim", "8")
    ),
    "learn: a seed below 0": learn("--seed", "-1"),
    "learn: a setting out of range": learn("--reward-model.hidden-dim", "0"),
    "learn: an unknown recipe": learn("--reward-model.recipe", "robost"),
    "learn: a file that is not there": Case(("learn", "--data", "b.npz", "--out", "model")),
    "learn: a file that was cut": Case(
        ("learn", "--data", "b.npz", "--out", "model"), cut("b.npz")
    ),
    "learn: nothing but skips": Case(
        ("learn", "--data", "b.npz", "--out", "model"), changed("b.npz", p_left=np.nan)
    ),
    "learn: a folder in use": Case(
        ("learn", "--data", "a.npz", "--out", "model"),
        all_of(answers("a"), file("model/thesis.tex", "all my work")),
    ),
    "learn: what is no run": Case(("learn", "--run", "run")),
    "learn: a run without its answers": Case(
        ("learn", "--run", "run"), finished_run(without="comparisons.npz")
    ),
    # label.
    "label: nothing": Case(("label",)),
    "label: a run and data": Case(("label", "run", "--data", "a.npz")),
    "label: another folder for a run's answers": Case(("label", "run", "--out", "other")),
    "label: what is no run": Case(("label", "run")),
    "label: damaged settings": Case(("label", "run"), finished_run(damaged="config.yaml")),
    "label: a run without the state of its end": Case(("label", "run"), finished_run()),
    "label: a stopped run that asks nobody": Case(
        ("label", "run"), file("run/config.yaml", "env: HalfCheetah-v4\n")
    ),
    "label: a stopped run that has put no questions": Case(
        ("label", "run"), file("run/config.yaml", "teacher: {name: human}\n")
    ),
    "label: a strategy of a stopped run": Case(
        ("label", "run", "--strategy", "entropy"),
        file("run/config.yaml", "teacher: {name: human}\n"),
    ),
    "label: other segments of a run": Case(
        ("label", "run", "--segment-length", "5"), finished_run()
    ),
    "label: a budget of 0": label("--budget", "0"),
    "label: more overlap than questions": label("--overlap", "2"),
    "label: nothing open": label("--open-ahead", "0"),
    "label: an unknown option": label("--prot", "80"),
    "label: a port that is none": label("--port", "70000"),
    "label: an address that is none": label("--public-url", "example.org"),
    "label: instructions that are not there": label("--instructions", "look.md"),
    "label: instructions that are no text": Case(
        ("label", "--data", "a.npz", "--instructions", "a.npz"), answers("a")
    ),
    "label: instructions that nobody would read": Case(
        ("label", "--data", "a.npz", "--instructions", "look.md"),
        all_of(answers("a"), file("look.md", "Look! " * 5_000)),
    ),
    "label: an unknown database": label("--database", "mysql://me:hunter2@host/labels"),
    "label: a database that is a file's name": label("--database", "labels.sqlite"),
    "label: a file that is not there": Case(("label", "--data", "b.npz")),
    "label: a file that was cut": Case(("label", "--data", "b.npz"), cut("b.npz")),
    "label: a file that shows nothing": label(),
    "label: a file of other arrays": Case(
        ("label", "--data", "b.npz", "--segment-length", "3"), arrays("b.npz", left=np.zeros(3))
    ),
    "label: a file without pairs": Case(
        ("label", "--data", "b.npz"),
        arrays("b.npz", observations=np.zeros((9, 2)), actions=np.zeros((9, 1))),
    ),
    "label: a run's folder as data": Case(("label", "--data", "run"), finished_run()),
    "label: a run's folder for other answers": Case(
        ("label", "--data", "a.npz", "--out", "run"),
        all_of(answers("a"), file("run/serving.json", '{"run": "1"}')),
    ),
    "label: a damaged folder of answers": Case(
        ("label", "--data", "a.npz", "--out", "b"),
        all_of(answers("a"), file("b/serving.json", "{")),
    ),
    "label backup: nothing": Case(("label", "backup")),
    "label backup: no file": Case(("label", "backup", "run")),
    "label backup: a folder that is not there": Case(
        ("label", "backup", "runs/cheetah", "copy.sqlite")
    ),
    "label backup: a run that asked nobody": Case(
        ("label", "backup", "run", "copy.sqlite"), finished_run()
    ),
    "label backup: a file that is there": Case(
        ("label", "backup", "run", "a.npz"),
        all_of(answers("a"), file("run/serving.json", '{"run": "1"}')),
    ),
    "label backup: a run whose labels are gone": Case(
        ("label", "backup", "run", "copy.sqlite"), file("run/serving.json", '{"run": "1"}')
    ),
    # answers.
    "answers: nothing": Case(("answers",)),
    "answers: an unknown command": Case(("answers", "marge")),
    "answers: a folder that is not there": Case(("answers", "list", "runs/cheetah")),
    "answers: of a folder that people label nothing in": Case(("answers", "."), answers("a")),
    "answers: of a run of another teacher": Case(
        ("answers", "list", "run"), file("run/comparisons.npz", "")
    ),
    "answers: of a run whose database is gone": Case(("answers", "run"), labelled()),
    "answers: of a run whose database is damaged": Case(
        ("answers", "run"), all_of(labelled(), file("run/labels.sqlite", "left, mostly"))
    ),
    "answers: nothing to export into": Case(("answers", "export", "run"), labelled()),
    "answers: an export that is there": Case(
        ("answers", "export", "run", "--out", "a.npz"), all_of(labelled(), answers("a"))
    ),
    "answers: no file to import": Case(("answers", "import", "run"), labelled()),
    "answers: a file to import that is not there": Case(
        ("answers", "import", "run", "a.npz"), labelled()
    ),
    "answers: a database that is none": Case(
        ("answers", "run", "--database", "mysql://localhost/labels"), labelled()
    ),
    "answers: nobody to delete": Case(("answers", "delete", "run"), labelled()),
    "answers: one file to merge": Case(
        ("answers", "merge", "a.npz", "--out", "b.npz"), answers("a")
    ),
    "answers: no file to merge into": Case(
        ("answers", "merge", "a.npz", "b.npz"), answers("a", "b")
    ),
    "answers: a file that is not there": merged(answers("a")),
    "answers: an empty file": merged(answers("a"), file("b.npz", "")),
    "answers: a file that is none of answers": merged(answers("a"), file("b.npz", "left")),
    "answers: a file that was cut": merged(answers("a"), cut("b.npz")),
    "answers: a file of other arrays": merged(answers("a"), arrays("b.npz", left=np.zeros(3))),
    "answers: a file that lacks arrays": merged(
        answers("a"), arrays("b.npz", left_start=np.zeros(3), p_left=np.zeros(3))
    ),
    "answers: a file of a newer format": merged(answers("a"), changed("b.npz", format_version=99)),
    "answers: answers out of range": merged(answers("a"), changed("b.npz", p_left=2.0)),
    "answers: files of different environments": merged(
        changed("a.npz", env_id="Hopper-v4"), changed("b.npz", env_id="Ant-v4")
    ),
    "answers: merging into a file that is there": Case(
        ("answers", "merge", "a.npz", "b.npz", "--out", "b.npz"), answers("a", "b")
    ),
}
