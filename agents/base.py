"""The base of on-policy and off-policy agents: exact steps, fresh phases, swapped rewards."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger

from prefrl.agents.callbacks import RunCallbacks, step_callbacks
from prefrl.agents.passed_on import watched
from prefrl.agents.policy_file import weights_path, write_policy
from prefrl.agents.reward_stage import find_reward_stage
from prefrl.agents.supported import changed_observations, check_spaces
from prefrl.agents.weights import check_backend, model_weights
from prefrl.errors import (
    ConfigError,
    ContractError,
    Diverged,
    PrefrlError,
    StorageError,
    text_of,
    with_type,
)
from prefrl.records.files import write_atomically
from prefrl.records.weights import read_weights
from prefrl.seeding import seed_global_generators
from prefrl.segments import EpisodeStore
from prefrl.types import EpisodeReturns, RewardFunction, State

# `_n_calls` is DQN's, `reset_idx` SBX's.
_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_n_calls", "reset_idx")
_SET_WHILE_LEARNING = ("_update_current_progress_remaining", "_excluded_save_params")
_PROBES = (1.0, 0.9, 0.75, 0.5, 0.25, 0.1, 0.0)


class SB3Agent(ABC):
    """An SB3 model as the loop's `Agent`.

    Args:
        model: built on a stack that contains a `RewardVecEnv`. One that has learned before goes on
            with what it knows, but steps are counted from here on.
        on_step: called with the number of steps taken, every step of all environments.
        total_steps: of the whole run; a learning rate or clip range that changes over the run, as
            SB3's schedules do, needs it.

    Raises:
        ConfigError: no reward could be replaced; the model sees other spaces than its environments
            have; or a schedule goes without `total_steps`.
    """

    def __init__(
        self,
        model: BaseAlgorithm,
        *,
        on_step: Callable[[int], None] | None = None,
        total_steps: int | None = None,
    ) -> None:
        self.model = model
        self.weights = model_weights(model)
        self.venv = find_reward_stage(model.get_env())
        check_spaces(model, self.venv)
        self._passed_on = watched(model, self.venv)
        # Steps of a model that was trained before are no steps of the run.
        self.steps_before = model.num_timesteps
        model.num_timesteps = 0
        self.on_step = on_step
        self.total_steps = total_steps
        # While exploring, environments are reset after so many steps each; None leaves them alone.
        self.explore_episode_steps: int | None = None
        # How long episodes are, by the step of the run at which a phase begins, where environments
        # are `CutEpisodes`; None leaves them alone.
        self.episode_steps: Callable[[int], int] | None = None
        # What the loop has it learn by; None while it explores, or learns by the true reward.
        self.learned_reward: RewardFunction | None = None
        # In the table of agents; "" for a model of one's own.
        self.name = ""
        # The user's own, called on training steps.
        self.callbacks: RunCallbacks | None = None
        with self._named():
            changing = changing_schedules(model)
        if changing and total_steps is None:
            raise ConfigError(
                f"{' and '.join(changing)} of the {type(model).__name__} change over the run; "
                "say how long it is with total_steps"
            )
        if not model._custom_logger:
            # SB3 makes one at the first call of `learn`, and critics catch up before that; for a
            # silent model it would make an empty temporary folder at every call.
            model._logger = Logger(folder=None, output_formats=[])
            model._custom_logger = model.tensorboard_log is None and model.verbose == 0

    @property
    def num_steps(self) -> int:
        """Environment steps taken so far, over all environments."""
        return self.model.num_timesteps

    @property
    def num_envs(self) -> int:
        """Environments stepped side by side."""
        return self.venv.num_envs

    @property
    def stride(self) -> int:
        """Steps are taken in multiples of this: one of every environment."""
        return self.num_envs

    def begin_phase(self, seed: int) -> None:
        """Resets environments and every generator SB3 draws from.

        What a phase does then depends on the saved state and the seed alone, which is what makes a
        resumed run end as the uninterrupted one does.
        """
        env = self.model.get_env()
        assert env is not None
        seed_global_generators(seed)
        self.weights.seed(seed)
        self.model.action_space.seed(seed)
        self.venv.action_space.seed(seed)
        env.seed(seed)
        if self.episode_steps is not None:
            env.set_attr("max_steps", self.episode_steps(self.num_steps))
        self._reset_environments()
        self._follow_schedules(self.num_steps, 0)

    def _reset_environments(self) -> None:
        """Resets the environments, which SB3 does only when it first learns."""
        env = self.model.get_env()
        assert env is not None
        observations: Any = env.reset()
        # Images that were only turned round have a space of another form.
        if self.model.observation_space == self.venv.observation_space:
            seen = self.venv.flat(observations)
            if not np.array_equal(seen, self.venv.observed, equal_nan=True):
                raise changed_observations(self.model, self.venv)
        self.model._last_obs = observations
        self.model._last_episode_starts = np.ones(self.num_envs, dtype=bool)

    def set_reward(self, reward_function: RewardFunction) -> None:
        """Rewards by this function from the next step on."""
        self.venv.set_reward(reward_function)
        self.learned_reward = reward_function

    def pop_finished(self) -> list[EpisodeReturns]:
        """Returns the episodes that ended since the last call."""
        return self.venv.pop_finished()

    def _follow_schedules(self, num_timesteps: int, total_timesteps: int) -> None:
        if self.total_steps is not None:
            remaining = 1.0 - num_timesteps / self.total_steps
            self.model._current_progress_remaining = max(remaining, 0.0)

    def _learn(self, num_steps: int, *, is_exploration: bool = False) -> None:
        model = self.model
        # SB3 measures progress over one call of `learn`; a run makes many.
        own: Any = self._follow_schedules
        model._update_current_progress_remaining = own  # type: ignore[method-assign]
        # What is set on a model is pickled with it, also by callbacks that save it meanwhile.
        names = [*model._excluded_save_params(), *_SET_WHILE_LEARNING]
        model._excluded_save_params = lambda: names  # type: ignore[method-assign]
        callbacks = step_callbacks(self.on_step, None if is_exploration else self.callbacks)
        if self._passed_on is not None:
            callbacks.insert(0, self._passed_on)
        try:
            with self._named():
                model.learn(
                    num_steps, callback=callbacks, reset_num_timesteps=False, tb_log_name="agent"
                )
        finally:
            for name in _SET_WHILE_LEARNING:
                delattr(model, name)
        self._check_finite()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Says in one line what a model of one's own raised, and of any that it has diverged.

        Raises:
            ContractError: it raised something else than an error of prefrl's or of the disk.
            Diverged: it has weights that are not finite.
        """
        try:
            yield
        except OSError:
            raise
        except Exception as error:
            self._check_finite(error)  # An environment, too, cannot do with actions of NaN.
            if isinstance(error, PrefrlError):
                raise
            if isinstance(error, ValueError) and str(error).startswith("Expected parameter "):
                # Torch's, of a distribution: weights can be useless long before they are infinite.
                raise self._diverged("nothing can be drawn from its policy any more") from error
            if self.name:  # of the table: an error that was not foreseen
                raise
            raise ContractError(
                f"the {type(self.model).__name__} raised {with_type(error)}"
            ) from error

    def _check_finite(self, cause: Exception | None = None) -> None:
        """Refuses weights that are not finite, and moments of them."""
        if not self.weights.is_finite():
            raise self._diverged("its weights are no longer finite") from cause

    def _diverged(self, why: str) -> Diverged:
        return Diverged(
            f"the {type(self.model).__name__} has diverged by step {self.num_steps}: {why}; choose "
            "a smaller learning_rate in another run"
        )

    def _check_steps(self, num_steps: int) -> None:
        if num_steps < 0 or num_steps % self.stride:
            raise ConfigError(
                f"{num_steps} steps cannot be taken exactly; expected a multiple of {self.stride} "
                f"({self.num_envs} environments side by side)"
            )

    def _check_taken(self, end: int) -> None:
        """Refuses a model that took other steps than it was asked for."""
        if self.num_steps != end:
            raise ContractError(
                f"the {type(self.model).__name__} is at step {self.num_steps}, but was to stop at "
                f"{end}; its `learn` must take the steps that it is asked for"
            )

    @abstractmethod
    def explore(self, num_steps: int) -> None:
        """Gathers exactly `num_steps` steps before any reward is known.

        Raises:
            ConfigError: they are no multiple of `stride`; none is taken.
        """

    @abstractmethod
    def train(self, num_steps: int) -> None:
        """Learns over exactly `num_steps` further steps.

        Raises:
            ConfigError: they are no multiple of `stride`; none is taken.
        """

    @abstractmethod
    def relabel(self, reward_function: RewardFunction) -> None:
        """Computes rewards already stored anew."""

    def refill(self, store: EpisodeStore) -> int:
        """Takes recorded episodes for stored experience that was not saved.

        Returns:
            how many steps were taken; 0 for an agent that stores none.
        """
        return 0

    def predict(self, observations: Any) -> Any:
        """Returns the policy's deterministic actions for (N, O) raw observations."""
        with self._named():
            return self.model.predict(observations, deterministic=True)[0]

    def save_policy(self, path: Path) -> None:
        """Writes the policy's weights, and then SB3's own archive of the model.

        Both take raw observations when loaded; the weights lie beside the archive, and no code is
        run where they are loaded. First they: a model of one's own may not let itself be pickled,
        which is warned of.

        Raises:
            StorageError: it could not be written; what was there before is untouched.
        """

        def write(file: Any) -> None:
            model = self.model
            model.num_timesteps += self.steps_before
            try:
                model.save(file)
            finally:
                model.num_timesteps -= self.steps_before

        write_policy(path, self.model, agent=self.name)
        try:
            write_atomically(path, write)
        except (PrefrlError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a class of the user's own has in it
            path.unlink(missing_ok=True)  # It would be an older policy's.
            warnings.warn(
                f"{path} was not written, as the {type(self.model).__name__} cannot be saved: "
                f"{with_type(error)}; its weights are in {weights_path(path)}",
                stacklevel=2,
            )

    @contextmanager
    def weights_of(self, path: Path) -> Iterator[None]:
        """Lends the policy the weights that `save_policy` wrote, and takes them back at the end.

        Where an older version wrote an archive alone, only its tensors are read; no code in it is
        run.

        Raises:
            StorageError: the file is missing or damaged, or of another kind of policy.
        """
        give_back = self.weights.keep_policy()
        beside = weights_path(path)
        is_beside = beside.exists()
        try:
            weights = read_weights(beside)[0] if is_beside else self.weights.read_archive(path)
            self.weights.load_policy(weights)
        except Exception as error:  # every kind of damage surfaces elsewhere
            give_back()
            if isinstance(error, StorageError):
                raise
            read = beside if is_beside else path
            raise StorageError(f"{read} is damaged, or of another run: {text_of(error)}") from error
        try:
            yield
        finally:
            give_back()

    def state(self) -> State:
        """Returns weights, optimisers and step counts.

        They are the agent's own, not copies: write them down before it goes on.
        """
        model = self.model
        return {
            "steps_before": self.steps_before,
            "counters": {name: getattr(model, name) for name in _COUNTERS if hasattr(model, name)},
            **self.weights.state(),
        }

    def restore(self, state: State) -> None:
        """Puts back what `state` returned; goes on with `begin_phase`.

        Raises:
            DataError: it is of another model; what does not fit is named.
        """
        check_backend(state, self.weights.state())
        self.steps_before = int(state.get("steps_before", 0))
        for name, value in state["counters"].items():
            setattr(self.model, name, value)
        self.weights.restore(state)


def changing_schedules(model: BaseAlgorithm) -> list[str]:
    """Lists the model's settings that change with the progress of a run."""
    names = ("lr_schedule", "clip_range", "clip_range_vf", "exploration_schedule")
    schedules = {name: getattr(model, name, None) for name in names}
    return [
        name
        for name, schedule in schedules.items()
        if callable(schedule) and len({float(schedule(left)) for left in _PROBES}) > 1
    ]
