"""A study of two rows with made-up results, whose read-outs can be computed by hand."""

import json
from pathlib import Path
from typing import Any

from lab.studies import Cell, Study, load_study


def row(name: str, **changes: Any) -> dict[str, Any]:
    """400 steps of Pendulum by SAC on the true reward and on 8 answers, seeds 5 and 6."""
    usual = {"name": name, "env": "Pendulum-v1", "agent": "sac", "steps": 400}
    return {**usual, "arms": ["true", "8"], "cpu_min": {"true": 1, "8": 2}, **changes}


def plan(**changes: Any) -> dict[str, Any]:
    """The row `quick`, and `beside` at equal computing time with seed 5 alone."""
    usual = {
        "page": "page.md",
        "seeds": [5, 6],
        "eval_every": 100,
        "eval_episodes": 1,
        "agents": {name: {"title": name, "options": {"agent": name}} for name in ("sac", "ppo")},
        "arms": {
            "true": {"title": "true reward", "options": {"reward": "true"}},
            "8": {"title": "8 answers", "options": {"budget": 8}},
        },
        "rows": [
            row("quick", learned_options={"explore_steps": 100}),
            row("beside", agent="ppo", seeds=[5], equal_cpu_to="quick"),
        ],
        "read_out": {},
        "targets": [{"row": "quick", "arm": "8", "at_least": 10}],
    }
    return {**usual, **changes}


def written(folder: Path, tree: dict[str, Any]) -> Path:
    """Writes a plan."""
    path = folder / "study.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path


def study(folder: Path, **changes: Any) -> Study:
    """Writes a plan, and reads it as a study."""
    return load_study(written(folder, plan(**changes)))


def finish(
    study: Study,
    cell: Cell,
    returns: list[float],
    *,
    steps_per_s: float = 10.0,
    final: float | None = None,
    **changes: Any,
) -> None:
    """Writes the result of a cell.

    Args:
        study: whose it is.
        cell: the one.
        returns: at its evaluations, every 100 steps.
        steps_per_s: how fast it computed.
        final: of the last evaluation; the last of the returns by default.
        changes: of the file's entries.
    """
    curve = [
        {
            "step": 100 * number,
            "num_answers": 2 * number,
            "cpu_s": 100 * number / steps_per_s,
            "eval_true_return": value,
            "eval_learned_return": value / 2,
        }
        for number, value in enumerate(returns, start=1)
    ]
    result = {
        "row": cell.row,
        "arm": cell.arm,
        "words": study.words(cell),
        "settings": "as all",
        "final_true_return_mean": returns[-1] if final is None else final,
        "curve": curve,
    }
    study.result_path(cell).write_text(json.dumps({**result, **changes}), encoding="utf-8")
