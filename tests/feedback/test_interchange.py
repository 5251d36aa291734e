"""The interchange format: what is read is written back, array by array."""

import contextlib
import os
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import prefrl
from prefrl.errors import DataError, StorageError
from prefrl.feedback.interchange import arrays_of, dataset_of
from prefrl.records.archive import read_arrays, write_arrays
from tests.feedback.recordings import Arrays, recordings, smallest, written

HUMAN_DATA = Path(
    os.environ.get("PREFRL_HUMAN_DATA", Path(__file__).parents[2].parent / "shared" / "data")
)
GOLDEN = Path(__file__).parents[1] / "golden" / "0.1"


def assert_same_arrays(one: Arrays, other: Arrays) -> None:
    assert list(one) == list(other)
    for name in one:
        assert one[name].dtype == other[name].dtype, name
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


class TestReading:
    def test_segments_are_the_rows_from_their_start_on(self) -> None:
        dataset = dataset_of(smallest())
        (left,), (right,) = dataset.left, dataset.right
        assert left.inputs().tolist() == [[[0, 1, 0], [2, 3, 1]], [[4, 5, 2], [6, 7, 3]]]
        assert right.inputs().tolist() == [[[6, 7, 3], [8, 9, 4]], [[2, 3, 1], [4, 5, 2]]]

    def test_skipped_rows_count(self) -> None:
        dataset = dataset_of(smallest())
        assert (len(dataset), dataset.num_answers, dataset.num_skips) == (2, 1, 1)

    def test_segments_of_several_lengths_are_padded_with_zeros(self) -> None:
        dataset = dataset_of(smallest(segment_length=None, length=np.array([1, 2])))
        (left,), (right,) = dataset.left, dataset.right
        assert left.length.tolist() == right.length.tolist() == [1, 2]
        assert left.inputs().tolist() == [[[0, 1, 0], [0, 0, 0]], [[4, 5, 2], [6, 7, 3]]]
        assert dataset.split()[0].length.tolist() == [1]

    def test_without_true_rewards_they_are_not_known(self) -> None:
        assert np.isnan(dataset_of(smallest()).left[0].true_rewards).all()

    def test_true_rewards_of_several_objectives_are_in_reach(self) -> None:
        rewards = np.arange(10.0).reshape(5, 2)
        dataset = dataset_of(smallest(true_rewards=rewards, objective=np.array([1, 0])))
        np.testing.assert_array_equal(dataset.steps["true_rewards"], rewards)
        assert dataset.left[0].objective_rewards[1].tolist() == [[4, 5], [6, 7]]
        assert np.isnan(dataset.left[0].true_rewards).all()
        one = dataset_of(smallest(true_rewards=rewards[:, :1]))
        assert one.left[0].true_rewards.tolist() == [[0, 2], [4, 6]]

    def test_what_else_a_step_has_is_carried(self) -> None:
        extra = {
            "next_observations": np.ones((5, 2)),
            "frames": np.zeros((5, 4, 6, 3), np.uint8),
            "terminated": np.array([False, True, False, False, True]),
            "truncated": np.array([0, 0, 0, 1, 0]),
            "episode": np.array([7, 7, 8, 8, 8], np.int32),
            "episode_step": np.array([3, 4, 0, 1, 2]),
        }
        dataset = dataset_of(smallest(**extra))
        for name, array in extra.items():
            np.testing.assert_array_equal(dataset.steps[name], array)
        assert dataset.left[0].terminated.tolist() == [[False, True], [False, False]]
        assert dataset.right[0].truncated.tolist() == [[True, False], [False, False]]
        assert dataset.left[0].episode.tolist() == [7, 8]
        assert dataset.left[0].start.tolist() == [3, 0]

    def test_steps_of_an_episode_are_counted_where_they_are_not_told(self) -> None:
        dataset = dataset_of(smallest(episode=np.array([4, 4, 9, 9, 9])))
        assert dataset.right[0].start.tolist() == [1, 1]
        assert dataset.right[0].episode.tolist() == [9, 4]

    def test_columns_are_attributes_and_neutral_where_they_are_missing(self) -> None:
        dataset = dataset_of(smallest(annotator=np.array(["ann", "bo"]), is_audit=np.array([0, 1])))
        assert dataset.annotator.tolist() == ["ann", "bo"]
        assert dataset.is_audit.tolist() == [False, True]
        assert dataset.question.tolist() == [0, 1]
        assert dataset.group.tolist() == [-1, -1]
        assert dataset.source.tolist() == ["", ""]
        assert not dataset.is_repeat.any()
        assert dataset.env_id is None

    def test_a_file_of_nothing_but_skips_and_one_of_no_answers_load(self) -> None:
        assert dataset_of(smallest(p_left=np.full(2, np.nan))).num_answers == 0
        none = np.zeros(0, dtype=int)
        empty = dataset_of(smallest(left_start=none, right_start=none, p_left=none))
        assert len(empty) == 0
        assert len(empty.split()[0]) == 0

    @pytest.mark.parametrize("name", ["ppo", "sac", "in_flight"])
    def test_files_of_the_version_before_lose_nothing(self, name: str, tmp_path: Path) -> None:
        path = GOLDEN / name / "comparisons.npz"
        before = dict(np.load(path))
        dataset = prefrl.load_comparisons(path)
        np.testing.assert_array_equal(dataset.is_validation, before["split"] == "test")
        np.testing.assert_array_equal(dataset.session, before["session"])
        dataset.save(tmp_path / "again.npz")
        assert_same_arrays(dict(np.load(tmp_path / "again.npz")), before)

    @pytest.mark.parametrize("name", ["door_human.npz", "arguments_human.npz"])
    def test_human_answers_come_back_as_they_were(self, name: str, tmp_path: Path) -> None:
        path = HUMAN_DATA / name
        if not path.exists():
            pytest.skip(f"needs {name} in the folder that PREFRL_HUMAN_DATA names")
        dataset = prefrl.load_comparisons(path)
        assert len(dataset) == {"door_human.npz": 800, "arguments_human.npz": 12_870}[name]
        dataset.save(tmp_path / "again.npz")
        assert_same_arrays(dict(np.load(tmp_path / "again.npz")), dict(np.load(path)))


class TestWriting:
    @given(arrays=recordings())
    def test_whatever_a_file_holds_comes_back(
        self, tmp_path_factory: pytest.TempPathFactory, arrays: Arrays
    ) -> None:
        folder = tmp_path_factory.mktemp("interchange")
        prefrl.load_comparisons(written(folder / "a.npz", arrays)).save(folder / "b.npz")
        assert_same_arrays(dict(np.load(folder / "b.npz")), arrays)

    def test_a_corrected_answer_is_all_that_changes(self, tmp_path: Path) -> None:
        arrays = smallest(p_left=np.array([1, 0], dtype=np.int8), more=np.arange(3))
        dataset = dataset_of(arrays)
        dataset.p_left[1] = 0.5
        dataset.save(tmp_path / "a.npz")
        expected = arrays | {"p_left": np.array([1.0, 0.5])}
        assert_same_arrays(dict(np.load(tmp_path / "a.npz")), expected)

    def test_a_longer_name_than_any_before_is_not_cut_off(self, tmp_path: Path) -> None:
        dataset = dataset_of(smallest(annotator=np.array(["bo", ""]), group=np.array(["a", "b"])))
        dataset.annotator[1] = dataset.group[0] = dataset.source[0] = "somebody else"
        dataset.save(tmp_path / "a.npz")
        again = prefrl.load_comparisons(tmp_path / "a.npz")
        assert again.annotator.tolist() == ["bo", "somebody else"]
        assert again.group.tolist() == ["somebody else", "b"]
        assert again.source.tolist() == ["somebody else", ""]

    def test_an_array_may_be_called_file(self, tmp_path: Path) -> None:
        dataset_of(smallest(file=np.arange(2))).save(tmp_path / "a.npz")
        assert prefrl.load_comparisons(tmp_path / "a.npz").memory.unknown["file"].tolist() == [0, 1]

    def test_answers_added_to_a_file_stand_behind_its_own(self, tmp_path: Path) -> None:
        dataset = dataset_of(smallest(question=np.array([4, 4])))
        other = dataset_of(smallest(p_left=np.array([0.0, 0.5])))
        dataset.add(
            other.left[0],
            other.right[0],
            other.p_left,
            session=3,
            rng=np.random.default_rng(0),
            annotator="cy",
            source=["human", "pseudo"],
        )
        dataset.save(tmp_path / "a.npz")
        again = prefrl.load_comparisons(tmp_path / "a.npz")
        np.testing.assert_array_equal(again.p_left, [1, np.nan, 0, 0.5])
        assert again.question.tolist() == [4, 4, 5, 6]
        assert again.session.tolist() == [0, 0, 3, 3]
        assert again.annotator.tolist() == ["", "", "cy", "cy"]
        assert again.source.tolist() == ["", "", "human", "pseudo"]
        np.testing.assert_array_equal(again.left[0].inputs()[2:], other.left[0].inputs())

    def test_adding_answers_drops_arrays_that_nobody_knows_with_a_warning(self) -> None:
        dataset = dataset_of(smallest(notes=np.arange(2)))
        other = dataset_of(smallest())
        with pytest.warns(UserWarning, match="notes: not of the format"):
            dataset.add(
                other.left[0],
                other.right[0],
                other.p_left,
                session=1,
                rng=np.random.default_rng(0),
            )
        assert "notes" not in arrays_of(dataset)

    def test_an_array_of_python_objects_is_never_written(self, tmp_path: Path) -> None:
        dataset = dataset_of(smallest(notes=np.array([{}, {}])))
        with pytest.raises(DataError, match="notes holds Python objects"):
            dataset.save(tmp_path / "a.npz")
        assert not list(tmp_path.iterdir())

    def test_a_kill_while_writing_leaves_the_file_as_it_was(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.npz", smallest())
        program = (
            "import os, sys\n"
            "import prefrl\n"
            "from prefrl.feedback import interchange\n"
            "dataset = prefrl.load_comparisons(sys.argv[1])\n"
            "dataset.p_left[0] = 0\n"
            "def killed(file, arrays, **_):\n"
            "    file.write(b'PK half of it')\n"
            "    file.flush()\n"
            "    os.kill(os.getpid(), 9)\n"
            "interchange.write_arrays = killed\n"
            "dataset.save(sys.argv[1])\n"
        )
        done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
        assert done.returncode == -9
        assert len(list(tmp_path.iterdir())) == 2
        reopened = prefrl.load_comparisons(path)
        assert_same_arrays(arrays_of(reopened), smallest())
        reopened.save(path)
        assert_same_arrays(dict(np.load(path)), smallest())


class TestSelecting:
    @given(arrays=recordings(), data=st.data())
    def test_chosen_answers_keep_their_segments_and_their_columns(
        self, arrays: Arrays, data: st.DataObject
    ) -> None:
        arrays = {name: array for name, array in arrays.items() if not name.startswith("own_")}
        dataset = dataset_of(arrays)
        rows = data.draw(st.lists(st.integers(0, max(len(dataset) - 1, 0)), max_size=6))
        rows = rows if len(dataset) else []
        part = dataset.select(rows)
        assert len(part) == len(rows)
        for name in ("p_left", "question", "group", "annotator", "is_audit", "votes_left"):
            np.testing.assert_array_equal(getattr(part, name), getattr(dataset, name)[rows])
        for side in ("left", "right"):
            (whole,), (chosen,) = getattr(dataset, side), getattr(part, side)
            for name in ("observations", "true_rewards", "sim_states", "length", "episode"):
                np.testing.assert_array_equal(getattr(chosen, name), getattr(whole, name)[rows])
        assert_same_arrays(arrays_of(dataset_of(arrays_of(part))), arrays_of(part))
        for name in set(arrays) & set(dataset.steps):
            np.testing.assert_array_equal(
                part.steps[name][part.pairs.left_start],
                dataset.steps[name][dataset.pairs.left_start[rows]],
            )

    def test_steps_that_nobody_shows_any_more_are_left_out(self) -> None:
        part = dataset_of(smallest()).select([1])
        assert part.steps["observations"].tolist() == [[2, 3], [4, 5], [6, 7]]
        assert part.pairs.left_start.tolist() == [1]

    def test_arrays_that_nobody_knows_are_dropped_with_a_warning(self) -> None:
        dataset = dataset_of(smallest(notes=np.arange(2), colours=np.arange(7)))
        with pytest.warns(UserWarning, match="notes, colours: not of the format"):
            part = dataset.select([True, False])
        assert not {"notes", "colours"} & set(arrays_of(part))
        assert {"notes", "colours"} <= set(arrays_of(dataset))

    def test_all_answers_in_their_order_are_the_file_as_it_was(self) -> None:
        arrays = smallest(left_start=np.array([0, 2]), right_start=np.array([1, 0]))
        arrays["colours"] = np.arange(5)  # one a row, as far as anybody may know
        assert_same_arrays(arrays_of(dataset_of(arrays).select([0, 1])), arrays)

    def test_a_mask_a_slice_and_numbers_choose_alike(self) -> None:
        dataset = dataset_of(smallest())
        for rows in ([False, True], slice(1, 2), [1], np.array([-1])):
            np.testing.assert_array_equal(dataset.select(rows).left[0].length, [2])
            assert dataset.select(rows).question.tolist() == [1]


class TestForeignAndDamaged:
    def test_another_archive_is_told_from_a_damaged_one(self, tmp_path: Path) -> None:
        path = tmp_path / "a.npz"
        np.savez(path, weights=np.zeros(3), bias=np.zeros(1))
        with pytest.raises(
            StorageError, match=r"a\.npz holds no comparisons.*its arrays: weights, bias"
        ):
            prefrl.load_comparisons(path)

    def test_a_later_version_says_so(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.npz", smallest(format_version=np.int64(2)))
        with pytest.raises(StorageError, match="format_version 2; this prefrl reads up to 1"):
            prefrl.load_comparisons(path)

    @pytest.mark.parametrize("name", ["observations", "left_start", "p_left"])
    def test_a_missing_array_is_named(self, tmp_path: Path, name: str) -> None:
        path = written(tmp_path / "a.npz", smallest(**{name: None}))
        with pytest.raises(StorageError, match=rf"a\.npz is damaged: it lacks {name}$"):
            prefrl.load_comparisons(path)

    def test_an_array_that_declares_more_than_it_has_takes_no_memory(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.npz", smallest())
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        header = members["observations.npy"]
        members["observations.npy"] = header.replace(b"(5, 2), }     ", b"(5000000000, 2000), }")
        assert members["observations.npy"] != header
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        with pytest.raises(StorageError, match=r"a\.npz is damaged: observations: .*declares"):
            prefrl.load_comparisons(path)

    @given(
        member=st.sampled_from(["observations", "p_left", "segment_length", "notes"]),
        version=st.sampled_from([1, 2, 3, 9]),
        changes=st.lists(st.tuples(st.integers(0, 127), st.integers(0, 255)), max_size=4),
    )
    @example(member="notes", version=1, changes=[(10, ord("["))])
    def test_an_array_whose_header_is_damaged_is_named(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        member: str,
        version: int,
        changes: list[tuple[int, int]],
    ) -> None:
        """The archive's checksums are right: another program wrote it so."""
        path = tmp_path_factory.mktemp("damaged") / "a.npz"
        written(path, smallest(notes=np.arange(2)))
        with zipfile.ZipFile(path) as archive:
            members = {name: bytearray(archive.read(name)) for name in archive.namelist()}
        changed = members[f"{member}.npy"]
        changed[6] = version
        for position, value in changes:
            changed[position] = value
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, bytes(content))
        with contextlib.suppress(StorageError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's, of headers that Python 2 wrote.
            prefrl.load_comparisons(path)

    @pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_damage_in_any_kind_of_archive_is_one_line(self, tmp_path: Path, kind: int) -> None:
        path = tmp_path / "a.npz"
        with zipfile.ZipFile(written(path, smallest())) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        whole = path.read_bytes()
        assert len(prefrl.load_comparisons(path)) == 2
        for position in range(30, len(whole), 11):
            damaged = bytearray(whole)
            damaged[position] ^= 0xFF
            path.write_bytes(damaged)
            with contextlib.suppress(StorageError):
                assert_same_arrays(arrays_of(prefrl.load_comparisons(path)), smallest())

    def test_a_segment_length_beyond_all_reason_is_refused(self) -> None:
        none = np.zeros(0, dtype=int)
        no_answers = dict.fromkeys(("left_start", "right_start", "p_left"), none)
        for number in (np.int64(10**12), np.uint64(2**64 - 1)):
            with pytest.raises(DataError, match=f"segment_length is {number}, but there are 5"):
                dataset_of(smallest(segment_length=number, length=np.array([1, 2])))
            with pytest.raises(DataError, match=f"segment_length is {number}, but there are 5"):
                dataset_of(smallest(segment_length=number, **no_answers))

    @pytest.mark.parametrize(
        ("name", "array", "expected"),
        [
            ("p_left", np.float64(1), r"p_left has shape \(\); expected \(answers,\)"),
            ("annotator", np.array("ann"), r"annotator has shape \(\); expected \(2,\)"),
            ("session", np.int64(4), r"session has shape \(\); expected \(2,\)"),
            ("is_audit", np.array(True), r"is_audit has shape \(\); expected \(2,\)"),
            ("session", np.array([2**63, 0], np.uint64), "session holds 9223372036854775808"),
            ("episode", np.zeros(5), "episode is of type float64; expected whole numbers"),
            ("terminated", np.zeros(5), "terminated is of type float64; expected true or false"),
            ("true_reward", np.array(["a"] * 5), "true_reward is of type <U1; expected numbers"),
            (
                "observations",
                np.full((5, 2), 1e300),
                "observations holds NaN, an infinity or a number beyond single precision in row 0",
            ),
        ],
    )
    def test_what_does_not_fit_is_named_and_what_would(
        self, name: str, array: np.ndarray, expected: str
    ) -> None:
        with pytest.raises(DataError, match=expected):
            dataset_of(smallest(**{name: array}))

    def test_nothing_in_a_file_is_run(self, tmp_path: Path) -> None:
        path = tmp_path / "a.npz"
        arrays: dict[str, Any] = smallest(notes=np.array([print], dtype=object))
        np.savez(path, **arrays)
        with pytest.raises(StorageError, match=r"a\.npz is damaged: notes: it holds Python obj"):
            prefrl.load_comparisons(path)


def test_an_archive_is_read_as_it_was_written(tmp_path: Path) -> None:
    arrays = {"a/b": np.asfortranarray(np.ones((2, 3))), "t": np.array("x"), "n": np.zeros((0, 3))}
    path = tmp_path / "a.npz"
    with path.open("wb") as file:
        write_arrays(file, arrays)
    assert_same_arrays(read_arrays(path, "comparisons"), arrays)


def test_reading_takes_time_in_proportion_to_answers() -> None:
    """A loop over answers would take minutes for these."""
    num = 200_000
    arrays = smallest(
        left_start=np.arange(num) % 4,
        right_start=(np.arange(num) + 1) % 4,
        p_left=np.ones(num),
        annotator=np.full(num, "ann"),
    )
    dataset = dataset_of(arrays)
    assert len(dataset.left[0]) == num
    assert not dataset.is_new(dataset.left[0], dataset.right[0]).any()
    assert len(dataset.select(slice(0, num, 2))) == num // 2


def test_feedback_is_imported_without_torch() -> None:
    program = (
        "import sys\n"
        "import prefrl.feedback.interchange, prefrl.feedback.merging, prefrl.feedback.teachers\n"
        "import prefrl\n"
        "prefrl.load_comparisons, prefrl.PreferenceDataset\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
