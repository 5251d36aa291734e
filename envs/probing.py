"""Tries on an environment what clips of it can be made from, before anything depends on it.

Axes: L steps, O observation dims, A action dims, Q simulator-state dims.
"""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from prefrl.envs.beginnings import Beginning, NotedResets, begin_again
from prefrl.envs.encoding import Encoder, action_encoder, batch_of_one, observation_encoder
from prefrl.envs.env_checker import env_name
from prefrl.envs.sim_state import StateReader, restore, simulation_of, state_reader
from prefrl.errors import EnvironmentFault, PrefrlError, SpaceError, with_type
from prefrl.segments import FloatArray

_NUM_STEPS = 60
_NUM_TRIED = 8
# Contacts magnify what states lose in single precision and what a solver is warmed up by, to 1e-4
# of a dimension's range at most in Gymnasium's tasks and dm_control's.
_TOLERANCE = 0.01
_SHARE = 0.75  # of the states tried, as a step through a hard contact may come out differently


@dataclass(frozen=True)
class Probe:
    """Steps of one episode.

    Args:
        beginning: what its reset drew from.
        observations: (L + 1, O).
        actions: (L, A).
        sim_states: (L, Q) before each action.
    """

    beginning: Beginning
    observations: FloatArray
    actions: FloatArray
    sim_states: NDArray[np.float32]


def probe(env: gym.Env[Any, Any], *, num_steps: int = _NUM_STEPS) -> Probe:
    """Takes random steps, the same ones each time.

    Args:
        env: any environment; left in the middle of an episode.
        num_steps: fewer where the episode ends.

    Raises:
        EnvironmentFault: it raises.
    """
    name = env_name(env)
    see = _observer(env, name)
    noted = NotedResets(env)
    try:
        noted.reset(seed=0)
        seen = [see(noted.reset()[0])]  # Of a reset without a seed, as most are.
        reader = state_reader([env])
        actions, states = [], []
        encode = action_encoder(env.action_space, name)
        env.action_space.seed(0)
        for _ in range(num_steps):
            action = env.action_space.sample()
            states.append(_read(reader))
            actions.append(encode(np.asarray(action)[None])[0])
            observation, _, terminated, truncated, _ = env.step(action)
            seen.append(see(observation))
            if terminated or truncated:
                break
    except PrefrlError:
        raise
    except Exception as error:
        raise EnvironmentFault(
            f"{name} failed while it was tried out: {with_type(error)}"
        ) from error
    return Probe(noted.beginning, np.stack(seen), np.stack(actions), np.stack(states))


def why_no_states(
    env: gym.Env[Any, Any],
    *,
    sim_states: NDArray[np.floating[Any]],
    actions: FloatArray,
    following: FloatArray,
) -> str | None:
    """Restores recorded states, takes the recorded actions from there and compares what is seen.

    Args:
        env: in which that is done, between resets of other episodes.
        sim_states: (L, Q) before each action, of one episode or of several.
        actions: (L, A).
        following: (L, O) what was observed after each action.

    Returns:
        what is wrong; None where the states say all that observations depend on.
    """
    see = _observer(env, env_name(env))
    if not sim_states.shape[1]:
        return "it has no MuJoCo state"
    # A range of each dimension, as they are of all units.
    scale = np.ptp(following, axis=0) + 1e-3
    tried = np.unique(np.linspace(0, len(actions) - 1, _NUM_TRIED).astype(np.int64))
    errors = []
    try:
        for number, step in enumerate(tried.tolist()):
            env.reset(seed=1000 + number)
            simulation = simulation_of(env)
            if simulation is None:
                return "it has no MuJoCo state"
            restore(simulation, sim_states[step])
            observation, *_ = env.step(action_of(env.action_space, actions[step]))
            errors.append(abs(see(observation) - following[step]) / scale)
    except SpaceError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - every environment fails in its own way
        return f"it failed when a state was restored: {with_type(error)}"
    is_right = np.array(errors) <= _TOLERANCE
    if is_right.all(axis=1).mean() >= _SHARE:
        return None
    dim = int(is_right.mean(axis=0).argmin())
    return (
        f"entry {dim} of its observations depends on more than MuJoCo's positions and velocities, "
        "such as a target that is drawn in a reset"
    )


def why_no_replay(env: gym.Env[Any, Any], recorded: Probe) -> str | None:
    """Plays an episode again from its actions and compares what is seen.

    Args:
        env: of the same kind.
        recorded: the episode.

    Returns:
        what is wrong; None where it comes out the same.
    """
    see = _observer(env, env_name(env))
    try:
        seen = [see(begin_again(env, recorded.beginning))]
        for row in recorded.actions:
            seen.append(see(env.step(action_of(env.action_space, row))[0]))
    except Exception as error:  # noqa: BLE001 - every environment fails in its own way
        return f"it failed when it was played again: {with_type(error)}"
    for step, (now, before) in enumerate(zip(seen, recorded.observations, strict=True)):
        if not is_same(now, before):
            return f"played again from the same actions, it is another episode from step {step} on"
    return None


def is_same(observation: FloatArray, other: FloatArray) -> bool:
    """Tells whether two observations are equal but for the last digits."""
    return observation.shape == other.shape and bool(
        np.allclose(observation, other, rtol=1e-4, atol=1e-5)
    )


def action_of(space: spaces.Space[Any], row: FloatArray) -> Any:
    """Returns the action that a recorded row of numbers stands for."""
    return spaces.utils.unflatten(space, row)


def _observer(env: gym.Env[Any, Any], name: str) -> Any:
    space = env.observation_space
    encode: Encoder = observation_encoder(space, name)
    return lambda observation: encode(batch_of_one(space, observation))[0]


def _read(reader: StateReader | None) -> NDArray[np.float32]:
    if reader is None:
        return np.zeros(0, dtype=np.float32)
    return np.frombuffer(reader()).astype(np.float32)
