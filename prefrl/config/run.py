"""The settings of a run.

A field that is None is decided by the environment's preset when the run starts; the `config.yaml`
of a run holds what was decided, so it reruns exactly even after presets change.
"""

import dataclasses
import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from prefrl.config.checking import settings
from prefrl.config.mappings import Mapping
from prefrl.config.pace import PaceConfig, PaceName
from prefrl.config.queries import QueryConfig
from prefrl.config.ranges import (
    CountInt,
    FiniteFloat,
    InOrder,
    PositiveFloat,
    PositiveInt,
    SeedInt,
)
from prefrl.config.reward import RewardConfig
from prefrl.config.teacher import TeacherConfig


def _true_in_quotes(value: Any) -> Any:
    # YAML takes it for a truth value where its author left out the quotation marks.
    return "true" if value is True else value


@settings("earlier_ends")
class RunEnd:
    """The end of a run.

    Args:
        steps: environment steps by then.
        budget: answers by then.
    """

    steps: PositiveInt
    budget: PositiveInt


@settings()
class RunConfig:
    """One run of preference-based reinforcement learning.

    Args:
        env: any Gymnasium id.
        agent: ppo, sac or crossq; None lets the environment's preset decide.
        steps: environment steps in all, exploration included; None lets the preset decide.
        budget: answered queries in all (ties count, skips do not, held-out answers do).
        segment_length: steps of a segment; None lets the preset decide.
        strategy: how queries are chosen: an acquisition, acquisition+selector (greedy, kcenter,
            ...), or module:name of one's own.
        teacher: who answers; with several objectives, one such for each.
        objectives: what the reward is about, where that is several things: names of entries that
            the environment's `info` has at every step, each the true reward of one. Queries ask
            about one objective each, in turns, and one model learns all of them.
        objective_weights: how much each objective counts in the agent's reward, in standard
            deviations of its learned reward; None takes equal shares.
        reward: learned trains on preferences; true trains the same agent on the environment's own
            reward, the arm to compare with.
        num_envs: environments stepped side by side; None lets the preset decide.
        explore_steps: steps before the first session; None lets the preset decide.
        explore_episode_steps: while exploring, environments are reset after so many steps each. By
            default two segments where early termination was switched off, and with SAC and CrossQ
            on HalfCheetah, so that the first queries are not all about robots that have fallen;
            whole episodes elsewhere.
        seed: everything random follows from it; 0 is a seed.
        device: where torch works (cpu, cuda, cuda:1, auto).
        threads: torch threads; results repeat exactly for the same number only.
        fixed_horizon: run environments that may end early at a fixed length where they allow it.
        train_episode_steps: training episodes are cut after so many steps at first, by a time limit
            that tells the agent nothing, and grow to whole ones over the first half of the run. By
            default four segments where early termination was switched off, and with SAC and
            CrossQ on HalfCheetah, so that experience is not all about robots that have fallen;
            whole episodes elsewhere. Evaluation always plays whole ones.
        max_episode_steps: the episode's time limit; None keeps the environment's own.
        eval_episodes: episodes of the final evaluation on the true reward, and of each one while
            the run trains; 0 leaves the final policy unevaluated.
        eval_every: every so many steps the deterministic policy plays `eval_episodes` whole
            episodes: its returns go into metrics and learning curve, and the best policy by learned
            return (by the true one with `reward: true`) into best_policy.zip. None only evaluates
            the final policy.
        eval_in: own plays evaluations in environments of their own, which leave training untouched
            to the digit; training, in the training environment, at the end of the phase in which
            one is due; auto, in own ones, or the training one where no further can be made. Without
            `eval_every` auto makes none: the final evaluation is played in the training one.
        checkpoint_every: most steps between checkpoints; None lets the preset decide.
        keep_checkpoints: the two newest stay when the run has ended, with all experience; otherwise
            only final/ does, without any.
        store_transitions: most steps kept for queries.
        env_kwargs: handed to gymnasium.make.
        agent_settings: overrides of the agent's preset, named as Stable-Baselines3 names them;
            SAC's learning_starts counts on the true reward only, as exploring takes its place.
        pace: what the agent does while a teacher that answers in its own time does so; one that
            answers at once sets no pace. sync waits for each session's answers. answers goes on
            with the reward there is, or explores before there is one, for `max_steps_ahead` steps
            at most, and then waits. steps never waits: sessions are fitted to what has arrived.
            None: answers with people, else sync.
        answer_timeout: seconds after which a session stops waiting; a question that was open for so
            long is withdrawn when the next session begins, and another one asked in its place.
            None: there is no end to waiting.
        max_steps_ahead: steps that pace `answers` takes before it waits; None: as many as the phase
            has that the session belongs to, but half of what the run still has at most.
        min_first_answers: answers before pace `steps` fits for the first time, or the budget where
            that is smaller.
        open_ahead: questions of such a teacher that are open at once, at most; others are put as
            these are answered, chosen by the newest model, and one that nobody has answered for two
            sessions is withdrawn, unless somebody looks at it. None: 20 with people, else all of a
            session at once.
        sync_feedback: each session of such a teacher is put at once, waited for, and taken as a
            whole, so that the run ends as one whose teacher answers at once and says the same.
        queries: when and about what the teacher is asked.
        reward_model: the reward model and its fitting.
        earlier_ends: where the run had ended before it was given more steps or answers, first one
            first; `prefrl run --resume` writes it.

    Example:
        >>> from prefrl import QueryConfig, RunConfig
        >>> config = RunConfig("HalfCheetah-v4", budget=300, queries=QueryConfig(num_sessions=9))
        >>> config.strategy
        'disagreement'
        >>> RunConfig(steps=0)
        Traceback (most recent call last):
        prefrl.errors.ConfigError: steps is 0...
    """

    env: str = "HalfCheetah-v4"
    agent: str | None = None
    steps: PositiveInt | None = None
    budget: PositiveInt = 700
    segment_length: PositiveInt | None = None
    strategy: str = "disagreement"
    teacher: TeacherConfig = dataclasses.field(default_factory=TeacherConfig)
    objectives: Annotated[tuple[str, ...], InOrder] = ()
    objective_weights: Annotated[tuple[FiniteFloat, ...], InOrder] | None = None
    reward: Annotated[Literal["learned", "true"], BeforeValidator(_true_in_quotes)] = "learned"
    num_envs: PositiveInt | None = None
    explore_steps: CountInt | None = None
    explore_episode_steps: PositiveInt | None = None
    train_episode_steps: PositiveInt | None = None
    seed: SeedInt = 0
    device: str = "cpu"
    threads: PositiveInt = 1
    fixed_horizon: bool = True
    max_episode_steps: PositiveInt | None = None
    eval_episodes: CountInt = 10
    eval_every: PositiveInt | None = None
    eval_in: Literal["auto", "own", "training"] = "auto"
    checkpoint_every: PositiveInt | None = None
    keep_checkpoints: bool = False
    store_transitions: PositiveInt = 200_000
    env_kwargs: Mapping = dataclasses.field(default_factory=dict)
    agent_settings: Mapping = dataclasses.field(default_factory=dict)
    pace: PaceName | None = None
    answer_timeout: PositiveFloat | None = PaceConfig.answer_timeout
    max_steps_ahead: CountInt | None = PaceConfig.max_steps_ahead
    min_first_answers: PositiveInt = PaceConfig.min_first_answers
    open_ahead: PositiveInt | None = PaceConfig.open_ahead
    sync_feedback: bool = PaceConfig.sync_feedback
    queries: QueryConfig = dataclasses.field(default_factory=QueryConfig)
    reward_model: RewardConfig = dataclasses.field(default_factory=RewardConfig)
    earlier_ends: tuple[RunEnd, ...] = ()

    @property
    def pacing(self) -> PaceConfig:
        """Returns the settings of pace by themselves."""
        names = [field.name for field in dataclasses.fields(PaceConfig)]
        given = {name: getattr(self, name) for name in names}
        return PaceConfig(**{**given, "pace": self.pace or PaceConfig.pace})

    def fingerprint(self) -> str:
        """Returns a short name for these settings; a checkpoint belongs to exactly one."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
