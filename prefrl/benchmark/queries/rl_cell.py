"""A cell with reinforcement learning: a whole run with one strategy, or on the true reward."""

from pathlib import Path
from typing import Any

from prefrl.benchmark.grid.cells import TRUE_REWARD, Cell, Keep, Row
from prefrl.benchmark.queries.reward_cell import teacher_config
from prefrl.config import QueryConfig, RewardConfig, RunConfig
from prefrl.records import run_folder
from prefrl.records.metrics import read_metrics
from prefrl.runs.compose import resume, run

_MEASURES = {
    "true_return": "true_return",
    "learned_return": "learned_return",
    "accuracy": "reward_holdout_accuracy",
}


def config_of(cell: Cell) -> RunConfig:
    """Returns the run that a cell is; its settings are those of `RunConfig` by name.

    Raises:
        ConfigError: there is no such teacher.
    """
    options: dict[str, Any] = dict(cell.settings)
    kinds: dict[str, Any] = {"queries": QueryConfig, "reward_model": RewardConfig}
    options |= {name: kind(**options[name]) for name, kind in kinds.items() if name in options}
    if cell.strategy == TRUE_REWARD:
        options |= {"reward": "true"}
    else:
        options |= {"strategy": cell.strategy}
    teacher = teacher_config(cell.teacher)
    return RunConfig(env=cell.env, seed=cell.seed, teacher=teacher, threads=1, **options)


def run_rl_cell(cell: Cell, work: Path, keep: Keep) -> list[Row]:
    """Takes one strategy, teacher and seed through a whole run.

    Args:
        cell: what to do.
        work: holds the run's folder; a run that is there already is gone on with.
        keep: called after each checkpoint.

    Returns:
        a row for every stretch of the run in which episodes ended, and a last one, of the final
        policy in evaluation.
    """
    folder = work / "run"
    if (folder / run_folder.CONFIG).exists():
        result = resume(folder, show_progress=False, on_checkpoint=keep)
    else:
        result = run(config_of(cell), out=folder, show_progress=False, on_checkpoint=keep)
    summary = result.summary
    rows = []
    for line in read_metrics(folder / run_folder.METRICS):
        measures = {name: line[key] for name, key in _MEASURES.items() if key in line}
        if measures:
            answers = int(line.get("num_answers", 0))
            rows.append({"step": int(line["step"]), "budget": answers, **measures})
    rows.append(
        {
            "step": summary["steps"],
            "budget": summary["num_answers"],
            "true_return": summary["final_true_return_mean"],
            "learned_return": summary["final_learned_return_mean"],
            "accuracy": summary["reward_holdout_accuracy"],
            "correlation": summary["reward_true_correlation"],
            "select_s": summary["wall_breakdown"]["query_s"],
        }
    )
    return rows
