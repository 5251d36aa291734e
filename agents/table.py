"""The agents that can be asked for by name. A new one: a line here, and a file of its own."""

from prefrl.agents.kinds import AgentKind
from prefrl.agents.ppo import PPO_KIND
from prefrl.agents.presets import Preset, task_of
from prefrl.agents.sac import SAC_KIND
from prefrl.errors import ConfigError, option, unknown

AGENTS: dict[str, AgentKind] = {"ppo": PPO_KIND, "sac": SAC_KIND}
_MISSING: dict[str, str] = {}

try:
    from prefrl.agents.crossq import CROSSQ_KIND
except ImportError:
    _MISSING["crossq"] = "sb3-contrib 2.4 or newer: pip install 'sb3-contrib>=2.4'"
else:
    AGENTS["crossq"] = CROSSQ_KIND

DEFAULT_AGENT = "ppo"
"""The agent of a run that names none."""


def agent_kind(name: str) -> AgentKind:
    """Returns what the agent of that name is.

    Raises:
        ConfigError: there is none, and those there are are listed; or what it needs is missing.
    """
    if name in _MISSING:
        raise ConfigError(f"{option('agent', name)} needs {_MISSING[name]}")
    if name not in AGENTS:
        raise ConfigError(unknown("agent", name, AGENTS))
    return AGENTS[name]


def agent_title(name: str) -> str:
    """Returns what an agent is called in headings."""
    kind = agent_kind(name)
    return kind.title or kind.algorithm.__name__


def preset_for(env_id: str, agent: str) -> Preset:
    """Returns an agent's preset of an environment, whatever its version, or its usual settings.

    Raises:
        ConfigError: there is no such agent.
    """
    return agent_kind(agent).preset_for_task(task_of(env_id))
