from pathlib import Path

import numpy as np
import pytest

from lab.recorded import Recorded, load
from lab.reward_models import (
    MODELS,
    Metrics,
    Outcome,
    Predictions,
    Setting,
    Task,
    flipped,
    linear,
    measure,
    summarised,
    tasks_of,
)
from prefrl.errors import DataError
from tests.lab.recorded_file import linear_arrays, recorded, written


@pytest.fixture
def data(tmp_path: Path) -> Recorded:
    return load(written(tmp_path / "a.npz", **linear_arrays()))


def test_each_model_predicts_a_linear_task_above_chance(tmp_path: Path) -> None:
    data = load(written(tmp_path / "a.npz", **linear_arrays(90)))
    for model in MODELS:
        metrics = measure(model, data, Setting(), seed=0)
        assert metrics.accuracy >= 0.8, model
        assert metrics.nll < np.log(2), model
        assert metrics.num_labels == 60


def test_a_model_repeats_itself_on_the_same_seed(data: Recorded) -> None:
    one, other = (measure("single", data, Setting(), seed=1) for _ in range(2))
    assert (one.nll, one.brier) == (other.nll, other.brier)


def test_figures_are_those_of_all_splits_together_by_hand() -> None:
    # Right and sure, right and not, wrong: |error| 0.1, 0.4, 0.8, told in order by the spread.
    p, p_left = np.array([0.9, 0.4, 0.8]), np.array([1.0, 0.0, 0.0])
    metrics = Outcome(Predictions(p, np.array([0.0, 0.1, 0.2])), p_left, 1.0, 7).metrics()
    assert metrics.accuracy == pytest.approx(2 / 3)
    assert metrics.nll == pytest.approx(-np.log([0.9, 0.6, 0.2]).mean())
    assert metrics.brier == pytest.approx((0.01 + 0.16 + 0.64) / 3)
    assert metrics.ause == 0.0
    assert Outcome(Predictions(p), p_left, 1.0, 7).metrics().ause is None


def test_tasks_are_the_same_each_time_and_differ_between_seeds(data: Recorded) -> None:
    (one,), (again,), (other,) = (tasks_of(data, Setting(20, 0.2), seed=seed) for seed in (0, 0, 1))
    for name in ("train", "p_left", "test"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    assert set(one.train) != set(other.train)


def test_fewer_labels_are_the_first_of_more_and_tests_stay_the_same(tmp_path: Path) -> None:
    arrays = linear_arrays()
    del arrays["split"]
    data = load(written(tmp_path / "a.npz", **arrays))
    few, many = (tasks_of(data, Setting(n, 0.2), seed=0) for n in (10, 40))
    for less, more in zip(few, many, strict=True):
        np.testing.assert_array_equal(less.train, more.train[:10])
        np.testing.assert_array_equal(less.test, more.test)


def test_flips_hit_the_stated_share_of_decisive_answers_and_never_ties() -> None:
    p_left = np.array([1.0, 0.0, 0.5, 1.0, 0.75] * 10)  # 40 decisive, 10 ties
    turned = flipped(p_left, 0.2, order=np.random.default_rng(0).random(50))
    changed = turned != p_left
    assert changed.sum() == 8
    assert not changed[p_left == 0.5].any()
    np.testing.assert_array_equal(turned[changed], 1 - p_left[changed])
    np.testing.assert_array_equal(flipped(p_left, 0.0, order=np.zeros(50)), p_left)


def test_only_training_answers_are_flipped(data: Recorded) -> None:
    before = data.p_left.copy()
    (task,) = tasks_of(data, Setting(flip_rate=0.25), seed=0)
    assert (task.p_left != data.p_left[task.train]).sum() == 10
    np.testing.assert_array_equal(data.p_left, before)


def test_only_decisive_answers_are_tested_on(tmp_path: Path) -> None:
    arrays = linear_arrays()
    arrays["p_left"][[5, 45, 46]] = 0.5
    (task,) = tasks_of(load(written(tmp_path / "a.npz", **arrays)), Setting(), seed=0)
    assert task.test.tolist() == [n for n in range(40, 60) if n not in (45, 46)]
    assert 5 in task.train


def test_votes_are_trained_on_but_answers_tested_on(tmp_path: Path) -> None:
    votes = {f"votes_{side}": np.full(60, n) for side, n in (("left", 3), ("right", 1))}
    votes |= {"votes_equal": np.zeros(60, dtype=int)}
    votes["votes_left"][7] = votes["votes_right"][7] = 0  # nobody was asked
    data = load(written(tmp_path / "a.npz", **linear_arrays(), **votes))
    (task,) = tasks_of(data, Setting(from_votes=True), seed=0)
    assert set(task.p_left) == {0.75}
    assert sorted(task.train.tolist()) == [n for n in range(40) if n != 7]
    assert len(task.test) == 20


def test_what_a_file_cannot_give_is_refused(data: Recorded) -> None:
    with pytest.raises(DataError, match=r"num_labels is 41, but .* holds 40"):
        tasks_of(data, Setting(41), seed=0)
    with pytest.raises(DataError, match="holds no votes"):
        tasks_of(data, Setting(from_votes=True), seed=0)
    for rate in (-0.1, 0.5, float("nan")):
        with pytest.raises(DataError, match="flip_rate is"):
            Setting(flip_rate=rate)
    with pytest.raises(DataError, match="num_labels is 0"):
        Setting(0)


def test_the_linear_model_shrinks_more_where_there_is_more_noise() -> None:
    def sureness(noise: float) -> float:
        rng = np.random.default_rng(0)
        observations = rng.standard_normal((400, 30)).astype(np.float32)
        starts = np.arange(400).reshape(200, 2)
        gap = observations[starts[:, 0], 0] - observations[starts[:, 1], 0]
        p_left = (gap + noise * rng.standard_normal(200) > 0).astype(np.float64)
        data = recorded(
            observations=observations,
            actions=np.zeros((400, 0), dtype=np.float32),
            left_start=starts[:, 0],
            right_start=starts[:, 1],
            segment_length=np.int64(1),
            p_left=p_left,
        )
        rows = np.arange(200)
        return float(np.abs(linear(Task(data, rows, p_left, rows, 0))(rows).p - 0.5).mean())

    assert sureness(10.0) < 0.2 < 0.4 < sureness(0.0)


def test_a_feature_that_stands_still_does_not_hurt_the_linear_model(data: Recorded) -> None:
    arrays = linear_arrays()
    arrays["actions"] = np.full((len(arrays["observations"]), 1), 3.0, dtype=np.float32)
    (task,) = tasks_of(data, Setting(), seed=0)
    (other,) = tasks_of(recorded(**arrays), Setting(), seed=0)
    np.testing.assert_allclose(linear(task)(task.test).p, linear(other)(other.test).p)


def test_a_summary_holds_means_and_intervals_over_seeds() -> None:
    metrics = [Metrics(a, 0.5, 0.2, 0.1, None, 2.0 + a, 40) for a in (0.0, 1.0)]
    row = summarised("linear", Setting(None, 0.1), metrics, rng=np.random.default_rng(0))
    by_seed = row.pop("by_seed")
    # The mean of two draws is 0, 0.5 or 1: a quarter, a half, a quarter of the time.
    assert row == {
        "model": "linear",
        "num_labels": 40,
        "flip_rate": 0.1,
        "answers": "gold",
        "accuracy": 0.5,
        "accuracy_low": 0.0,
        "accuracy_high": 1.0,
        **{f"nll{end}": pytest.approx(0.5) for end in ("", "_low", "_high")},
        **{f"brier{end}": pytest.approx(0.2) for end in ("", "_low", "_high")},
        **{f"ause{end}": None for end in ("", "_low", "_high")},
        **{f"ece{end}": pytest.approx(0.1) for end in ("", "_low", "_high")},
        "fit_s": 2.5,
        "seeds": 2,
    }
    assert [one["seed"] for one in by_seed] == [0, 1]
    assert [one["accuracy"] for one in by_seed] == [0.0, 1.0]


def test_intervals_are_percentiles_of_resampled_means() -> None:
    metrics = [Metrics(a, 0.5, 0.2, 0.1, 0.3, 1.0, 40) for a in (0.1, 0.4, 0.9)]
    row = summarised("linear", Setting(), metrics, rng=np.random.default_rng(0))
    # 1 of 27 resamples is all 0.1 and 1 of 27 all 0.9, more than 2.5% each.
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx((0.1, 0.9))
