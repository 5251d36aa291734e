import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prefrl.labelling.clips.shown import shown_steps


def test_a_segment_that_lasts_long_enough_is_shown_alone():
    shown = shown_steps(10, 60, num_steps=1000, dt=0.05)
    assert shown.steps.tolist() == list(range(10, 60))
    assert shown.counts == (0, 50)
    assert shown.dt == 0.05


def test_a_short_segment_gets_context_on_both_sides():
    shown = shown_steps(100, 104, num_steps=1000, dt=0.1)
    assert shown.steps.tolist() == list(range(97, 107))  # 10 frames of .1 s: 3 before, 3 after
    assert shown.counts == (3, 7)


def test_where_the_episode_begins_the_context_comes_after():
    shown = shown_steps(1, 5, num_steps=1000, dt=0.1)
    assert shown.steps.tolist() == list(range(10))
    assert shown.counts == (1, 5)


def test_where_the_episode_ends_the_context_comes_before():
    shown = shown_steps(16, 20, num_steps=20, dt=0.1)
    assert shown.steps.tolist() == list(range(10, 20))
    assert shown.counts == (6, 10)


def test_where_the_episode_is_too_short_the_last_picture_stands_still():
    shown = shown_steps(0, 3, num_steps=4, dt=0.1)
    assert shown.steps.tolist() == [0, 1, 2, 3, 3, 3, 3, 3, 3, 3]
    assert shown.counts == (0, 3)


def test_of_a_fast_simulation_about_thirty_frames_a_second_are_shown():
    shown = shown_steps(100, 150, num_steps=1000, dt=0.008)  # Hopper's
    assert shown.dt == 0.032
    assert len(shown.steps) == 32
    assert set(np.diff(shown.steps)) == {4}
    assert 100 in shown.steps
    assert shown.counts == (9, 22)  # 13 frames of the segment, 19 around it


@given(
    num_steps=st.integers(1, 400),
    data=st.data(),
    dt=st.sampled_from([0.001, 0.002, 0.008, 0.015, 0.02, 0.025, 1 / 30, 0.05, 0.3, 2.0]),
)
def test_every_clip_lasts_a_second_within_its_episode_at_real_time(num_steps, data, dt):
    first = data.draw(st.integers(0, num_steps - 1))
    stop = data.draw(st.integers(first + 1, num_steps))
    shown = shown_steps(first, stop, num_steps=num_steps, dt=dt)
    assert 0 <= shown.steps.min() <= shown.steps.max() < num_steps
    assert len(shown.steps) * shown.dt >= 1 - 1e-9
    begin, end = shown.counts
    within = shown.steps[begin:end]
    stride = round(shown.dt / dt)
    assert within.tolist() == list(range(first, stop, stride))
    assert (shown.steps[:begin] < first).all()
    assert set(np.diff(shown.steps)) <= {stride, 0}
    if len(within) * shown.dt >= 1:
        assert shown.counts == (0, len(shown.steps))
    if 0 in np.diff(shown.steps):  # Only where nothing is left to be shown.
        assert shown.steps.min() < stride
        assert shown.steps.max() >= num_steps - stride
