"""Tells whether a reward model fits an environment: dims, names, bounds and wrappers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from prefrl.envs.description import Described
from prefrl.errors import SpaceError

if TYPE_CHECKING:
    from prefrl.config import EnvironmentRecord, WrapperRecord

Door = Literal["RewardWrapper", "RewardVecEnv", "a run"]
_UNCHECKED = "or pass check=False if its rows mean the same"
_BOUND_TOLERANCE = 1e-4  # relative; the same angle in degrees and radians differs by more


def check_faultless(found: Described, door: Door) -> None:
    """Refuses wrappers that no reward around them can be right for.

    Args:
        found: the environment.
        door: what was to be put around it.

    Raises:
        SpaceError: there is one; it is named, and where it belongs.
    """
    for name, fault in found.faults:
        what_to_do = f"{_outside(name, door)}, or pass check=False"
        if door == "a run":
            what_to_do = (
                "leave it out of the environments; around the reward, PPO normalises by itself "
                "(agent_settings normalize_observations, normalize_reward)"
            )
        raise SpaceError(
            f"{found.env_id or 'this environment'}: {name} inside {door} {fault}; {what_to_do}"
        )


def check_alike(side_by_side: Sequence[Described], door: Door) -> None:
    """Refuses environments of several kinds side by side: what is learned of one fits no other.

    Args:
        side_by_side: the environments.
        door: what was to be put around them.

    Raises:
        SpaceError: two differ; both are named, and so is in what.
    """
    first = side_by_side[0]
    for number, other in enumerate(side_by_side[1:], start=1):
        differ = _difference(other, first)
        if differ:
            unchecked = "" if door == "a run" else ", or pass check=False"
            raise SpaceError(
                f"environments side by side are of several kinds: {_kind_name(first)} is the "
                f"first, {_kind_name(other)} is number {number} (from 0), and {differ}; make "
                f"environments of one kind{unchecked}"
            )


def _kind_name(one: Described) -> str:
    return one.env_id or one.kind.get("class", "an environment without a name")


def _difference(one: Described, other: Described) -> str | None:
    if one.env_id != other.env_id:
        return f"its name is {_kind_name(one)}, not {_kind_name(other)}"
    if one.record.wrappers != other.record.wrappers:
        own, others = (_calls(each.record.wrappers) for each in (one, other))
        return f"it is wrapped in {own}, not in {others}"
    for what, value in one.kind.items():
        if other.kind.get(what, value) != value:
            return f"its {what} is {value}, not {other.kind[what]}"
    return "it has other bounds" if one.record != other.record else None


def check_fits(
    reward: object,
    found: Described,
    door: Door,
    *,
    check: bool = True,
    check_env_id: bool = True,
) -> None:
    """Refuses an environment that is not the one a reward model was trained on.

    Args:
        reward: what carries a reward model's `config` is checked; a plain function knows no spaces.
        found: the environment.
        door: what was to be put around it.
        check: False looks at sizes alone.
        check_env_id: False accepts another environment whose rows are the same.

    Raises:
        SpaceError: sizes, names, transforming wrappers or bounds differ; both values are named.
    """
    config: Any = getattr(reward, "config", None)
    if not (hasattr(config, "input_dim") and hasattr(config, "observation_dim")):
        return
    name, here = found.env_id or "this environment", found.record
    sizes = here.observation_dim, here.action_dim
    if config.observation_dim is None:
        if sum(sizes) != config.input_dim:
            raise SpaceError(
                f"{name} has {sizes[0]} observation and {sizes[1]} action dims; "
                f"the reward model takes rows of {config.input_dim}"
            )
        return
    known = config.observation_dim, config.input_dim - config.observation_dim
    trained_on = f"the reward model was trained on {config.env_id or 'an environment'}"
    is_another = bool(config.env_id and found.env_id and config.env_id != found.env_id)
    if check and not (is_another and (sizes != known or check_env_id)):
        _check_wrappers(config.environment, here, name, trained_on, door, config.env_id)
    if sizes != known:
        raise SpaceError(
            f"{name} has {sizes[0]} observation and {sizes[1]} action dims; "
            f"{trained_on} with {known[0]} and {known[1]}"
        )
    if check and check_env_id and is_another:
        raise SpaceError(
            f"{trained_on}, this is {found.env_id}; pass check_env_id=False if its rows mean the "
            "same"
        )
    if check and config.environment is not None:
        _check_bounds(config.environment, here, name)


def _check_wrappers(
    known: "EnvironmentRecord | None",
    here: "EnvironmentRecord",
    name: str,
    trained_on: str,
    door: Door,
    env_id: str | None,
) -> None:
    if known is None:
        # Written down nowhere, as before there was a place for it: of a registered environment, its
        # own observations and actions are the best guess.
        for wrapper in here.wrappers if env_id else ():
            raise SpaceError(
                f"{name}: {_call(wrapper)} is inside {door}, and the reward model does not say "
                f"that it was trained under it; {_outside(wrapper.name, door)}, {_UNCHECKED}"
            )
        return
    theirs, ours = known.wrappers, here.wrappers
    names = [wrapper.name for wrapper in theirs]
    for wrapper in ours:
        if wrapper.name not in names:
            raise SpaceError(
                f"{name}: {_call(wrapper)} is inside {door}, but {trained_on} without it; "
                f"{_outside(wrapper.name, door)}, {_UNCHECKED}"
            )
    for wrapper in theirs:
        if wrapper.name not in [other.name for other in ours]:
            raise SpaceError(
                f"{trained_on} under {_call(wrapper)}, which {name} is not wrapped in; "
                f"put it inside {door}, {_UNCHECKED}"
            )
    if names != [wrapper.name for wrapper in ours]:
        raise SpaceError(
            f"{name} is wrapped in {_in_order(ours)}; {trained_on} under {_in_order(theirs)} "
            f"(the outermost first); wrap it in that order, {_UNCHECKED}"
        )
    for wrapper, other in zip(ours, theirs, strict=True):
        for key in sorted({*wrapper.arguments, *other.arguments}):
            values = wrapper.arguments.get(key), other.arguments.get(key)
            if values[0] != values[1]:
                raise SpaceError(
                    f"{name}: {key} of {wrapper.name} is {_short(values[0])}; {trained_on} with "
                    f"{_short(values[1])}; use that, {_UNCHECKED}"
                )


def _check_bounds(known: "EnvironmentRecord", here: "EnvironmentRecord", name: str) -> None:
    if known.action_choices != here.action_choices:
        raise SpaceError(
            f"{name} has {_actions(here.action_choices)}; the reward model was trained with "
            f"{_actions(known.action_choices)}; use actions as they were, {_UNCHECKED}"
        )
    for what, dims in (("observation", here.observation_dim), ("action", here.action_dim)):
        (low, high), (known_low, known_high) = (
            [_all_of(getattr(record, f"{what}_{end}"), dims, sign * np.inf) for end, sign in _ENDS]
            for record in (here, known)
        )
        differ = ~(_alike(low, known_low) & _alike(high, known_high))
        for i in np.flatnonzero(differ):
            raise SpaceError(
                f"{what} {i} of {name} is from {low[i]:g} to {high[i]:g}; the reward model was "
                f"trained with {known_low[i]:g} to {known_high[i]:g}; use the same units, "
                f"{_UNCHECKED}"
            )


_ENDS: Sequence[tuple[str, int]] = (("low", -1), ("high", 1))


def _all_of(bounds: Any, dims: int, unbounded: float) -> Any:
    each = bounds if isinstance(bounds, (list, tuple)) else [bounds] * dims
    return np.array([unbounded if bound is None else bound for bound in each])


def _alike(some: Any, others: Any) -> Any:
    return np.isclose(some, others, rtol=_BOUND_TOLERANCE, atol=1e-8)


def _outside(name: str, door: Door) -> str:
    if name in ("RewardWrapper", "RewardVecEnv"):
        return "wrap what is in it instead"
    if door == "RewardWrapper" or name.startswith("Vec"):
        what = "env" if door == "RewardWrapper" else "venv"
        return f"put it outside: {name}({door}({what}, reward))"
    return f"leave it out of the environments and put its like around {door}(venv, reward)"


def _call(wrapper: "WrapperRecord") -> str:
    given = ", ".join(f"{key}={_short(value)}" for key, value in wrapper.arguments.items())
    return f"{wrapper.name}({given})" if given else wrapper.name


def _calls(wrappers: "Sequence[WrapperRecord]") -> str:
    return ", ".join(map(_call, wrappers)) or "nothing"


def _in_order(wrappers: "Sequence[WrapperRecord]") -> str:
    return ", ".join(wrapper.name for wrapper in wrappers)


def _actions(choices: Sequence[int]) -> str:
    counts = " x ".join(map(str, choices))
    return f"discrete actions ({counts})" if choices else "continuous actions"


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
