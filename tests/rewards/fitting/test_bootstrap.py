import math

import pytest
import torch

from prefrl.rewards.fitting.bootstrap import bootstrap_counts
from prefrl.seeding import Streams
from tests.rewards.small_trainer import rng


class TestBootstrap:
    def test_counts_stay_as_answers_arrive(self):
        few = bootstrap_counts(30, 3, rng=Streams(4).generator("bootstrap"))
        many = bootstrap_counts(300, 3, rng=Streams(4).generator("bootstrap"))
        assert torch.equal(many[:30], few)

    def test_every_head_sees_a_sample_of_its_own(self):
        counts = bootstrap_counts(50, 4, rng=rng())
        for one in range(4):
            for other in range(one):
                assert not torch.equal(counts[:, one], counts[:, other])

    def test_counts_are_those_of_drawing_with_replacement(self):
        counts = bootstrap_counts(20_000, 5, rng=rng())
        assert counts.dtype == torch.float32
        assert counts.mean().item() == pytest.approx(1.0, abs=0.02)
        assert counts.var().item() == pytest.approx(1.0, abs=0.03)
        assert (counts == 0).float().mean().item() == pytest.approx(math.exp(-1), abs=0.01)

    def test_a_single_head_sees_every_answer_once(self):
        assert torch.equal(bootstrap_counts(7, 1, rng=rng()), torch.ones(7, 1))

    @pytest.mark.parametrize("seed", range(20))
    def test_no_head_is_left_without_answers(self, seed):
        assert (bootstrap_counts(1, 8, rng=rng(seed)).sum(0) > 0).all()
