"""The settings that say how a reward is learned, of which a run on the true one makes no use."""

import dataclasses

from prefrl.config.run import RunConfig
from prefrl.errors import ConfigError, option

OF_LEARNED_REWARDS = (
    *("budget", "strategy", "teacher", "queries", "reward_model", "pace"),
    *("answer_timeout", "max_steps_ahead", "min_first_answers", "open_ahead", "sync_feedback"),
    *("explore_steps", "explore_episode_steps"),
)


def of_true_reward(config: RunConfig) -> RunConfig:
    """Returns the settings of the same agent on the true reward: nobody is asked there."""
    default = RunConfig()
    usual = {name: getattr(default, name) for name in OF_LEARNED_REWARDS}
    return dataclasses.replace(config, reward="true", **usual)


def of_no_use(name: str) -> ConfigError:
    """Returns the error about a setting of a learned reward in a run on the true one."""
    return ConfigError(
        f"{option(name)} was given, but a run on the true reward asks nobody and learns no "
        f"reward; leave it out, or choose {option('reward', 'learned')}"
    )
