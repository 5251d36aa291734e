"""Plays a finished run's policy: on the true reward, and before a camera."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import gymnasium as gym
from gymnasium import spaces

from prefrl.agents.factory import load_policy, load_weights
from prefrl.agents.policy_file import agent_of, spaces_of, weights_path
from prefrl.agents.table import DEFAULT_AGENT
from prefrl.config import RunConfig
from prefrl.envs.cameras import render_settings
from prefrl.envs.opening import close_envs
from prefrl.errors import ConfigError, StorageError, option, unknown
from prefrl.records import run_folder
from prefrl.records.json_file import read_json_object
from prefrl.rewards import EnhancedRewardModel
from prefrl.runs.evaluation import Evaluation, evaluate
from prefrl.runs.own_parts import check_same_env
from prefrl.runs.resolve import MakeEnv, check_is_run, env_maker, make_configured_env, settings_of
from prefrl.runs.video import film
from prefrl.seeding import first_episode_seed

PolicyName = Literal["final", "best"]
_USUAL_SIZE = 480  # pixels


def evaluate_run(
    folder: Path | str,
    *,
    num_episodes: int,
    seed: int,
    policy: PolicyName = "final",
    make_env: MakeEnv | None = None,
    trust: bool = False,
) -> Evaluation:
    """Plays a finished run's policy on the true reward, beside what its reward model says of it.

    No more environments are open at once than the run trained in: there may be only one.

    Args:
        folder: the run folder.
        num_episodes: how many to play.
        seed: of the episodes; no other seed plays one of them.
        policy: the final one, or the best of those evaluated while the run trained.
        make_env: makes one environment, for a run that was made with such a part of its own.
        trust: where there is nothing but SB3's archive, it is loaded, which runs code stored in it.

    Raises:
        PrefrlError: a file of the run is missing or damaged; it is named.
    """
    folder = Path(folder)
    config, predict = _finished(folder, policy, trust=trust)
    check_same_env(folder, make_env)
    is_learned = config.reward == "learned"
    model = EnhancedRewardModel.load(folder / run_folder.REWARD_MODEL) if is_learned else None
    return evaluate(
        predict,
        _fitting(env_maker(config, make_env), _path(folder, policy)),
        num_episodes=num_episodes,
        seed=seed,
        reward_function=model.reward_function(config.objective_weights) if model else None,
        num_envs=config.num_envs,
    )


def film_run(  # noqa: PLR0913 - each is an option of `prefrl eval`
    folder: Path | str,
    path: Path,
    *,
    seed: int,
    max_seconds: float,
    size: int | None = None,
    policy: PolicyName = "final",
    make_env: MakeEnv | None = None,
    trust: bool = False,
) -> int:
    """Films a finished run's policy into an MP4 file; returns the number of frames.

    Args:
        folder: the run folder.
        path: the clip.
        seed: of the episode, the first of those that `evaluate_run` plays.
        max_seconds: longest clip, in seconds of simulated time.
        size: pixels of the clip's longer side; None leaves it to the environment, or 480 where that
            lets it be chosen.
        policy: as in `evaluate_run`.
        make_env: as in `evaluate_run`, of an environment with `render_mode="rgb_array"`.
        trust: as in `evaluate_run`.

    Raises:
        PrefrlError: a file is missing or damaged, or nothing can be rendered here.
    """
    folder = Path(folder)
    config, predict = _finished(folder, policy, trust=trust)
    check_same_env(folder, make_env)
    make: MakeEnv
    if make_env is None:
        plain = make_configured_env(config)
        settings = {**render_settings(plain, size or _USUAL_SIZE), **config.env_kwargs}
        close_envs([plain])  # Before another is made: there may be only one.
        config = dataclasses.replace(config, env_kwargs=settings)
        make = partial(make_configured_env, config, render_mode="rgb_array")
    else:
        make = env_maker(config, make_env)
    return film(
        predict,
        _fitting(make, _path(folder, policy)),
        path,
        max_seconds=max_seconds,
        seed=first_episode_seed(seed),
        size=size,
    )


def _finished(
    folder: Path, policy: PolicyName, *, trust: bool
) -> tuple[RunConfig, Callable[[Any], Any]]:
    check_is_run(folder)
    config = settings_of(folder)
    if policy not in get_args(PolicyName):
        raise ConfigError(unknown("policy", policy, get_args(PolicyName)))
    path = _path(folder, policy)
    agent = agent_of(path)
    if agent:
        return config, load_weights(path, config.agent_settings)
    if policy == "best" and not path.exists():
        raise StorageError(
            f"{folder} has no {path.name}; a run keeps one where it is evaluated while it trains "
            f"({option('eval_every')}), once it has ended"
        )
    if path.exists() and not trust:
        why = "" if agent is None else ", as the model is one of its own"
        raise StorageError(
            f"{folder} has its policy in {path.name} alone{why}: an archive that can run code when "
            f"it is loaded; if you trust whoever made it, load it with {option('trust', True)}"
        )
    return config, load_policy(_agent_name(folder, config), path)


def _path(folder: Path, policy: PolicyName) -> Path:
    return folder / (run_folder.POLICY if policy == "final" else run_folder.BEST_POLICY)


def _fitting(make: MakeEnv, path: Path) -> MakeEnv:
    """Returns a maker of environments that refuses those which a policy is not for.

    Raises:
        StorageError: the policy's weights are damaged; on a call, they are another environment's.
    """
    its = dict(zip(("observation", "action"), spaces_of(path), strict=True))

    def make_checked() -> gym.Env[Any, Any]:
        env = make()
        for name, space in its.items():
            own = getattr(env, f"{name}_space")
            if isinstance(space, spaces.Box) and space.shape != own.shape:
                close_envs([env])
                raise StorageError(
                    f"{weights_path(path)} is the policy of another environment: its {name}s have "
                    f"shape {space.shape}, this one's {own.shape}"
                )
        return env

    return make_checked


def _agent_name(folder: Path, config: RunConfig) -> str:
    try:
        return str(read_json_object(folder / run_folder.SUMMARY, {"agent": str})["agent"])
    except StorageError:  # not there yet, or damaged: as asked for
        return config.agent or DEFAULT_AGENT
