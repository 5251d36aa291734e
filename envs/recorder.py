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

from prefrl.envs.beside import Beside
from prefrl.envs.encoding import (
    action_dim,
    action_encoder,
    are_rows,
    observation_dim,
    observation_encoder,
)
from prefrl.envs.ends import is_terminated, last_observation
from prefrl.envs.observation_bounds import bounds_watch
from prefrl.envs.sim_state import StateReader, state_reader
from prefrl.envs.step_blocks import StepBlocks
from prefrl.envs.vec_outcomes import outcomes_of
from prefrl.errors import (
    ConfigError,
    ContractError,
    EnvironmentFault,
    PrefrlError,
    SpaceError,
    with_type,
)
from prefrl.segments import EpisodeStore, FloatArray


class Recorder(VecEnvWrapper):
    """Writes what passes through a vector environment into an `EpisodeStore`.

    Steps go into preallocated blocks and are cut into episodes when these end, so that recording
    costs a few array copies a step. Calls of NumPy cost more than what they copy, so there are few.

    Args:
        venv: vector environment in this process (its simulators are read), not wrapped by anything
            that changes observations or rewards.
        store: receives the episodes.
        env_id: named in errors.
        objectives: entries of `info` that are recorded as true rewards of their own.
        warns: an observation outside of its space's bounds is warned of, once.
        beside: keeps something else of each episode, such as pictures.

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
        beside: Beside | None = None,
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
        self._has_rows = are_rows(venv.observation_space)
        self._takes_rows = are_rows(venv.action_space)
        self._outcomes = outcomes_of(venv, env_id)
        self._watch = bounds_watch(venv.observation_space, env_id) if warns else None
        self._read_states: StateReader | None = None
        self._blocks: StepBlocks | None = None
        self._beside = beside

    def _begun(self) -> StepBlocks:
        """Makes the blocks; only now, as some environments have no simulation before a reset."""
        venv = self.venv
        self._read_states = state_reader(getattr(venv, "envs", []))
        return StepBlocks(
            venv.num_envs,
            observation_dim=observation_dim(venv.observation_space),
            action_dim=action_dim(venv.action_space),
            state_dim=self._read_states.dim if self._read_states else 0,
            num_objectives=len(self.objectives),
        )

    def reset(self) -> VecEnvObs:
        """Resets all environments; what their unfinished episodes hold can be asked about."""
        if self._blocks is not None:
            for i in range(self.num_envs):
                if self._blocks.length(i):
                    # Cut by whoever asked for it: a truncation, though not the environment's.
                    self._blocks.hand_over(
                        i, self.store, reached=None, terminated=False, is_complete=False
                    )
                    self._note_end(i)
            self._blocks.start_over()
        try:
            observations = self.venv.reset()
            if self._outcomes is not None:
                observations = self._outcomes.observations(observations)
        except PrefrlError:
            raise
        except Exception as error:
            raise EnvironmentFault(f"{self.env_id} failed to reset: {with_type(error)}") from error
        if self._blocks is None:
            self._blocks = self._begun()
        self._note(self._blocks, observations, 0.0, 0)  # No reward led there.
        if self._beside is not None:
            self._beside.begin(getattr(self.venv, "envs", ()))
        return observations

    def step_async(self, actions: Any) -> None:
        """Notes what is known before the step: actions and the simulators' states."""
        blocks = self._blocks
        if blocks is None:
            raise ContractError(f"{self.env_id} was stepped before it was reset")
        if blocks.row + 1 == len(blocks.actions):
            blocks.make_room()
        blocks.actions[blocks.row] = actions if self._takes_rows else self._encode_action(actions)
        if self._read_states is not None:
            blocks.write_states(self._read_states())
        if self._outcomes is not None:
            actions = self._outcomes.actions(actions)
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """Notes true rewards and observations, and cuts out the episodes that ended."""
        try:
            outcome = self.venv.step_wait()
            if self._outcomes is not None:
                outcome = self._outcomes.step(outcome)
        except PrefrlError:
            raise
        except Exception as error:
            raise EnvironmentFault(f"{self.env_id} failed in a step: {with_type(error)}") from error
        observations, rewards, dones, infos = outcome
        blocks: Any = self._blocks  # There: a step began.
        row = blocks.row + 1
        self._note(blocks, observations, rewards, row)
        if self.objectives:
            blocks.objective_rewards[row] = self._objective_rewards(infos)
        blocks.row = row  # Only now: what went wrong before this is no step.
        if True in dones.tolist():  # a third of the time of NumPy's any(), in every step
            for i in np.flatnonzero(dones).tolist():
                space = self.venv.observation_space
                reached = last_observation(infos[i], space, self._checked, self.env_id)
                terminated = is_terminated(infos[i])
                blocks.hand_over(
                    i, self.store, reached=reached, terminated=terminated, is_complete=True
                )
                self._note_end(i)
        if self._beside is not None:
            self._beside.step()
        return observations, rewards, dones, infos

    def _note_end(self, env: int) -> None:
        if self._beside is not None:
            oldest = self.store.num_dropped
            self._beside.end(env, oldest + len(self.store) - 1, oldest=oldest)

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
        self._check_finite(rewards, "an objective's reward")
        return rewards

    def _note(self, blocks: StepBlocks, observations: Any, rewards: Any, row: int) -> None:
        """Writes what a step led to into a row.

        Raises:
            EnvironmentFault: a number is not finite.
        """
        blocks.observations[row] = observations if self._has_rows else self._encode(observations)
        blocks.true_rewards[row] = rewards
        outcomes = blocks.outcomes[row]
        # A product with itself is infinite or NaN as soon as one number is, at a fraction of the
        # cost of looking at each; only where it is, can it be that large numbers overflowed.
        if not math.isfinite(np.vdot(outcomes, outcomes)):
            self._check_finite(blocks.true_rewards[row], "a reward")
            self._check_finite(blocks.observations[row], "an observation")
        if self._watch is not None:
            self._look_at_bounds(blocks.observations[row])

    def _checked(self, observations: Any) -> FloatArray:
        rows = self._encode(observations)
        self._check_finite(rows, "an observation")
        self._look_at_bounds(rows)
        return rows

    def _check_finite(self, numbers: NDArray[Any], what: str) -> None:
        if not np.isfinite(numbers).all():
            raise EnvironmentFault(f"{self.env_id} returned {what} that is not finite")

    def _look_at_bounds(self, observations: FloatArray) -> None:
        if self._watch is not None and self._watch.has_warned_of(observations):
            self._watch = None
