import json
import math
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prefrl.errors import StorageError
from prefrl.records.checkpoint import Checkpoints, load_state, save_state
from prefrl.records.files import write_atomically, write_text_atomically
from tests.waiting import PATIENCE_S


def same(left, right):
    """Says whether two trees agree in every type, dtype, shape and value, NaN equal to NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[k], right[k]) for k in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, torch.Tensor):
        return same(left.numpy(), right.numpy())
    if isinstance(left, (np.ndarray, np.generic)):
        same_kind = left.dtype == right.dtype and left.shape == right.shape
        return same_kind and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    if isinstance(left, float):
        return repr(left) == repr(right)  # Tells 0.0 from -0.0, and NaN is itself.
    return left == right


DTYPES = st.sampled_from([np.bool_, np.uint8, np.int32, np.int64, np.float32, np.float64])
ARRAYS = DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0)))
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    ARRAYS,
    ARRAYS.map(torch.from_numpy),
    st.floats(width=32).map(np.float32),
    st.floats().map(np.float64),
)
TREES = st.recursive(
    LEAVES,
    lambda children: st.one_of(
        st.dictionaries(st.text(max_size=3) | st.integers(), children, max_size=4),
        st.lists(children, max_size=4),
        st.lists(children, max_size=3).map(tuple),
    ),
    max_leaves=12,
)
STATES = st.dictionaries(st.text(max_size=3), TREES, max_size=4)


@given(state=STATES)
@settings(max_examples=80, deadline=None)
def test_any_tree_comes_back_with_every_type_and_value(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("state") / "state.npz"
    save_state(path, state)
    assert same(load_state(path), state)


def test_restored_arrays_and_tensors_can_be_written_to(tmp_path):
    save_state(tmp_path / "x", {"array": np.zeros(3), "tensor": torch.zeros(3)})
    state = load_state(tmp_path / "x")
    state["array"] += 1
    state["tensor"] += 1
    assert state["array"].sum() == state["tensor"].sum() == 3


def test_non_contiguous_and_gradient_tracking_leaves_keep_their_values(tmp_path):
    weights = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    every_other = np.arange(10)[::2]
    save_state(tmp_path / "x", {"w": weights.t(), "a": every_other, "b": np.ones((2, 3)).T})
    state = load_state(tmp_path / "x")
    assert torch.equal(state["w"], weights.detach().t())
    assert np.array_equal(state["a"], every_other)
    assert state["b"].shape == (3, 2)


def test_a_restored_adam_takes_the_very_same_next_step(tmp_path):
    def network():
        return torch.nn.Linear(4, 2)

    def step(model, optimizer, inputs):
        optimizer.zero_grad()
        model(inputs).square().sum().backward()
        optimizer.step()

    inputs = torch.linspace(-1, 1, 12).reshape(3, 4)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    step(model, optimizer, inputs)
    save_state(tmp_path / "x", {"m": model.state_dict(), "o": optimizer.state_dict()})

    saved = load_state(tmp_path / "x")
    assert set(saved["o"]["state"]) == {0, 1}
    restored = network()
    restored.load_state_dict(saved["m"])
    restored_optimizer = torch.optim.Adam(restored.parameters(), lr=0.5)
    restored_optimizer.load_state_dict(saved["o"])
    step(model, optimizer, inputs)
    step(restored, restored_optimizer, inputs)
    assert torch.equal(model.weight, restored.weight)
    assert torch.equal(model.bias, restored.bias)


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"agent": [{"rng": object()}]}, r"state\['agent'\]\[0\]\['rng'\] is a object"),
        ({"a": {1.5: 0}}, r"state\['a'\] has the key 1.5"),
        ({"a": np.array([None])}, r"state\['a'\] is an array of Python objects"),
        ({"a": torch.zeros(1, dtype=torch.bfloat16)}, r"state\['a'\] is a tensor that cannot"),
    ],
)
def test_what_cannot_be_stored_is_named_by_its_place_and_writes_nothing(tmp_path, state, place):
    with pytest.raises(TypeError, match=place):
        save_state(tmp_path / "x", state)
    assert list(tmp_path.iterdir()) == []


def test_the_tree_can_be_read_without_prefrl(tmp_path):
    save_state(tmp_path / "x.npz", {"step": 5, "a": np.arange(3)}, fingerprint="f")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as archive:
        assert json.loads(archive["tree.json"])["fingerprint"] == "f"
        assert archive["0"].tolist() == [0, 1, 2]


SMALL_STATE = {"step": 1, "a": np.arange(3, dtype=np.uint8), "nan": math.nan, "t": torch.tensor(2)}


def test_a_damaged_byte_anywhere_is_refused_by_name_or_changes_nothing(tmp_path):
    path = tmp_path / "step_1.npz"
    save_state(path, SMALL_STATE)
    whole = path.read_bytes()
    num_refused = num_harmless = 0
    for index in range(len(whole)):
        for mask in (1 << index % 8, 0xFF):
            damaged = bytearray(whole)
            damaged[index] ^= mask
            path.write_bytes(damaged)
            try:
                assert same(load_state(path), SMALL_STATE)
            except StorageError as error:
                num_refused += bool(
                    re.search(r"/step_1.npz (is damaged|holds no saved state): .+$", str(error))
                )
            else:  # A date and the like, or what a zip says twice.
                num_harmless += 1
    assert num_refused + num_harmless == 2 * len(whole)
    assert num_refused > num_harmless


def test_every_cut_is_refused_by_name(tmp_path):
    path = tmp_path / "step_1.npz"
    save_state(path, SMALL_STATE)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(StorageError, match=r"step_1.npz is damaged"):
            load_state(path)


@pytest.mark.parametrize(
    "tree", [b"{", b"\xff", b'{"version": 2}', b'{"version": 2, "fingerprint": ""}']
)
def test_a_tree_that_is_not_one_is_refused_by_name(tmp_path, tree):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("tree.json", tree)
    with pytest.raises(StorageError, match=r"x.npz is damaged"):
        load_state(tmp_path / "x.npz")


@pytest.mark.parametrize(("tree", "version"), [('{"version": 99}', "99"), ("[]", "None")])
def test_another_format_version_is_refused_by_number(tmp_path, tree, version):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("tree.json", tree)
    expected = rf"x.npz has format version {version}; this prefrl reads 2$"
    with pytest.raises(StorageError, match=expected):
        load_state(tmp_path / "x.npz")


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(StorageError, match=r"there is no file .*gone$"):
        load_state(tmp_path / "gone")


# Checkpoints


def test_an_empty_or_missing_folder_has_no_latest(tmp_path):
    assert Checkpoints(tmp_path, "f").latest() is None
    assert Checkpoints(tmp_path / "gone", "f").latest() is None


def test_the_newest_two_are_kept_and_the_newest_comes_back(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", "f")
    for step in (0, 100, 20_000, 100_000):
        checkpoints.save(step, {"value": step})
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step_000020000.npz", "step_000100000.npz"]
    assert Checkpoints(tmp_path / "checkpoints", "f").latest() == (100_000, {"value": 100_000})


def test_saving_a_step_again_replaces_it(tmp_path):
    checkpoints = Checkpoints(tmp_path, "f")
    checkpoints.save(5, {"value": 1})
    checkpoints.save(5, {"value": 2})
    assert checkpoints.latest() == (5, {"value": 2})


def test_an_earlier_step_than_the_newest_is_not_saved_beside_it(tmp_path):
    checkpoints = Checkpoints(tmp_path, "f")
    checkpoints.save(5, {})
    with pytest.raises(StorageError, match=r"step_000000005.npz is later than step 4"):
        checkpoints.save(4, {})


def test_what_a_kill_left_half_written_is_ignored_then_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path, "f")
    checkpoints.save(1, {})
    (tmp_path / ".step_000000002.npz.0123abcd.tmp").write_bytes(b"half")
    assert checkpoints.latest() == (1, {})
    checkpoints.save(2, {})
    assert len(list(tmp_path.iterdir())) == 2


def test_another_runs_checkpoint_is_refused_by_name(tmp_path):
    Checkpoints(tmp_path, "one").save(7, {})
    with pytest.raises(StorageError, match=r"step_000000007.npz belongs to another run.*'one'"):
        Checkpoints(tmp_path, "two").latest()


def test_a_damaged_newest_is_refused_and_the_whole_one_beside_it_named(tmp_path):
    checkpoints = Checkpoints(tmp_path, "f")
    checkpoints.save(1, {})
    checkpoints.save(2, {})
    (tmp_path / "step_000000002.npz").write_bytes(b"")
    expected = r"step_000000002.npz is damaged.*step_000000001.npz beside it is whole"
    with pytest.raises(StorageError, match=expected):
        checkpoints.latest()
    (tmp_path / "step_000000001.npz").write_bytes(b"")
    with pytest.raises(StorageError, match=r"step_000000002.npz is damaged") as caught:
        checkpoints.latest()
    assert "whole" not in str(caught.value)


def test_a_renamed_checkpoint_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path, "f")
    checkpoints.save(1, {})
    (tmp_path / "step_000000001.npz").rename(tmp_path / "step_000000009.npz")
    with pytest.raises(StorageError, match=r"step_000000009.npz is misnamed.*step 1$"):
        checkpoints.latest()


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot use .*file/checkpoints: Not a directory"):
        Checkpoints(tmp_path / "file" / "checkpoints", "f").save(1, {})


KILLED_WHILE_SAVING = """
import os, signal, sys, time
import numpy as np
from prefrl.records.checkpoint import Checkpoints

folder, num_kills = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(0)
num_leftovers = 0
first = 1
for _ in range(num_kills):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        for step in range(first, 1_000_000):
            array = np.full(300_000, step)
            Checkpoints(folder, "f").save(step, {"array": array, "step": step})
            os.write(writer, b"%d " % step)
    os.close(writer)
    said = os.read(reader, 100)
    time.sleep(rng.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reader, 10_000):
        said += more
    os.close(reader)
    num_leftovers += any(name.endswith(".tmp") for name in os.listdir(folder))
    step, state = Checkpoints(folder, "f").latest()
    assert step >= int(said.split()[-1]), (step, said)
    assert state["step"] == step and state["array"].shape == (300_000,)
    assert (state["array"] == step).all()
    first = step + 1
print(num_leftovers)
"""


def test_after_a_kill_at_any_moment_the_latest_checkpoint_is_whole(tmp_path):
    num_leftovers = python(KILLED_WHILE_SAVING, tmp_path, 20)
    assert int(num_leftovers) > 0  # Some kills did come in the middle of a write.


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from prefrl.records.checkpoint import Checkpoints
from prefrl.errors import StorageError

checkpoints = Checkpoints(sys.argv[1], "f")
checkpoints.save(1, {"array": np.ones(10)})
num_bytes = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))
try:
    checkpoints.save(2, {"array": np.ones(100_000), "other": np.ones(3)})
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize("num_bytes", [0, 100, 400_000, 800_300])
def test_a_full_disk_leaves_the_old_checkpoint_and_nothing_else(tmp_path, num_bytes):
    said = python(FULL_DISK, tmp_path, num_bytes)
    path = tmp_path / "step_000000002.npz"
    reason = "File too large; what was there before is untouched"
    assert said == f"could not write {path}: {reason}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["step_000000001.npz"]
    _, state = Checkpoints(tmp_path, "f").latest() or (0, {})
    assert state["array"].sum() == 10


def python(script, *arguments):
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


# Single files


def test_a_written_file_holds_the_new_content_and_stands_alone(tmp_path):
    path = tmp_path / "summary.json"
    write_text_atomically(path, "old")
    write_text_atomically(str(path), "new: ä")
    assert path.read_bytes() == "new: ä".encode()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_write_that_raises_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")

    def write(file):
        file.write(b"half")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_named_with_the_reason(tmp_path):
    with pytest.raises(StorageError, match=r"^could not write .*gone/x: No such file or directory"):
        write_text_atomically(tmp_path / "gone" / "x", "")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=r"^could not write .*folder: Is a directory"):
        write_text_atomically(tmp_path / "folder", "")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
