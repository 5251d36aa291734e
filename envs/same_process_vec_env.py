"""`SameProcessVecEnv`: environments stepped one after the other, none of them trusted."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
from stable_baselines3.common.vec_env import DummyVecEnv

from prefrl.envs.copies import copied, copied_info
from prefrl.envs.env_checker import env_name
from prefrl.envs.opening import close_envs
from prefrl.envs.outcomes import observation_check, reset_outcome, step_outcome


class SameProcessVecEnv(DummyVecEnv):
    """SB3's in-process vector environment, for environments of any manners.

    They may write to what they handed out before, and to what they were given; what they return is
    checked. SB3 makes a deep copy of every info in every step, which costs as much as a tenth of a
    HalfCheetah step; here only what can be written to is copied.

    Raises:
        EnvironmentFault: in `reset` and `step`: what an environment returned is not what its spaces
            and Gymnasium's API say.
    """

    hands_out_its_own = True

    def __init__(self, env_fns: Sequence[Callable[[], gym.Env[Any, Any]]]) -> None:
        super().__init__(list(env_fns))
        self._name = env_name(self.envs[0])
        self._check = observation_check(self.observation_space, self._name)

    def reset(self) -> Any:
        """Resets every environment."""
        for i in range(self.num_envs):
            options = {"options": self._options[i]} if self._options[i] else {}
            self._save_obs(i, self._reset_one(i, seed=self._seeds[i], **options))
        self._reset_seeds()
        self._reset_options()
        return self._obs_from_buf()

    def _reset_one(self, i: int, **arguments: Any) -> Any:
        obs, info = reset_outcome(self.envs[i].reset(**arguments), self._name)
        self._check(obs)
        self.reset_infos[i] = copied_info(info)
        return obs

    def step_async(self, actions: Any) -> None:
        """Notes the actions."""
        self.actions = copied(actions)

    def step_wait(self) -> Any:
        """Steps every environment, resetting those whose episode ends."""
        name, check = self._name, self._check
        for i, env in enumerate(self.envs):
            outcome = env.step(self.actions[i])
            obs, reward, terminated, truncated, info = step_outcome(outcome, name)
            check(obs)
            info = copied_info(info)
            done = terminated or truncated
            info["TimeLimit.truncated"] = truncated and not terminated
            if done:
                # A copy: the reset may overwrite the very array that the step handed out.
                info["terminal_observation"] = copied(obs)
                obs = self._reset_one(i)
            self.buf_rews[i], self.buf_dones[i], self.buf_infos[i] = reward, done, info
            self._save_obs(i, obs)
        return (
            self._obs_from_buf(),
            self.buf_rews.copy(),
            self.buf_dones.copy(),
            list(self.buf_infos),
        )

    def close(self) -> None:
        """Closes every environment, once, whatever one of them raises."""
        envs, self.envs = self.envs, []
        close_envs(envs)
