"""Valid settings of an agent: each is checked before anything is made of it."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from prefrl.agents.kinds import AgentKind
from prefrl.agents.schedules import SCHEDULED, LinearSchedule, schedule_start
from prefrl.errors import ConfigError, choices, option, shown

_MOST = 10**9  # steps, rows, updates: past this nothing fits into memory, or ends
_WIDEST = 16_384  # units of a layer: a gigabyte between two of them


@dataclass(frozen=True)
class Allowed:
    """The values that a setting may have.

    Args:
        expected: what it is, for errors.
        holds: says whether a value is one of them.
    """

    expected: str
    holds: Callable[[Any], bool]

    def or_(self, expected: str, holds: Callable[[Any], bool]) -> "Allowed":
        """Returns these values, and others."""
        return Allowed(f"{self.expected}, or {expected}", lambda v: self.holds(v) or holds(v))

    def or_none(self) -> "Allowed":
        """Returns these values, and none at all."""
        return self.or_("null", lambda value: value is None)


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Compared first: whole numbers may be too long for a float.
    return is_real and -1e300 < value < 1e300 and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(low: float, high: float, *, above: bool = False) -> Allowed:
    """Allows numbers from `low`, or above it, to `high`."""
    words = f"a number {'above' if above else 'from'} {low:g} to {high:g}"
    return Allowed(
        words, lambda v: _is_number(v) and v <= high and (v > low if above else v >= low)
    )


def _whole(low: int, high: int = _MOST) -> Allowed:
    return Allowed(
        f"a whole number from {low:,} to {high:,}", lambda v: _is_whole(v) and low <= v <= high
    )


def _scheduled(values: Allowed) -> Allowed:
    def is_schedule(value: Any) -> bool:
        start = schedule_start(value) if isinstance(value, str) else None
        return start is not None and values.holds(start)

    return values.or_("a linear schedule such as lin_3e-4", is_schedule)


def _is_auto(value: Any) -> bool:
    if not isinstance(value, str) or not value.startswith("auto"):
        return False
    if value == "auto":
        return True
    try:
        start = float(value.removeprefix("auto_"))
    except ValueError:
        return False
    return 0 < start <= _LARGE


def _is_train_freq(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) == 2 and value[1] == "step" and _is_train_freq(value[0])
    return _whole(1).holds(value)


def _is_net_arch(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value) and all(
            key in ("pi", "vf", "qf") and _is_net_arch(sizes) and not isinstance(sizes, dict)
            for key, sizes in value.items()
        )
    return isinstance(value, (list, tuple)) and all(_whole(1, _WIDEST).holds(v) for v in value)


def _is_activation(value: Any) -> bool:
    its = getattr(torch.nn, value, None) if isinstance(value, str) else value
    return isinstance(its, type) and issubclass(its, torch.nn.Module) and its is not torch.nn.Module


_LARGE = 1e6
_SWITCH = Allowed("true or false", lambda value: isinstance(value, bool))
_MODEL = "a model of one's own has one: Parts(make_model=...)"
_BY_MODEL = Allowed(f"null; {_MODEL}", lambda value: value is None)
_NOTHING = Allowed(f"an empty mapping; {_MODEL}", lambda value: value is None or value == {})

_VALUES: dict[str, Allowed] = {
    "learning_rate": _scheduled(_number(0, 10, above=True)),
    "n_steps": _whole(1),
    "batch_size": _whole(1),
    "n_epochs": _whole(1, 10_000),
    "gamma": _number(0, 1),
    "gae_lambda": _number(0, 1),
    "clip_range": _scheduled(_number(0, _LARGE, above=True)),
    "clip_range_vf": _scheduled(_number(0, _LARGE, above=True)).or_none(),
    "normalize_advantage": _SWITCH,
    "ent_coef": _number(0, _LARGE),
    "vf_coef": _number(0, _LARGE),
    "max_grad_norm": _number(0, _LARGE, above=True),
    "target_kl": _number(0, _LARGE, above=True).or_none(),
    "use_sde": _SWITCH,
    "use_sde_at_warmup": _SWITCH,
    "sde_sample_freq": _whole(1).or_("-1", lambda v: _is_whole(v) and v == -1),
    "buffer_size": _whole(1),
    "learning_starts": _whole(0),
    "tau": _number(0, 1, above=True),
    "train_freq": Allowed(
        "a whole number of steps, 1 or more, as phases are counted in steps, not episodes",
        _is_train_freq,
    ),
    "gradient_steps": _whole(1, 10_000).or_(
        "-1 for as many as steps", lambda v: _is_whole(v) and v == -1
    ),
    "target_update_interval": _whole(1),
    "target_entropy": _number(-_LARGE, _LARGE).or_("auto", lambda v: v == "auto"),
    "optimize_memory_usage": Allowed(
        "false: it stores no next observations, and a phase ends where an episode does not",
        lambda value: value is False,
    ),
    "action_noise": _BY_MODEL,
    "replay_buffer_class": Allowed(
        "null, as a run learns all rewards in SB3's ReplayBuffer anew; hindsight would mix in the "
        "environment's own",
        lambda value: value is None,
    ),
    "rollout_buffer_class": _BY_MODEL,
    "replay_buffer_kwargs": _NOTHING,
    "rollout_buffer_kwargs": _NOTHING,
    "policy": Allowed(f"MlpPolicy; {_MODEL}", lambda value: value == "MlpPolicy"),
    "policy_kwargs": Allowed(
        "a mapping such as {net_arch: [64, 64], activation_fn: ReLU}",
        lambda value: isinstance(value, dict) and all(isinstance(key, str) for key in value),
    ),
    "policy_delay": _whole(1, 10_000),
    "normalize_observations": _SWITCH,
    "normalize_reward": _SWITCH,
}
_OWN = ("normalize_observations", "normalize_reward", "policy")
_AUTO = _number(0, _LARGE).or_("auto, or a start such as auto_0.1", _is_auto)

_OF_POLICIES: dict[str, Allowed] = {
    "net_arch": Allowed(
        f"a list of layers' units, each 1 to {_WIDEST:,}, or a mapping of pi and vf (qf) to such",
        _is_net_arch,
    ),
    "activation_fn": Allowed("a name in torch.nn, such as ReLU", _is_activation),
    "log_std_init": _number(-20, 20),
    "n_critics": _whole(1, 100),
    "clip_mean": _number(0, _LARGE, above=True),
    "batch_norm_momentum": _number(0, 1, above=True),
    "batch_norm_eps": _number(0, 1, above=True),
    "renorm_warmup_steps": _whole(0),
    "optimizer_kwargs": Allowed("a mapping", lambda v: v is None or isinstance(v, dict)),
} | dict.fromkeys(
    (
        "ortho_init",
        "full_std",
        "use_expln",
        "squash_output",
        "share_features_extractor",
        "batch_norm",
    ),
    _SWITCH,
)
_NOT_OF_POLICIES = {
    "use_sde": "it is a setting of the agent, beside policy_kwargs",
    "observation_space": "it is the environment's",
    "action_space": "it is the environment's",
    "lr_schedule": "learning_rate is a setting of the agent",
    "features_extractor_class": _MODEL,
    "features_extractor_kwargs": _MODEL,
    "optimizer_class": _MODEL,
    "normalize_images": "observations are flat rows, not images",
}

# What exploration by noise that depends on the state makes use of, and nothing else does.
_OF_SDE = ("sde_sample_freq", "use_sde_at_warmup")
_OF_SDE_POLICIES = ("full_std", "use_expln", "squash_output", "clip_mean")

# Named as Stable-Baselines3 or RL Baselines3 Zoo name it, but a run's, or not for settings.
_ELSEWHERE: dict[str, Callable[[], str]] = {
    "env": lambda: f"the run's environment is {option('env')}",
    "device": lambda: f"say it of the run: {option('device')}",
    "seed": lambda: f"say it of the run: {option('seed')}",
    "tensorboard_log": lambda: "a run writes TensorBoard's events into its own folder",
    "verbose": lambda: "a run shows its own progress",
    "stats_window_size": lambda: "a run logs its own statistics",
    "monitor_wrapper": lambda: "a run logs its own returns",
    "_init_setup_model": lambda: "a run needs the whole model",
    "n_timesteps": lambda: f"say it of the run: {option('steps')}",
    "n_envs": lambda: f"say it of the run: {option('num_envs')}",
    "env_kwargs": lambda: f"say it of the run: {option('env_kwargs')}",
    "normalize": lambda: "write normalize_observations and normalize_reward",
    "env_wrapper": lambda: "wrap each environment: Parts(make_env=...)",
    "frame_stack": lambda: "wrap each environment: Parts(make_env=...)",
    "vec_env_wrapper": lambda: "wrap each environment: Parts(make_env=...)",
    "noise_type": lambda: _MODEL,
    "noise_std": lambda: _MODEL,
    "callback": lambda: "hand them in as Parts(callbacks=...)",
}


def checked_settings(name: str, kind: AgentKind, settings: dict[str, Any]) -> dict[str, Any]:
    """Returns settings as Stable-Baselines3 takes them.

    Args:
        name: of the agent, for errors.
        kind: what it is.
        settings: named as SB3 names them, in plain values.

    Raises:
        ConfigError: one is unknown, of the wrong kind, out of range, or not the agent's to decide.
    """
    parameters = inspect.signature(kind.algorithm.__init__).parameters
    found: dict[str, Any] = {}
    for key, value in settings.items():
        value = value.item() if isinstance(value, np.generic) else value
        if key in _ELSEWHERE:
            raise ConfigError(
                f"{option(f'agent_settings.{key}')} was given, but {_ELSEWHERE[key]()}"
            )
        if key not in _OWN and key not in parameters:
            valid = sorted({*parameters, *_OWN} - {"self", *_ELSEWHERE})
            raise ConfigError(
                f"unknown setting 'agent_settings.{key}' of {name}; {choices(key, valid)}"
            )
        allowed = _VALUES.get(key)
        if key == "ent_coef" and isinstance(parameters[key].default, str):
            allowed = _AUTO
        _check(key, value, allowed)
        if isinstance(value, str) and key in SCHEDULED:
            value = LinearSchedule(schedule_start(value) or 0.0)
        found[key] = tuple(value) if key == "train_freq" and isinstance(value, list) else value
    found.pop("policy", None)
    found["policy_kwargs"] = _policy_settings(name, kind, found.get("policy_kwargs", {}))
    if not found.get("use_sde"):
        _check_without_sde(kind, found)
    if not found.get("normalize_observations"):
        _check_without_features(kind, found["policy_kwargs"])
    return found


def _check_without_sde(kind: AgentKind, settings: dict[str, Any]) -> None:
    """Refuses what only state-dependent exploration makes use of, where there is none."""
    parameters = inspect.signature(kind.algorithm.__init__).parameters
    its = inspect.signature(kind.algorithm.policy_aliases["MlpPolicy"].__init__).parameters
    # An off-policy actor learns its spread itself, and starts from this with it alone.
    is_off_policy = "buffer_size" in parameters
    of_policy = (*_OF_SDE_POLICIES, "log_std_init") if is_off_policy else _OF_SDE_POLICIES
    policy = settings["policy_kwargs"]
    idle = [
        *(k for k in _OF_SDE if k in settings and settings[k] != parameters[k].default),
        *(f"policy_kwargs.{k}" for k in of_policy if k in policy and policy[k] != its[k].default),
    ]
    if idle:
        raise ConfigError(
            f"{option(f'agent_settings.{idle[0]}')} was given, but it is of state-dependent "
            f"exploration; leave it out, or choose {option('agent_settings.use_sde', 'true')}"
        )


def _check_without_features(kind: AgentKind, policy: dict[str, Any]) -> None:
    """Refuses to share, or not to, what is extracted of observations that are taken as they are."""
    name = "share_features_extractor"
    its = inspect.signature(kind.algorithm.policy_aliases["MlpPolicy"].__init__).parameters
    if name in policy and policy[name] != its[name].default:
        raise ConfigError(
            f"{option(f'agent_settings.policy_kwargs.{name}')} was given, but observations are "
            "taken as they are, so that there is nothing to share; leave it out"
        )


def _policy_settings(name: str, kind: AgentKind, policy: dict[str, Any]) -> dict[str, Any]:
    """Returns `policy_kwargs` as SB3 takes them."""
    its = inspect.signature(kind.algorithm.policy_aliases["MlpPolicy"].__init__).parameters
    valid = [key for key in its if key != "self" and key not in _NOT_OF_POLICIES]
    for key, value in policy.items():
        if key in _NOT_OF_POLICIES:
            raise ConfigError(
                f"{option(f'agent_settings.policy_kwargs.{key}')} was given, but "
                f"{_NOT_OF_POLICIES[key]}"
            )
        if key not in valid:
            raise ConfigError(
                f"unknown setting 'agent_settings.policy_kwargs.{key}' of {name}; "
                f"{choices(key, valid)}"
            )
        _check(f"policy_kwargs.{key}", value, _OF_POLICIES.get(key))
    policy = dict(policy)
    if isinstance(policy.get("activation_fn"), str):
        policy["activation_fn"] = getattr(torch.nn, policy["activation_fn"])
    return policy


def _check(key: str, value: Any, allowed: Allowed | None) -> None:
    if allowed is not None and not allowed.holds(value):
        raise ConfigError(
            f"{option(f'agent_settings.{key}')} is {shown(value)}; expected {allowed.expected}"
        )


def check_rollouts(settings: dict[str, Any], num_envs: int) -> None:
    """Refuses minibatches that are larger than what is learned from at once.

    Args:
        settings: checked ones.
        num_envs: environments side by side.

    Raises:
        ConfigError: no minibatch would ever be full, or a rollout is a single step.
    """
    most = _rollout_steps(settings, num_envs)
    if most is not None and most < 2:
        raise ConfigError(
            f"{option('agent_settings.n_steps')} is {settings['n_steps']}; expected 2 or more "
            f"where "
            f"{option('num_envs')} is {num_envs}"
        )
    if most is not None and settings.get("batch_size", 1) > most:
        raise ConfigError(
            f"{option('agent_settings.batch_size')} is {settings['batch_size']}; expected at "
            f"most {most}, the "
            f"steps of a rollout (n_steps {settings['n_steps']} times {num_envs} environments)"
        )


def fit_minibatches(settings: dict[str, Any], num_envs: int) -> None:
    """Makes minibatches as small as rollouts are, where they were to be larger."""
    most = _rollout_steps(settings, num_envs)
    if most is not None and "batch_size" in settings:
        settings["batch_size"] = min(settings["batch_size"], most)


def _rollout_steps(settings: dict[str, Any], num_envs: int) -> int | None:
    """Returns the steps that an on-policy agent learns from at once; None for another agent."""
    # Off-policy agents have n_steps, too: of their returns.
    is_on_policy = "buffer_size" not in settings and "n_steps" in settings
    return settings["n_steps"] * num_envs if is_on_policy else None


def steps_at_once(settings: dict[str, Any]) -> int:
    """Returns how many steps of each environment an agent takes at once."""
    train_freq = settings.get("train_freq", 1)
    return int(train_freq[0] if isinstance(train_freq, (list, tuple)) else train_freq)
