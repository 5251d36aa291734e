"""Environments made ready for preferences: wrappers, recorders, fixed horizons, new tasks.

The folder stands beside `prefrl/`, but the package is `prefrl.envs`: others own the bare name.
"""

if __name__ == "envs":
    raise ImportError("this package is imported as `prefrl.envs`, never as `envs`")

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefrl.envs.registry import make_env
    from prefrl.envs.reward_vec_env import RewardVecEnv
    from prefrl.envs.reward_wrapper import RewardWrapper
    from prefrl.envs.vec_env import make_vec_env

# Imported when first asked for: the vector environments bring torch, which labelling does without.
_HOMES = {
    "RewardVecEnv": "prefrl.envs.reward_vec_env",
    "RewardWrapper": "prefrl.envs.reward_wrapper",
    "make_env": "prefrl.envs.registry",
    "make_vec_env": "prefrl.envs.vec_env",
}

__all__ = ["RewardVecEnv", "RewardWrapper", "make_env", "make_vec_env"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'prefrl.envs' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
