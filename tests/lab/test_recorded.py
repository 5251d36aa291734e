from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.recorded import NUM_FOLDS, load
from prefrl.errors import DataError, StorageError
from tests.lab.recorded_file import linear_arrays, written


def votes(*rows: tuple[int, int, int]) -> dict[str, Any]:
    table = np.array(rows)
    return {"votes_left": table[:, 0], "votes_right": table[:, 1], "votes_equal": table[:, 2]}


def without_split(num: int = 60) -> dict[str, Any]:
    arrays = linear_arrays(num)
    del arrays["split"]
    return arrays


def test_segments_are_the_rows_from_their_start_on(tmp_path: Path) -> None:
    arrays = {
        "observations": np.arange(10.0).reshape(5, 2),
        "actions": np.arange(5.0).reshape(5, 1),
        "left_start": np.array([0, 2]),
        "right_start": np.array([3, 1]),
        "segment_length": np.int64(2),
        "p_left": np.array([1.0, 0.0]),
    }
    data = load(written(tmp_path / "a.npz", **arrays))
    right = data.segments(np.array([1]), 1)
    assert right.inputs().tolist() == [[[2.0, 3.0, 1.0], [4.0, 5.0, 2.0]]]
    assert data.segments(np.array([0]), 0).start.tolist() == [0]


def test_each_answer_is_tested_on_once_a_seed(tmp_path: Path) -> None:
    data = load(written(tmp_path / "a.npz", **without_split()))
    splits = list(data.splits(rng=np.random.default_rng(0)))
    assert len(splits) == NUM_FOLDS
    assert sorted(np.concatenate([test for _, test in splits]).tolist()) == list(range(60))
    for train, test in splits:
        assert sorted([*train.tolist(), *test.tolist()]) == list(range(60))


@pytest.mark.parametrize("num_groups", [2, 3, 8])
def test_splits_never_share_a_group(tmp_path: Path, num_groups: int) -> None:
    group = np.array([f"topic {n % num_groups}" for n in range(60)])
    data = load(written(tmp_path / "a.npz", **without_split(), group=group))
    splits = list(data.splits(rng=np.random.default_rng(0)))
    assert len(splits) == min(num_groups, NUM_FOLDS)
    for train, test in splits:
        assert not set(group[train]) & set(group[test])
    assert sorted(np.concatenate([test for _, test in splits]).tolist()) == list(range(60))


def test_the_files_own_split_is_honoured(tmp_path: Path) -> None:
    arrays = linear_arrays(6) | {"split": np.array(["test", "train"] * 3)}
    ((train, test),) = load(written(tmp_path / "a.npz", **arrays)).splits(
        rng=np.random.default_rng(0)
    )
    assert sorted(train.tolist()) == [1, 3, 5]
    assert test.tolist() == [0, 2, 4]


@pytest.mark.parametrize("has_split", [True, False])
def test_comparisons_without_an_answer_are_left_out(tmp_path: Path, has_split: bool) -> None:
    arrays = linear_arrays() if has_split else without_split()
    arrays["p_left"][[3, 50]] = np.nan
    for train, test in load(written(tmp_path / "a.npz", **arrays)).splits(
        rng=np.random.default_rng(0)
    ):
        assert not {3, 50} & {*train.tolist(), *test.tolist()}


def test_one_group_cannot_be_split(tmp_path: Path) -> None:
    data = load(written(tmp_path / "a.npz", **without_split(), group=np.zeros(60)))
    with pytest.raises(DataError, match="0 answers are left to train on and 60 to test on"):
        list(data.splits(rng=np.random.default_rng(0)))


def test_vote_shares_count_an_equal_vote_half(tmp_path: Path) -> None:
    table = votes((4, 0, 0), (1, 2, 1), (0, 0, 0))
    data = load(written(tmp_path / "a.npz", **linear_arrays(3), **table))
    np.testing.assert_equal(data.vote_share(), [1.0, 1.5 / 4, np.nan])


def test_the_human_ceiling_holds_every_voter_against_the_rest(tmp_path: Path) -> None:
    # 3:1 is four voters: three of them see 2:1 and agree, the fourth sees 3:0 and does not.
    # 2:1 is three: two see 1:1, which says nothing, the third sees 2:0 and does not agree.
    # 1:0 is one, who sees nobody. Equal votes are no voters here.
    table = votes((3, 1, 0), (1, 2, 4), (1, 0, 0))
    data = load(written(tmp_path / "a.npz", **linear_arrays(3), **table))
    assert data.human_ceiling() == pytest.approx(3 / 5)


def test_without_votes_there_is_no_ceiling_and_no_share(tmp_path: Path) -> None:
    data = load(written(tmp_path / "a.npz", **linear_arrays(3)))
    assert data.human_ceiling() is None
    with pytest.raises(DataError, match="holds no votes"):
        data.vote_share()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.npz", **linear_arrays() | {"p_left": np.full(60, 2.0)})
    with pytest.raises(StorageError, match=r"a\.npz is damaged: p_left: an answer is 2"):
        load(path)
    with pytest.raises(StorageError, match=r"there is no file .*b\.npz"):
        load(tmp_path / "b.npz")
