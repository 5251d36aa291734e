import contextlib
import itertools
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl import seeding
from prefrl.errors import ConfigError
from prefrl.seeding import (
    TEACHER,
    Streams,
    redrawn,
    seed_global_generators,
    untouched_global_generators,
)

ADDRESSES = [
    (seed, name, index)
    for seed in (0, 1, 2**40)
    for name in ("teacher", "queries", "")
    for index in (0, 1, 2)
]


def numbers(seed: int, name: str, index: int, count: int = 8) -> list[int]:
    return Streams(seed).generator(name, index).integers(2**63, size=count).tolist()


@pytest.fixture
def keep_global_generators():
    """Puts the global generators back as they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])


class TestGenerator:
    def test_no_two_addresses_share_a_number(self):
        drawn = [numbers(*address, count=100) for address in ADDRESSES]
        assert len(set(itertools.chain(*drawn))) == 100 * len(ADDRESSES)

    def test_streams_of_different_names_and_indices_are_uncorrelated(self):
        drawn = np.array([Streams(s).generator(n, i).normal(size=20_000) for s, n, i in ADDRESSES])
        correlation = np.corrcoef(drawn) - np.eye(len(ADDRESSES))
        assert np.abs(correlation).max() < 6 / np.sqrt(20_000)  # six standard errors

    @settings(deadline=None, max_examples=30)
    @given(seed=st.integers(0, 2**64), name=st.text(max_size=12), index=st.integers(0, 10_000))
    def test_the_same_address_gives_the_same_numbers(self, seed, name, index):
        assert numbers(seed, name, index) == numbers(seed, name, index)

    def test_a_stream_does_not_depend_on_what_was_drawn_from_others(self):
        streams = Streams(3)
        streams.generator("queries").normal(size=100)
        first = streams.generator("teacher", 2).integers(2**63, size=8).tolist()
        streams.generator("teacher", 1).normal(size=100)
        assert streams.generator("teacher", 2).integers(2**63, size=8).tolist() == first

    def test_seed_zero_is_a_seed_like_any_other(self):
        assert numbers(0, "teacher", 0) == numbers(0, "teacher", 0)
        assert numbers(0, "teacher", 0) != numbers(1, "teacher", 0)

    def test_the_numbers_of_a_published_run_never_change(self):
        # A resumed run draws anew what it drew before: across versions and machines too.
        bits = Streams(0).generator(TEACHER, 3).bit_generator.random_raw(2)
        assert bits.tolist() == [2542176988283896911, 11833571767750585680]


class TestNames:
    def test_those_of_published_runs_are_never_lost(self):
        published = {
            "POLICY_WEIGHTS": "policy-weights",
            "AGENT": "agent",
            "EVALUATION": "evaluation",
            "EVALUATION_WHILE_TRAINING": "evaluation-while-training",
            "OBSERVE": "observe",
            "CANDIDATES": "candidates",
            "SPREAD": "spread",
            "STRATEGY": "strategy",
            "TEACHER": "teacher",
            "SPLIT": "split",
            "REWARD_WEIGHTS": "reward-weights",
            "MINIBATCH": "minibatch",
            "DROPOUT": "dropout",
            "BANK": "bank",
            "BOOTSTRAP": "bootstrap",
            "FOLDS": "folds",
            "FOLD_WEIGHTS": "fold-weights",
        }
        assert published.items() <= vars(seeding).items()

    def test_no_two_of_them_are_one_stream(self):
        values = [value for name, value in vars(seeding).items() if name.isupper()]
        assert len(set(values)) == len(values)

    def test_a_further_draw_has_a_stream_of_its_own(self):
        assert [redrawn(TEACHER, draw) for draw in range(3)] == [
            "teacher",
            "teacher 1",
            "teacher 2",
        ]


class TestOtherKinds:
    def test_integers_fit_what_libraries_take_and_differ_by_address(self):
        drawn = [Streams(seed).integer(name, index) for seed, name, index in ADDRESSES]
        assert all(type(number) is int and 0 <= number < 2**31 for number in drawn)
        assert len(set(drawn)) == len(ADDRESSES)
        assert drawn == [Streams(seed).integer(name, index) for seed, name, index in ADDRESSES]

    def test_a_torch_generator_can_be_had_again(self):
        one, other = (Streams(0).torch_generator("reward", 4) for _ in range(2))
        torch.testing.assert_close(
            torch.rand(50, generator=one), torch.rand(50, generator=other), rtol=0, atol=0
        )

    def test_torch_generators_differ_by_name_and_index(self):
        drawn = {
            tuple(torch.rand(4, generator=Streams(0).torch_generator(name, index)).tolist())
            for name in ("reward", "dropout")
            for index in (0, 1)
        }
        assert len(drawn) == 4

    def test_streams_leave_the_global_generators_alone(self):
        before = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()  # noqa: NPY002
        streams = Streams(0)
        streams.generator("teacher").normal(size=10)
        torch.rand(10, generator=streams.torch_generator("reward"))
        assert random.getstate() == before[0]
        np.testing.assert_equal(np.random.get_state(legacy=False), before[1])  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), before[2])


class TestBadSeeds:
    @pytest.mark.parametrize("seed", [-1, 1.0, "7", None, True, np.float64(3), np.int64(-1)])
    def test_what_is_no_whole_number_from_zero_up_is_refused(self, seed):
        with pytest.raises(ConfigError, match="expected a whole number, 0 or more"):
            Streams(seed)


def test_a_whole_number_of_numpys_is_the_same_seed():
    assert Streams(np.int64(3)) == Streams(3)  # type: ignore[arg-type]
    assert type(Streams(np.int64(3)).seed) is int  # type: ignore[arg-type]


class TestGlobalGenerators:
    @pytest.mark.usefixtures("keep_global_generators")
    def test_seeding_makes_all_three_repeat(self):
        drawn = []
        for _ in range(2):
            seed_global_generators(0)
            drawn.append((random.random(), np.random.random(), torch.rand(1).item()))  # noqa: NPY002
        assert drawn[0] == drawn[1]

    @pytest.mark.usefixtures("keep_global_generators")
    def test_different_seeds_differ(self):
        drawn = []
        for seed in (0, 1):
            seed_global_generators(seed)
            drawn.append((random.random(), np.random.random(), torch.rand(1).item()))  # noqa: NPY002
        assert all(one != other for one, other in zip(*drawn, strict=True))

    @pytest.mark.usefixtures("keep_global_generators")
    def test_seeds_that_integer_gives_are_accepted(self):
        for index in range(20):
            seed_global_generators(Streams(0).integer("phase", index))

    @pytest.mark.usefixtures("keep_global_generators")
    def test_what_is_drawn_while_they_are_untouched_is_not_missed_after_an_error_either(self):
        def draw() -> tuple[float, ...]:
            return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002

        seed_global_generators(0)
        expected = draw()
        seed_global_generators(0)
        with contextlib.suppress(ValueError), untouched_global_generators():
            seed_global_generators(7)
            draw()
            raise ValueError
        assert draw() == expected
