import contextlib
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl.errors import StorageError
from prefrl.records.episodes import load_episodes, save_episodes
from prefrl.segments import EpisodeStore
from prefrl.segments.episode import FLAGS, ROWS
from tests.test_segments import episode, store_of


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=8),
    max_transitions=st.integers(1, 80),
    max_steps=st.integers(1, 80),
)
def test_the_newest_episodes_come_back_under_their_numbers(
    tmp_path_factory, lengths, max_transitions, max_steps
):
    path = tmp_path_factory.mktemp("episodes") / "episodes.npz"
    store = store_of(lengths, max_transitions)
    save_episodes(path, store, max_steps=max_steps)
    again = load_episodes(path)
    assert 1 <= len(again) <= len(store)
    assert again.num_transitions <= max_steps or len(again) == 1
    assert again.num_dropped + len(again) == len(lengths)
    assert again.num_dropped == len(lengths) - 1 or (
        sum(lengths[again.num_dropped - 1 :]) > max_steps or len(again) == len(store)
    )
    for one, other in zip(reversed(store.episodes), reversed(again.episodes), strict=False):
        assert all(getattr(one, name) is getattr(other, name) for name in FLAGS)
        for name in ROWS:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
            assert getattr(one, name).dtype == getattr(other, name).dtype
            assert getattr(other, name).flags.c_contiguous


def test_states_are_kept_in_single_precision(tmp_path):
    store = EpisodeStore()
    whole = episode(0, 3)
    whole.sim_states[0, 0] = np.pi
    store.add(whole)
    save_episodes(tmp_path / "episodes.npz", store)
    (again,) = load_episodes(tmp_path / "episodes.npz").episodes
    assert again.sim_states[0, 0] == np.float32(np.pi)
    assert again.sim_states.dtype == np.float64


def test_the_file_is_read_by_plain_numpy(tmp_path):
    save_episodes(tmp_path / "episodes.npz", store_of([3, 2]))
    with np.load(tmp_path / "episodes.npz", allow_pickle=False) as file:
        shapes = {name: file[name].shape for name in file.files}
    assert shapes == {
        "format_version": (),
        "first_episode": (),
        **dict.fromkeys(("lengths", "is_complete", "terminated", "truncated"), (2,)),
        "observations": (7, 3),
        "actions": (5, 2),
        "true_rewards": (5,),
        "objective_rewards": (5, 2),
        "sim_states": (5, 4),
    }


def test_damage_anywhere_is_refused_by_name(tmp_path):
    path = tmp_path / "episodes.npz"
    save_episodes(path, store_of([9, 4]))
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        # Of a bit that says nothing, such as of a file's date, nothing is to be said.
        with contextlib.suppress(StorageError):
            again = load_episodes(path)
            np.testing.assert_array_equal(again.episodes[0].actions, episode(0, 9).actions)
    damaged[len(whole) // 2] ^= 0x10
    path.write_bytes(damaged)
    with pytest.raises(StorageError, match="is damaged"):
        load_episodes(path)
    path.write_bytes(whole[:100])
    with pytest.raises(StorageError, match="is damaged: its end is missing"):
        load_episodes(path)


def test_a_missing_file_a_foreign_one_and_one_of_a_later_version_are_refused(tmp_path):
    with pytest.raises(StorageError, match="there is no file"):
        load_episodes(tmp_path / "episodes.npz")
    np.savez(tmp_path / "other.npz", observations=np.zeros((3, 2)))
    with pytest.raises(StorageError, match="holds no episodes"):
        load_episodes(tmp_path / "other.npz")
    save_episodes(tmp_path / "episodes.npz", store_of([3]))
    arrays = dict(np.load(tmp_path / "episodes.npz"))
    np.savez(tmp_path / "episodes.npz", **{**arrays, "format_version": np.int64(2)})
    with pytest.raises(StorageError, match="format_version is 2; expected 1"):
        load_episodes(tmp_path / "episodes.npz")


@pytest.mark.parametrize(
    ("name", "array", "expected"),
    [
        ("observations", None, "it lacks observations"),
        ("observations", np.full((7, 3), "a"), "observations is of type <U1; expected numbers"),
        ("actions", np.full((5, 2), 1j), "actions is of type complex128; expected numbers"),
        (
            "lengths",
            np.array([[3, 2]]),
            r"lengths has shape \(1, 2\) and type int64; expected \(ep",
        ),
        ("lengths", np.array([3.0, 2.0]), "lengths has .* type float64; expected .* whole numbers"),
        ("lengths", np.array([3, 1]), "lengths add up to 4, but actions has 5 rows"),
        ("lengths", np.zeros(0, int), "lengths add up to 0, but actions has 5 rows"),
        (
            "truncated",
            np.ones(1, bool),
            r"truncated has shape \(1,\) and type bool; expected \(2,\)",
        ),
        ("terminated", np.array(["no", "no"]), "terminated has .* type <U2; expected .* true or"),
        ("first_episode", np.int64(-1), "first_episode is -1; expected a whole number from 0"),
    ],
)
def test_an_array_that_does_not_fit_is_named(tmp_path, name, array, expected):
    path = tmp_path / "episodes.npz"
    save_episodes(path, store_of([3, 2]))
    arrays = dict(np.load(path)) | {name: array}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(StorageError, match=f"is damaged or holds no episodes: {expected}"):
        load_episodes(path)


def test_numbers_of_other_types_are_read_as_ours(tmp_path):
    path = tmp_path / "episodes.npz"
    save_episodes(path, store_of([3, 2]))
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, **{name: arrays[name].astype(np.float64) for name in ROWS}})
    (one, _) = load_episodes(path).episodes
    assert {getattr(one, name).dtype for name in ROWS if name != "sim_states"} == {
        np.dtype(np.float32)
    }
    np.testing.assert_array_equal(one.observations, episode(0, 3).observations)


def test_damaged_headers_and_arrays_beyond_memory_are_refused(tmp_path):
    path = tmp_path / "episodes.npz"
    arrays: dict[str, Any] = {name: np.zeros(1) for name in ("format_version", "lengths")}
    for header in (
        b"{'descr': [",
        b"{'descr':'<f8','fortran_order':False,'shape':(10000000000000,)}",
    ):
        np.savez(path, **arrays)
        with zipfile.ZipFile(path, "a") as archive:
            content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
            archive.writestr("actions.npy", content)
        with pytest.raises(StorageError, match="is damaged: actions"):
            load_episodes(path)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    folder = tmp_path / "taken"
    folder.write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="could not write"):
        save_episodes(folder / "episodes.npz", store_of([3]))
