"""The benchmark of several objectives plays policies and shows what they reached."""

from typing import Any

import benchmark_objectives
import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces


class Sledge(gym.Env[Any, Any]):
    """Is as fast as it is pushed, for four steps."""

    observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        info = {
            "reward_run": float(action[0]),
            "reward_ctrl": -0.1 * float(np.square(action).sum()),
        }
        reward = info["reward_run"] + info["reward_ctrl"]
        return np.zeros(1, np.float32), reward, False, self.steps == 4, info


def test_speed_and_effort_are_means_over_steps_and_returns_over_episodes():
    reached = benchmark_objectives.played(
        lambda observations: np.array([[2.0, 1.0]]), Sledge(), num_episodes=3, seed=0
    )
    assert reached["speed"] == 2.0
    assert reached["effort"] == pytest.approx(5.0)
    assert reached["true_return"] == pytest.approx(4 * (2.0 - 0.5))


def test_the_table_has_a_row_for_each_run():
    row = {"weights": [1.0, 0.5], "seed": 0, "speed": 2.0, "effort": 1.25, "true_return": 1234.0}
    assert benchmark_objectives.table([row])[-1] == "| 1, 0.5 | 0 | 2.00 | 1.25 | 1,234 |"


def test_weights_that_are_not_pairs_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        benchmark_objectives.main(["--weights", "1", "--out", str(tmp_path / "new")])
    assert "--weights has 1 numbers; expected pairs" in capsys.readouterr().err
