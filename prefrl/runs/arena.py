"""Places that evaluations are played in: environments of their own, or the training ones."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import gymnasium as gym

from prefrl.envs.fixed_horizon import CutEpisodes
from prefrl.envs.opening import open_envs
from prefrl.envs.reward_vec_env import RewardVecEnv
from prefrl.envs.vec_env import side_by_side
from prefrl.errors import ConfigError, option, with_type
from prefrl.runs.rollouts import Rollouts, play
from prefrl.segments import EpisodeStore
from prefrl.types import RewardFunction

Place = Literal["auto", "own", "training"]


class Arena:
    """Environments in which a policy is evaluated: the training ones, until own ones are opened.

    Some environments exist once: a robot on a serial port, a simulator with a licence for one. So
    none is made beside those that a run trains in, unless evaluations are to be played in the
    middle of training. Where there are fewer than episodes, these are played one after the other;
    they are whole ones, and the same ones, wherever they are played. What becomes of an episode
    that a training environment is in is the caller's business.

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
        """Makes environments of its own, one for each episode or as many as can be had.

        Raises:
            ConfigError: not even one could be made, but own ones were asked for.
        """
        if self._place == "training" or self._own is not None:
            return
        try:
            envs, _ = open_envs(self._make_env, self._num_episodes, beside=self._training_envs)
        except Exception as error:  # every environment fails in its own way
            reason = with_type(error.__cause__ or error)
            said = f"no further environment could be made ({reason})"
            if self._place == "own":
                raise ConfigError(
                    f"{said}; evaluate in the training environment with "
                    f"{option('eval_in', 'training')}"
                ) from error
            warnings.warn(
                f"{said}; evaluations are played in the training one, at the end of a phase",
                stacklevel=2,
            )
        else:
            self._own = side_by_side(envs, EpisodeStore(1))  # Nothing played here is kept.

    @property
    def is_training(self) -> bool:
        """True where the training environments are the ones played in."""
        return self._own is None

    def play(
        self,
        predict: Callable[[Any], Any],
        *,
        seed: int,
        reward_function: RewardFunction | None,
    ) -> Rollouts:
        """Plays the episodes of one evaluation; see `prefrl.runs.rollouts.play`."""
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

    def _training(self) -> RewardVecEnv:
        envs = [env.env if isinstance(env, CutEpisodes) else env for env in self._training_envs]
        return side_by_side(envs[: self._num_episodes], EpisodeStore(1))
