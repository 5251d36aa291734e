"""Agents that optimise a learned reward: Stable-Baselines3's PPO and SAC as an `Agent`.

The folder stands beside `prefrl/`, but the package is `prefrl.agents`: others own the bare name.
"""

if __name__ == "agents":
    raise ImportError("this package is imported as `prefrl.agents`, never as `agents`")

from prefrl.agents.factory import make_agent, make_model
from prefrl.agents.off_policy import OffPolicyAgent
from prefrl.agents.on_policy import OnPolicyAgent
from prefrl.agents.table import AGENTS

__all__ = ["AGENTS", "OffPolicyAgent", "OnPolicyAgent", "make_agent", "make_model"]
