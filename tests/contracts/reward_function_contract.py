"""What every reward function must keep to: inherit `RewardFunctionContract`."""

import random

import numpy as np
import pytest
import torch

from prefrl.types import RewardFunction
from tests.contracts.teacher_contract import global_generator_key

OBSERVATION_DIM = 4
ACTION_DIM = 2

Batch = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def transitions(num: int, *, seed: int = 0) -> Batch:
    """(N, O), (N, A), (N, O), (N,) random transitions."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(num, OBSERVATION_DIM)).astype(np.float32),
        rng.uniform(-1, 1, size=(num, ACTION_DIM)).astype(np.float32),
        rng.normal(size=(num, OBSERVATION_DIM)).astype(np.float32),
        rng.random(num) < 0.2,
    )


class RewardFunctionContract:
    """Inherited by one test class for each reward function.

    A subclass overrides the fixture `reward_function`: one of 4 observation and 2 action dims.
    """

    @pytest.fixture
    def reward_function(self) -> RewardFunction:
        raise NotImplementedError

    @pytest.mark.parametrize("num", [1, 2, 7, 1_500, 20_000])
    def test_there_is_one_finite_float32_a_transition(self, reward_function, num):
        rewards = reward_function(*transitions(num))
        assert isinstance(rewards, np.ndarray)
        assert rewards.shape == (num,)
        assert rewards.dtype == np.float32
        assert np.isfinite(rewards).all()

    def test_no_transitions_earn_nothing(self, reward_function):
        rewards = reward_function(*transitions(0))
        assert rewards.shape == (0,)
        assert rewards.dtype == np.float32

    def test_a_transition_earns_the_same_alone_and_among_others(self, reward_function):
        batch = transitions(300)
        together = reward_function(*batch)
        alone = [reward_function(*(part[i : i + 1] for part in batch))[0] for i in range(300)]
        np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-4)

    def test_asking_changes_nothing(self, reward_function):
        batch = transitions(50)
        before = [part.copy() for part in batch]
        first = reward_function(*batch).copy()
        reward_function(*transitions(80, seed=1))
        np.testing.assert_array_equal(reward_function(*batch), first)
        for part, own in zip(batch, before, strict=True):
            np.testing.assert_array_equal(part, own)

    def test_an_answer_is_not_overwritten_by_the_next(self, reward_function):
        first = reward_function(*transitions(9))
        kept = first.copy()
        reward_function(*transitions(9, seed=1))
        np.testing.assert_array_equal(first, kept)

    def test_arrays_may_lie_in_memory_as_they_like(self, reward_function):
        batch = transitions(40)
        strided = [np.repeat(part, 2, axis=0)[::2] for part in batch]
        fortran = [np.asfortranarray(part) for part in batch]
        expected = reward_function(*batch)
        np.testing.assert_allclose(reward_function(*strided), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(reward_function(*fortran), expected, rtol=1e-4, atol=1e-5)

    def test_inputs_that_cannot_be_written_are_enough(self, reward_function):
        batch = transitions(5)
        for part in batch:
            part.flags.writeable = False
        reward_function(*batch)

    def test_no_global_generator_is_drawn_from(self, reward_function):
        def states() -> list[object]:
            return [random.getstate(), global_generator_key(), torch.get_rng_state().tolist()]

        before = states()
        reward_function(*transitions(20))
        assert states() == before

    def test_it_satisfies_the_protocol(self, reward_function):
        assert isinstance(reward_function, RewardFunction)
