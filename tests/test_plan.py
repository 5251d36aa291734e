import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.config import QueryConfig, ScheduleName
from prefrl.errors import ConfigError
from prefrl.plan import Phase, growing_episode, plan_more, plan_run, session_sizes

SCHEDULES: tuple[ScheduleName, ...] = get_args(ScheduleName)


def plan(**changes: Any) -> tuple[Phase, ...]:
    """1,000 steps, 100 of them exploration, 60 answers in 4 sessions; changed as told."""
    queries = QueryConfig(
        num_sessions=4, schedule="constant", session_spacing=1.0, last_session_at=0.7
    )
    names = [field.name for field in dataclasses.fields(QueryConfig)]
    queries = dataclasses.replace(queries, **{k: changes.pop(k) for k in names if k in changes})
    usual = {"steps": 1000, "explore_steps": 100, "budget": 60, "checkpoint_every": 500}
    return plan_run(queries=queries, **{**usual, "multiple": 1, **changes})


def sessions(phases: Sequence[Phase]) -> list[tuple[int, int]]:
    """(step, answers) of every session."""
    return [(phase.start_step, phase.num_queries) for phase in phases if phase.num_queries]


class TestSessionSizes:
    def test_a_constant_rate_shares_what_the_first_session_leaves_equally(self):
        sizes = session_sizes([0, 10, 20, 30, 40], 100, "constant", 0.2)
        np.testing.assert_array_equal(sizes, [20, 20, 20, 20, 20])

    def test_a_decreasing_rate_falls_as_2e6_over_t_plus_2e6(self):
        # At 0, 2 and 6 million steps the rate is 1, 1/2 and 1/4: shares 4/7, 2/7 and 1/7 of 70.
        sizes = session_sizes([0, 0, 2_000_000, 6_000_000], 100, "decreasing", 0.3)
        np.testing.assert_array_equal(sizes, [30, 40, 20, 10])

    def test_an_increasing_rate_rises_as_t_plus_2e6_over_2e6(self):
        sizes = session_sizes([0, 0, 2_000_000, 6_000_000], 100, "increasing", 0.3)
        np.testing.assert_array_equal(sizes, [30, 10, 20, 40])

    @pytest.mark.parametrize("schedule", SCHEDULES)
    def test_a_single_session_asks_for_everything(self, schedule):
        np.testing.assert_array_equal(session_sizes([50], 7, schedule, 0.2), [7])

    def test_all_in_the_first_session_leaves_none_for_the_others(self):
        np.testing.assert_array_equal(session_sizes([0, 10, 20], 9, "constant", 1.0), [9, 0, 0])

    def test_the_first_session_asks_for_at_least_one_answer(self):
        np.testing.assert_array_equal(session_sizes([0, 10, 20], 3, "constant", 0.0), [1, 1, 1])

    @given(
        budget=st.integers(1, 5000),
        num_sessions=st.integers(1, 60),
        schedule=st.sampled_from(SCHEDULES),
        initial_fraction=st.floats(0, 1),
        apart=st.integers(1, 1_000_000),
    )
    def test_sizes_sum_to_the_budget_and_follow_their_rate(
        self, budget, num_sessions, schedule, initial_fraction, apart
    ):
        steps = np.arange(num_sessions) * apart
        sizes = session_sizes(steps.tolist(), budget, schedule, initial_fraction)
        assert len(sizes) == num_sessions
        assert sizes.sum() == budget
        assert sizes[0] >= 1
        assert (sizes >= 0).all()
        rate = {"constant": 1, "decreasing": 2e6 / (steps + 2e6), "increasing": steps + 2e6}
        later = np.broadcast_to(rate[schedule], steps.shape)[1:].astype(np.float64)
        if len(later):
            shares = later / later.sum() * (budget - sizes[0])
            assert (np.abs(sizes[1:] - shares) < 1 + 1e-6).all()


class TestPlan:
    def test_a_run_is_laid_out_as_computed_by_hand(self):
        # Sessions at 100, 300, 500 and 700: a fifth of 60 at first, then 48 / 3 each.
        assert plan() == (
            Phase(0, 100, is_exploration=True),
            Phase(100, 200, num_queries=12),
            Phase(300, 200, num_queries=16),
            Phase(500, 200, num_queries=16),
            Phase(700, 300, num_queries=16),
        )

    def test_long_phases_are_cut_for_checkpoints_and_ask_once(self):
        assert plan(checkpoint_every=120)[1:4] == (
            Phase(100, 120, num_queries=12),
            Phase(220, 80),
            Phase(300, 120, num_queries=16),
        )
        assert plan(checkpoint_every=60)[:2] == (
            Phase(0, 60, is_exploration=True),
            Phase(60, 40, is_exploration=True),
        )

    def test_checkpoints_are_cut_at_multiples_of_the_environments(self):
        phases = plan(multiple=8, checkpoint_every=100)
        assert {phase.num_steps % 8 for phase in phases} == {0}
        assert max(phase.num_steps for phase in phases) == 96

    def test_checkpoints_closer_than_one_stride_come_after_every_stride(self):
        assert {phase.num_steps for phase in plan(multiple=50, checkpoint_every=3)} == {50}

    def test_without_exploration_nothing_is_asked(self):
        assert plan(explore_steps=0, checkpoint_every=600) == (Phase(0, 600), Phase(600, 400))

    def test_exploration_is_rounded_up_to_whole_strides(self):
        phases = plan(multiple=8, explore_steps=97)
        assert phases[0] == Phase(0, 104, is_exploration=True)
        assert sessions(phases)[0] == (104, 12)

    def test_one_session_asks_for_everything_after_exploration(self):
        assert sessions(plan(num_sessions=1)) == [(100, 60)]

    def test_sessions_stand_evenly_or_closer_together_early(self):
        # From 100 to 700: thirds of the way, and their squares 1/9, 4/9 and 1.
        assert [step for step, _ in sessions(plan())] == [100, 300, 500, 700]
        early = plan(session_spacing=2.0)
        assert [step for step, _ in sessions(early)] == [100, 166, 366, 700]
        assert [num for _, num in sessions(early)] == [num for _, num in sessions(plan())]

    def test_even_sessions_stand_on_the_very_steps_that_floating_point_falls_just_short_of(self):
        # 10,000 + 180,000 * 7 / 9 is 149,999.99999999997 there.
        phases = plan(
            steps=500_000,
            explore_steps=10_000,
            budget=100,
            num_sessions=10,
            last_session_at=0.38,
            initial_fraction=0.1,
            checkpoint_every=10_000,
        )
        assert sessions(phases) == [(10_000 + 20_000 * session, 10) for session in range(10)]
        # So is 0.29 * 100,000 of 29,000.
        assert sessions(plan(steps=100_000, last_session_at=0.29))[-1][0] == 29_000

    def test_sessions_that_would_fall_on_one_step_become_one(self):
        phases = plan(multiple=500, explore_steps=500, num_sessions=20, last_session_at=1.0)
        assert sessions(phases) == [(500, 60)]

    def test_a_budget_of_one_is_one_answer_in_the_first_session(self):
        assert sessions(plan(budget=1, num_sessions=20)) == [(100, 1)]

    def test_a_budget_smaller_than_the_number_of_sessions_is_met_exactly(self):
        asked = sessions(plan(budget=5, num_sessions=20))
        assert [num for _, num in asked] == [1] * 5
        assert asked[0][0] == 100

    def test_no_session_stands_at_the_very_end(self):
        asked = sessions(plan(last_session_at=1.0))
        assert sum(num for _, num in asked) == 60
        assert asked[-1][0] < 1000

    def test_a_last_session_before_the_end_of_exploration_makes_one_session(self):
        assert sessions(plan(last_session_at=0.0)) == [(100, 60)]

    @given(
        strides=st.integers(2, 3000),
        multiple=st.integers(1, 64),
        explore=st.floats(0, 0.99),
        budget=st.integers(1, 2000),
        num_sessions=st.integers(1, 40),
        last_session_at=st.floats(0, 1),
        schedule=st.sampled_from(SCHEDULES),
        initial_fraction=st.floats(0, 1),
        checkpoint_every=st.integers(1, 10_000),
    )
    def test_steps_and_budget_are_met_exactly(
        self, strides, multiple, explore, budget, num_sessions, last_session_at, schedule,
        initial_fraction, checkpoint_every,
    ):  # fmt: skip
        steps = strides * multiple
        explore_steps = int(explore * (steps - multiple))
        phases = plan_run(
            steps=steps,
            explore_steps=explore_steps,
            budget=budget,
            queries=QueryConfig(
                schedule=schedule,
                initial_fraction=initial_fraction,
                num_sessions=num_sessions,
                last_session_at=last_session_at,
            ),
            checkpoint_every=checkpoint_every,
            multiple=multiple,
        )
        assert phases[0].start_step == 0
        assert phases[-1].start_step + phases[-1].num_steps == steps
        for one, following in itertools.pairwise(phases):
            assert one.start_step + one.num_steps == following.start_step
        for phase in phases:
            assert phase.num_steps > 0
            assert phase.num_steps % multiple == 0
            assert phase.num_steps <= max(checkpoint_every, multiple)
            assert not (phase.is_exploration and phase.num_queries)
        explored = sum(phase.num_steps for phase in phases if phase.is_exploration)
        assert explore_steps <= explored < explore_steps + multiple
        assert [phase.is_exploration for phase in phases] == sorted(
            (phase.is_exploration for phase in phases), reverse=True
        )
        asked = sessions(phases)
        assert sum(num for _, num in asked) == (budget if explore_steps else 0)
        assert len(asked) <= num_sessions
        if asked:
            assert asked[0][0] == explored
            assert asked[-1][0] <= max(explored, steps * last_session_at)


def more(**changes: Any) -> tuple[Phase, ...]:
    """1,000 steps more after 1,000, with 40 answers in 4 sessions; changed as told."""
    queries = QueryConfig(num_sessions=4, schedule="constant", last_session_at=0.75)
    usual = {"start": 1000, "steps": 2000, "budget": 40, "checkpoint_every": 500, "multiple": 1}
    return plan_more(queries=queries, **{**usual, **changes})


class TestPlanMore:
    def test_sessions_of_equal_size_are_spread_evenly_over_what_is_new(self):
        assert more(multiple=8, start=1000, steps=2000) == (
            Phase(1000, 248, 10),
            Phase(1248, 248, 10),
            Phase(1496, 248, 10),
            Phase(1744, 256, 10),
        )

    def test_more_steps_alone_ask_nothing(self):
        assert more(budget=0) == (Phase(1000, 500), Phase(1500, 500))

    def test_more_answers_alone_are_asked_for_at_once_and_no_step_is_taken(self):
        assert more(steps=1000) == (Phase(1000, 0, 40),)

    @given(
        start=st.integers(0, 400),
        extra=st.integers(0, 400),
        budget=st.integers(0, 60),
        checkpoint_every=st.integers(1, 2_000),
        multiple=st.sampled_from([1, 3, 8]),
    )
    def test_steps_and_budget_are_met_exactly(
        self, start, extra, budget, checkpoint_every, multiple
    ):
        start, steps = start * multiple, (start + extra) * multiple
        sizes = {"start": start, "steps": steps, "budget": budget, "multiple": multiple}
        phases = more(checkpoint_every=checkpoint_every, **sizes)
        assert sum(phase.num_steps for phase in phases) == steps - start
        assert sum(phase.num_queries for phase in phases) == budget
        assert phases[0].start_step == start
        for phase, following in itertools.pairwise(phases):
            assert phase.start_step + phase.num_steps == following.start_step
            assert phase.num_steps % multiple == 0
        assert not any(phase.is_exploration for phase in phases)
        assert max(phase.num_steps for phase in phases) <= max(checkpoint_every, multiple)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"steps": 999}, "steps is 999; expected 1000 or more"),
            ({"budget": -1}, "budget is -1; expected 0 or more"),
            ({"steps": 2001, "multiple": 8}, "steps is 2001, .* choose 2000 or 2008"),
        ],
    )
    def test_fewer_than_before_and_steps_that_cannot_be_taken_are_refused(self, changes, said):
        with pytest.raises(ConfigError, match=said):
            more(**changes)


class TestRefusals:
    @pytest.mark.parametrize(
        ("steps", "choices"), [(1001, "choose 1000 or 1008"), (5, "choose 8"), (15, "8 or 16")]
    )
    def test_steps_that_cannot_be_taken_exactly_come_with_the_nearest_that_can(
        self, steps, choices
    ):
        with pytest.raises(ConfigError, match=choices) as refused:
            plan(steps=steps, multiple=8)
        assert f"steps is {steps}" in str(refused.value)
        assert "\n" not in str(refused.value)

    @pytest.mark.parametrize(("explore_steps", "multiple"), [(1000, 1), (5000, 1), (993, 8)])
    def test_a_run_that_only_explores_is_refused(self, explore_steps, multiple):
        with pytest.raises(ConfigError, match="steps is 1000, all of it exploration"):
            plan(explore_steps=explore_steps, multiple=multiple)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("steps", 0),
            ("explore_steps", -1),
            ("budget", 0),
            ("budget", -5),
            ("checkpoint_every", 0),
        ],
    )
    def test_numbers_that_make_no_plan_are_refused_by_name(self, name, value):
        with pytest.raises(ConfigError, match=rf"{name} is {value}; expected \d or more"):
            plan(**{name: value})

    def test_a_number_of_sessions_that_is_left_open_is_refused(self):
        with pytest.raises(ConfigError, match=r"^queries\.num_sessions is None; a plan needs"):
            plan(num_sessions=None)


@pytest.mark.parametrize(
    ("step", "length"), [(0, 200), (100_000, 360), (250_000, 600), (500_000, 1000), (990_000, 1000)]
)
def test_training_episodes_grow_over_the_first_half_of_a_run(step, length):
    assert growing_episode(step, first=200, whole=1000, total_steps=1_000_000) == length
