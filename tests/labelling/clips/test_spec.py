import contextlib
import json
import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.errors import DataError
from prefrl.labelling.clips import ClipSpec, NamedEnv, Recorded, Replay, SavedModel, SimStates

STATES = np.arange(12, dtype=np.float32).reshape(3, 4)
FRAMES = np.array([0, 1, 2, 2])
NAMED = NamedEnv("HalfCheetah-v4", {"fixed_horizon": True, "frame_skip": 5})
SPEC = ClipSpec(SimStates(NAMED, STATES, FRAMES), counts=(1, 3), dt=0.05)
REPLAY = ClipSpec(
    Replay(
        NamedEnv("CartPole-v1"),
        {"generator": {"bit_generator": "PCG64", "state": {"state": 2**100, "inc": 3}}},
        np.zeros((5, 2), np.float32),
        np.array([3, 4, 5]),
        np.ones(4, np.float32),
    ),
    counts=(0, 3),
    dt=0.02,
    size=64,
)
EVERY = {
    "states": SPEC,
    "model": replace(SPEC, content=SimStates(SavedModel("My-v0", b"\0mjb\xff"), STATES, FRAMES)),
    "actions": REPLAY,
    "pictures": ClipSpec(Recorded(b"\0mp4\xff", 7), counts=(2, 5), dt=0.1),
}


@pytest.mark.parametrize("kind", EVERY)
def test_a_spec_comes_back_from_its_bytes(kind):
    spec = EVERY[kind]
    again = ClipSpec.from_bytes(spec.to_bytes())
    assert again.to_bytes() == spec.to_bytes()
    assert again.key == spec.key
    assert (again.counts, again.dt, again.size) == (spec.counts, spec.dt, spec.size)
    assert type(again.content) is type(spec.content)
    for name, value in vars(spec.content).items():
        np.testing.assert_array_equal(getattr(again.content, name), value)


def test_bytes_and_key_are_the_same_in_every_process_and_version():
    # Written down once: a change of it would have every clip rendered anew.
    assert SPEC.key == "43fa34422c8712817ef7d8fef9ebfef617d8e15f8329103a0e26d7961f738209"
    code = (
        "from tests.labelling.clips.test_spec import EVERY; "
        "print(*(spec.key for spec in EVERY.values()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [spec.key for spec in EVERY.values()]


@given(
    at=st.integers(0, len(SPEC.to_bytes()) - 1),
    bit=st.integers(0, 7),
    end=st.integers(0, len(SPEC.to_bytes())),
)
def test_damaged_bytes_are_refused_or_describe_another_clip(at, bit, end):
    content = bytearray(SPEC.to_bytes())
    content[at] ^= 1 << bit
    for damaged in (bytes(content), SPEC.to_bytes()[:end], SPEC.to_bytes() + b"x"):
        other = None
        with contextlib.suppress(DataError):
            other = ClipSpec.from_bytes(damaged)
        assert other is None or other.key != SPEC.key or damaged == SPEC.to_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"counts": (3, 3)}, "counts is"),
        ({"counts": (0, 5)}, "expected two of 0 to 4"),
        ({"dt": 0.0}, "dt is 0.0; expected seconds above 0"),
        ({"dt": float("nan")}, "dt is nan"),
        ({"size": 321}, "size is 321; expected an even number"),
        ({"content": SimStates(NAMED, STATES, np.array([0, 3]))}, "lie outside of its 3 states"),
        ({"content": SimStates(NAMED, STATES.astype(float), FRAMES)}, "states of a clip is"),
        ({"content": SimStates(NAMED, STATES, FRAMES[:0])}, "a clip has 0 frames"),
    ],
)
def test_a_spec_that_makes_no_clip_is_refused(change, said):
    with pytest.raises(DataError, match=said):
        replace(SPEC, **change)


def test_settings_that_no_file_can_hold_are_refused():
    with pytest.raises(DataError, match=r"settings of My-v0: .*not JSON serializable"):
        NamedEnv("My-v0", {"robot": object()})
    assert NamedEnv("My-v0", {"pair": (1, 2)}) == NamedEnv("My-v0", {"pair": [1, 2]})


def test_a_header_that_declares_more_than_there_is_takes_no_memory():
    header = {
        "kind": "SimStates",
        "env": ["A-v0", {}],
        "arrays": [["states", "f", [2**40, 2**20]], ["frames", "i", [1]]],
    }
    text = json.dumps(header).encode()
    content = b"prefrl clip 1\n" + struct.pack("<I", len(text)) + text
    with pytest.raises(DataError, match="states ends too early"):
        ClipSpec.from_bytes(content)
