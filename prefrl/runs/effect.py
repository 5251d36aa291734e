"""Settings that would have no effect in a run are refused, by name, before it starts."""

import dataclasses

from prefrl.agents.table import preset_for
from prefrl.config import PaceConfig, ResolvedRun, RunConfig
from prefrl.config.effect import OF_EVALUATIONS, OF_RUNS, check_needs
from prefrl.config.teacher import check_effect
from prefrl.config.true_reward import OF_LEARNED_REWARDS, of_no_use, of_true_reward
from prefrl.errors import ConfigError, option
from prefrl.feedback.protocols import is_async
from prefrl.runs.parts import Parts
from prefrl.runs.resolve import usual_exploration

# Settings of queries that stay open in a store.
_OF_STORES = ("repeat_share", "overlap")


def check_effects(config: RunConfig, resolved: ResolvedRun, parts: Parts) -> None:
    """Refuses settings that say something which the run would not do.

    What has the value that it would have anyway says nothing: a run's config.yaml reruns it.

    Args:
        config: the settings as they were given.
        resolved: the same, decided.
        parts: parts of one's own.

    Raises:
        ConfigError: there is such a setting; it is named, with what to do.
    """
    check_needs(OF_EVALUATIONS, config, resolved)
    if config.reward == "true":
        _check_true_reward(config, resolved)
        return
    check_effect(config.teacher)
    _check_pace(config, parts)
    # Robots' segments are no single rows of features, for which alone None would be True.
    its = resolved.reward_model
    its = dataclasses.replace(its, linear_part=bool(its.linear_part))
    check_needs(OF_RUNS, config, dataclasses.replace(resolved, reward_model=its))


def _check_true_reward(config: RunConfig, resolved: ResolvedRun) -> None:
    bare = of_true_reward(config)
    preset = preset_for(config.env, resolved.agent)
    usual = {
        "teacher": bare.teacher.decided(),
        "queries": dataclasses.replace(
            bare.queries,
            num_sessions=preset.num_sessions,
            newest_steps=preset.newest_steps,
            repeat_share=0.0,
        ),
        "reward_model": bare.reward_model.decided(),
    }
    window = min(resolved.segment_length, resolved.max_episode_steps)
    explored = usual_exploration(preset, resolved.steps, resolved.num_envs, window)
    decided = {
        "explore_steps": (None, explored),
        "explore_episode_steps": (None, min(2 * window, resolved.max_episode_steps)),
        "pace": (None, PaceConfig.pace),
    }
    for name in OF_LEARNED_REWARDS:
        given, left_out = getattr(config, name), getattr(bare, name)
        if name in decided:
            others = [name] if given not in decided[name] else []
        elif name not in usual:
            others = [name] if given != left_out else []
        else:
            # What the preset decides is in the config.yaml of a run that nobody gave it to, too.
            others = [
                f"{name}.{field.name}"
                for field in dataclasses.fields(given)
                if getattr(given, field.name)
                not in (getattr(left_out, field.name), getattr(usual[name], field.name))
            ]
        if others:
            raise of_no_use(others[0])


def _check_pace(config: RunConfig, parts: Parts) -> None:
    default, own = PaceConfig(), parts.teacher
    may_take_time = config.teacher.are_people if own is None else is_async(own)
    if config.teacher.are_people and not may_take_time:
        raise ConfigError(
            f"{option('teacher.name', config.teacher.name)} was given, but so was a teacher of "
            "one's own who answers at once; leave one of the two out"
        )
    given = [
        field.name
        for field in dataclasses.fields(PaceConfig)
        if getattr(config, field.name) not in (None, getattr(default, field.name))
    ]
    given += [f"queries.{name}" for name in _OF_STORES if getattr(config.queries, name)]
    if given and not may_take_time:
        raise ConfigError(
            f"{option(given[0])} was given, but it is of teachers that take their time, and this "
            "one answers at once; leave it out"
        )
