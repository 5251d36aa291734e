"""Counts the different questions that a run can ask."""

from collections.abc import Sequence

from prefrl.config import ResolvedRun
from prefrl.errors import ConfigError
from prefrl.plan import Phase, growing_episode


def check_budget(config: ResolvedRun, plan: Sequence[Phase]) -> None:
    """Refuses a budget that could only be spent by asking the same questions again.

    Raises:
        ConfigError: there are fewer pairs of segments; it says how many.
    """
    asked_at = [index for index, phase in enumerate(plan) if phase.num_queries]
    if not asked_at:
        return
    most = num_pairs(config, plan[: asked_at[-1]])
    if config.budget > most:
        raise ConfigError(
            f"budget is {config.budget}, but until its last session this run has only {most} "
            f"different pairs of segments to ask about (steps {config.steps}, segment_length "
            f"{config.segment_length}); choose at most {most}, more steps, or shorter segments"
        )


def num_pairs(config: ResolvedRun, phases: Sequence[Phase]) -> int:
    """Returns how many different pairs of segments there are in what phases record.

    Episodes are taken to last until their time limit; each phase begins new ones.
    """
    num = sum(_num_segments(config, phase) for phase in phases)
    return num * (num - 1) // 2


def _num_segments(config: ResolvedRun, phase: Phase) -> int:
    limit, length = config.max_episode_steps, config.segment_length
    if config.train_episode_steps is not None:
        limit = growing_episode(
            phase.start_step,
            first=config.train_episode_steps,
            whole=limit,
            total_steps=config.ends()[0].steps,
        )
    if phase.is_exploration:
        limit = min(limit, config.explore_episode_steps or limit)
    num_whole, rest = divmod(phase.num_steps // config.num_envs, limit)
    # An episode that is over before it is as long as a segment is one by itself.
    return config.num_envs * (num_whole * max(limit - length + 1, 1) + max(rest - length + 1, 0))
