"""Evaluates the policy while it is trained."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from prefrl.agents.base import SB3Agent
from prefrl.agents.policy_file import copy_policy
from prefrl.loop import PreferenceLoop
from prefrl.records.remaining import EVALUATING
from prefrl.runs.arena import Arena
from prefrl.runs.candidate_policies import CandidatePolicies, is_candidate
from prefrl.runs.evaluation import evaluation_of
from prefrl.runs.rollouts import Rollouts
from prefrl.seeding import untouched_global_generators


@dataclass(frozen=True)
class WatchSettings:
    """When and on which episodes a policy is evaluated.

    Args:
        every: steps between evaluations.
        total_steps: of the run; its last policy is always evaluated.
        seed: of the episodes, the same ones every time, so that policies differ by nothing else.
    """

    every: int
    total_steps: int
    seed: int


class Watch:
    """Plays the deterministic policy every so many steps, and keeps what may be the best one.

    In environments of its own it plays as soon as the agent has taken the steps, in the middle of a
    phase, and leaves everything that training draws from as it was: the run ends with the same
    digits as one that is not watched. In the training environment it waits for the end of the
    phase, as the next one begins with fresh episodes anyway. The last policy is evaluated when its
    last update is done.

    Args:
        loop: takes what was measured into its metrics, and the time that it took.
        agent: whose policy it is.
        arena: where it plays.
        candidates: takes the policies that may be the best.
        settings: when, and on which episodes.
    """

    def __init__(
        self,
        loop: PreferenceLoop,
        agent: SB3Agent,
        *,
        arena: Arena,
        candidates: CandidatePolicies,
        settings: WatchSettings,
    ) -> None:
        self._loop = loop
        self._agent = agent
        self._arena = arena
        self._candidates = candidates
        self._settings = settings
        self._next_step = 0

    def begin(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Begins, or goes on, at the step where the agent is.

        A phase's checkpoint is written before what waited for its end is evaluated, which a run
        that was stopped in between does first of all. The best policy of a run that had ended and
        was given more is a candidate again: it plays once more, to be scored by the reward that is
        then the final one.

        Args:
            rows: of the run's metrics, up to the checkpoint that it goes on from.
        """
        evaluated = [int(row["step"]) for row in rows if "eval_true_return" in row]
        self._plan_next(max(evaluated, default=0))
        earlier = self._candidates.earlier_best()
        if earlier is not None:
            best, policy = earlier
            with self._agent.weights_of(policy):
                rollouts = self._play()
            self._candidates.add(best.step, rollouts, partial(copy_policy, policy))
        if self._agent.num_steps > max(evaluated, default=0):
            self.on_phase_end()

    def end(self) -> None:
        """Evaluates the last policy where no phase has ended: a run was given answers alone."""
        held, step = self._candidates.steps(), self._agent.num_steps
        if held and step not in held and self._candidates.decided() is None:
            self._evaluate(step)

    def on_step(self, step: int) -> None:
        """Takes note of the steps so far, every one; evaluates where it is time."""
        if self._next_step <= step < self._settings.total_steps and not self._arena.is_training:
            duration_s = self._evaluate(step)
            # All this while the loop took the time for the agent's.
            self._loop.seconds["rl_s"] -= duration_s

    def on_phase_end(self) -> None:
        """Evaluates what has waited for the phase to end."""
        step = self._agent.num_steps
        if step >= min(self._next_step, self._settings.total_steps):
            self._evaluate(step)

    def _evaluate(self, step: int) -> float:
        """Returns the seconds it took."""
        began_s, settings = time.perf_counter(), self._settings
        with self._loop.records.metrics.uncounted():
            rollouts = self._play()
            if is_candidate(step, every=settings.every, total_steps=settings.total_steps):
                self._candidates.add(step, rollouts, self._agent.save_policy)
        self._plan_next(step)
        duration_s = time.perf_counter() - began_s
        self._loop.seconds["eval_s"] += duration_s
        result = evaluation_of(rollouts)
        metrics = {
            "eval_true_return": result.true_return_mean,
            "eval_true_return_std": result.true_return_std,
            "eval_learned_return": result.learned_return_mean,
            "eval_episodes": float(result.num_episodes),
        }
        if not math.isnan(result.success_rate):
            metrics["eval_success_rate"] = result.success_rate
        self._loop.records.metrics.write(step, metrics)
        return duration_s

    def _play(self) -> Rollouts:
        with untouched_global_generators(), self._loop.records.doing(EVALUATING):
            return self._arena.play(
                self._agent.predict,
                seed=self._settings.seed,
                reward_function=self._agent.learned_reward,
            )

    def _plan_next(self, step: int) -> None:
        every = self._settings.every
        self._next_step = (step // every + 1) * every
