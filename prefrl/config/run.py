"""The settings of a run: frozen dataclasses, and their strict YAML form.

A field that is None is decided by the environment's preset when the run starts; the `config.yaml`
of a run holds what was decided, so it reruns exactly even after presets change.
"""

import dataclasses
import difflib
import hashlib
import json
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import tyro
import yaml
from pydantic import (
    AfterValidator,
    TypeAdapter,
    ValidationError,
)

from prefrl.config.ranges import (
    STRICT,
    CountInt,
    NonNegativeFloat,
    NonNegativeOrInf,
    PositiveFloat,
    PositiveInt,
    Probability,
    Share,
)
from prefrl.config.reward import RECIPES, Recipe, RewardConfig
from prefrl.errors import ConfigError

__all__ = [
    "RECIPES",
    "AgentName",
    "QueryConfig",
    "Recipe",
    "RewardConfig",
    "RunConfig",
    "ScheduleName",
    "TeacherConfig",
    "checked",
    "from_yaml",
    "to_yaml",
]

AgentName = Literal["ppo", "sac"]
ScheduleName = Literal["constant", "decreasing", "increasing"]


class _Loader(yaml.SafeLoader):
    """YAML in which 1e6 is a number, as in YAML 1.2, and in which no key may be given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is given twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads: the text "1e6" gets quotation marks."""


for _form in (_Loader, _Dumper):
    _form.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9_]+)[eE][-+]?[0-9]+$"),
        list("-+.0123456789"),
    )


def _mapping(
    text: Annotated[str, tyro.conf.arg(name="", metavar="{KEY: VALUE}")],
) -> dict[str, Any]:
    """A mapping typed on the command line as YAML: '{n_epochs: 5}'."""
    try:
        tree = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError:
        tree = None
    if not isinstance(tree, dict):
        raise ValueError(f"expected a mapping such as '{{n_epochs: 5}}', got {text!r}")
    return tree


def _plain(value: Any) -> Any:
    """The same value in the types that YAML holds, so that a run's config.yaml says all of it."""
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {str(key): _plain(item) for key, item in value.items()}
    raise ValueError(
        f"{reprlib.repr(value)} cannot be written to config.yaml; use text, numbers, true, "
        "false, null, and lists and mappings of them"
    )


Mapping = Annotated[
    dict[str, Any],
    AfterValidator(_plain),
    tyro.conf.arg(constructor=_mapping),
]


@dataclasses.dataclass(frozen=True)
class TeacherConfig:
    """Who answers, and how reliably.

    Args:
        name: oracle, noisy, mistake, skip, equal or myopic (B-Pref's simulated teachers).
        beta: rationality per standard deviation of segment returns; inf never errs, 0 tosses coins.
        gamma: myopia, the weight lost per step into the segment's past; 1 forgets nothing.
        p_mistake: share of decisive answers that are flipped.
        skip_fraction: how large the skip threshold is; 0 never skips.
        equal_fraction: how large the tie threshold is; 0 ties only exact equals.
    """

    name: Annotated[str, tyro.conf.arg(name="")] = "oracle"
    beta: NonNegativeOrInf | None = None
    gamma: Probability | None = None
    p_mistake: Probability | None = None
    skip_fraction: NonNegativeFloat | None = None
    equal_fraction: NonNegativeFloat | None = None

    __pydantic_config__ = STRICT


@dataclasses.dataclass(frozen=True)
class QueryConfig:
    """When and about what the teacher is asked.

    Args:
        schedule: how the size of sessions changes over the run: constant, decreasing in proportion
            to 2e6 / (T + 2e6) at step T (Christiano et al. 2017), or increasing (its inverse).
        initial_fraction: share of the budget asked in the first session, before any training.
        num_sessions: rounds of queries in all; None lets the preset decide.
        session_spacing: session i of n is held after (i / (n - 1)) to this power of the steps from
            the first to the last one: 1 spaces them evenly, more holds the early ones closer
            together, while the policy still changes fast.
        last_session_at: share of the run's steps after which nothing is asked any more.
        candidate_factor: size of the candidate pool, in segments per query.
        min_candidates: smallest candidate pool, in segments.
        spread_factor: so many times the pool is drawn, and the segments that lie farthest apart (by
            their observations) are kept; 1 keeps a plain draw.
        newest_steps: candidates come from the newest episodes that together hold this many steps;
            None lets the preset decide.
        validation_fraction: share of the answers held out, to stop fitting and to report accuracy.
    """

    schedule: ScheduleName = "decreasing"
    initial_fraction: Probability = 0.2
    num_sessions: PositiveInt | None = None
    session_spacing: PositiveFloat = 2.0
    last_session_at: Probability = 0.9
    candidate_factor: PositiveInt = 10
    min_candidates: PositiveInt = 200
    spread_factor: PositiveInt = 3
    newest_steps: PositiveInt | None = None
    validation_fraction: Share = 0.15

    __pydantic_config__ = STRICT


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """One run of preference-based reinforcement learning.

    Args:
        env: any Gymnasium id.
        agent: ppo or sac; None lets the environment's preset decide.
        steps: environment steps in all, exploration included; None lets the preset decide.
        budget: answered queries in all (ties count, skips do not, held-out answers do).
        segment_length: steps of a segment; None lets the preset decide.
        strategy: how queries are chosen: an acquisition, acquisition+selector (greedy, kcenter,
            ...), or module:name of one's own.
        teacher: who answers.
        reward: learned trains on preferences; true trains the same agent on the environment's own
            reward, the arm to compare with.
        num_envs: environments stepped side by side; None lets the preset decide.
        explore_steps: steps before the first session; None lets the preset decide.
        explore_episode_steps: while exploring, environments are reset after so many steps each. By
            default two segments where early termination was switched off, and with SAC on
            HalfCheetah, so that the first queries are not all about robots that have fallen; whole
            episodes elsewhere.
        seed: everything random follows from it; 0 is a seed.
        device: where torch works (cpu, cuda, cuda:1, auto).
        threads: torch threads; results repeat exactly for the same number only.
        fixed_horizon: run environments that may end early at a fixed length where they allow it.
        train_episode_steps: training episodes are cut after so many steps at first, by a time limit
            that tells the agent nothing, and grow to whole ones over the first half of the run. By
            default four segments where early termination was switched off, and with SAC on
            HalfCheetah, so that experience is not all about robots that have fallen; whole episodes
            elsewhere. Evaluation always plays whole ones.
        max_episode_steps: the episode's time limit; None keeps the environment's own.
        eval_episodes: episodes of the final evaluation on the true reward.
        checkpoint_every: most steps between checkpoints; None lets the preset decide.
        store_transitions: most steps kept for queries.
        env_kwargs: handed to gymnasium.make.
        agent_settings: overrides of the agent's preset, named as Stable-Baselines3 names them;
            SAC's learning_starts counts on the true reward only, as exploring takes its place.
        queries: when and about what the teacher is asked.
        reward_model: the reward model and its fitting.
    """

    env: str = "HalfCheetah-v4"
    agent: AgentName | None = None
    steps: PositiveInt | None = None
    budget: PositiveInt = 700
    segment_length: PositiveInt | None = None
    strategy: str = "disagreement"
    teacher: TeacherConfig = dataclasses.field(default_factory=TeacherConfig)
    reward: Literal["learned", "true"] = "learned"
    num_envs: PositiveInt | None = None
    explore_steps: CountInt | None = None
    explore_episode_steps: PositiveInt | None = None
    train_episode_steps: PositiveInt | None = None
    seed: CountInt = 0
    device: str = "cpu"
    threads: PositiveInt = 1
    fixed_horizon: bool = True
    max_episode_steps: PositiveInt | None = None
    eval_episodes: PositiveInt = 10
    checkpoint_every: PositiveInt | None = None
    store_transitions: PositiveInt = 200_000
    env_kwargs: Mapping = dataclasses.field(default_factory=dict)
    agent_settings: Mapping = dataclasses.field(default_factory=dict)
    queries: QueryConfig = dataclasses.field(default_factory=QueryConfig)
    reward_model: RewardConfig = dataclasses.field(default_factory=RewardConfig)

    __pydantic_config__ = STRICT

    def fingerprint(self) -> str:
        """A short name for these settings; a checkpoint belongs to exactly one."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_ADAPTER = TypeAdapter(RunConfig)


def checked(config: RunConfig) -> RunConfig:
    """The same settings, every type and range checked.

    Raises:
        ConfigError: one line naming each setting that is wrong and what it may be.
    """
    return _validate(dataclasses.asdict(config), source="")


def _validate(tree: Any, *, source: str) -> RunConfig:
    try:
        return _ADAPTER.validate_python(tree)
    except ValidationError as error:
        problems: dict[str, str] = {}
        for problem in error.errors():
            # Of a setting that may be one thing or another, pydantic names each thing in square
            # brackets behind it, with a message of its own.
            names = [str(part) for part in problem["loc"] if "[" not in str(part)]
            where = ".".join(names) or "the file"
            if problem["type"] in ("unexpected_keyword_argument", "invalid_key"):
                problems[where] = f"unknown setting {where!r}{_hint(problem['loc'])}"
                continue
            message = problem["msg"].removeprefix("Value error, ")
            if where in problems:
                problems[where] += f", or: {message}"
            else:
                problems[where] = f"{where} is {reprlib.repr(problem['input'])}: {message}"
        # An array's form of itself has several lines; an error has one.
        raise ConfigError(source + " ".join("; ".join(problems.values()).split())) from None


def _hint(unknown: Sequence[int | str]) -> str:
    """What an unknown setting may have been meant to be."""
    settings: Any = RunConfig
    for part in unknown[:-1]:
        settings = get_type_hints(settings).get(str(part))
    if not dataclasses.is_dataclass(settings):
        return ""
    names = [field.name for field in dataclasses.fields(settings)]
    near = difflib.get_close_matches(str(unknown[-1]), names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; choose from {', '.join(names)}"


def to_yaml(config: RunConfig) -> str:
    """The settings as YAML, in the order they are declared; they are `checked` ones."""
    tree = dataclasses.asdict(config)
    # In ASCII: PyYAML breaks some of Unicode's line ends otherwise.
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False)


def from_yaml(path: Path) -> RunConfig:
    """Reads settings strictly: an unknown key or a value out of range is an error.

    Raises:
        ConfigError: the file is missing, is not YAML, or does not hold a run's settings.
    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise ConfigError(f"could not read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path} holds no settings; expected a mapping such as a run's config.yaml"
        )
    return _validate(tree, source=f"{path}: ")
