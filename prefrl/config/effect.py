"""Refuses settings that are given without what they need to have an effect, by name."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from prefrl.config.reward import ResolvedReward, RewardConfig
from prefrl.config.run import RunConfig
from prefrl.errors import ConfigError, option


@dataclass(frozen=True)
class Need:
    """A setting that others need, or they have no effect.

    Args:
        names: these others.
        setting: what they need.
        is_met: says of decided settings whether it is such that they have an effect.
        otherwise: why they have none where it is not.
    """

    names: tuple[str, ...]
    setting: str
    is_met: Callable[[RunConfig], bool]
    otherwise: str


def _rewards(its: RunConfig) -> ResolvedReward:
    return its.reward_model.decided()


def _num_sessions(its: RunConfig) -> int:
    return its.queries.num_sessions or 1


def _is_cross_fitted(reward: ResolvedReward) -> bool:
    """Says whether models that leave answers out tell the temperature, or may; the data decides."""
    is_asked = reward.error_rate == "auto" or reward.contradictions != "keep"
    return is_asked or reward.linear_part is not False


def _of_held_out(setting: str, are_held: Callable[[RunConfig], bool]) -> tuple[Need, ...]:
    """Lists what looks at answers that are held out of fitting, where a setting says if any are."""
    otherwise = "no answers are held out of fitting"
    return (
        Need(
            ("reward_model.patience", "reward_model.adapt_l2"),
            setting,
            are_held,
            otherwise,
        ),
        Need(
            ("reward_model.bank_alpha",),
            setting,
            lambda its: its.reward_model.bank_alpha != "auto" or are_held(its),
            otherwise,
        ),
        Need(
            ("reward_model.temperature",),
            setting,
            lambda its: _is_cross_fitted(_rewards(its)) or are_held(its),
            otherwise,
        ),
    )


OF_EVALUATIONS = (
    Need(
        ("eval_every", "eval_in"),
        "eval_episodes",
        lambda its: its.eval_episodes > 0,
        "there is nothing to play",
    ),
)
OF_REWARD_MODELS = (
    Need(
        tuple(
            f"reward_model.{name}"
            for name in ("contrastive", "bank_alpha", "bank_policy", "bank_neighbours")
        ),
        "reward_model.bank_size",
        lambda its: _rewards(its).bank_size > 0,
        "there is no bank",
    ),
    Need(
        ("reward_model.bank_neighbours",),
        "reward_model.bank_alpha",
        lambda its: its.reward_model.bank_alpha != 0,
        "the bank leaves rewards alone",
    ),
    Need(
        ("reward_model.anchored",),
        "reward_model.l2",
        lambda its: _rewards(its).l2 > 0,
        "weights are held to nothing",
    ),
    Need(
        ("reward_model.diversity",),
        "reward_model.num_reward_heads",
        lambda its: its.reward_model.num_reward_heads > 1,
        "a single head agrees with itself",
    ),
)
OF_LEARNING = (
    *OF_REWARD_MODELS,
    *_of_held_out(
        "reward_model.interval_coverage", lambda its: its.reward_model.interval_coverage is not None
    ),
)
"""Of a reward model that is fitted to a file's answers: only intervals hold some of them out."""
OF_RUNS = (
    *OF_REWARD_MODELS,
    *_of_held_out("queries.validation_fraction", lambda its: its.queries.validation_fraction > 0),
    Need(
        ("reward_model.interval_coverage",),
        "queries.validation_fraction",
        lambda its: its.queries.validation_fraction > 0,
        "intervals take answers that are held out of fitting",
    ),
    Need(
        ("queries.initial_fraction", "queries.last_session_at", "queries.ease"),
        "queries.num_sessions",
        lambda its: _num_sessions(its) > 1,
        "there is one session, as soon as the run has explored",
    ),
    Need(
        ("queries.schedule", "queries.session_spacing"),
        "queries.num_sessions",
        lambda its: _num_sessions(its) > 2,
        "no session lies between the first and the last",
    ),
    Need(
        ("max_steps_ahead",),
        "pace",
        lambda its: its.pace == "answers",
        "it is of pace answers",
    ),
    Need(
        ("min_first_answers",),
        "pace",
        lambda its: its.pace == "steps",
        "it is of pace steps",
    ),
    Need(
        ("sync_feedback",),
        "pace",
        lambda its: its.pace == "sync",
        "answers are not waited for at each session",
    ),
    Need(
        ("open_ahead",),
        "sync_feedback",
        lambda its: not its.sync_feedback,
        "all questions of a session are open at once",
    ),
)
"""Of a run on a learned reward."""


def check_needs(needs: Sequence[Need], given: RunConfig, decided: RunConfig) -> None:
    """Refuses settings that have no effect beside the others.

    What has the value that it would have anyway says nothing: a run's config.yaml reruns it.

    Args:
        needs: of the settings that are looked at.
        given: the settings as they were given.
        decided: the same, with nothing that a need asks about left open.

    Raises:
        ConfigError: there is such a setting; it is named, with what to do.
    """
    recipe = RewardConfig(recipe=given.reward_model.recipe).decided()
    usual = dataclasses.replace(RunConfig(), reward_model=recipe)
    for need in needs:
        for name in need.names:
            value = attrgetter(name)
            if value(given) in (None, value(usual)) or need.is_met(decided):
                continue
            other = attrgetter(need.setting)
            is_given = other(given) not in (None, other(usual))
            instead = (
                "leave one of the two out"
                if is_given
                else f"leave it out, or choose another {option(need.setting)}"
            )
            raise ConfigError(
                f"{option(name)} is {value(given)}, but {option(need.setting)} is "
                f"{other(decided)}: {need.otherwise}; {instead}"
            )


def check_reward_model(needs: Sequence[Need], config: RewardConfig) -> None:
    """Refuses settings of a reward model that have no effect beside the others.

    Args:
        needs: of settings of reward models alone.
        config: the settings as they were given.

    Raises:
        ConfigError: as `check_needs`.
    """
    bare = RunConfig()
    check_needs(
        needs,
        dataclasses.replace(bare, reward_model=config),
        dataclasses.replace(bare, reward_model=config.decided()),
    )
