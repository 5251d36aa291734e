"""`Recorder`: keeps every episode of a vector environment, with the state to render it from.

Axes: N environments, L steps of an episode, Q simulator-state dims.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, unwrap_vec_normalize
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from prefrl.envs.encoding import (
    action_dim,
    action_encoder,
    observation_dim,
    observation_encoder,
)
from prefrl.envs.ends import is_terminated, last_observation
from prefrl.envs.observation_bounds import BoundsWatch
from prefrl.envs.sim_state import StateReader, state_reader
from prefrl.envs.vec_outcomes import VecOutcomes
from prefrl.errors import ConfigError, EnvironmentFault, PrefrlError, SpaceError, with_type
from prefrl.segments import Episode, EpisodeStore, FloatArray

_BLOCK_STEPS = 1024


class Recorder(VecEnvWrapper):
    """Writes what passes through a vector environment into an `EpisodeStore`.

    Steps go into preallocated blocks, one row for all environments, and are cut into episodes when
    these end, so that recording costs a few array copies a step.

    Args:
        venv: vector environment in this process (its simulators are read), not wrapped by anything
            that changes observations or rewards.
        store: receives the episodes.
        env_id: named in errors.
        objectives: entries of `info` that are recorded as true rewards of their own.
        warns: an observation outside of its space's bounds is warned of, once.

    Raises:
        SpaceError: observations or actions do not flatten to numbers, or were normalised.
    """

    hands_out_its_own = True

    def __init__(
        self,
        venv: VecEnv,
        store: EpisodeStore,
        *,
        env_id: str,
        objectives: Sequence[str] = (),
        warns: bool = True,
    ) -> None:
        super().__init__(venv)
        self.store = store
        self.env_id = env_id
        self.objectives = tuple(objectives)
        if unwrap_vec_normalize(venv) is not None:
            raise SpaceError(
                f"{env_id}: what is recorded must be raw; put VecNormalize outside of Recorder"
            )
        self._encode = observation_encoder(venv.observation_space, env_id)
        self._encode_action = action_encoder(venv.action_space, env_id)
        self._outcomes = VecOutcomes(venv, env_id)
        self._watch = BoundsWatch(venv.observation_space, env_id) if warns else None
        self._read_states: StateReader | None = None
        self._columns: dict[str, NDArray[Any]] = {}
        self._row = 0
        self._start = np.zeros(venv.num_envs, dtype=np.int64)
        self._obs: FloatArray  # (N, O) what was seen last; there from the first reset on

    def _begin(self) -> None:
        """Makes the blocks; only now, as some environments have no simulation before a reset."""
        venv = self.venv
        self._read_states = state_reader(getattr(venv, "envs", []))
        state_dim = self._read_states.dim if self._read_states else 0
        self._columns = {
            "observations": self._block(observation_dim(venv.observation_space), np.float32),
            "actions": self._block(action_dim(venv.action_space), np.float32),
            "true_rewards": np.empty((_BLOCK_STEPS, venv.num_envs), dtype=np.float32),
            "sim_states": self._block(state_dim, np.float64),
            "objective_rewards": self._block(len(self.objectives), np.float32),
        }

    def _block(self, dims: int, dtype: Any) -> NDArray[Any]:
        return np.empty((_BLOCK_STEPS, self.venv.num_envs, dims), dtype=dtype)

    def _make_room(self) -> None:
        """Moves unfinished episodes to the front, and doubles the blocks where they fill them."""
        first = int(self._start.min())
        for name, block in self._columns.items():
            unfinished = block[first : self._row]
            if 2 * len(unfinished) > len(block):
                block = np.empty((2 * len(block), *block.shape[1:]), dtype=block.dtype)
            block[: len(unfinished)] = unfinished.copy()
            self._columns[name] = block
        self._row -= first
        self._start -= first

    def reset(self) -> VecEnvObs:
        """Resets all environments; what their unfinished episodes hold can be asked about."""
        for i in range(self.num_envs):
            if self._row > self._start[i]:
                # Cut by whoever asked for the reset: a truncation, though not the environment's.
                self._close_episode(i, self._obs[i], terminated=False, is_complete=False)
        self._row = 0
        self._start[:] = 0
        try:
            observations = self._outcomes.observations(self.venv.reset())
        except PrefrlError:
            raise
        except Exception as error:
            raise EnvironmentFault(f"{self.env_id} failed to reset: {with_type(error)}") from error
        self._obs = self._checked(observations)
        if not self._columns:
            self._begin()
        return observations

    def step_async(self, actions: Any) -> None:
        """Notes what is known before the step: observation, action, simulator state."""
        if self._row == len(self._columns["true_rewards"]):
            self._make_room()
        self._columns["observations"][self._row] = self._obs
        self._columns["actions"][self._row] = self._encode_action(actions)
        if self._read_states is not None:
            self._read_states(self._columns["sim_states"][self._row])
        self.venv.step_async(self._outcomes.actions(actions))

    def step_wait(self) -> VecEnvStepReturn:
        """Notes the true reward, and cuts out the episodes that ended."""
        try:
            outcome = self._outcomes.step(self.venv.step_wait())
        except PrefrlError:
            raise
        except Exception as error:
            raise EnvironmentFault(f"{self.env_id} failed in a step: {with_type(error)}") from error
        observations, rewards, dones, infos = outcome
        if not _is_finite(rewards):
            raise EnvironmentFault(f"{self.env_id} returned a reward that is not finite")
        self._obs = self._checked(observations)
        self._columns["true_rewards"][self._row] = rewards
        if self.objectives:
            self._columns["objective_rewards"][self._row] = self._objective_rewards(infos)
        self._row += 1
        if np.count_nonzero(dones):  # a quarter of the time of any(), in every step
            for i in np.flatnonzero(dones).tolist():
                space = self.venv.observation_space
                reached = last_observation(infos[i], space, self._checked, self.env_id)
                terminated = is_terminated(infos[i])
                self._close_episode(i, reached, terminated=terminated, is_complete=True)
        return observations, rewards, dones, infos

    def _objective_rewards(self, infos: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Returns (N, M) what each environment says of its objectives."""
        try:
            rewards = np.array([[float(i[name]) for name in self.objectives] for i in infos])
        except KeyError as error:
            there = ", ".join(sorted(infos[0])) or "nothing"
            raise ConfigError(
                f"objectives: the info of {self.env_id} has no {error}; it has {there}"
            ) from None
        except (TypeError, ValueError):
            raise ConfigError(
                f"objectives: {', '.join(self.objectives)} of {self.env_id}'s info are not numbers"
            ) from None
        if not _is_finite(rewards):
            raise EnvironmentFault(
                f"{self.env_id} returned an objective's reward that is not finite"
            )
        return rewards

    def _checked(self, observations: Any) -> FloatArray:
        flat = self._encode(observations)
        if not _is_finite(flat):
            raise EnvironmentFault(f"{self.env_id} returned an observation that is not finite")
        if self._watch is not None and self._watch.has_bounds:
            self._watch(flat)
        return flat

    def _close_episode(
        self, env: int, reached: FloatArray, *, terminated: bool, is_complete: bool
    ) -> None:
        """Cuts an episode out of the blocks; `reached` (O,) is what its last action led to."""
        rows = slice(int(self._start[env]), self._row)
        self._start[env] = self._row
        blocks = {name: block[rows, env] for name, block in self._columns.items()}
        observed = blocks.pop("observations")
        observations = np.empty((len(observed) + 1, len(reached)), dtype=np.float32)
        observations[:-1], observations[-1] = observed, reached
        self.store.add(
            Episode(
                observations=observations,
                **blocks,
                is_complete=is_complete,
                terminated=terminated,
                truncated=not terminated,
            )
        )


def _is_finite(numbers: NDArray[Any]) -> bool:
    # A product with itself is infinite or NaN as soon as one number is, at a fraction of the cost
    # of looking at each; only where it is, can it be that large numbers overflowed.
    return math.isfinite(np.vdot(numbers, numbers)) or bool(np.isfinite(numbers).all())
