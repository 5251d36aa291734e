"""A reward model of recorded answers, and how it is judged by those it has not seen."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prefrl
from prefrl.config import RewardConfig
from prefrl.errors import DataError, StorageError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.interchange import arrays_of, dataset_of
from prefrl.rewards.learn import chance_calibration_error, held_out
from tests import linear_task

HUMAN_DATA = Path(
    os.environ.get("PREFRL_HUMAN_DATA", Path(__file__).parents[2].parent / "shared" / "data")
)
SMALL = RewardConfig(hidden_dim=16, max_updates=120)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def answers(num: int = 120, **columns: Any) -> PreferenceDataset:
    """Answers of the oracle about a linear task, in which none is held out."""
    dataset = PreferenceDataset(0.0, env_id="Linear-v0")
    left, right = (linear_task.segments(num, rng=rng(seed)) for seed in (0, 1))
    dataset.add(left, right, linear_task.oracle(left, right), session=0, rng=rng(), **columns)
    return dataset


class TestHoldingOut:
    def test_the_split_of_the_file_comes_first(self) -> None:
        dataset = answers(6, group=np.arange(6))
        dataset.is_validation[[1, 4]] = True
        is_held, by = held_out(dataset, rng=rng())
        assert by == "split"
        assert np.flatnonzero(is_held).tolist() == [1, 4]

    def test_groups_come_next_and_stay_whole(self) -> None:
        group = np.repeat(["a", "b", "c", "d", "e", ""], 20)
        is_held, by = held_out(answers(group=group), rng=rng())
        assert by == "group"
        assert 10 <= is_held.sum() <= 40
        for name in "abcde":
            assert len(set(is_held[group == name])) == 1
        assert 0 <= is_held[group == ""].sum() < 20

    def test_answers_in_no_group_are_one_each_whatever_their_questions_are_called(self) -> None:
        """Of a number that is a hash, or below 0, nothing is counted on."""
        for question in (-np.arange(40), np.iinfo(np.int64).max - np.arange(40)):
            group = np.where(np.arange(40) < 20, np.arange(40) % 2, -1)
            held = [
                held_out(answers(40, group=group, question=question), rng=rng(seed))[0]
                for seed in range(20)
            ]
            assert all(len(set(is_held[group == 0])) == 1 for is_held in held)
            assert any(is_held[group == -1].any() and not is_held.all() for is_held in held)
            together = [is_held[:20:2].any() == is_held[-1] for is_held in held]
            assert len(set(together)) == 2  # neither always held out with a group, nor never

    def test_a_column_that_groups_nothing_is_no_group(self) -> None:
        dataset = answers(20)
        arrays = arrays_of(dataset) | {"group": np.full(20, -1)}
        assert held_out(dataset_of(arrays), rng=rng())[1] == "random"

    def test_else_a_fifth_is_drawn_and_answers_to_one_question_stay_together(self) -> None:
        question = np.repeat(np.arange(60), 2)
        is_held, by = held_out(answers(question=question), rng=rng())
        assert by == "random"
        assert is_held.sum() == 24
        np.testing.assert_array_equal(is_held[::2], is_held[1::2])

    def test_a_single_group_is_held_out_by_nobody(self) -> None:
        assert held_out(answers(group=np.zeros(120, int)), rng=rng())[1] == "random"

    def test_one_answer_is_trained_on(self) -> None:
        is_held, by = held_out(answers(1), rng=rng())
        assert (is_held.tolist(), by) == ([False], "nothing")

    def test_skips_count_for_nothing(self) -> None:
        dataset = answers(100)
        dataset.p_left[:90] = np.nan
        is_held, _ = held_out(dataset, rng=rng())
        assert (is_held & ~np.isnan(dataset.p_left)).sum() == 2


class TestFitting:
    def test_a_linear_task_is_learned_from_answers_alone(self) -> None:
        dataset = answers(300)
        model, report = prefrl.fit_reward_model(dataset, config=SMALL)
        assert report.accuracy > 0.9
        assert report.nll < 0.4
        assert report.error_rate < 0.15
        assert (report.num_answers, report.num_trained_on, report.num_held_out) == (300, 240, 60)
        assert report.held_out_by == "random"
        assert report.reliability.counts.sum() == report.num_decisive
        assert model.config.env_id == "Linear-v0"
        assert model.config.observation_dim == linear_task.OBSERVATION_DIM

    def test_wrong_answers_are_noticed(self) -> None:
        right, wrong = answers(300), answers(300)
        turned = rng(3).random(300) < 0.2
        wrong.p_left[turned] = 1 - wrong.p_left[turned]
        clean, noisy = (
            prefrl.fit_reward_model(part, config=SMALL)[1].error_rate for part in (right, wrong)
        )
        assert noisy > clean + 0.05

    def test_held_out_answers_play_no_part_in_it(self) -> None:
        dataset, altered = answers(), answers()
        for one in (dataset, altered):
            one.is_validation[:40] = True
        altered.p_left[:40] = 1 - altered.p_left[:40]
        fitted, again = (
            prefrl.fit_reward_model(part, config=SMALL)[0].state_dict()
            for part in (dataset, altered)
        )
        for name, tensor in fitted.items():
            np.testing.assert_array_equal(tensor.numpy(), again[name].numpy(), err_msg=name)

    def test_questions_that_were_put_again_play_no_part_in_it(self) -> None:
        dataset, repeated = answers(), answers()
        # The contrary of the first thirty, which would be learned from if it were read.
        left, right = repeated.pairs.left[np.arange(30)], repeated.pairs.right[np.arange(30)]
        said, number = repeated.p_left[:30].copy(), repeated.question[:30].copy()
        repeated.add(
            right, left, said, session=1, rng=rng(), question=number, is_repeat=np.ones(30, bool)
        )
        repeated.is_validation[-5:] = dataset.is_validation[:3] = repeated.is_validation[:3] = True
        (one, report), (other, of_repeated) = (
            prefrl.fit_reward_model(part, config=SMALL) for part in (dataset, repeated)
        )
        for name, tensor in one.state_dict().items():
            np.testing.assert_array_equal(tensor.numpy(), other.state_dict()[name].numpy(), name)
        assert {**report.as_json(), "fit_s": 0} == {**of_repeated.as_json(), "fit_s": 0}

    def test_it_repeats_itself_on_a_seed(self) -> None:
        dataset = answers()
        before = {name: getattr(dataset, name).copy() for name in ("p_left", "is_validation")}
        one, again, other = (
            prefrl.fit_reward_model(dataset, config=SMALL, seed=seed)[1].nll for seed in (0, 0, 1)
        )
        assert one == again != other
        for name, array in before.items():
            np.testing.assert_array_equal(getattr(dataset, name), array)

    def test_intervals_take_answers_of_the_training_part(self) -> None:
        config = RewardConfig(hidden_dim=16, max_updates=20, interval_coverage=0.8)
        model, report = prefrl.fit_reward_model(answers(), config=config)
        assert model.interval[0] == 0.8
        assert report.num_held_out == 24

    def test_rows_of_features_belong_to_no_environment(self) -> None:
        stream = rng()
        features = stream.normal(size=(80, 3)).astype(np.float32)
        left, right = np.arange(40), np.arange(40, 80)
        arrays = {
            "observations": features,
            "actions": np.zeros((80, 0), np.float32),
            "left_start": left,
            "right_start": right,
            "segment_length": np.asarray(1),
            "p_left": (features[left, 0] > features[right, 0]).astype(float),
        }
        model, report = prefrl.fit_reward_model(dataset_of(arrays), config=SMALL)
        assert model.config.observation_dim is None
        assert report.accuracy > 0.5

    def test_answers_about_two_objectives_are_each_held_against_their_own(self) -> None:
        left, right = (linear_task.segments(300, rng=rng(seed)) for seed in (0, 1))
        p_left = linear_task.oracle(left, right)
        objective = np.arange(300) % 2
        dataset = PreferenceDataset(0.0)
        # The second wants the contrary of the first.
        contrary = np.where(objective == 1, 1 - p_left, p_left)
        dataset.add(left, right, contrary, session=0, rng=rng(), objective=objective)
        model, report = prefrl.fit_reward_model(dataset, config=SMALL)
        assert model.config.num_objectives == 2
        assert report.accuracy > 0.8

    @pytest.mark.parametrize(
        ("objective", "expected"),
        [
            ([0, 2], "no answer is about objective 1, though one is about objective 2"),
            ([0, 10**12], "no answer is about objective 1, though one is about objective 1000000"),
            ([-1, 0], "an answer is about objective -1; they are counted from 0"),
        ],
    )
    def test_an_objective_that_nothing_is_known_of_is_refused(
        self, objective: list[int], expected: str
    ) -> None:
        """It would count as much as the others, untrained."""
        with pytest.raises(DataError, match=expected):
            prefrl.fit_reward_model(answers(20, objective=np.tile(objective, 10)), config=SMALL)

    def test_segments_of_several_lengths_are_learned_from(self) -> None:
        left, right = (linear_task.segments(200, rng=rng(seed)) for seed in (0, 1))
        length = rng().integers(2, 6, size=200)
        left, right = left.shortened(length), right.shortened(length)
        dataset = PreferenceDataset(0.0)
        dataset.add(left, right, linear_task.oracle(left, right), session=0, rng=rng())
        _, report = prefrl.fit_reward_model(dataset, config=SMALL)
        assert report.accuracy > 0.8

    def test_nothing_held_out_is_nothing_measured(self) -> None:
        _, report = prefrl.fit_reward_model(answers(1), config=SMALL)
        assert math.isnan(report.accuracy)
        plain = json.loads(json.dumps(report.as_json()))
        assert plain["accuracy"] is plain["chance_ece"] is None
        assert plain["reliability"]["counts"] == []

    def test_without_answers_there_is_nothing_to_fit_to(self, tmp_path: Path) -> None:
        dataset = answers(4)
        dataset.p_left[:] = np.nan
        with pytest.raises(DataError, match="no answer to fit a reward model to"):
            prefrl.fit_reward_model(dataset)
        with pytest.raises(StorageError, match=r"there is no file .*no\.npz"):
            prefrl.fit_reward_model(tmp_path / "no.npz")


class TestChance:
    def test_sure_predictions_that_are_right_leave_nothing_to_chance(self) -> None:
        assert chance_calibration_error(np.array([0.0, 1.0, 1.0]), rng=rng()) == 0.0

    def test_one_answer_at_three_quarters_is_off_by_three_eighths(self) -> None:
        # Right three times of four and then off by 1/4, else by 3/4.
        assert chance_calibration_error(np.array([0.75]), rng=rng()) == pytest.approx(
            0.375, abs=0.05
        )

    def test_it_falls_with_the_number_of_answers(self) -> None:
        few, many = (
            chance_calibration_error(rng().uniform(size=num), rng=rng()) for num in (50, 5_000)
        )
        assert many < 0.25 * few


@pytest.mark.parametrize(
    ("name", "by", "accuracy"),
    [("door_human.npz", "random", 0.88), ("arguments_human.npz", "group", 0.7)],
)
def test_people_are_predicted(name: str, by: str, accuracy: float) -> None:
    path = HUMAN_DATA / name
    if not path.exists():
        pytest.skip(f"needs {name} in the folder that PREFRL_HUMAN_DATA names")
    _, report = prefrl.fit_reward_model(path)
    assert report.held_out_by == by
    assert report.accuracy > accuracy
    assert report.ece < 3 * report.chance_ece
