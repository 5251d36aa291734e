"""Measurements of a benchmark that never ran: how good a strategy is, is known."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BUDGETS = (50, 100, 200, 400)
STEPS = (0, 1_000, 2_000, 4_000)


def reward_rows(
    skills: Mapping[str, float],
    *,
    num_seeds: int = 5,
    envs: Sequence[str] = ("Hopper-v4", "Reacher-v4"),
    teachers: Sequence[str] = ("oracle",),
    budgets: Sequence[int] = BUDGETS,
    noise: float = 0.01,
) -> list[dict[str, Any]]:
    """Reward models whose accuracy grows to 0.8 and a strategy's skill."""
    rows = []
    for strategy, skill in skills.items():
        rng = np.random.default_rng(list(strategy.encode()))
        for env in envs:
            for teacher in teachers:
                for seed in range(num_seeds):
                    for budget in budgets:
                        reached = 0.5 + (0.3 + skill) * (1 - np.exp(-budget / 150))
                        accuracy = reached + noise * rng.standard_normal()
                        rows.append(
                            {
                                "cell": f"reward-{env}-{strategy}-{teacher}-{seed}",
                                "mode": "reward",
                                "env": env,
                                "strategy": strategy,
                                "teacher": teacher,
                                "seed": seed,
                                "budget": budget,
                                "accuracy": accuracy,
                                "nll": 1.2 - accuracy,
                                "ece": 0.05,
                                "correlation": accuracy - 0.1,
                                "select_s": 0.01 * budget,
                                "fit_s": 1.0,
                            }
                        )
    return rows


def rl_rows(
    skills: Mapping[str, float],
    *,
    num_seeds: int = 5,
    tops: Mapping[str, float] | None = None,
    noise: float = 0.01,
) -> list[dict[str, Any]]:
    """Policies that end at 0.8 and a strategy's skill of what the true reward brings.

    As in a run, a session is held at the step at which a return is told, in a row of its own that
    knows none.

    Args:
        skills: by strategy; "true reward" asks nothing.
        num_seeds: of each.
        tops: environment -> what the true reward brings there; below 0 where steps cost.
        noise: of the share reached.
    """
    rows = []
    for strategy, skill in skills.items():
        rng = np.random.default_rng(list(strategy.encode()))
        is_reference = strategy == "true reward"
        for env, top in (tops or {"Hopper-v4": 1_000.0, "Reacher-v4": -100.0}).items():
            for seed in range(num_seeds):
                for step, next_step in zip(STEPS, (*STEPS[1:], None), strict=True):
                    share = (1.0 if is_reference else 0.8 + skill) * step / STEPS[-1]
                    share += noise * rng.standard_normal()
                    run = {
                        "cell": f"rl-{env}-{strategy}-{seed}",
                        "mode": "rl",
                        "env": env,
                        "strategy": strategy,
                        "teacher": "oracle",
                        "seed": seed,
                        "step": step,
                    }
                    rows.append(
                        {
                            **run,
                            "budget": 0 if is_reference else step // 10,
                            "true_return": top + (share - 1) * abs(top),
                            "learned_return": share,
                            "select_s": step / 1_000,
                        }
                    )
                    if next_step is not None and not is_reference:
                        rows.append({**run, "budget": next_step // 10, "accuracy": 0.9})
    return rows
