"""Trains a cheetah that trades speed against effort, by several weightings of the two.

    python scripts/benchmark_objectives.py --out runs/objectives
    python scripts/benchmark_objectives.py --weights 1 0  1 3 --steps 300000 --out runs/objectives

One run of HalfCheetah-v4 and PPO for each pair of weights, all else alike: each query asks about
speed (`reward_run`) or about effort (`reward_ctrl`), in turns, a simulated oracle of that objective
answers, one reward model learns both, and the weights say what the agent is to do. The table has,
of the final deterministic policy, the mean speed in m/s, the mean effort, which is the sum of the
squares of the six torques at a step (HalfCheetah takes off a tenth of it), and the return of
HalfCheetah's own reward, over whole episodes.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from lab.command_line import OneLineParser, number_above_0

ENV, OBJECTIVES = "HalfCheetah-v4", ("reward_run", "reward_ctrl")
CONTROL_COST = 0.1  # HalfCheetah-v4's weight of the squared torques
NUM_EPISODES = 10


def played(
    predict: Callable[[Any], Any], env: gym.Env[Any, Any], *, num_episodes: int, seed: int
) -> dict[str, float]:
    """Plays whole episodes; returns mean speed and effort a step, and the mean return.

    Args:
        predict: (1, O) observations -> (1, A) actions.
        env: says `reward_run` and `reward_ctrl` in its info.
        num_episodes: how many.
        seed: of the first episode; the others follow from it.
    """
    steps: list[tuple[float, float]] = []
    returns = np.zeros(num_episodes)
    for episode in range(num_episodes):
        observation, _ = env.reset(seed=seed if episode == 0 else None)
        is_over = False
        while not is_over:
            action = predict(np.asarray(observation)[None])[0]
            observation, reward, terminated, truncated, info = env.step(action)
            steps.append((info["reward_run"], -info["reward_ctrl"] / CONTROL_COST))
            returns[episode] += float(reward)
            is_over = terminated or truncated
    speed, effort = np.mean(steps, axis=0)
    return {"speed": float(speed), "effort": float(effort), "true_return": float(returns.mean())}


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the results as the lines of a Markdown table."""
    lines = ["| weights: speed, effort | seed | speed (m/s) | effort | true return |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for row in rows:
        weights = ", ".join(f"{weight:g}" for weight in row["weights"])
        lines.append(
            f"| {weights} | {row['seed']} | {row['speed']:.2f} | {row['effort']:.2f} "
            f"| {row['true_return']:,.0f} |"
        )
    return lines


def main(words: Sequence[str] | None = None) -> int:
    """Trains, plays, prints the table and keeps it."""
    parser = OneLineParser("benchmark_objectives", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--weights", type=float, nargs="+", default=[1.0, 0.0, 1.0, 1.0, 1.0, 3.0], help="in pairs"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=number_above_0, default=300_000)
    parser.add_argument("--budget", type=number_above_0, default=700)
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    arguments = parser.parse_args(words)
    if len(arguments.weights) % 2:
        parser.error(f"--weights has {len(arguments.weights)} numbers; expected pairs")

    from prefrl import PrefrlError, RunConfig, run
    from prefrl.envs import make_env
    from prefrl.records.files import write_text_atomically

    pairs = list(zip(arguments.weights[::2], arguments.weights[1::2], strict=True))
    rows = []
    try:
        for seed in arguments.seeds:
            for weights in pairs:
                config = RunConfig(
                    env=ENV,
                    agent="ppo",
                    steps=arguments.steps,
                    budget=arguments.budget,
                    seed=seed,
                    objectives=OBJECTIVES,
                    objective_weights=weights,
                )
                name = f"speed{weights[0]:g}-effort{weights[1]:g}-seed{seed}"
                finished = run(config, out=arguments.out / name)
                env = make_env(ENV)
                reached = played(
                    finished.agent.predict, env, num_episodes=NUM_EPISODES, seed=10_000 + seed
                )
                env.close()
                rows.append({"weights": list(weights), "seed": seed, **reached})
        settings = {"steps": arguments.steps, "budget": arguments.budget, "rows": rows}
        write_text_atomically(arguments.out / "results.json", json.dumps(settings, indent=1) + "\n")
    except PrefrlError as error:
        print(f"benchmark_objectives: {error}", file=sys.stderr)
        return 2
    print("\n".join(table(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
