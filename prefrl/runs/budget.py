"""Bounds how many different questions a run can ask."""

from collections.abc import Sequence

from prefrl.config import ResolvedRun
from prefrl.errors import ConfigError, option
from prefrl.plan import Phase
from prefrl.queries.pairs import num_pairs


def check_budget(config: ResolvedRun, plan: Sequence[Phase], *, may_ask_late: bool) -> None:
    """Refuses a budget that could only be spent by asking the same questions again.

    Args:
        config: the settings.
        plan: the phases of the run.
        may_ask_late: questions may be asked after the last session, as by a teacher that answers in
            its own time, in the place of those that were skipped.

    Raises:
        ConfigError: there are fewer pairs of segments; it says how many.
    """
    reach = None if may_ask_late else _reach(config, plan)
    most = most_pairs(plan, may_ask_late=may_ask_late, reach=reach)
    most *= max(1, len(config.objectives))
    if any(phase.num_queries for phase in plan) and config.budget > most:
        about = "" if len(config.objectives) < 2 else ", each for every objective"
        when = "its end" if may_ask_late else "its last session"
        raise ConfigError(
            f"{option('budget')} is {config.budget}, but until {when} this run takes "
            f"{_last_step(plan, may_ask_late)} steps, in which there are {most} different pairs of "
            f"segments to ask about at most{about}; choose at most {most}, or more steps"
        )


def most_pairs(plan: Sequence[Phase], *, may_ask_late: bool, reach: int | None = None) -> int:
    """Returns how many different pairs of segments there can be, whatever the environment does.

    A segment begins at each step at most. One does at every step where episodes are a step long, as
    an episode that is over before it is as long as a segment is one by itself; how early those of
    an environment end is not known before.

    Args:
        plan: the phases of the run.
        may_ask_late: as in `check_budget`.
        reach: newest steps that a session draws segments from, at most; None: all.
    """
    last = _last_step(plan, may_ask_late)
    if reach is None:
        return num_pairs(last)
    most = before = 0
    for step in (phase.start_step for phase in plan if phase.num_queries):
        oldest = max(step - reach, 0)
        # Without the pairs that the session before could ask about, too.
        most += num_pairs(step - oldest) - num_pairs(max(before - oldest, 0))
        before = step
    return most


def _reach(config: ResolvedRun, plan: Sequence[Phase]) -> int:
    """Returns how many steps back the segments of a session lie at most.

    They are of the newest episodes; of all that are kept, only where none of the newest holds a
    segment, as they were cut short by the ends of phases.
    """
    episode = min(config.max_episode_steps, max(phase.num_steps for phase in plan))
    cut = config.num_envs * (config.segment_length - 1)
    newest = config.queries.newest_steps
    last = _last_step(plan, may_ask_late=False)
    has_segments = newest >= episode + cut and all(
        phase.num_steps > cut for phase in plan if phase.start_step < last
    )
    kept = config.store_transitions
    return max(episode, min(newest, kept) if has_segments else kept)


def _last_step(plan: Sequence[Phase], may_ask_late: bool) -> int:
    """Returns the environment steps that are taken before the last question can be asked."""
    if may_ask_late:
        return plan[-1].start_step + plan[-1].num_steps
    return max((phase.start_step for phase in plan if phase.num_queries), default=0)
