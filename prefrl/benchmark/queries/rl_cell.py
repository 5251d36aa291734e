"""A cell with reinforcement learning: a whole run with one strategy, or on the true reward."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefrl.benchmark.grid.cells import TRAINING_RETURN, TRUE_REWARD, Cell, Keep, Row
from prefrl.benchmark.queries.reward_cell import teacher_config
from prefrl.config import RunConfig
from prefrl.config.true_reward import of_true_reward
from prefrl.records import run_folder
from prefrl.records.metrics import read_metrics
from prefrl.runs.start import resume, run

_RETURNS = ("true_return", "learned_return", "success_rate")


def config_of(cell: Cell) -> RunConfig:
    """Returns the run that a cell is; its settings are those of `RunConfig` by name.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """
    options: dict[str, Any] = dict(cell.settings)
    if cell.strategy != TRUE_REWARD:
        options |= {"strategy": cell.strategy}
    teacher = teacher_config(cell.teacher)
    config = RunConfig(env=cell.env, seed=cell.seed, teacher=teacher, threads=1, **options)
    return of_true_reward(config) if cell.strategy == TRUE_REWARD else config


def run_rl_cell(cell: Cell, work: Path, keep: Keep) -> list[Row]:
    """Takes one strategy, teacher and seed through a whole run.

    Args:
        cell: what to do.
        work: holds the run's folder; a run that is there already is gone on with.
        keep: called after each checkpoint.

    Returns:
        a row for every stretch of the run in which episodes ended, and a last one, of the final
        policy in evaluation. With `eval_every` the returns in between are of evaluations, too, and
        those of training episodes have names of their own.
    """
    folder = work / "run"
    if (folder / run_folder.CONFIG).exists():
        result = resume(folder, show_progress=False, on_checkpoint=keep)
    else:
        result = run(config_of(cell), out=folder, show_progress=False, on_checkpoint=keep)
    summary = result.summary
    rows = curve_rows(read_metrics(folder / run_folder.METRICS))
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
    if summary.get("final_success_rate") is not None:
        rows[-1]["success_rate"] = summary["final_success_rate"]
    return rows


def curve_rows(lines: Sequence[Mapping[str, float]]) -> list[Row]:
    """Makes a benchmark's rows of a run's metrics.

    Args:
        lines: of metrics.jsonl.

    Returns:
        a row for each line with a return or an accuracy; the evaluation at the last step is left to
        the final one, of which there are other episodes.
    """
    is_evaluated = any("eval_true_return" in line for line in lines)
    names = {f"eval_{name}" if is_evaluated else name: name for name in _RETURNS}
    if is_evaluated:
        names |= {"true_return": TRAINING_RETURN}
        names |= {name: f"training_{name}" for name in ("learned_return", "success_rate")}
    names["reward_holdout_accuracy"] = "accuracy"
    rows: list[Row] = []
    answers = 0
    for line in lines:
        answers = int(line.get("num_answers", answers))
        is_last = "eval_true_return" in line and line["step"] == lines[-1]["step"]
        measures = {name: line[key] for key, name in names.items() if key in line}
        if measures and not is_last:
            rows.append({"step": int(line["step"]), "budget": answers, **measures})
    return rows
