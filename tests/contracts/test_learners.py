"""The reward trainer keeps to the contract of what learns a reward."""

from typing import Any

import pytest

from prefrl.testing import check_learner
from tests import linear_task
from tests.rewards.small_trainer import make_trainer


@pytest.mark.parametrize(
    "settings",
    [{}, {"bank_size": 20}, {"shared_trunk": False, "num_reward_heads": 1}, {"restart": True}],
    ids=["as it is", "with a bank", "one member", "fitted anew"],
)
def test_a_trainer_keeps_to_the_contract(settings: dict[str, Any]) -> None:
    check_learner(
        lambda: make_trainer(**{"max_updates": 60, **settings}),
        observation_dim=linear_task.OBSERVATION_DIM,
        action_dim=linear_task.ACTION_DIM,
    )
