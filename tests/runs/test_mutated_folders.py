"""Whatever somebody did to a file of a run: a right result, or one line that names it."""

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl import EnhancedRewardModel, QueryConfig, load_comparisons, load_episodes, run
from prefrl.errors import PrefrlError
from prefrl.runs.finished import find
from prefrl.runs.own_parts import recorded_parts
from prefrl.runs.playback import evaluate_run
from prefrl.runs.resolve import settings_of
from tests import tiny_runs
from tests.runs.stopped import stopped_after


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    small = {
        "steps": 402,
        "budget": 12,
        "checkpoint_every": 100,
        "queries": QueryConfig(num_sessions=2, min_candidates=20),
    }
    run(tiny_runs.ppo(**small), out=folder / "finished", show_progress=False)
    stopped_after(3, tiny_runs.ppo(**small), folder / "in_flight")
    return folder


def found(folder):
    settings = settings_of(folder)
    return find(folder, settings.fingerprint())


READERS = {
    "comparisons.npz": ("finished", lambda folder: load_comparisons(folder / "comparisons.npz")),
    "episodes.npz": ("finished", lambda folder: load_episodes(folder / "episodes.npz")),
    "config.json": ("finished", lambda folder: EnhancedRewardModel.load(folder / "reward_model")),
    "model.safetensors": (
        "finished",
        lambda folder: EnhancedRewardModel.load(folder / "reward_model"),
    ),
    "policy.safetensors": (
        "finished",
        lambda folder: evaluate_run(folder, num_episodes=1, seed=0),
    ),
    "config.yaml": ("finished", settings_of),
    "parts.json": ("finished", recorded_parts),
    "metrics.jsonl": ("in_flight", found),
    "step_*.npz": ("in_flight", found),
}

JSON_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, 10**39, 1e308, [], {}, "", "\x1b[31m", "<script>", "../../x"]),
    st.lists(st.integers(), max_size=2),
)


def bytes_changed(draw, content):
    how = draw(st.sampled_from(["flip", "cut", "add", "insert"]))
    at = draw(st.integers(0, len(content) - 1))
    if how == "flip":
        flipped = bytes([content[at] ^ (1 << draw(st.integers(0, 7)))])
        return content[:at] + flipped + content[at + 1 :]
    if how == "cut":
        return content[:at]
    junk = draw(st.binary(min_size=1, max_size=9))
    return content + junk if how == "add" else content[:at] + junk + content[at:]


def members_changed(draw, content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = draw(st.sampled_from(sorted(members)))
    how = draw(st.sampled_from(["drop", "rename", "raw", "dtype", "rows", "dims", "value"]))
    old = members.pop(name)
    if how == "rename":
        members[draw(st.sampled_from(["../../x.npy", "x.npy", "a/b.npy", "/x"]))] = old
    elif how == "raw" or not name.endswith(".npy"):
        members[name] = draw(st.binary(max_size=30))
    elif how != "drop":
        array = np.lib.format.read_array(io.BytesIO(old))
        if how == "dtype":
            is_text = array.dtype.kind == "U"
            array = np.zeros(array.shape) if is_text else array
            array = array.astype(draw(st.sampled_from(["f8", "i8", "u1", "?", "U5", "c16"])))
        elif how == "rows":
            array = array[: len(array) // 2] if array.ndim else array[None]
        elif how == "dims":
            array = array[..., None]
        else:
            array = np.full_like(array, draw(st.sampled_from([0, 1, 100])))
        new = io.BytesIO()
        np.lib.format.write_array(new, array)
        members[name] = new.getvalue()
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return whole.getvalue()


def tree_changed(draw, content):
    tree = json.loads(content)
    if not tree:
        return json.dumps(draw(JSON_VALUES)).encode()
    name = draw(st.sampled_from(sorted(tree)))
    tree[name] = draw(JSON_VALUES)
    return json.dumps(tree).encode()


CHANGES = {".npz": members_changed, ".json": tree_changed}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_a_changed_file_is_read_right_or_refused_by_a_line(made, name, data):
    kind, read = READERS[name]
    folder = made / kind
    path = max(folder.rglob(name))  # the newest checkpoint
    content = path.read_bytes()
    change = data.draw(st.sampled_from([bytes_changed, CHANGES.get(path.suffix, bytes_changed)]))
    changed = change(data.draw, content)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p != path}
    path.write_bytes(changed)
    try:
        read(folder)
    except PrefrlError as error:
        said = str(error)
        assert "\n" not in said
        assert path.name in said or "checkpoint" in said, said
    finally:
        assert {p: p.read_bytes() for p in before} == before
        assert path.read_bytes() == changed
        path.write_bytes(content)
