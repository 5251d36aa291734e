"""Environments made ready for preferences: wrappers, recorders, fixed horizons, new tasks.

The folder stands beside `prefrl/`, but the package is `prefrl.envs`: others own the bare name.
"""

if __name__ == "envs":
    raise ImportError("this package is imported as `prefrl.envs`, never as `envs`")

from prefrl.envs.registry import make_env
from prefrl.envs.reward_vec_env import RewardVecEnv
from prefrl.envs.reward_wrapper import RewardWrapper
from prefrl.envs.vec_env import make_vec_env

__all__ = ["RewardVecEnv", "RewardWrapper", "make_env", "make_vec_env"]
