"""Parts that a run is given beside its settings, and the results that it gives back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefrl.agents.base import SB3Agent
from prefrl.agents.callbacks import Callbacks, check_callbacks
from prefrl.agents.own_models import MakeModel, check_takes_venv
from prefrl.arguments import function
from prefrl.config import ServingConfig
from prefrl.feedback.objectives import ObjectiveTeacher
from prefrl.feedback.protocols import AsyncTeacher, Teacher, check_can_be_asked
from prefrl.queries.predictor import QueryStrategy
from prefrl.queries.strategies import as_strategy
from prefrl.rewards import EnhancedRewardModel
from prefrl.runs.resolve import MakeEnv


@dataclass(frozen=True)
class Parts:
    """Parts of your own in place of the configured ones; None keeps the configured one.

    Args:
        make_env: makes one environment, in place of `gymnasium.make(config.env)`; `config.env` is
            then its name, `config.max_episode_steps` its time limit where it has none.
        teacher: who answers; with several objectives, an `ObjectiveTeacher`.
        strategy: how queries are chosen.
        make_model: makes the SB3 model for a stack of environments; its observations are raw.
        callbacks: an SB3 callback, several, or a function that makes them, called on the agent's
            training steps as if the run were one call of `learn`; see `prefrl.agents.callbacks`.

    Raises:
        ArgumentError: a part cannot be one, by its type or its methods; it is named.

    Example:
        >>> import numpy as np
        >>> from prefrl import Parts
        >>> class LikesCalm:
        ...     def answer(self, left, right, *, rng):
        ...         effort = [np.abs(side.actions).sum(axis=(1, 2)) for side in (left, right)]
        ...         return np.where(effort[0] < effort[1], 1.0, 0.0)
        >>> parts = Parts(teacher=LikesCalm())  # for run(config, parts=parts)
        >>> Parts(teacher=LikesCalm)
        Traceback (most recent call last):
        prefrl.errors.ArgumentError: teacher is the class LikesCalm; expected an object with ...
    """

    make_env: MakeEnv | None = None
    teacher: Teacher | ObjectiveTeacher | AsyncTeacher | None = None
    strategy: QueryStrategy | None = None
    make_model: MakeModel | None = None
    callbacks: Callbacks = ()

    def __post_init__(self) -> None:
        if self.make_env is not None:
            function("make_env", self.make_env, "a function that makes one environment")
        if self.teacher is not None:
            check_can_be_asked(self.teacher)
        if self.strategy is not None:
            object.__setattr__(self, "strategy", as_strategy(self.strategy))
        if self.make_model is not None:
            check_takes_venv(self.make_model)
        check_callbacks(self.callbacks)


@dataclass(frozen=True)
class RunResult:
    """The results of a finished run.

    Args:
        folder: the run folder.
        summary: the content of its summary.json.
        agent: the trained agent; `agent.model` is SB3's.
        reward_model: the learned reward; None for a run on the true one.

    Example:
        >>> import prefrl
        >>> config = prefrl.RunConfig("Pendulum-v1", "ppo", reward="true", steps=128)
        >>> result = prefrl.run(config, out="result", show_progress=False)
        >>> result.folder.name, result.summary["steps"], result.reward_model
        ('result', 128, None)
    """

    folder: Path
    summary: dict[str, Any]
    agent: SB3Agent
    reward_model: EnhancedRewardModel | None


@dataclass(frozen=True)
class Reporting:
    """Observers of how a run goes on.

    Args:
        show_progress: a bar on a terminal, plain lines elsewhere.
        wandb_project: log to Weights & Biases, too.
        on_checkpoint: called after each checkpoint.
        serving: the page on which people label, where they are asked.
    """

    show_progress: bool = True
    wandb_project: str | None = None
    on_checkpoint: Callable[[], None] | None = None
    serving: ServingConfig = field(default_factory=ServingConfig)
