from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.plan import Phase
from prefrl.records.remaining import (
    EVALUATING,
    EXPLORING,
    SAVING,
    SESSION,
    TRAINING,
    Stopwatch,
    Workload,
)

EXPLORE_S, TRAIN_S, LEARN_S, SESSION_S, SAVE_S, EVALUATION_S = 0.01, 0.1, 7.0, 30.0, 0.5, 5.0


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def plan_of(sizes: Sequence[int], asking: Sequence[bool], explore: int) -> list[Phase]:
    """Phases of which the first explores, and each that asks does so at its start."""
    phases, start = [Phase(0, explore, 0, is_exploration=True)], explore
    for size, asks in zip(sizes, asking, strict=True):
        phases.append(Phase(start, size, 5 if asks or start == explore else 0))
        start += size
    return phases


def lived_through(work: Workload, stride: int) -> list[tuple[int, float, float | None]]:
    """Returns the step, the second, and what was predicted, all through a run, and its end."""
    clock = Time()
    watch, step, seen = Stopwatch(work, clock=clock), 0, []
    since_learned = 0

    def do(activity: str, duration_s: float) -> None:
        watch.begin(activity)
        clock.now_s += duration_s
        watch.end()

    for phase in work.plan:
        if phase.num_queries:
            for activity in SESSION:
                do(activity, SESSION_S / len(SESSION))
        activity = EXPLORING if phase.is_exploration else TRAINING
        watch.begin(activity)
        for _ in range(phase.num_steps // stride):
            if activity == TRAINING and work.lump and since_learned >= work.lump:
                clock.now_s += LEARN_S
                since_learned = 0
            clock.now_s += stride * (EXPLORE_S if phase.is_exploration else TRAIN_S)
            since_learned += 0 if phase.is_exploration else stride
            step += stride
            watch.took(stride)
            if work.eval_every and step % work.eval_every == 0:
                do(EVALUATING, EVALUATION_S)
            if step % 40 == 0:
                seen.append((step, clock.now_s, watch.left_s(step)))
        watch.end()
        do(SAVING, SAVE_S)
    do(EVALUATING, EVALUATION_S)
    return [(step, clock.now_s - now_s, left_s) for step, now_s, left_s in seen]


@given(
    sizes=st.lists(st.integers(1, 4).map(lambda n: 600 * n), min_size=1, max_size=5),
    data=st.data(),
    explore=st.sampled_from([600, 1_200]),
    lump=st.sampled_from([0, 200, 600]),
    eval_every=st.sampled_from([None, 600, 1_200]),
    stride=st.sampled_from([4, 8, 20]),
)
def test_a_run_of_steady_pace_is_foreseen_as_soon_as_time_is_told(
    sizes, data, explore, lump, eval_every, stride
):
    asking = data.draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    # An evaluation takes as long as it does by its steps, at the pace of exploring.
    work = Workload(
        plan_of(sizes, asking, explore),
        lump=lump,
        eval_every=eval_every,
        eval_steps=round(EVALUATION_S / EXPLORE_S),
    )
    for step, real_s, left_s in lived_through(work, stride):
        if step <= explore:
            assert left_s is None, "what training takes is not known yet"
        elif step > explore + 600 and lump <= 200:
            assert left_s is not None
        if left_s is not None:
            assert left_s == pytest.approx(real_s, rel=0.15, abs=2 * LEARN_S + 2 * EVALUATION_S)


def test_a_run_without_exploring_is_told_when_its_pace_is_known():
    clock = Time()
    watch = Stopwatch(Workload([Phase(0, 10_000)]), clock=clock)
    watch.begin(TRAINING)
    clock.now_s += 1.0
    watch.took(10)
    assert watch.left_s(10) is None, "ten steps say nothing yet"
    clock.now_s += 1.0
    watch.took(10)
    assert watch.left_s(20) == pytest.approx(9_980 * 0.1)


def test_exploring_alone_is_foreseen_at_once():
    clock = Time()
    watch = Stopwatch(Workload([Phase(0, 100, is_exploration=True)]), clock=clock)
    assert watch.left_s(0) is None
    watch.begin(EXPLORING)
    clock.now_s += 1.0
    watch.took(10)
    assert watch.left_s(10) == pytest.approx(9.0)
