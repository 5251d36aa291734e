"""Off-policy algorithms of SB3 behind the `Agent` protocol, the PEBBLE way."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from prefrl.agents.base import SB3Agent
from prefrl.agents.exploration import StateEntropyReward, no_reward
from prefrl.agents.refill_buffer import refill
from prefrl.agents.relabel_buffer import mark_cut, relabel, stored_rows
from prefrl.agents.supported import check_replay, trained_every
from prefrl.errors import ConfigError
from prefrl.segments import EpisodeStore
from prefrl.types import RewardFunction, State

# PEBBLE explores at random before its state-entropy reward has anything to compare with.
RANDOM_STEPS = 1_000
# The states that exploration is measured against are gathered anew this often.
REFERENCE_EVERY = 1_000
# Gradient steps that let a new critic catch up with the first learned reward (B-Pref).
CATCH_UP_UPDATES = 100

_BUFFER_COLUMNS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


class OffPolicyAgent(SB3Agent):
    """Keeps all experience and relabels the whole replay buffer after each reward update.

    Explores by state entropy before the first session; the critic that learned to explore is then
    replaced by a fresh one (PEBBLE, Lee et al. 2021, section 4).

    Args:
        model: built on a stack that contains a `RewardVecEnv`; trains every so many steps.
        on_step: called with the number of steps taken.
        total_steps: of the whole run; schedules need it.

    Raises:
        ConfigError: the model's replay buffer could not be relabelled, or its steps not be counted;
            or see `SB3Agent`.
    """

    model: OffPolicyAlgorithm

    def __init__(
        self,
        model: OffPolicyAlgorithm,
        *,
        on_step: Callable[[int], None] | None = None,
        total_steps: int | None = None,
    ) -> None:
        super().__init__(model, on_step=on_step, total_steps=total_steps)
        if model.get_vec_normalize_env() is not None:
            raise ConfigError(
                "an off-policy model must not stand on VecNormalize: "
                "its replay buffer is relabelled"
            )
        check_replay(model)
        self._train_every = trained_every(model)
        # How many steps are random before exploring seeks novelty.
        self.random_steps = _random_steps(model)
        self._has_explored_only = False

    @property
    def stride(self) -> int:
        """Steps are taken in multiples of this: `train_freq` of every environment."""
        return self.num_envs * self._train_every

    def begin_phase(self, seed: int) -> None:
        """Resets environments and every generator that is drawn from."""
        super().begin_phase(seed)
        # DQN's, which it works out after each step: in a restored model none has been taken.
        schedule = getattr(self.model, "exploration_schedule", None)
        if schedule is not None and self.num_steps:
            model: Any = self.model
            model.exploration_rate = schedule(model._current_progress_remaining)

    def explore(self, num_steps: int) -> None:
        """Seeks states far from those visited, after `random_steps` random ones."""
        self._check_steps(num_steps)
        self._has_explored_only = True
        self.model.learning_starts = self.random_steps
        begin, end = self.num_steps, self.num_steps + num_steps
        self._refresh_exploration()
        while self.num_steps < end:
            at = self.num_steps
            until_next = REFERENCE_EVERY - at % REFERENCE_EVERY
            episode = (self.explore_episode_steps or end) * self.num_envs
            num_next = min(until_next, episode - (at - begin) % episode, end - at)
            self._learn(num_next, is_exploration=True)
            # Passed, not met: steps come in strides.
            if self.num_steps // REFERENCE_EVERY > at // REFERENCE_EVERY or self.num_steps == end:
                self._refresh_exploration()
            if (self.num_steps - begin) // episode > (at - begin) // episode:
                self._reset_environments()
        self._check_taken(end)

    def _refresh_exploration(self) -> None:
        buffer = self.model.replay_buffer
        assert buffer is not None
        if buffer.size() * buffer.n_envs < 2:
            self.venv.set_reward(no_reward)
            return
        visited = self.venv.flat(stored_rows(buffer, buffer.observations))
        # Which states stand for the rest follows from how many there are: no stream to keep.
        reward = StateEntropyReward(visited, rng=np.random.default_rng(len(visited)))
        self.venv.set_reward(reward)
        relabel(buffer, reward, self.venv)

    def _reset_environments(self) -> None:
        if self.model.replay_buffer is not None:
            mark_cut(self.model.replay_buffer)
        if self.model.action_noise is not None:
            with self._named():
                self.model.action_noise.reset()  # Noise with a memory, too, begins anew.
        super()._reset_environments()

    def train(self, num_steps: int) -> None:
        """Takes exactly `num_steps` steps, with their updates."""
        self._check_steps(num_steps)
        end = self.num_steps + num_steps
        self._learn(num_steps)
        self._check_taken(end)

    def relabel(self, reward_function: RewardFunction) -> None:
        """Rewrites the whole replay buffer; after exploration, with a fresh critic."""
        buffer = self.model.replay_buffer
        assert buffer is not None
        relabel(buffer, reward_function, self.venv)
        if self._has_explored_only:
            self._has_explored_only = False
            self.weights.renew_critics()
            self.model.learning_starts = 0
            if buffer.size():
                with self._named():
                    self.model.train(
                        gradient_steps=CATCH_UP_UPDATES, batch_size=self.model.batch_size
                    )
                self._check_finite()

    def refill(self, store: EpisodeStore) -> int:
        """Fills the empty replay buffer with the newest recorded steps, at their true rewards."""
        buffer = self.model.replay_buffer
        assert buffer is not None
        return refill(buffer, store)

    def state(self) -> State:
        """Returns weights, optimisers, step counts, and the filled part of the replay buffer."""
        state = super().state()
        buffer = self.model.replay_buffer
        assert buffer is not None
        filled = buffer.size()
        columns = {name: getattr(buffer, name)[:filled] for name in self._columns()}
        return {
            **state,
            "buffer": {"columns": columns, "pos": buffer.pos, "full": buffer.full},
            "has_explored_only": self._has_explored_only,
            "learning_starts": self.model.learning_starts,
        }

    def restore(self, state: State) -> None:
        """Puts back what `state` returned."""
        super().restore(state)
        buffer = self.model.replay_buffer
        assert buffer is not None
        if "buffer" in state:  # A finished run keeps none; see `refill`.
            for name, column in state["buffer"]["columns"].items():
                getattr(buffer, name)[: len(column)] = column
            buffer.pos, buffer.full = int(state["buffer"]["pos"]), bool(state["buffer"]["full"])
        self._has_explored_only = bool(state["has_explored_only"])
        self.model.learning_starts = int(state["learning_starts"])

    def _columns(self) -> list[str]:
        buffer = self.model.replay_buffer
        return [name for name in _BUFFER_COLUMNS if hasattr(buffer, name)]


def _random_steps(model: OffPolicyAlgorithm) -> int:
    """Returns the model's learning_starts, or our own number where it has its class's default."""
    known = inspect.signature(type(model)).parameters.get("learning_starts")
    is_default = known is not None and model.learning_starts == known.default
    return RANDOM_STEPS if is_default else int(model.learning_starts)
