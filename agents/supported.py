"""Models that a run can train right: those of other kinds are refused before their first step."""

from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit
from stable_baselines3.common.vec_env import VecEnvWrapper, VecTransposeImage
from stable_baselines3.her.her_replay_buffer import HerReplayBuffer

from prefrl.agents.weights import jax_bases
from prefrl.errors import ConfigError, not_a, option

# How steps come from the environment to what is learned of. A model with methods of its own for it
# needs more than a run gives it: masks, hidden states, a buffer of another form.
_GATHERS_BY: dict[type[BaseAlgorithm], tuple[str, ...]] = {
    OnPolicyAlgorithm: ("collect_rollouts",),
    OffPolicyAlgorithm: ("collect_rollouts", "_sample_action", "_store_transition"),
}
# Overrides of these that call the method they override only watch or add to it, as loggers do. What
# is stored is relabelled, and so has to be stored as it is.
_MAY_BE_EXTENDED = ("collect_rollouts", "_sample_action")
_EXAMPLES = "such as PPO, A2C, TRPO, SAC, TD3, DDPG, DQN, TQC, CrossQ and QRDQN"


def check_model(model: Any) -> None:
    """Refuses a model whose steps a run could not take, count or reward.

    Raises:
        ConfigError: it is no model, not whole, or gathers steps in a way of its own.
    """
    if isinstance(model, type):
        raise ConfigError(
            f"cannot train a class; make a model of it: {model.__name__}('MlpPolicy', venv)"
        )
    name = type(model).__name__
    base = next((kind for kind in _GATHERS_BY if isinstance(model, kind)), None)
    if base is None:
        raise ConfigError(
            f"cannot train a {name}; expected a Stable-Baselines3 model that is on- or off-policy, "
            f"{_EXAMPLES}"
        )
    for method in _GATHERS_BY[base]:
        if method in vars(model) or not _is_followed(type(model), base, method):
            raise ConfigError(
                f"cannot train a {name}: it gathers steps in a way of its own ({method}), which a "
                "run does not follow where it explores and evaluates; supported are models that "
                f"gather them as Stable-Baselines3's {base.__name__} does, {_EXAMPLES}"
            )
    if getattr(model, "policy", None) is None:
        raise ConfigError(f"the {name} has no policy yet; make it without _init_setup_model=False")


def _is_followed(kind: type, base: type, method: str) -> bool:
    """Says whether a method does what the base class's does, or calls that."""
    # SBX gathers them itself, in the same way.
    followed = (base, *jax_bases())
    overrides = [
        vars(its)[method] for its in kind.__mro__ if method in vars(its) and its not in followed
    ]
    return not overrides or (
        method in _MAY_BE_EXTENDED and all(_hands_on(own, method) for own in overrides)
    )


def _hands_on(override: Any, method: str) -> bool:
    names = getattr(getattr(override, "__code__", None), "co_names", ())
    return "super" in names and method in names


def check_spaces(model: BaseAlgorithm, stage: Any) -> None:
    """Refuses a model that sees or does something else than its environments take.

    Evaluations, the replay buffer's rewards and the saved policy take raw observations.

    Args:
        model: built on a stack that contains `stage`.
        stage: the stack's `RewardVecEnv`.

    Raises:
        ConfigError: a wrapper between them changes a space.
    """
    seen: Any = model.get_env()
    if isinstance(seen, VecTransposeImage) and isinstance(model, OnPolicyAlgorithm):
        seen = seen.venv  # Images only turn round, and `predict` turns them as well.
    for kind in ("observation_space", "action_space"):
        its, own = getattr(seen, kind), getattr(stage, kind)
        if its != own:
            raise ConfigError(
                f"the {type(model).__name__}'s {kind} is {its}, that of the RewardVecEnv is {own}"
                f"{between(model, stage)}; a policy must take what the environment gives: wrap "
                "each environment instead, in make_env"
            )


def changed_observations(model: BaseAlgorithm, stage: Any) -> ConfigError:
    """Returns the error for a model that is shown other observations than there are."""
    return ConfigError(
        f"the {type(model).__name__} does not see the observations of its environments"
        f"{between(model, stage)}; a policy must take them as they are: wrap each environment "
        "instead, in make_env"
    )


def between(model: BaseAlgorithm, stage: Any) -> str:
    """Names what stands between a model and the stage whose reward is replaced."""
    names = [type(venv).__name__ for venv in wrappers_between(model, stage)]
    return f" ({' and '.join(names)} between them)" if names else ""


def wrappers_between(model: BaseAlgorithm, stage: Any) -> list[VecEnvWrapper]:
    """Returns the wrappers between a model and the stage whose reward is replaced."""
    found, venv = [], model.get_env()
    while venv is not stage and isinstance(venv, VecEnvWrapper):
        found.append(venv)
        venv = venv.venv
    return found


def check_replay(model: OffPolicyAlgorithm) -> None:
    """Refuses a replay buffer that cannot be relabelled, saved and put back row by row.

    Raises:
        ConfigError: it is of another kind, or does not tell time limits from terminations.
    """
    buffer: Any = model.replay_buffer
    if isinstance(buffer, HerReplayBuffer):
        raise ConfigError(
            "HerReplayBuffer asks the environment's own compute_reward, not the learned reward; "
            "leave replay_buffer_class out, and flatten observations with "
            "prefrl.envs.encoding.FlatObservation"
        )
    if isinstance(buffer, DictReplayBuffer):
        raise ConfigError(
            "a replay buffer of dictionaries cannot be relabelled; "
            "flatten observations with prefrl.envs.encoding.FlatObservation"
        )
    if model.optimize_memory_usage:
        raise ConfigError(
            "optimize_memory_usage stores no next observations, and a phase ends where an "
            "episode does not; leave it off"
        )
    if not isinstance(buffer, ReplayBuffer):
        raise ConfigError(not_a("the replay buffer", buffer, "SB3's ReplayBuffer"))
    if buffer.n_envs != model.n_envs:
        raise ConfigError(
            f"the replay buffer is of {buffer.n_envs} environments side by side, the "
            f"{type(model).__name__} has {model.n_envs}; load the model without its replay buffer, "
            f"or use {option('num_envs', buffer.n_envs)}"
        )
    if not buffer.handle_timeout_termination:
        raise ConfigError(
            "handle_timeout_termination is False, so that the replay buffer does not tell time "
            "limits from terminations, as rewards and the ends of phases need; leave it on"
        )
    more = _kept_beside_rows(buffer)
    if type(buffer).add is not ReplayBuffer.add or more:
        own = f" ({', '.join(more)})" if more else ""
        raise ConfigError(
            f"{type(buffer).__name__} keeps more than the rows of SB3's ReplayBuffer{own}, or adds "
            "them in a way of its own; a run relabels, saves and puts back those rows alone: leave "
            "replay_buffer_class out"
        )


def _kept_beside_rows(buffer: ReplayBuffer) -> list[str]:
    plain = ReplayBuffer(1, buffer.observation_space, buffer.action_space)
    return [
        name
        for name, value in vars(buffer).items()
        if name not in vars(plain) and not isinstance(value, (bool, int, float, str, type(None)))
    ]


def trained_every(model: OffPolicyAlgorithm) -> int:
    """Returns after how many steps of each environment the model trains.

    Raises:
        ConfigError: that is counted in episodes, or never.
    """
    train_freq: Any = model.train_freq
    if not isinstance(train_freq, TrainFreq) or train_freq.unit != TrainFrequencyUnit.STEP:
        raise ConfigError(
            f"train_freq is {train_freq!r}; expected a number of steps, as phases are "
            "counted in steps, not episodes"
        )
    if train_freq.frequency < 1:
        raise ConfigError(f"train_freq is {train_freq.frequency}; expected 1 step or more")
    return int(train_freq.frequency)
