"""Text at the end of `prefrl run`: what came of it, and what to type next."""

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefrl.records import run_folder
from prefrl.records.progress import short_number


def result_text(folder: Path, summary: Mapping[str, Any]) -> str:
    """Returns the lines.

    Args:
        folder: of the finished run.
        summary: content of its summary.json; one of an older version says less.
    """
    is_learned = summary["reward"] == "learned"
    num_answers, budget = summary["num_answers"], summary.get("budget", 0)
    of_budget = f" of {budget:,}" if num_answers < budget else ""
    lines = [
        f"{folder} is finished: {summary['steps']:,} steps, {num_answers:,}{of_budget} answers, "
        f"{summary['wall_s']:,.0f} s"
    ]
    if summary.get("eval_episodes"):
        lines += _of_the_policy(summary, is_learned=is_learned)
    lines += _of_the_reward(summary) if is_learned else []
    lines += ["next:", *_aligned(_next(folder, summary, is_learned=is_learned))]
    return "\n".join(lines)


def _of_the_policy(summary: Mapping[str, Any], *, is_learned: bool) -> list[str]:
    unseen = ", which the policy never saw" if is_learned else ""
    mean, std = (summary.get(f"final_true_return_{name}") for name in ("mean", "std"))
    if mean is None or std is None:
        return []
    lines = [
        f"  true return {short_number(mean)} (std {short_number(std)}) over "
        f"{summary['eval_episodes']} episodes of the final policy: the environment's own reward"
        f"{unseen}"
    ]
    if (rate := summary.get("final_success_rate")) is not None:
        lines.append(f"  success in {rate:.0%} of them, as the environment reports it")
    if is_learned and (learned := summary.get("final_learned_return_mean")) is not None:
        lines.append(
            f"  learned return {short_number(learned)}: the reward model's own units, not to be "
            "compared with the true return"
        )
    return lines


def _of_the_reward(summary: Mapping[str, Any]) -> list[str]:
    accuracy, count = (summary.get(f"reward_holdout_{name}") for name in ("accuracy", "answers"))
    if accuracy is None or math.isnan(accuracy) or not count:
        return ["  the reward's accuracy is not known: no answer that prefers a side was held out"]
    few = "; so few say little" if count < 30 else ""
    return [f"  reward accuracy {accuracy:.0%}, on {count:,} answers held out of fitting{few}"]


def _next(folder: Path, summary: Mapping[str, Any], *, is_learned: bool) -> dict[str, str]:
    at = shlex.quote(str(folder))
    video = shlex.quote(str(folder / "policy.mp4"))
    commands = {"film it": f"prefrl eval {at} --video {video}"}
    if is_learned:
        config = shlex.quote(str(folder / run_folder.CONFIG))
        commands["compare with the true reward"] = f"prefrl run --config {config} --reward true"
    curve = shlex.quote(str(folder / run_folder.LEARNING_CURVE))
    board = shlex.quote(str(folder / run_folder.TENSORBOARD))
    commands["see its curves"] = f"{curve}, or tensorboard --logdir {board}"
    commands["go on with it"] = f"prefrl run --resume {at} --steps {2 * summary['steps']}"
    return commands


def _aligned(commands: Mapping[str, str]) -> list[str]:
    width = max(map(len, commands)) + 2
    return [f"  {f'{name}:':<{width}}{command}" for name, command in commands.items()]
