from pathlib import Path

import pytest

from prefrl.config import BenchmarkConfig, PoolSettings, Schedule
from prefrl.errors import ConfigError


class TestSchedule:
    @pytest.mark.parametrize(
        ("budgets", "totals"),
        [
            ((100, 300, 700), [50, 75, 100, 167, 233, 300, 433, 567, 700]),
            ((50,), [50]),
            ((20, 30), [20, 30]),
        ],
    )
    def test_sessions_grow_with_what_was_asked_and_every_budget_ends_one(self, budgets, totals):
        assert Schedule(budgets).totals() == totals

    @pytest.mark.parametrize("budgets", [(), (0, 5), (300, 100), (5, 5)])
    def test_budgets_that_make_no_sense_are_refused(self, budgets):
        with pytest.raises(ConfigError, match=r"^budgets"):
            Schedule(budgets)


class TestPool:
    def test_its_file_says_what_it_is_of(self):
        pool = PoolSettings("Lab/Arm-v0", 4_000, num_test=200, seed=3)
        assert pool.path(Path("inputs")) == Path("inputs/Lab_Arm-v0-4000-50-4000-200-3.npz")

    @pytest.mark.parametrize("name", ["steps", "segment_length", "num_candidates", "num_test"])
    def test_a_number_out_of_range_is_named(self, name):
        with pytest.raises(ConfigError, match=rf"^pool\.{name} is 0; expected 1 or more"):
            PoolSettings("Pendulum-v1", **{name: 0})


def test_a_benchmark_and_its_parts_agree_where_nothing_is_said():
    benchmark, schedule = BenchmarkConfig(), Schedule((100,))
    assert benchmark.steps == PoolSettings("Pendulum-v1").steps
    assert benchmark.candidates == schedule.num_candidates
    assert benchmark.spread_factor == schedule.spread_factor
