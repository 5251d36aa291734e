"""The settings of a run that is about to start: nothing is left to presets."""

import dataclasses

from prefrl.config.checking import settings, validated
from prefrl.config.queries import ResolvedQueries
from prefrl.config.ranges import CountInt, PositiveInt
from prefrl.config.reward import ResolvedReward
from prefrl.config.run import RunConfig, RunEnd
from prefrl.config.teacher import TeacherSettings


@settings(kw_only=True)
class ResolvedRun(RunConfig):
    """The settings of a run with everything decided: what `prefrl.runs.resolve` returns.

    It is what a run's config.yaml holds, under the same keys. Of the two that may still be None,
    `explore_episode_steps` and `train_episode_steps`, None means whole episodes.
    """

    agent: str
    steps: PositiveInt
    segment_length: PositiveInt
    num_envs: PositiveInt
    explore_steps: CountInt
    max_episode_steps: PositiveInt
    checkpoint_every: PositiveInt
    teacher: TeacherSettings
    queries: ResolvedQueries
    reward_model: ResolvedReward

    def ends(self) -> tuple[RunEnd, ...]:
        """Returns where the run has ended or will end, first one first."""
        return (*self.earlier_ends, RunEnd(self.steps, self.budget))

    @classmethod
    def of(cls, config: RunConfig, *, source: str = "") -> "ResolvedRun":
        """Takes the settings of a run that were decided before, as those of its config.yaml.

        Args:
            config: the settings.
            source: stands before the error: the file they were read from.

        Raises:
            ConfigError: some are left open; they are named.
        """
        return validated(cls, dataclasses.asdict(config), source=source)
