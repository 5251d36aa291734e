"""Describes environments: their kind, and sizes, bounds and transforming wrappers for rewards."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from numpy.typing import NDArray

from prefrl.envs.wrapper_kinds import fault_of, record_of, transforms
from prefrl.errors import one_line

if TYPE_CHECKING:
    from prefrl.config import EnvironmentRecord

# Some environments say "unbounded" with the largest float32.
_UNBOUNDED = 1e30
# Of more dims, as of a discrete space of all combinations, no model is made.
_MOST_DIMS = 1_000_000
# Where an environment keeps its description, to be asked for it across processes.
_ATTRIBUTE = "prefrl_description"


@dataclass(frozen=True)
class Described:
    """One environment, as far as a reward around it needs to know it.

    Args:
        env_id: its Gymnasium id, where it has one.
        record: what a reward model that is trained in it remembers.
        faults: (wrapper's name, what is wrong with any reward around it), the outermost first.
        kind: what else is the same in all environments of one kind, by what it is called, as far as
            it is known.
    """

    env_id: str | None
    record: "EnvironmentRecord"
    faults: tuple[tuple[str, str], ...]
    kind: Mapping[str, str]


def describe(env: Any) -> Described:
    """Describes an environment; of spaces that do not flatten there is nothing to say.

    Args:
        env: a Gymnasium environment, or a stack of Stable-Baselines3's wrappers of vector
            environments, of which what stands in them is not looked at.
    """
    # Only now: pydantic takes as long to import as all the rest of a reward wrapper.
    from prefrl.config import EnvironmentRecord

    raw, records, faults, is_raw = env, [], [], False
    for wrapper, inner in _wrappers_of(env):
        if transforms(wrapper, inner):
            records.append(record_of(wrapper))
            is_raw = True
        elif not is_raw:  # What only flattens shows no bounds, but what it flattens does.
            raw = inner
        fault = fault_of(wrapper)
        if fault:
            faults.append((type(wrapper).__name__, fault))
    spec = env.spec if isinstance(env, gym.Env) else None
    low, high = _bounds(raw.observation_space)
    action_low, action_high = _bounds(raw.action_space)
    record = EnvironmentRecord(
        observation_dim=_dims(raw.observation_space),
        action_dim=_dims(raw.action_space),
        observation_low=low,
        observation_high=high,
        action_low=action_low,
        action_high=action_high,
        action_choices=_choices(raw.action_space),
        wrappers=tuple(records),
    )
    return Described(spec.id if spec else None, record, tuple(faults), _kind(env))


def _kind(env: Any) -> dict[str, str]:
    return {
        "class": type(env.unwrapped).__qualname__,
        "observation space": one_line(str(env.observation_space)),
        "action space": one_line(str(env.action_space)),
        "time limit": str(time_limit(env)),
    }


def describe_all(venv: Any) -> list[Described]:
    """Describes every environment of one of Stable-Baselines3's vector environments.

    What wraps them all counts for each of them. Of a simulator that has no environments of
    Gymnasium's within, the whole is one.

    Args:
        venv: the vector environment.
    """
    outer = describe(venv)
    within = _within(venv, outer)
    if not within:
        return [outer]
    faults, records = outer.faults, outer.record.wrappers
    # The rows are those of the outermost that transforms.
    return [
        replace(
            one,
            record=replace(outer.record, wrappers=records + one.record.wrappers)
            if records
            else one.record,
            faults=faults + one.faults,
        )
        for one in within
    ]


def _within(venv: Any, outer: Described) -> list[Described]:
    """Describes each environment where it lives, which may be another process."""
    # `isinstance`, asked there, is where code of ours meets the environments.
    is_wrapped = _asked(venv.env_is_wrapped, _Description)
    wrapped = [i for i, is_one in enumerate(is_wrapped) if is_one is True]
    found = dict(zip(wrapped, _asked(venv.get_attr, _ATTRIBUTE, wrapped), strict=False))
    if wrapped:
        venv.env_method("__delattr__", _ATTRIBUTE, indices=wrapped)
    others = [i for i in range(venv.num_envs) if i not in found]
    here = getattr(venv.unwrapped, "envs", None)
    here = here if isinstance(here, (list, tuple)) else ()  # None is in this process.
    bare = replace(outer, record=replace(outer.record, wrappers=()), faults=())
    for i, spec in zip(others, _asked(venv.get_attr, "spec", others), strict=False):
        is_here = i < len(here) and isinstance(here[i], gym.Env)
        kind = _kind(here[i]) if is_here else {}
        found[i] = replace(bare, env_id=getattr(spec, "id", None), kind=kind)
    return [found[i] for i in sorted(found)]


def _asked(ask: Any, *arguments: Any) -> Sequence[Any]:
    """Returns what a vector environment answers; nothing where a simulator's own cannot."""
    if not arguments[-1]:  # of no environments
        return ()
    try:
        answers = ask(*arguments)
    except Exception:  # noqa: BLE001 - each refuses in its own way
        return ()
    return answers if isinstance(answers, (list, tuple)) else ()


class _DescribesWhatItIsAskedAbout(type):
    def __instancecheck__(cls, env: Any) -> bool:
        try:
            setattr(env, _ATTRIBUTE, describe(env))
        except Exception:  # noqa: BLE001 - in a process of its own it would end that process
            return False
        return True


class _Description(metaclass=_DescribesWhatItIsAskedAbout):
    """Counts as the class of every wrapper, once a description is written on it."""


def _wrappers_of(env: Any) -> Iterator[tuple[Any, Any]]:
    """Yields each wrapper with what it wraps, the outermost first."""
    is_env = isinstance(env, gym.Env)
    while isinstance(env, gym.Wrapper) if is_env else "venv" in vars(env):
        inner = env.env if is_env else env.venv
        yield env, inner
        env = inner


def wrapper_in(env: gym.Env[Any, Any], name: str) -> gym.Wrapper[Any, Any, Any, Any] | None:
    """Returns the outermost wrapper of a class of this name; None where there is none."""
    found = (wrapper for wrapper, _ in _wrappers_of(env) if type(wrapper).__name__ == name)
    return next(found, None)


def time_limit(env: Any) -> int | None:
    """Returns the steps after which an environment's outermost `TimeLimit` ends every episode."""
    for wrapper, _ in _wrappers_of(env):
        if isinstance(wrapper, TimeLimit):
            return wrapper._max_episode_steps
    return None


def _bounds(space: spaces.Space[Any]) -> tuple[Any, Any]:
    if not space.is_np_flattenable or _dims(space) > _MOST_DIMS:
        return None, None
    flat: Any = spaces.utils.flatten_space(space)
    with np.errstate(over="ignore"):  # Bounds that float32 cannot hold are none.
        return _compact(flat.low.astype(np.float32)), _compact(flat.high.astype(np.float32))


def _dims(space: spaces.Space[Any]) -> int:
    return int(spaces.utils.flatdim(space)) if space.is_np_flattenable else 0


def _compact(bounds: NDArray[np.float32]) -> Any:
    plain = [float(bound) if abs(bound) < _UNBOUNDED else None for bound in bounds]
    return plain[0] if plain and plain.count(plain[0]) == len(plain) else tuple(plain)


def _choices(space: spaces.Space[Any]) -> tuple[int, ...]:
    if isinstance(space, spaces.Discrete):
        return (int(space.n),)
    if isinstance(space, spaces.MultiDiscrete):
        return tuple(int(n) for n in np.ravel(space.nvec))
    return (2,) * int(np.prod(space.shape)) if isinstance(space, spaces.MultiBinary) else ()
