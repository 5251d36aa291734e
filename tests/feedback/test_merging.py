import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import prefrl
from prefrl.cli import main
from prefrl.errors import DataError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.interchange import arrays_of, dataset_of
from prefrl.feedback.merging import merge_comparisons
from tests.feedback.recordings import Arrays, recordings, written
from tests.feedback.recordings import smallest as two


def merged(*files: Arrays) -> PreferenceDataset:
    return merge_comparisons([dataset_of(arrays) for arrays in files])


def test_answers_stand_one_file_behind_the_other_with_their_segments() -> None:
    one, other = two(), two(observations=np.full((5, 2), 7.0), p_left=np.array([0.0, 0.5]))
    both = merged(one, other)
    np.testing.assert_array_equal(both.p_left, [1, np.nan, 0, 0.5])
    for side in ("left", "right"):
        segments = getattr(both, side)[0].inputs()
        for part, rows in ((one, slice(0, 2)), (other, slice(2, 4))):
            np.testing.assert_array_equal(
                segments[rows], getattr(dataset_of(part), side)[0].inputs()
            )


def test_questions_and_episodes_of_two_files_stay_apart() -> None:
    one = two(question=np.array([5, 5]), episode=np.array([0, 0, 1, 1, 1]))
    both = merged(one, one, two())
    assert both.question.tolist() == [5, 5, 11, 11, 12, 13]
    assert both.left[0].episode.tolist() == [0, 1, 2, 3, 4, 4]
    left, right = both.left[0], both.right[0]
    assert PreferenceDataset().is_new(left, right).all()


def test_numbers_that_are_hashes_stay_apart_too() -> None:
    """Counting on from them leaves what 64 bits hold."""
    most = np.iinfo(np.int64).max
    one = two(question=np.array([most, 4]), episode=np.full(5, most))
    both = merged(one, one, two(episode=np.array([2**64 - 1, 1, 1, 1, 1], np.uint64)))
    assert len(set(both.question.tolist())) == 6
    assert both.question.min() >= 0
    left, right = both.pairs.windows()
    episodes = [set(left[rows, 0]) | set(right[rows, 0]) for rows in ([0, 1], [2, 3], [4, 5])]
    assert not episodes[0] & episodes[1] | episodes[1] & episodes[2] | episodes[0] & episodes[2]


def test_groups_that_are_hashes_are_not_rounded() -> None:
    group = np.array([2**63 + 1, 2**63 + 2], np.uint64)
    both = merged(two(group=group), two())
    assert both.group.tolist() == [str(2**63 + 1), str(2**63 + 2), "", ""]


def test_a_group_of_two_files_is_one_group() -> None:
    assert merged(two(group=np.array([0, 3])), two(group=np.array([3, 4]))).group.tolist() == [
        0,
        3,
        3,
        4,
    ]
    mixed = merged(two(group=np.array([0, 3])), two(group=np.array(["3", "door"])), two())
    assert mixed.group.tolist() == ["0", "3", "3", "door", "", ""]


def test_segments_of_several_lengths_go_together() -> None:
    both = merged(two(), two(segment_length=np.int64(1)))
    assert both.left[0].length.tolist() == [2, 2, 1, 1]
    assert arrays_of(both)["length"].tolist() == [2, 2, 1, 1]


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("true_reward", np.ones(5, np.float32), [np.nan, 1.0]),
        ("sim_states", np.ones((5, 3)), [np.nan, 1.0]),
        ("terminated", np.ones(5, bool), [False, True]),
        ("frames", np.ones((5, 2, 2, 3), np.uint8), [0, 1]),
    ],
)
def test_what_one_file_does_not_tell_is_nothing_with_a_warning(
    name: str, array: np.ndarray, said: list[float]
) -> None:
    with pytest.warns(UserWarning, match=f"{name} is not in dataset 0"):
        both = merged(two(), two(**{name: array}))
    steps = both.steps[name].reshape(10, -1)
    assert steps.dtype == array.dtype
    np.testing.assert_array_equal(steps[[0, -1], 0], said)


def test_a_split_of_one_file_is_kept_and_the_other_is_trained_on() -> None:
    both = merged(two(split=np.array(["test", "train"])), two())
    assert arrays_of(both)["split"].tolist() == ["test", "train", "train", "train"]
    assert "split" not in arrays_of(merged(two(), two()))


def test_arrays_that_nobody_knows_are_dropped_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="notes: not of the format"):
        both = merged(two(notes=np.arange(2)), two())
    assert "notes" not in arrays_of(both)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (
            {"env_id": np.array("Hopper-v4")},
            {"env_id": np.array("Ant-v4")},
            "env_id of dataset 1 is 'Ant-v4', that of dataset 0 'Hopper-v4'",
        ),
        (
            {},
            {"observations": np.zeros((5, 3))},
            r"observations of dataset 1 has rows of shape \(3,\), that of dataset 0 \(2,\)",
        ),
        (
            {},
            {"actions": np.zeros((5, 0))},
            "actions of dataset 1",
        ),
        (
            {"sim_states": np.zeros((5, 3))},
            {"sim_states": np.zeros((5, 2))},
            "sim_states of dataset 1",
        ),
    ],
)
def test_answers_about_another_environment_are_refused(
    first: dict[str, Any], second: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        merged(two(**first), two(**second))
    with pytest.raises(DataError, match="no comparisons to merge"):
        merge_comparisons([])


@pytest.mark.filterwarnings("ignore:.*(is not in dataset|not of the format)")
@given(one=recordings(obs_dim=2), other=recordings(obs_dim=2))
def test_whatever_is_merged_every_answer_keeps_its_segments(one: Arrays, other: Arrays) -> None:
    parts = [dataset_of(one), dataset_of(other)]
    both = merge_comparisons(parts)
    assert len(both) == len(parts[0]) + len(parts[1])
    rows = (np.arange(len(parts[0])), len(parts[0]) + np.arange(len(parts[1])))
    for part, own in zip(parts, rows, strict=True):
        np.testing.assert_array_equal(both.p_left[own], part.p_left)
        np.testing.assert_array_equal(both.annotator[own], part.annotator)
        for side in ("left", "right"):
            (whole,), (batch,) = getattr(both, side), getattr(part, side)
            length = batch.segment_length
            np.testing.assert_array_equal(whole.observations[own][:, :length], batch.observations)
            np.testing.assert_array_equal(whole.length[own], batch.length)
    shared = set(both.question[rows[0]].tolist()) & set(both.question[rows[1]].tolist())
    assert not shared
    again = dataset_of(arrays_of(both))
    np.testing.assert_array_equal(again.p_left, both.p_left)


class TestCommand:
    def test_it_writes_one_file_of_several(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        paths = [str(written(tmp_path / f"{name}.npz", two())) for name in "abc"]
        out = tmp_path / "all.npz"
        assert main(["answers", "merge", *paths, "--out", str(out)]) == 0
        assert "3 answers and 3 skipped questions of 3 files" in capsys.readouterr().out
        assert len(prefrl.load_comparisons(out)) == 6

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["answers"], "a command is missing; give a run's folder, or choose from"),
            (
                ["answers", "mrge"],
                "there is no folder, and no command, 'mrge'; give a run's folder, or choose from",
            ),
            (["answers", "merge", "a.npz", "--out", "c.npz"], "1 files are given; expected two"),
            (["answers", "merge", "a.npz", "a.npz", "--out", "a.npz"], "a.npz is there already"),
            (["answers", "merge", "a.npz", "no.npz", "--out", "c.npz"], "there is no file no.npz"),
            (["answers", "merge", "a.npz", "wide.npz", "--out", "c.npz"], "observations of wide"),
        ],
    )
    def test_bad_input_gets_one_line_and_leaves_no_file(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        words: list[str],
        said: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        written(tmp_path / "a.npz", two())
        written(tmp_path / "wide.npz", two(observations=np.zeros((5, 4))))
        assert main(words) == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
        assert not (tmp_path / "c.npz").exists()

    def test_it_needs_no_torch(self, tmp_path: Path) -> None:
        paths = [str(written(tmp_path / f"{name}.npz", two())) for name in "ab"]
        words = ["answers", "merge", *paths, "--out", str(tmp_path / "c.npz")]
        program = (
            f"import sys; from prefrl.cli import main; assert main({words!r}) == 0\n"
            "assert 'torch' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", program], check=True)
