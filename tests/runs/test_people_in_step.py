"""People who are waited for session by session teach as a teacher in the process does."""

from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from prefrl import Parts, TeacherConfig, run
from prefrl.feedback.dataset import PreferenceDataset
from tests.runs.cheetah import BUDGET, X_VELOCITY, cheetah, faster
from tests.runs.labeller import Labeller

pytest.importorskip("fastapi", reason="the extra human is missing")

pytestmark = pytest.mark.usefixtures("without_curves", "graphics")


class Faster:
    """Says what `faster` says, at once."""

    def answer(self, left: Any, right: Any, *, rng: np.random.Generator) -> Any:
        sums = [
            [np.sum(one.astype(float)) for one in side.observations[:, :, X_VELOCITY]]
            for side in (left, right)
        ]
        return np.array(sums[0]) > np.array(sums[1])


def test_a_run_ends_with_the_same_answers_and_the_same_policy(tmp_path):
    labeller = Labeller(tmp_path / "people" / "run", faster, sees_clips=False)
    labeller.start()
    try:
        config = cheetah(sync_feedback=True)
        people = run(config, out=tmp_path / "people" / "run", show_progress=False)
    finally:
        labeller.is_over.set()
        labeller.join()
    assert not labeller.fault
    alone = run(
        cheetah(teacher=TeacherConfig()),
        out=tmp_path / "alone",
        parts=Parts(teacher=Faster()),
        show_progress=False,
    )
    assert people.summary["num_answers"] == alone.summary["num_answers"] == BUDGET
    said, also_said = (
        PreferenceDataset.load(result.folder / "comparisons.npz") for result in (people, alone)
    )
    for name in ("question", "p_left", "is_validation", "session", "objective"):
        np.testing.assert_array_equal(getattr(said, name), getattr(also_said, name), name)
    for side in ("left", "right"):
        one, other = (getattr(dataset.pairs, side) for dataset in (said, also_said))
        np.testing.assert_array_equal(one.observations, other.observations)
        np.testing.assert_array_equal(one.actions, other.actions)
    for name in ("reward_model/model.safetensors", "policy.safetensors"):
        # Their order in a file is up to the library.
        weights, also = (load_file(result.folder / name) for result in (people, alone))
        assert weights.keys() == also.keys()
        for tensor in weights:
            assert weights[tensor].tobytes() == also[tensor].tobytes(), f"{name}: {tensor}"
