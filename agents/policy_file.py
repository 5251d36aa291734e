"""A policy's weights on disk, beside SB3's archive of the model, and the policy made of them.

SB3's archives are pickles: whoever loads one runs the code that is in it. `policy.safetensors`
stands beside `policy.zip` and holds the weights alone, with the spaces that the policy is for; what
shape it has, a run's settings say.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from prefrl.agents.weights import model_weights
from prefrl.errors import PrefrlError, StorageError, text_of
from prefrl.records.files import copy_file, opened, reason
from prefrl.records.json_file import entry, parse_json
from prefrl.records.weights import read_weights, write_weights

FORMAT_VERSION = "1"
_LARGEST = 2**31  # categories of an action


def weights_path(archive: Path) -> Path:
    """Returns the file of the weights that goes with an archive, such as `policy.zip`."""
    return archive.with_suffix(".safetensors")


def write_policy(archive: Path, model: BaseAlgorithm, *, agent: str) -> None:
    """Writes the weights of a model's policy beside its archive.

    Args:
        archive: the archive.
        model: whose policy it is.
        agent: the name in the table of agents that made the model; "" for a model of one's own,
            whose shape no settings tell.

    Raises:
        StorageError: the disk refused.
    """
    described = {
        name: _description(space)
        for name, space in (
            ("observation", model.observation_space),
            ("action", model.action_space),
        )
    }
    metadata = {
        "format_version": FORMAT_VERSION,
        "agent": agent if None not in described.values() else "",
        "spaces": json.dumps(described, allow_nan=False),
    }
    write_weights(weights_path(archive), model_weights(model).policy(), metadata)


def copy_policy(source: Path, target: Path) -> None:
    """Copies an archive and the weights beside it; what is not there is left out.

    Raises:
        StorageError: neither is there, or the disk refused.
    """
    both = ((weights_path(source), weights_path(target)), (source, target))
    if not any(path.exists() for path, _ in both):
        raise StorageError(f"there is no policy {source}")
    for path, copy in both:
        if path.exists():
            copy_file(path, copy)


def check_policy(archive: Path) -> None:
    """Makes sure that `copy_policy` can copy an archive and the weights beside it.

    Raises:
        StorageError: neither is there, or one cannot be read, or the weights are damaged.
    """
    if agent_of(archive) is None and not archive.exists():
        raise StorageError(f"there is no policy {archive}")
    try:
        if archive.exists():
            opened(archive).close()
    except OSError as error:
        raise StorageError(f"could not read {archive}: {reason(error)}") from error


def agent_of(archive: Path) -> str | None:
    """Returns the agent that the weights beside an archive are of; "" for a model of one's own.

    Returns:
        None where there are no weights.

    Raises:
        StorageError: they are damaged.
    """
    path = weights_path(archive)
    return _read(path)[1] if path.exists() else None


def spaces_of(archive: Path) -> tuple[spaces.Space[Any] | None, spaces.Space[Any] | None]:
    """Returns the observations and actions that a policy is for; None where its file does not say.

    Raises:
        StorageError: the weights are damaged.
    """
    path = weights_path(archive)
    observation, action = _read(path)[2] if path.exists() else (None, None)
    return observation, action


def read_policy(
    archive: Path,
    settings: Mapping[str, Any],
    make: Callable[[str, Any, dict[str, Any]], BaseAlgorithm],
) -> Callable[[Any], Any]:
    """Makes the deterministic policy of the weights beside an archive; no code in a file is run.

    Args:
        archive: the archive, which is not looked at.
        settings: of the agent, as the run has them.
        make: makes a model of an agent's name, a vector environment and settings.

    Returns:
        raw observations (N, O) -> actions, to the bit those that the archive's model gives.

    Raises:
        StorageError: the weights are missing or damaged, or of another policy than the settings
            describe.
    """
    path = weights_path(archive)
    tensors, agent, (observation, action) = _read(path)
    try:
        # What a policy needs no room for: experience, and rewards in their right units.
        small = {"buffer_size": 1, "n_steps": settings.get("batch_size", 64)}
        own = {name: value for name, value in small.items() if name in settings}
        model = make(agent, _Spaces(observation, action), {**settings, **own, **_NO_REWARD})
        known = {name: (t.shape, t.dtype) for name, t in model.policy.state_dict().items()}
        if known != {name: (t.shape, t.dtype) for name, t in tensors.items()}:
            raise ValueError("the weights have other names, shapes or types")
        model.policy.load_state_dict(tensors, strict=True)
    except (PrefrlError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        said = text_of(error)
        raise StorageError(
            f"{path} is of another policy than the run's settings describe: {said}"
        ) from None
    return lambda observations: model.predict(observations, deterministic=True)[0]


_NO_REWARD = {"normalize_reward": False}


class _Spaces(VecEnv):
    """Spaces that a model can be made for; it cannot be stepped."""

    env_id = None

    def __init__(self, observation: spaces.Space[Any], action: spaces.Space[Any]) -> None:
        super().__init__(1, observation, action)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None: ...

    def env_method(self, *args: Any, **kwargs: Any) -> list[Any]:
        return [None]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False]

    def reset(self) -> Any:
        raise NotImplementedError

    def step_async(self, actions: Any) -> None:
        raise NotImplementedError

    def step_wait(self) -> Any:
        raise NotImplementedError

    def close(self) -> None: ...


def _read(path: Path) -> tuple[dict[str, Any], str, tuple[Any, Any]]:
    """Returns the tensors, the agent's name and both spaces."""
    tensors, metadata = read_weights(path)
    if (version := metadata.get("format_version")) != FORMAT_VERSION:
        raise StorageError(
            f"{path} has format version {version}; this prefrl reads {FORMAT_VERSION}"
        )
    agent = metadata.get("agent", "")
    if not agent:
        return tensors, "", (None, None)
    try:
        described = parse_json(metadata.get("spaces", ""))
        if not isinstance(described, dict):
            raise ValueError("its spaces are no mapping")
        observation, action = (
            _space(entry(described, name, dict)) for name in ("observation", "action")
        )
    except (ValueError, TypeError, OverflowError, AssertionError, MemoryError) as error:
        raise StorageError(f"{path} is damaged: {text_of(error)}") from None
    return tensors, agent, (observation, action)


def _description(space: spaces.Space[Any]) -> dict[str, Any] | None:
    """Returns a space as JSON; None for one that agents of the table do not have."""
    if isinstance(space, spaces.Box):
        bounds = {
            name: [x if math.isfinite(x) else repr(x) for x in bound.reshape(-1).tolist()]
            for name, bound in (("low", space.low), ("high", space.high))
        }
        return {"box": space.dtype.str, "shape": list(space.shape), **bounds}
    if isinstance(space, spaces.Discrete):
        return {"discrete": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"discrete": space.nvec.reshape(-1).tolist(), "shape": list(space.shape)}
    if isinstance(space, spaces.MultiBinary):
        return {"binary": list(space.shape)}
    return None


def _space(described: Mapping[str, Any]) -> spaces.Space[Any]:
    if "box" in described:
        dtype = np.dtype(entry(described, "box", str))
        shape = _counts(entry(described, "shape", list))
        low, high = (_bound(entry(described, name, list), dtype) for name in ("low", "high"))
        return spaces.Box(low.reshape(shape), high.reshape(shape), shape, dtype.type)
    if "binary" in described:
        lengths = _counts(entry(described, "binary", list))
        return spaces.MultiBinary(lengths[0] if len(lengths) == 1 else lengths)
    if isinstance(described.get("discrete"), list):
        counts, shape = _counts(described["discrete"]), _counts(entry(described, "shape", list))
        return spaces.MultiDiscrete(np.array(counts, dtype=np.int64).reshape(shape))
    (count,) = _counts([entry(described, "discrete", int)])
    return spaces.Discrete(count, start=entry(described, "start", int))


def _counts(values: list[Any]) -> tuple[int, ...]:
    if not all(type(value) is int and 0 < value < _LARGEST for value in values):
        raise ValueError("a space has lengths that are no whole numbers")
    return tuple(values)


def _bound(values: list[Any], dtype: np.dtype[Any]) -> Any:
    if dtype.kind not in "fiu":
        raise ValueError(f"a space is of type {dtype}")
    if not all(type(value) in (int, float) or value in ("inf", "-inf") for value in values):
        raise ValueError("a space has bounds that are no numbers")
    return np.array([float(x) if dtype.kind == "f" else x for x in values]).astype(dtype)
