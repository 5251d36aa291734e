import json
import threading

import numpy as np
import pytest

from lab import backflip
from lab.backflip import Labeller, answer, count, preferences, shows
from lab.hopper_pose import pose_of
from prefrl import QueryConfig, RewardConfig, RunConfig, TeacherConfig, run
from prefrl.errors import ConfigError
from prefrl.feedback.dataset import PreferenceDataset
from tests import tiny_runs

STANDING_M = 1.21
AIR_M = 3.0


def motion(turned_rad, height_m=AIR_M):
    """Returns (T, O) observations of a stretched Hopper that turns backwards."""
    turned_rad = np.asarray(turned_rad, dtype=float)
    observations = np.zeros((len(turned_rad), 11))
    observations[:, 0], observations[:, 1] = height_m, -turned_rad
    return observations


def one(observations):
    return float(shows(observations[None])[0])


STANDS = motion(np.zeros(11), STANDING_M)
FLIPS = motion(np.linspace(0, 3, 11))
LIES = motion(np.full(11, np.pi / 2), 0.05)


def test_a_hopper_that_stands_touches_the_floor_with_its_foot_alone():
    pose = pose_of(STANDS)
    assert np.abs(pose.foot_m).max() < 0.001
    assert pose.rest_m.min() > 2 * backflip.CLEAR_M


def test_turning_back_high_in_the_air_counts_in_full_and_height_is_worth_some_turning():
    height_m = float(pose_of(motion([0.3])).foot_m[0])
    stretched = motion([0.3, 0.4, 0.5, 0.6])
    heights_m = np.minimum(pose_of(stretched).foot_m, pose_of(stretched).rest_m)
    assert height_m > backflip.HIGH_M
    assert one(stretched) == pytest.approx(0.3 + 2.5 * heights_m.mean())
    assert one(stretched[::-1]) == pytest.approx(-0.3 + 2.5 * heights_m.mean())


def test_turning_back_on_the_foot_counts_less_and_turning_to_and_fro_counts_against():
    leans = motion([0.0, 0.01], STANDING_M)
    assert one(leans) == pytest.approx(0.003, abs=1e-3)
    rocks = motion([0.0, 0.01, 0.0, 0.01, 0.0], STANDING_M)
    assert one(rocks) == pytest.approx(2 * (0.003 - 0.01), abs=2e-3)
    assert one(STANDS) == pytest.approx(0.0, abs=1e-3)


def test_lying_counts_against_a_side():
    assert one(LIES) == pytest.approx(-2.5)
    half = np.concatenate([STANDS, motion(np.zeros(11), 0.5)])
    assert one(half) == pytest.approx(-1.25, abs=1e-3)


def test_the_side_that_shows_more_is_preferred_and_sides_alike_are_a_tie():
    sides = [FLIPS, STANDS, LIES, STANDS]
    others = [STANDS, FLIPS, STANDS, motion(np.linspace(0, 0.04, 11), STANDING_M)]
    np.testing.assert_array_equal(preferences(np.array(sides), np.array(others)), [1, 0, 0, 0.5])


def test_an_answer_is_given_to_what_the_service_sends():
    def side(observations):
        return {"observations": observations.tolist(), "actions": [], "sim_states": []}

    assert answer({"id": 3, "left": side(FLIPS), "right": side(STANDS)}) == "left"
    assert answer({"id": 3, "left": side(LIES), "right": side(STANDS)}) == "right"
    assert answer({"id": 3, "left": side(LIES), "right": side(LIES)}) == "tie"


def test_full_turns_are_counted_and_those_that_end_on_the_foot_are_landings():
    turn = np.linspace(0, 2 * np.pi, 41)
    in_the_air = motion(2.4 * turn)
    assert count(in_the_air) == backflip.Flips(2, 2, 0, 0.0)
    lands = np.concatenate([motion(turn), motion(np.full(5, 2 * np.pi), STANDING_M)])
    assert count(lands) == backflip.Flips(1, 1, 1, 0.0)
    assert count(motion(-turn)).turns == 0
    # A turn that goes back again is no second one.
    assert count(motion(np.concatenate([turn, turn[::-1], turn]))).turns == 1


def test_a_turn_over_the_ground_is_not_clear_and_lying_on_the_back_is_no_landing():
    turn = np.linspace(0, 2 * np.pi, 40)
    height_m = np.where(np.arange(40) < 10, 0.05, AIR_M)
    rolls = count(motion(turn, height_m))
    assert (rolls.turns, rolls.clear_turns, rolls.upright_landings) == (1, 0, 0)
    assert 0.1 < rolls.lying_share <= 0.25
    over = np.concatenate([motion(turn), motion(np.full(5, 2.5 * np.pi), 0.05)])
    assert count(over).upright_landings == 0


def test_a_labeller_answers_a_whole_run_over_http_as_it_would_in_process(
    tmp_path, capsys, without_curves
):
    pytest.importorskip("fastapi", reason="the extra human is missing")
    from prefrl.labelling.clips.graphics import choose_graphics

    try:
        choose_graphics()
    except ConfigError as error:
        pytest.skip(str(error))
    folder = tmp_path / "run"
    labeller = Labeller(folder)
    thread = threading.Thread(target=labeller.label, daemon=True)
    thread.start()
    config = RunConfig(
        env="Hopper-v5",
        agent="sac",
        agent_settings=tiny_runs.SAC_SETTINGS,
        steps=300,
        explore_steps=100,
        budget=6,
        segment_length=10,
        teacher=TeacherConfig("human"),
        sync_feedback=True,
        eval_episodes=0,
        max_episode_steps=60,
        env_kwargs={"frame_skip": 16},
        queries=QueryConfig(num_sessions=2, min_candidates=10, repeat_share=0.0),
        reward_model=RewardConfig(hidden_dim=8, max_updates=4),
    )
    result = run(config, out=folder, show_progress=False)
    thread.join()
    assert labeller.num_given == result.summary["num_answers"] == 6
    said = PreferenceDataset.load(folder / "comparisons.npz")
    sides = [np.concatenate([b.observations for b in side]) for side in (said.left, said.right)]
    np.testing.assert_array_equal(said.p_left, preferences(*sides))
    backflip.main(["count", str(folder), "--episodes", "2"])
    (counted,) = json.loads(capsys.readouterr().out)
    assert counted["num_answers"] == 6
    assert counted["num_episodes"] == 2
    assert counted["turns"] >= counted["clear_turns"] >= 0


def test_odd_words_are_refused_in_a_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        backflip.main(["jump", str(tmp_path)])
    assert ended.value.code == 2
    assert "invalid choice" in capsys.readouterr().err
