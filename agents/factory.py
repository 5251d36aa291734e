"""Builds an SB3 model from settings written as plain values."""

import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger, configure
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from prefrl.agents.base import SB3Agent
from prefrl.agents.callbacks import RunCallbacks
from prefrl.agents.normalization import NormalizedObservations
from prefrl.agents.off_policy import OffPolicyAgent
from prefrl.agents.on_policy import OnPolicyAgent
from prefrl.agents.policy_file import read_policy
from prefrl.agents.settings import checked_settings
from prefrl.agents.supported import check_model
from prefrl.agents.table import AGENTS, agent_kind
from prefrl.errors import ConfigError, StorageError, option, with_type
from prefrl.records.files import opened


def make_model(
    name: str, venv: Any, settings: dict[str, Any], *, seed: int, device: str
) -> BaseAlgorithm:
    """Makes a fresh SB3 model.

    Args:
        name: of an agent in the table.
        venv: what it learns in.
        settings: named as SB3 names them; `policy_kwargs.activation_fn` by its name in torch.nn.
            `normalize_observations` (PPO) puts running statistics into the policy;
            `normalize_reward` (PPO) divides rewards by the running standard deviation of discounted
            returns, in both arms alike.
        seed: of the initial weights.
        device: torch's.

    Raises:
        ConfigError: SB3 does not know a setting or refuses its value, or the agent cannot handle
            the spaces.
    """
    kind = agent_kind(name)
    observations = venv.observation_space
    if not (isinstance(observations, spaces.Box) and len(observations.shape) == 1):
        raise ConfigError(
            f"{name} takes observations that are one vector, {venv.env_id or 'this environment'} "
            f"has {observations}; wrap it in prefrl.envs.encoding.FlatObservation"
        )
    settings = checked_settings(name, kind, settings)
    policy = settings.pop("policy_kwargs")
    if not (kind.takes_discrete_actions or isinstance(venv.action_space, spaces.Box)):
        able = [other for other, its in AGENTS.items() if its.takes_discrete_actions]
        raise ConfigError(
            f"{name} needs continuous actions, {venv.env_id} has "
            f"{type(venv.action_space).__name__}; use {option('agent', ' or '.join(able))}"
        )
    if settings.pop("normalize_observations", False):
        if not kind.normalizes_observations:
            able = [other for other, its in AGENTS.items() if its.normalizes_observations]
            raise ConfigError(
                f"{option('agent_settings.normalize_observations')} is for {' and '.join(able)}; "
                f"{name} takes them as they are"
            )
        policy["features_extractor_class"] = NormalizedObservations
    env: VecEnv = venv
    if settings.pop("normalize_reward", False):
        if issubclass(kind.algorithm, OffPolicyAlgorithm):
            raise ConfigError(
                f"{option('agent_settings.normalize_reward')} is for on-policy agents; {name} "
                f"keeps rewards, and relabels them"
            )
        env = VecNormalize(
            venv, norm_obs=False, norm_reward=True, gamma=settings.get("gamma", 0.99)
        )
    try:
        model = kind.make(env, seed=seed, device=device, policy_kwargs=policy, **settings)
        # A network that cannot act shows it here, not after the first step.
        model.predict(np.zeros(observations.shape, observations.dtype), deterministic=True)
    except Exception as error:  # SB3, torch and NumPy refuse in many ways
        raise ConfigError(
            f"{option('agent_settings')} do not fit {name}: {with_type(error)}"
        ) from error
    return model


def make_agent(
    model: BaseAlgorithm,
    *,
    on_step: Callable[[int], None] | None = None,
    total_steps: int | None = None,
    explore_episode_steps: int | None = None,
    episode_steps: Callable[[int], int] | None = None,
    callbacks: RunCallbacks | None = None,
    random_steps: int | None = None,
) -> SB3Agent:
    """Makes the agent that fits the kind of model.

    Args:
        model: built on a stack that contains a `RewardVecEnv`.
        on_step: called with the number of steps taken.
        total_steps: of the whole run; a model whose settings change over it needs to know.
        explore_episode_steps: while exploring, environments are reset after so many steps each.
        episode_steps: how long episodes are, by the steps taken before; for `CutEpisodes` only.
        callbacks: the user's own, called on training steps.
        random_steps: how many steps of exploring are random, where the agent goes on to seek
            novelty; None: 1,000.

    Raises:
        ConfigError: the model is neither on-policy nor off-policy, or cannot be used.
    """
    check_model(model)
    make: Any = OnPolicyAgent if isinstance(model, OnPolicyAlgorithm) else OffPolicyAgent
    agent: SB3Agent = make(model, on_step=on_step, total_steps=total_steps)
    agent.explore_episode_steps = explore_episode_steps
    agent.episode_steps = episode_steps
    agent.callbacks = callbacks
    if random_steps is not None and isinstance(agent, OffPolicyAgent):
        agent.random_steps = random_steps
    return agent


def tensorboard_logger(folder: Path) -> Logger:
    """Makes SB3's logger, writing TensorBoard events into `folder`."""
    return configure(str(folder), ["tensorboard"])


def load_weights(path: Path, settings: dict[str, Any]) -> Callable[[Any], Any]:
    """Reads the deterministic policy of the weights beside an archive; nothing is unpickled.

    Args:
        path: the archive, such as a run's policy.zip.
        settings: of the agent, as the run has them.

    Raises:
        StorageError: the weights are missing or damaged, or of another policy.
    """
    return read_policy(path, settings, partial(make_model, seed=0, device="cpu"))


def load_policy(name: str, path: Path) -> Callable[[Any], Any]:
    """Reads the deterministic policy of an SB3 archive: raw observations (N, O) -> actions.

    SB3's archives are unpickled, which runs code from the file: load only what you trust.

    Args:
        name: of an agent in the table.
        path: a run's policy.zip.

    Raises:
        ConfigError: it is of another algorithm.
        StorageError: the file is missing or damaged.
    """
    if not path.exists():
        raise StorageError(f"there is no policy {path}; has the run ended?")
    if name not in AGENTS:
        raise ConfigError(
            f"{path} is of a {name} model that its run brought along; load it with that class"
        )
    try:
        with opened(path) as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("it is no zip archive")
            file.seek(0)
            model = AGENTS[name].algorithm.load(file, device="cpu")
    except Exception as error:  # every kind of damage surfaces elsewhere in the unpickling
        raise StorageError(f"{path} is damaged or no {name} policy: {with_type(error)}") from error
    return lambda observations: model.predict(observations, deterministic=True)[0]
