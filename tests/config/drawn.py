"""Settings drawn from all values that are valid."""

import dataclasses
from typing import Any, get_type_hints

from hypothesis import strategies as st

from prefrl.config import (
    TEACHER_PRESETS,
    QueryConfig,
    RewardConfig,
    RunConfig,
    TeacherConfig,
)
from prefrl.config.run import RunEnd

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=4,
)
MAPPINGS = st.dictionaries(st.text(max_size=6), VALUES, max_size=3)
POSITIVE = st.integers(1, 10**9)
COUNT = st.integers(0, 10**9)
SHARE = st.floats(0, 1, exclude_max=True)
NUMBERS: dict[str, st.SearchStrategy[Any]] = {
    "beta": st.floats(0, allow_infinity=True),
    "gamma": st.floats(0, 1),
    "p_mistake": st.floats(0, 1),
    "initial_fraction": st.floats(0, 1),
    "last_session_at": st.floats(0, 1),
    "audit_share": st.floats(0, 1),
    "repeat_share": st.floats(0, 1) | st.none(),
    "overlap": st.floats(0, 1),
    "pace": st.sampled_from([None, "sync", "answers", "steps"]),
    "answer_timeout": st.floats(0, exclude_min=True, allow_infinity=False) | st.none(),
    "validation_fraction": SHARE,
    "dropout": SHARE,
    "interval_coverage": st.floats(0, 1, exclude_min=True, exclude_max=True),
    "cooldown": st.floats(0, 1),
    "error_rate": SHARE | st.just("auto"),
    "bank_alpha": SHARE | st.just("auto"),
    "learning_rate": st.floats(0, exclude_min=True, allow_infinity=False),
    "session_spacing": st.floats(0, exclude_min=True, allow_infinity=False),
    "max_grad_norm": st.floats(0, exclude_min=True, allow_infinity=True),
}


def fields_of(config: type, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Settings of that class, drawn from all values that are valid."""
    hints = get_type_hints(config)
    drawn: dict[str, st.SearchStrategy[Any]] = {}
    for field in dataclasses.fields(config):
        hint = hints[field.name]
        if field.name in fixed:
            drawn[field.name] = fixed[field.name]
        elif field.name in NUMBERS:
            drawn[field.name] = NUMBERS[field.name]
        elif "tuple[str" in str(hint):
            drawn[field.name] = st.lists(st.text(max_size=4), max_size=2).map(tuple)
        elif "tuple[float" in str(hint) or "tuple[typing.Annotated[float" in str(hint):
            drawn[field.name] = st.lists(st.floats(allow_nan=False, allow_infinity=False)).map(
                tuple
            )
        elif bool in getattr(hint, "__args__", (hint,)):
            drawn[field.name] = st.booleans()
        elif hint is str:
            drawn[field.name] = st.text(max_size=8)
        elif field.type is float or "float" in str(hint):
            drawn[field.name] = st.floats(0, allow_infinity=False)
        elif "Literal" in str(hint):
            drawn[field.name] = st.just(field.default)
        else:
            drawn[field.name] = POSITIVE
        if type(None) in getattr(hint, "__args__", ()):
            drawn[field.name] |= st.none()
    return st.builds(config, **drawn)


CONFIGS = fields_of(
    RunConfig,
    agent=st.sampled_from([None, "ppo", "sac"]),
    reward=st.sampled_from(["learned", "true"]),
    seed=COUNT,
    earlier_ends=st.lists(st.builds(RunEnd, POSITIVE, POSITIVE), max_size=2).map(tuple),
    explore_steps=COUNT | st.none(),
    env_kwargs=MAPPINGS,
    agent_settings=MAPPINGS,
    teacher=fields_of(TeacherConfig, name=st.sampled_from(sorted(TEACHER_PRESETS))),
    queries=fields_of(
        QueryConfig, schedule=st.sampled_from(["constant", "decreasing", "increasing"])
    ),
    reward_model=fields_of(RewardConfig),
)
