"""A run with `--ease`: a kill changes none of its questions."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from prefrl import QueryConfig, RunConfig, TeacherConfig, load_comparisons, resume, run
from prefrl.config import SessionSettings
from prefrl.errors import ConfigError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.teachers import SyntheticTeacher
from prefrl.queries import Combined, make_strategy
from prefrl.queries.ease import LEAST_ANSWERS, LEAST_OF_A_KIND
from prefrl.session.feedback import Feedback
from prefrl.testing.made_up import LinearPredictor
from tests import tiny_runs
from tests.runs.stopped import stopped_after


def config(**changes: Any) -> RunConfig:
    """Asks for 60 answers in three sessions, some of which are ties."""
    return tiny_runs.ppo(
        budget=60,
        teacher=TeacherConfig("equal", equal_fraction=0.1),
        queries=QueryConfig(num_sessions=3, min_candidates=50, initial_fraction=0.4, ease=True),
        **changes,
    )


def asked(folder: Path) -> PreferenceDataset:
    return load_comparisons(folder / "comparisons.npz")


def test_a_stopped_run_asks_what_it_would_have_asked(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    run(config(), out=whole, show_progress=False)
    answers = asked(whole)
    before_last = answers.p_left[answers.session < answers.session.max()]
    assert min((before_last == 0.5).sum(), (before_last != 0.5).sum()) >= LEAST_OF_A_KIND
    assert len(before_last) >= LEAST_ANSWERS
    stopped = stopped_after(3, config(), tmp_path / "stopped")
    assert 0 < len(asked(stopped)) < 60
    resume(stopped, show_progress=False)
    again = asked(stopped)
    np.testing.assert_array_equal(again.window_pairs(), answers.window_pairs())
    np.testing.assert_array_equal(again.p_left, answers.p_left)
    for name in ("policy.safetensors", "reward_model/model.safetensors"):
        one, other = load_file(whole / name), load_file(stopped / name)
        assert one.keys() == other.keys()
        for key, array in one.items():
            np.testing.assert_array_equal(array, other[key])


def test_the_strategy_of_a_loop_of_ones_own_is_weighed_where_settings_say_so() -> None:
    for ease in (False, True):
        feedback = Feedback(
            teacher=SyntheticTeacher(TeacherConfig()),
            strategy=make_strategy("entropy"),
            learner=LinearPredictor(),  # type: ignore[arg-type]
            settings=SessionSettings(segment_length=5, ease=ease),
        )
        assert isinstance(feedback.strategy, Combined)
        assert feedback.strategy.weighs_ease == ease


def test_a_whole_strategy_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    own = config(strategy="tests.runs.test_ease:Mine")
    with pytest.raises(ConfigError, match=r"queries.ease is on, but the query strategy Mine"):
        run(own, out=tmp_path / "run", show_progress=False)
    assert not (tmp_path / "run").exists()


def test_ease_in_a_single_session_is_refused(tmp_path: Path) -> None:
    alone = replace(config(), queries=QueryConfig(num_sessions=1, ease=True))
    with pytest.raises(ConfigError, match=r"queries.ease is True, but queries.num_sessions is 1"):
        run(alone, out=tmp_path / "run", show_progress=False)


class Mine:
    def select(self, pool: Any, num_queries: int, predictor: Any, *, rng: Any) -> Any:
        raise AssertionError
