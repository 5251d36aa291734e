import subprocess
import sys
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.errors import DataError, StorageError
from prefrl.feedback.dataset import Comparisons, PreferenceDataset
from prefrl.segments import SegmentBatch
from tests import linear_task

NAN = float("nan")
ANSWERS = st.lists(st.sampled_from([0.0, 0.5, 1.0, NAN]), max_size=12)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def add(dataset: PreferenceDataset, p_left: list[float], *, session: int = 0) -> None:
    """Adds queries about new segments, with these answers."""
    stream = rng(len(dataset))
    left, right = (linear_task.segments(len(p_left), rng=stream) for _ in range(2))
    dataset.add(left, right, np.array(p_left), session=session, rng=stream)


def dataset_of(*sessions: list[float], validation_fraction: float = 0.25) -> PreferenceDataset:
    dataset = PreferenceDataset(validation_fraction)
    for session, p_left in enumerate(sessions):
        add(dataset, p_left, session=session)
    return dataset


def without(segments: SegmentBatch, *, actions: bool = False, states: bool = False) -> SegmentBatch:
    """The same segments without actions or simulator states."""
    shape = segments.observations.shape[:2]
    return SegmentBatch(
        observations=segments.observations,
        actions=np.zeros((*shape, 0), np.float32) if actions else segments.actions,
        true_rewards=segments.true_rewards,
        sim_states=np.zeros((*shape, 0)) if states else segments.sim_states,
        episode=segments.episode,
        start=segments.start,
    )


def assert_same_segments(one: list[SegmentBatch], other: list[SegmentBatch]) -> None:
    for name in SegmentBatch.__dataclass_fields__:
        left = np.concatenate([getattr(batch, name) for batch in one])
        right = np.concatenate([getattr(batch, name) for batch in other])
        assert left.dtype == right.dtype, name
        np.testing.assert_array_equal(left, right)


def assert_same(one: PreferenceDataset, other: PreferenceDataset) -> None:
    assert_same_segments(one.left, other.left)
    assert_same_segments(one.right, other.right)
    for name in ("p_left", "is_validation", "session"):
        assert getattr(one, name).dtype == getattr(other, name).dtype
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.validation_fraction == other.validation_fraction


class TestAdding:
    def test_answers_are_counted_ties_too_and_skips_apart(self):
        dataset = dataset_of([1, 0, 0.5, NAN], [NAN, NAN, 1])
        assert len(dataset) == 7
        assert dataset.num_answers == 4
        assert dataset.num_skips == 3
        np.testing.assert_array_equal(dataset.session, [0] * 4 + [1] * 3)
        np.testing.assert_array_equal(dataset.p_left, [1, 0, 0.5, NAN, NAN, NAN, 1])

    def test_an_empty_dataset_has_asked_nothing(self):
        dataset = PreferenceDataset()
        assert len(dataset) == dataset.num_answers == dataset.num_skips == 0

    @pytest.mark.parametrize("answer", [1.3, -1.0, 2.0, np.inf])
    def test_an_answer_that_is_none_is_refused_and_nothing_is_added(self, answer):
        dataset = dataset_of([1.0])
        with pytest.raises(DataError, match=rf"an answer is {answer}; expected 1 \(left\)"):
            add(dataset, [1.0, answer])
        assert len(dataset) == 1
        assert len(dataset.left) == 1

    @pytest.mark.parametrize(("num_left", "num_right", "shape"), [(2, 3, 2), (2, 2, 3), (3, 3, 2)])
    def test_answers_that_do_not_fit_the_segments_are_refused(self, num_left, num_right, shape):
        left, right = (linear_task.segments(num, rng=rng()) for num in (num_left, num_right))
        with pytest.raises(
            DataError, match=rf"{num_left} left and {num_right} right .* \({shape},\)"
        ):
            PreferenceDataset().add(left, right, np.ones(shape), session=0, rng=rng())

    def test_segments_unlike_those_before_are_refused(self):
        dataset = dataset_of([1.0])
        longer = linear_task.segments(1, rng=rng(), length=6)
        with pytest.raises(DataError, match=r"\(6, 4, 2, 3\); .* have \(5, 4, 2, 3\)"):
            dataset.add(longer, longer, np.ones(1), session=1, rng=rng())
        usual = linear_task.segments(1, rng=rng())
        with pytest.raises(DataError, match=r"\(5, 4, 0, 3\); .* have \(5, 4, 2, 3\)"):
            PreferenceDataset().add(
                usual, without(usual, actions=True), np.ones(1), session=0, rng=rng()
            )
        assert len(dataset) == 1

    @pytest.mark.parametrize("fraction", [-0.1, 1.0, NAN])
    def test_a_share_that_is_none_is_refused(self, fraction):
        with pytest.raises(DataError, match=f"validation_fraction is {fraction}"):
            PreferenceDataset(fraction)

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"p_left": np.ones(3)}, r"p_left has shape \(3,\); expected \(2,\)"),
            ({"session": np.ones((2, 1))}, r"session has shape \(2, 1\)"),
            ({"is_validation": np.ones(1, bool)}, r"is_validation has shape \(1,\)"),
            ({"p_left": np.array([1, 1.2])}, "an answer is 1.2"),
            ({"objective": np.zeros(3, np.int64)}, r"objective has shape \(3,\)"),
            ({"right": []}, r"not as many right segments as left ones \(2\)"),
        ],
    )
    def test_parts_that_do_not_fit_each_other_are_refused_by_name(self, changed, said):
        parts: dict[str, Any] = {
            "left": [linear_task.segments(2, rng=rng())],
            "right": [linear_task.segments(2, rng=rng())],
            "p_left": np.array([1.0, 0.0]),
            "is_validation": np.array([False, True]),
            "session": np.zeros(2, dtype=np.int64),
        }
        PreferenceDataset(**parts)
        with pytest.raises(DataError, match=said):
            PreferenceDataset(**{**parts, **changed})


class TestCounting:
    """Several answers to one question, as people give them."""

    def annotated(self) -> PreferenceDataset:
        # Left of both; skipped by both; skipped by one and answered by the other; and once more.
        dataset = PreferenceDataset()
        left, right = (linear_task.segments(7, rng=rng(seed)) for seed in (0, 1))
        dataset.add(
            left,
            right,
            [1.0, 1.0, np.nan, np.nan, np.nan, 0.5, 0.0],
            session=0,
            rng=rng(),
            question=[0, 0, 1, 1, 2, 2, 0],
            annotator=["ann", "bob", "ann", "bob", "ann", "bob", "ann"],
            is_repeat=[False] * 6 + [True],
        )
        return dataset

    def test_queries_are_counted_and_not_who_has_answered_them(self) -> None:
        dataset = self.annotated()
        assert (dataset.num_asked, dataset.num_answered, dataset.num_skips) == (3, 2, 1)
        assert dataset.num_answers == 4

    def test_what_was_put_again_is_left_out_of_what_is_trained_on(self) -> None:
        dataset = self.annotated()
        first_ones = dataset.without_repeats()
        assert first_ones.question.tolist() == [0, 0, 1, 1, 2, 2]
        assert (first_ones.num_asked, first_ones.num_answered, first_ones.num_skips) == (3, 2, 1)
        assert first_ones.without_repeats() is first_ones
        np.testing.assert_array_equal(
            first_ones.pairs.left.observations, dataset.pairs.left.observations[:6]
        )


class TestHoldingOut:
    @given(sessions=st.lists(ANSWERS, min_size=1, max_size=12), fraction=st.floats(0, 0.99))
    def test_the_share_is_kept_over_many_small_sessions(self, sessions, fraction):
        dataset = PreferenceDataset(fraction)
        for number, p_left in enumerate(sessions):
            before = dataset.is_validation.copy()
            add(dataset, p_left, session=number)
            # Once and for all: what was assigned stays assigned.
            np.testing.assert_array_equal(dataset.is_validation[: len(before)], before)
            num_held = int(dataset.is_validation.sum())
            assert num_held <= dataset.num_answers * fraction
        answered = ~np.isnan(dataset.p_left)
        assert not (dataset.is_validation & ~answered).any()
        if all(np.isfinite(p_left).any() for p_left in sessions):
            # No session is too small to catch up with what the ones before rounded off.
            assert num_held > dataset.num_answers * fraction - 1 - 1e-9

    def test_single_answers_add_up_to_the_share(self):
        dataset = dataset_of(*([1.0] for _ in range(40)), validation_fraction=0.15)
        assert dataset.is_validation.sum() == 6

    def test_a_first_answer_is_trained_on(self):
        assert not dataset_of([1.0], validation_fraction=0.9).is_validation.any()

    def test_a_share_of_0_holds_nothing_out(self):
        assert not dataset_of([1.0] * 50, validation_fraction=0.0).is_validation.any()

    def test_which_answers_are_held_out_is_random_and_repeatable(self):
        held = []
        for seed in (0, 0, 1):
            dataset = PreferenceDataset(0.5)
            segments = linear_task.segments(40, rng=rng())
            dataset.add(segments, segments, np.ones(40), session=0, rng=rng(seed))
            held.append(dataset.is_validation)
        np.testing.assert_array_equal(held[0], held[1])
        assert (held[0] != held[2]).any()
        assert held[0].sum() == held[2].sum() == 20

    def test_splitting_leaves_skips_out_and_puts_every_answer_on_one_side(self):
        dataset = dataset_of([1, 0, NAN, 0.5], [0, 1, NAN, 1, 0.5, 0], validation_fraction=0.4)
        train, held = dataset.split()
        assert (len(train), len(held)) == (5, 3)
        left = np.concatenate([batch.inputs() for batch in dataset.left])
        right = np.concatenate([batch.inputs() for batch in dataset.right])
        answered = ~np.isnan(dataset.p_left)
        for part, rows in ((train, ~dataset.is_validation), (held, dataset.is_validation)):
            np.testing.assert_array_equal(part.left, left[rows & answered])
            np.testing.assert_array_equal(part.right, right[rows & answered])
            np.testing.assert_array_equal(part.p_left, dataset.p_left[rows & answered])
            assert part.left.dtype == part.p_left.dtype == np.float32

    def test_nothing_but_skips_splits_into_nothing(self):
        train, held = dataset_of([NAN, NAN]).split()
        assert len(train) == len(held) == 0

    def test_an_empty_dataset_cannot_be_split(self):
        with pytest.raises(DataError, match="no comparisons yet"):
            PreferenceDataset().split()


class TestComparisons:
    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"left": np.zeros((2, 3))}, "expected the same"),
            ({"right": np.zeros((2, 4, 5))}, "expected the same"),
            ({"p_left": np.zeros(3)}, r"p_left has shape \(3,\); expected \(2,\)"),
            ({"p_left": np.array([0.0, NAN])}, r"p_left must lie in \[0, 1\]"),
            ({"p_left": np.array([0.0, 1.5])}, r"p_left must lie in \[0, 1\]"),
        ],
    )
    def test_wrong_shapes_and_answers_are_refused_by_name(self, changed, said):
        parts: dict[str, Any] = {
            "left": np.zeros((2, 3, 5)),
            "right": np.zeros((2, 3, 5)),
            "p_left": np.array([0.25, 1.0]),
        }
        assert len(Comparisons(**parts)) == 2
        with pytest.raises(DataError, match=said):
            Comparisons(**{**parts, **changed})


class TestFile:
    @pytest.fixture
    def dataset(self) -> PreferenceDataset:
        return dataset_of([1, 0, NAN, 0.5], [NAN], [0, 1, 0, 0.5, 0])

    def test_everything_comes_back(self, tmp_path, dataset):
        dataset.save(tmp_path / "comparisons.npz")
        again = PreferenceDataset.load(tmp_path / "comparisons.npz", validation_fraction=0.25)
        assert_same(dataset, again)

    @given(sessions=st.lists(ANSWERS, min_size=1, max_size=4).filter(any))
    def test_whatever_the_answers_they_come_back(self, tmp_path_factory, sessions):
        path = tmp_path_factory.mktemp("dataset") / "comparisons.npz"
        dataset = dataset_of(*sessions)
        dataset.save(path)
        assert_same(dataset, PreferenceDataset.load(path, validation_fraction=0.25))

    @pytest.mark.parametrize("missing", [{"actions": True}, {"states": True}])
    def test_tasks_without_actions_or_simulator_states_come_back(self, tmp_path, missing):
        left, right = (without(linear_task.segments(3, rng=rng(s)), **missing) for s in (0, 1))
        dataset = PreferenceDataset()
        dataset.add(left, right, np.array([1.0, 0.5, NAN]), session=0, rng=rng())
        dataset.save(tmp_path / "c.npz")
        assert_same(dataset, PreferenceDataset.load(tmp_path / "c.npz"))

    def test_it_goes_on_after_loading_as_if_never_saved(self, tmp_path, dataset):
        dataset.save(tmp_path / "c.npz")
        again = PreferenceDataset.load(tmp_path / "c.npz", validation_fraction=0.25)
        for one in (dataset, again):
            add(one, [1, 1, 0, NAN, 0.5, 1], session=3)
        assert_same(dataset, again)

    def test_the_file_has_the_interchange_layout(self, tmp_path, dataset):
        dataset.save(tmp_path / "c.npz")
        with np.load(tmp_path / "c.npz", allow_pickle=False) as file:
            arrays = dict(file)
        kinds = {
            "observations": ("float32", (100, 4)),
            "actions": ("float32", (100, 2)),
            "true_reward": ("float32", (100,)),
            "sim_states": ("float64", (100, 3)),
            "episode": ("int64", (100,)),
            "episode_step": ("int64", (100,)),
            "left_start": ("int64", (10,)),
            "right_start": ("int64", (10,)),
            "segment_length": ("int64", ()),
            "p_left": ("float64", (10,)),
            "split": ("<U5", (10,)),
            "session": ("int64", (10,)),
            "objective": ("int64", (10,)),
            "question": ("int64", (10,)),
            "terminated": ("bool", (100,)),
            "truncated": ("bool", (100,)),
            "format_version": ("int64", ()),
        }
        assert {name: (a.dtype.str, a.shape) for name, a in arrays.items()} == {
            name: (np.dtype(dtype).str, shape) for name, (dtype, shape) in kinds.items()
        }
        assert arrays["segment_length"] == 5
        np.testing.assert_array_equal(arrays["p_left"], dataset.p_left)
        assert set(arrays["split"]) == {"train", "test"}
        np.testing.assert_array_equal(arrays["split"] == "test", dataset.is_validation)

    def test_a_segment_is_the_rows_from_its_start(self, tmp_path, dataset):
        dataset.save(tmp_path / "c.npz")
        with np.load(tmp_path / "c.npz", allow_pickle=False) as file:
            arrays = dict(file)
        for side, batches in (("left_start", dataset.left), ("right_start", dataset.right)):
            segments = SegmentBatch.concatenate(batches)
            for number, start in enumerate(arrays[side]):
                rows = slice(start, start + 5)
                for stored, name in (
                    ("observations", "observations"),
                    ("actions", "actions"),
                    ("true_reward", "true_rewards"),
                    ("sim_states", "sim_states"),
                ):
                    np.testing.assert_array_equal(
                        arrays[stored][rows], getattr(segments, name)[number]
                    )
                np.testing.assert_array_equal(arrays["episode"][rows], segments.episode[number])
                np.testing.assert_array_equal(
                    arrays["episode_step"][rows], segments.start[number] + np.arange(5)
                )

    def test_segments_that_share_rows_can_be_read(self, tmp_path, dataset):
        """Others need not repeat rows that several segments hold."""
        dataset.save(tmp_path / "c.npz")
        with np.load(tmp_path / "c.npz", allow_pickle=False) as file:
            arrays = dict(file)
        arrays["right_start"] = arrays["left_start"] + 2
        np.savez_compressed(tmp_path / "c.npz", **arrays)
        again = PreferenceDataset.load(tmp_path / "c.npz")
        np.testing.assert_array_equal(
            again.left[0].observations[:, 2:], again.right[0].observations[:, :3]
        )

    def test_an_empty_dataset_has_nothing_to_save(self, tmp_path):
        with pytest.raises(DataError, match="no comparisons to save"):
            PreferenceDataset().save(tmp_path / "c.npz")
        assert not list(tmp_path.iterdir())


class TestDamage:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "comparisons.npz"
        dataset_of([1, 0, NAN], [0.5]).save(path)
        return path

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(StorageError, match=r"there is no file .*no\.npz"):
            PreferenceDataset.load(tmp_path / "no.npz")

    @pytest.mark.parametrize("content", [b"not a zip", b"\x93NUMPY\x01\x00"])
    def test_a_file_of_another_kind_is_named(self, path, content):
        path.write_bytes(content)
        with pytest.raises(StorageError, match=r"comparisons\.npz holds no comparisons: it is no"):
            PreferenceDataset.load(path)

    @pytest.mark.parametrize(
        ("content", "said"), [(b"", "it is empty"), (b"PK\x03\x04", "its end is missing")]
    )
    def test_what_is_left_of_a_file_is_damaged(self, path, content, said):
        path.write_bytes(content)
        with pytest.raises(StorageError, match=rf"comparisons\.npz is damaged: {said}"):
            PreferenceDataset.load(path)

    def test_a_folder_is_named(self, tmp_path):
        with pytest.raises(StorageError, match=r"cannot read .*: Is a directory"):
            PreferenceDataset.load(tmp_path)

    def test_of_a_runs_folder_it_is_said_where_its_answers_are(self, path):
        with pytest.raises(StorageError, match=rf"its answers are in {path}$"):
            PreferenceDataset.load(path.parent)

    def test_a_damaged_byte_anywhere_is_refused_by_name_or_changes_nothing(self, path):
        whole, dataset = path.read_bytes(), PreferenceDataset.load(path)
        for place in range(0, len(whole), 23):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x08]) + whole[place + 1 :])
            said = ""
            try:
                assert_same(dataset, PreferenceDataset.load(path))
            except StorageError as error:
                said = str(error)
            assert said == "" or str(path) in said
            assert "\n" not in said

    def test_every_cut_is_refused_by_name(self, path):
        whole = path.read_bytes()
        for length in range(0, len(whole), len(whole) // 20):
            path.write_bytes(whole[:length])
            with pytest.raises(StorageError, match=r"comparisons\.npz is damaged: "):
                PreferenceDataset.load(path)

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("left_start", np.array([0, 5, 10, 10_000]), "left_start: a segment"),
            ("left_start", np.array([0, 5, 10, -5]), "left_start: a segment"),
            ("right_start", np.array([0, 5]), r"right_start has shape \(2,\); expected \(4,\)"),
            ("right_start", np.arange(4.0), "right_start is of type float64; expected whole"),
            ("p_left", np.array([1, 0, 1.7, 1]), "p_left: an answer is 1.7"),
            ("p_left", np.array(["a", "b", "c", "d"]), "p_left is of type <U1; expected numbers"),
            ("p_left", np.ones(3), r"(left_start|length) has shape"),
            ("p_left", None, "it lacks p_left"),
            ("objective", np.zeros(3, dtype=np.int64), r"objective has shape \(3,\)"),
            ("session", np.zeros(3, dtype=np.int64), r"session has shape \(3,\)"),
            ("segment_length", np.array([5, 5]), r"segment_length is \[5 5\]"),
            ("segment_length", np.int64(0), "segment_length is 0"),
            ("segment_length", None, "it lacks segment_length"),
            ("observations", np.zeros((40, 2, 2), np.float32), "observations has shape"),
            ("observations", np.full((40, 4), np.nan), "observations holds NaN, an infinity"),
            ("actions", np.array([None] * 40), "actions: it holds Python objects"),
            ("actions", np.zeros((39, 2)), r"actions has shape \(39, 2\); expected \(40, dims\)"),
            ("true_reward", np.zeros((40, 1)), r"true_reward has shape \(40, 1\)"),
            ("frames", np.zeros((40, 2, 2), np.uint8), "frames has shape"),
            ("frames", np.zeros((40, 2, 2, 4), np.uint8), "frames has shape"),
            ("next_observations", np.zeros((40, 3)), "next_observations has shape"),
            ("split", np.array(["trian"] * 4), "split holds 'trian'; expected 'train' or 'test'"),
            ("split", np.zeros(4), "split is of type float64; expected the texts 'train' and"),
            ("split", np.zeros(4, dtype=[("a", "i2")]), "split is of type"),
            ("group", np.zeros(3), "group has shape"),
            ("is_audit", np.array([0, 1, 2, 1]), "is_audit is of type int64; expected true"),
            ("annotator", np.zeros(4), "annotator is of type float64; expected text"),
            ("votes_left", np.zeros(4, dtype=int), "it lacks votes_right, votes_equal"),
            ("format_version", np.int64(0), "format_version is 0"),
            ("env_id", np.int64(0), "env_id has shape"),
        ],
    )
    def test_an_array_that_does_not_fit_is_named_with_its_file(self, path, name, value, said):
        with np.load(path, allow_pickle=False) as file:
            arrays = {**file, name: value}
        if value is None:
            del arrays[name]
        np.savez(path, **arrays)
        with pytest.raises(StorageError, match=rf"comparisons\.npz is damaged: {said}"):
            PreferenceDataset.load(path)

    def test_what_was_there_stays_when_the_disk_refuses(self, path):
        program = (
            "import resource, signal, sys\n"
            "from pathlib import Path\n"
            "from prefrl.errors import StorageError\n"
            "from prefrl.feedback.dataset import PreferenceDataset\n"
            "path = Path(sys.argv[1])\n"
            "dataset = PreferenceDataset.load(path)\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
            "try:\n"
            "    dataset.save(path)\n"
            "except StorageError as error:\n"
            "    print(error)\n"
        )
        before = path.read_bytes()
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
        )
        assert f"could not write {path}: File too large" in done.stdout
        assert path.read_bytes() == before
        assert [file.name for file in path.parent.iterdir()] == [path.name]

    def test_the_file_is_an_uncompressed_zip_without_pickles(self, path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                assert member.filename.endswith(".npy")
                with archive.open(member) as file:
                    assert b"O" not in file.read(128).split(b"'descr': ")[1][:6]


class TestFirst:
    @pytest.mark.parametrize("count", [1, 3, 4, 7, 10, 99])
    def test_the_first_queries_are_a_dataset_of_their_own(self, count):
        dataset = dataset_of([1, 0, NAN, 0.5], [NAN], [0, 1, 0, 0.5, 0])
        part = dataset.first(count)
        assert len(part) == min(count, 10)
        for name in ("p_left", "is_validation", "session"):
            np.testing.assert_array_equal(getattr(part, name), getattr(dataset, name)[:count])
        assert_same_segments(part.left, [SegmentBatch.concatenate(dataset.left)[:count]])
        assert_same_segments(part.right, [SegmentBatch.concatenate(dataset.right)[:count]])
        assert part.validation_fraction == dataset.validation_fraction

    def test_going_on_from_a_part_repeats_what_followed(self):
        sessions: list[list[float]] = [[1, 0, NAN, 0.5], [0, 1, 1]]
        part = dataset_of(*sessions).first(4)
        add(part, sessions[1], session=1)
        assert_same(part, dataset_of(*sessions))

    def test_none_of_them_is_an_empty_dataset(self):
        for part in (dataset_of([1.0]).first(0), PreferenceDataset(0.25).first(3)):
            assert len(part) == 0
            add(part, [0.0])
            assert part.num_answers == 1
            assert part.validation_fraction == 0.25

    def test_less_than_none_is_refused(self):
        with pytest.raises(DataError, match="count is -1; expected 0 or more"):
            dataset_of([1.0]).first(-1)


def test_a_pair_is_new_until_it_was_put_whichever_side_its_windows_stood_on():
    pool = linear_task.segments(4, rng=np.random.default_rng(0))
    pool.episode[:], pool.start[:] = [0, 0, 1, 0], [0, 5, 0, 0]  # the last is the first again
    dataset = PreferenceDataset()

    def is_new(*pairs):
        left, right = np.array(pairs).T
        return dataset.is_new(pool[left], pool[right]).tolist()

    assert is_new([0, 1], [1, 2], [0, 3]) == [True, True, False]
    assert is_new([0, 1], [1, 3], [2, 0]) == [True, False, True], "twice in a batch"
    dataset.add(pool[[0]], pool[[1]], np.ones(1), session=0, rng=np.random.default_rng(0))
    dataset.add(pool[[1]], pool[[2]], np.array([np.nan]), session=0, rng=np.random.default_rng(0))
    assert is_new([0, 1], [1, 3], [2, 1], [0, 2]) == [False, False, False, True]
