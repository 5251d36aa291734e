"""Places that evaluations are played in: environments of their own, or the training ones."""

import contextlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import gymnasium as gym

from prefrl.envs.fixed_horizon import CutEpisodes
from prefrl.envs.reward_vec_env import RewardVecEnv
from prefrl.envs.vec_env import make_vec_env
from prefrl.errors import ConfigError, one_line, option
from prefrl.runs.rollouts import Rollouts, play
from prefrl.segments import EpisodeStore
from prefrl.types import RewardFunction

Place = Literal["auto", "own", "training"]


class Arena:
    """Environments in which a policy is evaluated, one for each episode where that can be had.

    Some environments exist once: a robot on a serial port, a simulator with a licence for one. Then
    episodes are played one after the other in the training environment, whole ones, and what
    becomes of its own episode is the caller's business.

    Args:
        make_env: makes one environment.
        training_envs: those that the agent trains in.
        num_episodes: of an evaluation.
        place: own or training; auto tries to make own ones, and says where it could not.
    """

    def __init__(
        self,
        make_env: Callable[[], gym.Env[Any, Any]],
        training_envs: Sequence[gym.Env[Any, Any]],
        *,
        num_episodes: int,
        place: Place = "auto",
    ) -> None:
        self._make_env = make_env
        self._training_envs = training_envs
        self._num_episodes = num_episodes
        self._place = place
        self._own: RewardVecEnv | None = None

    def open(self) -> None:
        """Makes what is needed, if it is not there yet.

        Raises:
            ConfigError: no own environment could be made, but one was asked for.
        """
        if self._place == "training" or self._own is not None:
            return
        try:
            self._own = self._made()
        except Exception as error:  # every environment fails in its own way
            reason = one_line(str(error)) or type(error).__name__
            said = f"no further environment could be made ({reason})"
            if self._place == "own":
                raise ConfigError(
                    f"{said}; evaluate in the training environment with "
                    f"{option('eval_in', 'training')}"
                ) from error
            self._place = "training"
            warnings.warn(
                f"{said}; evaluations are played in the training one, at the end of a phase",
                stacklevel=2,
            )

    @property
    def is_training(self) -> bool:
        """True where the training environments are the ones played in."""
        return self._place == "training"

    def play(
        self,
        predict: Callable[[Any], Any],
        *,
        seed: int,
        reward_function: RewardFunction | None,
    ) -> Rollouts:
        """Plays the episodes of one evaluation; see `prefrl.runs.rollouts.play`."""
        self.open()
        return play(
            predict,
            self._own or self._training(),
            num_episodes=self._num_episodes,
            seed=seed,
            reward_function=reward_function,
        )

    def close(self) -> None:
        """Closes the environments that it made."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def _made(self) -> RewardVecEnv:
        with contextlib.ExitStack() as made:
            envs = []
            for _ in range(self._num_episodes):
                envs.append(self._make_env())
                made.callback(envs[-1].close)
            venv = _side_by_side(envs)
            made.pop_all()
            return venv

    def _training(self) -> RewardVecEnv:
        envs = [env.env if isinstance(env, CutEpisodes) else env for env in self._training_envs]
        return _side_by_side(envs[: self._num_episodes])


def _side_by_side(envs: Sequence[gym.Env[Any, Any]]) -> RewardVecEnv:
    makers = iter(envs)
    return make_vec_env(lambda: next(makers), len(envs), EpisodeStore(1))  # Nothing is kept.
