"""Decides what clips of an environment are made from, before a run takes its first step."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym

from prefrl.envs.env_checker import env_name
from prefrl.envs.films import picture_of
from prefrl.envs.opening import close_envs
from prefrl.envs.probing import Probe, probe, why_no_replay, why_no_states
from prefrl.envs.registry import make_env
from prefrl.envs.sim_state import simulation_of
from prefrl.errors import ConfigError, DataError, PrefrlError, text_of
from prefrl.labelling.clips.spec import NamedEnv, SavedModel

SourceKind = Literal["states", "pictures", "actions"]
MakeEnv = Callable[[str | None], gym.Env[Any, Any]]
"""Makes one environment, with a render mode or without."""

_USUAL_FRAMES_PER_S = 30.0
_TIME_LIMIT = 1_000_000
_FIND = (
    "import sys; sys.path[:] = {path}; from prefrl.envs.registry import find_spec; "
    "find_spec(sys.argv[1])"
)


@dataclass(frozen=True)
class ClipSource:
    """The material that clips of an environment are made from.

    Args:
        kind: "states" of its simulation, rendered later; "pictures", filmed while it is stepped,
            for which its environments need `render_mode="rgb_array"` and `Films`; or "actions", by
            which episodes are played again, for which they need `NotedResets` and `Beginnings`.
        scene: what whoever renders makes; None for pictures.
        dt: seconds of real time in a step.
    """

    kind: SourceKind
    scene: NamedEnv | SavedModel | None
    dt: float


def choose_source(make: MakeEnv, named: NamedEnv | None = None) -> ClipSource:
    """Tries on an environment what its clips can be made from; no two are open at once.

    States come first, which cost a run nothing; then pictures; then actions.

    Args:
        make: makes one environment as a run has it; asked for "rgb_array" it may refuse, or return
            one without.
        named: how whoever renders makes the same; None: only `make` can.

    Raises:
        ConfigError: no clips can be made of it; what stands in the way of each is said.
    """
    plain = make(None)
    try:
        name, dt = env_name(plain), seconds_a_step(plain)
        recorded = probe(plain)
        why_not = {"states": _why_not_restored(plain, recorded)}
        if not why_not["states"]:
            return ClipSource("states", named or _saved_model(plain, name), dt)
        registered = None if named else _registered(plain)
    finally:
        close_envs([plain])
    why_not["pictures"] = _why_not_filmed(make)
    if not why_not["pictures"]:
        return ClipSource("pictures", None, dt)
    named = named or _found_elsewhere(registered)
    why_not["actions"] = _why_not_replayed(named, recorded)
    if not why_not["actions"]:
        return ClipSource("actions", named, dt)
    raise ConfigError(
        f"{name} cannot be shown to people. From its state: {why_not['states']}. By pictures: "
        f"{why_not['pictures']}. From its actions: {why_not['actions']}. An environment whose "
        "render() returns pictures when it is made with render_mode='rgb_array' always can"
    )


def seconds_a_step(env: gym.Env[Any, Any]) -> float:
    """Returns the seconds of real time that a step stands for.

    By MuJoCo's clock, where there is one; else by the environment's `dt` or `render_fps`, else a
    thirtieth.

    Args:
        env: any; left in the middle of an episode.
    """
    env.reset(seed=0)
    simulation = simulation_of(env)
    if simulation is not None:
        before_s = float(getattr(simulation.data, "time", 0.0))
        env.action_space.seed(0)
        env.step(env.action_space.sample())
        passed_s = round(float(getattr(simulation.data, "time", 0.0)) - before_s, 9)
        if passed_s > 0:
            return passed_s
    dt: Any = getattr(env.unwrapped, "dt", None)
    if isinstance(dt, (int, float)) and 0 < dt < 1e6:
        return float(dt)
    frames_per_s: Any = env.metadata.get("render_fps")
    is_said = isinstance(frames_per_s, (int, float)) and frames_per_s > 0
    return 1 / (float(frames_per_s) if is_said else _USUAL_FRAMES_PER_S)


def _saved_model(env: gym.Env[Any, Any], name: str) -> SavedModel:
    from prefrl.labelling.clips.rendering import save_model

    return save_model(simulation_of(env).model, name)


def _registered(env: gym.Env[Any, Any]) -> NamedEnv | None:
    """Returns how an environment that was made by `gymnasium.make` is made again."""
    spec = env.spec
    if spec is None:
        return None
    settings = {key: value for key, value in spec.kwargs.items() if key != "render_mode"}
    # A replay ends where the clip does, so any time limit will do.
    settings["max_episode_steps"] = spec.max_episode_steps or _TIME_LIMIT
    try:
        return NamedEnv(spec.id, settings)
    except DataError:  # It was given what no file could hold.
        return None


def _found_elsewhere(registered: NamedEnv | None) -> NamedEnv | None:
    """Returns an id by which another process finds an environment, where there is one.

    What a module registers when it is imported is found there by `module:Name-v0`.
    """
    if registered is None:
        return None
    entry = gym.spec(registered.env_id).entry_point
    module = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
    modules = dict.fromkeys(("", f"{module}:", f"{module.partition('.')[0]}:"))
    for env_id in (f"{module}{registered.env_id}" for module in modules):
        done = subprocess.run(
            [sys.executable, "-c", _FIND.format(path=sys.path), env_id],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode == 0:
            return NamedEnv(env_id, registered.settings)
    return None


def _why_not_restored(env: gym.Env[Any, Any], recorded: Probe) -> str:
    found = why_no_states(
        env,
        sim_states=recorded.sim_states,
        actions=recorded.actions,
        following=recorded.observations[1:],
    )
    simulation = simulation_of(env)
    if found is None and not hasattr(simulation, "model"):
        return "it has no MuJoCo model beside its state"
    return found or ""


def _why_not_filmed(make: MakeEnv) -> str:
    try:
        env = make("rgb_array")
    except PrefrlError as error:
        return text_of(error)
    try:
        if env.render_mode != "rgb_array":
            return f"its render_mode is {env.render_mode!r}, not 'rgb_array'"
        env.reset(seed=0)
        picture_of(env)
        env.step(env.action_space.sample())
        picture_of(env)
    except Exception as error:  # noqa: BLE001 - every environment fails in its own way
        return text_of(error)
    finally:
        close_envs([env])
    return ""


def _why_not_replayed(named: NamedEnv | None, recorded: Probe) -> str:
    if named is None:
        return "nothing is registered by which it could be made again"
    settings = {"render_mode": "rgb_array", **named.settings}
    try:
        env = make_env(named.env_id, **settings)
    except PrefrlError as error:
        return text_of(error)
    try:
        env.reset(seed=0)
        picture_of(env)
        return why_no_replay(env, recorded) or ""
    except Exception as error:  # noqa: BLE001 - every environment fails in its own way
        return text_of(error)
    finally:
        close_envs([env])
