"""Measures learning by learning: every arm beside the same agent on the true reward.

    python scripts/benchmark_learning.py --groups ppo-halfcheetah --jobs 2
    python scripts/benchmark_learning.py --report

Each cell is one `prefrl run` in a folder of its own; finished cells are not run again. What they
reached is in `docs/benchmarks/learning`, a JSON file each with its curve; `--report` makes
the tables and plots of `docs/benchmarks/learning.md` from these alone.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lab.run_cells import Job, kept, run_missing, write_between_markers
from prefrl.agents.table import agent_title
from prefrl.media.plots import plot_arms

PAGE = Path("docs/benchmarks/learning.md")
RESULTS = Path("docs/benchmarks/learning")


@dataclass(frozen=True)
class Group:
    """Arms that differ in the reward alone.

    Args:
        env: the task.
        agent: ppo or sac.
        steps: environment steps.
        arms: of learned rewards, by name.
        seeds: of every arm; each has one on the true reward.
    """

    env: str
    agent: str
    steps: int
    arms: tuple[str, ...]
    seeds: tuple[int, ...]


# The ways a run comes by its reward.
ARMS: dict[str, tuple[str, ...]] = {
    "true": ("--reward", "true"),
    "500": ("--budget", "500"),
    "700": ("--budget", "700"),
    "700-mistake": ("--budget", "700", "--teacher", "mistake", "--teacher.p-mistake", "0.2"),
    "1400": ("--budget", "1400"),
}
TITLES = {
    "true": "true reward",
    "500": "500 answers",
    "700": "700 answers",
    "700-mistake": "700 answers, a fifth of them wrong",
    "1400": "1,400 answers",
}
GROUPS = {
    "ppo-halfcheetah": Group(
        "HalfCheetah-v4", "ppo", 1_000_000, ("500", "700", "700-mistake", "1400"), (0, 1, 2)
    ),
    "ppo-hopper": Group("Hopper-v4", "ppo", 1_000_000, ("700",), (0, 1)),
    "ppo-walker2d": Group("Walker2d-v4", "ppo", 1_000_000, ("700",), (0, 1)),
    "sac-halfcheetah": Group("HalfCheetah-v4", "sac", 100_000, ("700",), (0, 1, 2)),
}


# Of each run, while it trains; the curve is of these.
EVALUATIONS = 20
CURVE = (
    *("step", "num_answers", "true_return", "learned_return"),
    *("eval_true_return", "eval_true_return_std", "eval_learned_return"),
)


@dataclass(frozen=True)
class Cell:
    """One run of a group.

    Args:
        group: its name.
        arm: of `ARMS`.
        seed: the run's.
    """

    group: str
    arm: str
    seed: int

    @property
    def name(self) -> str:
        """Names the cell's files."""
        return f"{self.group}-{self.arm}-seed{self.seed}"

    def words(self) -> tuple[str, ...]:
        """Returns the settings of this cell's run, as `prefrl run` takes them."""
        group = GROUPS[self.group]
        words = ["--env", group.env, "--agent", group.agent, "--steps", str(group.steps)]
        words += ["--seed", str(self.seed), "--eval-every", str(group.steps // EVALUATIONS)]
        return (*words, *ARMS[self.arm])


def cells(names: Sequence[str]) -> Iterator[Cell]:
    """Lists the groups' cells seed by seed, so that an interrupted benchmark is still balanced."""
    for name in names:
        group = GROUPS[name]
        for seed in group.seeds:
            for arm in ("true", *group.arms):
                yield Cell(name, arm, seed)


def keep(cell: Cell, out: Path) -> dict[str, Any]:
    """Returns what is kept of a finished cell: its summary and its curve."""
    result = kept(out, CURVE, measured=("eval_true_return", "true_return"))
    return {"group": cell.group, "arm": cell.arm, **result}


def bootstrap_interval(values: Sequence[float], *, rng: np.random.Generator) -> tuple[float, float]:
    """Returns the 95% percentile interval of the mean over seeds."""
    draws = rng.choice(np.asarray(values), size=(10_000, len(values))).mean(1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def table(name: str, results: Sequence[dict[str, Any]]) -> list[str]:
    """Writes a group's arms as a Markdown table: every seed, the mean, its interval, the ratio."""
    group = GROUPS[name]
    by_arm = {
        arm: [r for r in results if r["group"] == name and r["arm"] == arm]
        for arm in ("true", *group.arms)
    }
    true = [r["final_true_return_mean"] for r in by_arm["true"]]
    lines = [
        f"### {group.env}, {agent_title(group.agent)}, {group.steps:,} steps",
        "",
        "| arm | true return by seed | mean (95% interval) | ratio to true | held-out accuracy "
        "| correlation | wall, s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for arm, runs in by_arm.items():
        if not runs:
            continue
        returns = [r["final_true_return_mean"] for r in runs]
        accuracy = _mean(runs, "reward_holdout_accuracy")
        match = _mean(runs, "reward_true_correlation")
        low, high = bootstrap_interval(returns, rng=np.random.default_rng(0))
        ratio = f"{np.mean(returns) / np.mean(true):.2f}" if true and arm != "true" else ""
        lines.append(
            f"| {TITLES[arm]} | {', '.join(f'{r:.0f}' for r in returns)} "
            f"| {np.mean(returns):.0f} ({low:.0f} to {high:.0f}) | {ratio} "
            f"| {accuracy} | {match} "
            f"| {np.mean([_training_s(r) for r in runs]):.0f} |"
        )
    return [*lines, "", f"![{name}](learning/{name}.png)", ""]


def _training_s(result: dict[str, Any]) -> float:
    """Returns a run's wall time without what evaluations took while it trained."""
    wall_s: float = result["wall_s"] - result["wall_breakdown"].get("eval_s", 0.0)
    return wall_s


def _mean(runs: Sequence[dict[str, Any]], key: str) -> str:
    values = [r[key] for r in runs if r.get(key) is not None]
    return f"{np.mean(values):.2f}" if values else ""


def drawn_return(curves: Sequence[Sequence[dict[str, Any]]]) -> tuple[str, str]:
    """Chooses what a plot shows: evaluations where all runs have them, else training episodes.

    Returns:
        the name in the curves, and the axis's.
    """
    if all(any("eval_true_return" in row for row in curve) for curve in curves):
        return "eval_true_return", "true return in evaluation"
    return "true_return", "true return of training episodes"


def report() -> None:
    """Writes the tables between the page's markers, and a plot a group."""
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*-seed*.json"))]
    lines = []
    for name, group in GROUPS.items():
        if not any(r["group"] == name for r in results):
            continue
        lines += table(name, results)
        arms = {}
        for arm in ("true", *group.arms):
            curves = [r["curve"] for r in results if r["group"] == name and r["arm"] == arm]
            if curves:
                arms[TITLES[arm]] = curves
        title = f"{group.env}, {agent_title(group.agent)}"
        key, ylabel = drawn_return([curve for curves in arms.values() for curve in curves])
        plot_arms(arms, RESULTS / f"{name}.png", title=title, ylabel=ylabel, key=key)
    write_between_markers(PAGE, lines)
    print(f"wrote {PAGE}")


def main() -> int:
    """Runs what is missing of the groups asked for, or writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--runs", type=Path, default=Path("runs/learning"), help="run folders")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each")
    parser.add_argument("--report", action="store_true", help="only write the tables and plots")
    arguments = parser.parse_args()
    has_ended_well = True
    if not arguments.report:
        jobs = {
            Job(
                cell.name, arguments.runs / cell.name, cell.words(), RESULTS / f"{cell.name}.json"
            ): cell
            for cell in cells(arguments.groups)
        }
        try:
            has_ended_well = run_missing(
                list(jobs), at_once=arguments.jobs, keep=lambda job: keep(jobs[job], job.out)
            )
        except KeyboardInterrupt:
            print("benchmark_learning: stopped; the same command goes on", file=sys.stderr)
            return 130
    report()
    return int(not has_ended_well)


if __name__ == "__main__":
    sys.exit(main())
