"""Files in the interchange format: the smallest one, and others drawn at random."""

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prefrl.records.archive import write_arrays

FLOATS = st.sampled_from([np.float32, np.float64])
INTS = st.sampled_from([np.int32, np.int64, np.uint16])
Arrays = dict[str, np.ndarray]


def smallest(**changed: Any) -> Arrays:
    """Two comparisons of two steps each; None leaves an array out."""
    arrays = {
        "observations": np.arange(10.0, dtype=np.float32).reshape(5, 2),
        "actions": np.arange(5.0, dtype=np.float32).reshape(5, 1),
        "left_start": np.array([0, 2]),
        "right_start": np.array([3, 1]),
        "segment_length": np.int64(2),
        "p_left": np.array([1.0, np.nan]),
    } | changed
    return {name: np.asarray(array) for name, array in arrays.items() if array is not None}


def written(path: Path, arrays: dict[str, Any]) -> Path:
    with path.open("wb") as file:
        write_arrays(file, arrays)
    return path


def _floats(shape: Any, *, finite: bool = False) -> st.SearchStrategy[Any]:
    elements = st.floats(-1e3, 1e3, width=32) if finite else st.floats(width=32)
    return FLOATS.flatmap(lambda dtype: hnp.arrays(dtype, shape, elements=elements))


def _ints(shape: Any, low: int = 0, high: int = 9) -> st.SearchStrategy[Any]:
    return INTS.flatmap(lambda dtype: hnp.arrays(dtype, shape, elements=st.integers(low, high)))


def _claims(shape: Any) -> st.SearchStrategy[Any]:
    return hnp.arrays(np.bool_, shape)


def _texts(shape: Any) -> st.SearchStrategy[Any]:
    words = st.sampled_from(["", "ann", "bo", "größer"])
    return st.sampled_from(["U6", "U12"]).flatmap(
        lambda dtype: hnp.arrays(dtype, shape, elements=words)
    )


def _split(num: int) -> st.SearchStrategy[Any]:
    return hnp.arrays("U5", num, elements=st.sampled_from(["train", "test"]))


@st.composite
def recordings(draw: st.DrawFn, *, obs_dim: int | None = None) -> dict[str, np.ndarray]:
    """Draws a file's arrays: each optional one there or not, of several dtypes, some unknown."""
    num, rows = draw(st.integers(0, 5)), draw(st.integers(1, 12))
    dims = obs_dim or draw(st.integers(1, 3))
    lengths = draw(hnp.arrays(np.int64, num, elements=st.integers(1, rows)))
    is_variable = draw(st.booleans())
    if not is_variable:
        lengths[:] = draw(st.integers(1, rows))
    arrays: dict[str, Any] = {
        "observations": draw(_floats((rows, dims), finite=True)),
        "actions": draw(_floats((rows, 1 if obs_dim else draw(st.integers(0, 2))), finite=True)),
        "p_left": draw(
            FLOATS.flatmap(
                lambda dtype: hnp.arrays(
                    dtype, num, elements=st.sampled_from([0.0, 0.25, 0.5, 1.0, np.nan])
                )
            )
        ),
    }
    for side in ("left_start", "right_start"):
        place = draw(hnp.arrays(np.float64, num, elements=st.floats(0, 1)))
        arrays[side] = (place * (rows - lengths)).astype(draw(INTS))
    if is_variable:
        arrays["length"] = lengths.astype(draw(INTS))
    if not is_variable or draw(st.booleans()):
        arrays["segment_length"] = np.asarray(lengths.max(initial=1), dtype=draw(INTS))
    if not is_variable and not num:
        arrays["segment_length"] = np.asarray(1, dtype=np.int64)
    optional: dict[str, st.SearchStrategy[Any]] = {
        "next_observations": _floats((rows, dims)),
        "frames": hnp.arrays(np.uint8, (rows, 2, 3, 3)),
        "true_reward": _floats(rows),
        "true_rewards": _floats((rows, 2)),
        "episode": _ints(rows),
        "episode_step": _ints(rows),
        "terminated": _claims(rows),
        "truncated": _claims(rows),
        "sim_states": _floats((rows, 4)),
        "split": _split(num),
        "session": _ints(num),
        "objective": _ints(num, high=1),
        "question": _ints(num),
        "group": st.one_of(_ints(num), _texts(num)),
        "annotator": _texts(num),
        "source": _texts(num),
        "is_audit": _claims(num),
        "is_repeat": _ints(num, high=1),
        "env_id": st.just(np.array("HalfCheetah-v4")),
        "format_version": st.just(np.array(1)),
        "own_settings": _floats((2, 3)),
        "own_names": _texts(num),
    }
    for name, strategy in optional.items():
        if draw(st.booleans()):
            arrays[name] = draw(strategy)
    if draw(st.booleans()):
        arrays |= {f"votes_{side}": draw(_ints(num)) for side in ("left", "right", "equal")}
    order = draw(st.permutations(list(arrays)))
    return {name: arrays[name] for name in order}
