import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from prefrl.rewards.losses import bradley_terry_nll, preference_accuracy

LOGIT = st.floats(-50, 50, width=32)
ANSWER = st.sampled_from([0.0, 0.5, 1.0])
COUNT = st.integers(0, 4)
ROWS = st.lists(st.tuples(LOGIT, LOGIT, ANSWER, COUNT, COUNT), min_size=1, max_size=12)


def split(rows: list[tuple[float, float, float, int, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Two heads' logits, the answers, and how often each head has each of them."""
    table = torch.tensor(rows, dtype=torch.float64)
    return table[:, :2], table[:, 2], table[:, 3:]


class TestBradleyTerryNll:
    def test_one_answer_costs_what_it_surprises(self):
        # "Left" from a head that expects it with probability sigmoid(ln 3) = 3/4.
        logits = torch.tensor([[math.log(3.0)]])
        left = bradley_terry_nll(logits, torch.tensor([1.0]), torch.ones(1, 1))
        right = bradley_terry_nll(logits, torch.tensor([0.0]), torch.ones(1, 1))
        assert left.item() == pytest.approx(math.log(4 / 3))
        assert right.item() == pytest.approx(math.log(4))

    def test_a_tie_is_half_of_each_answer(self):
        logits = torch.tensor([[math.log(3.0)]])
        loss = bradley_terry_nll(logits, torch.tensor([0.5]), torch.ones(1, 1))
        assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)

    def test_each_head_pays_for_its_own_bootstrap_sample(self):
        logits = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(3.0)], [9.0, 9.0]])
        answers = torch.tensor([1.0, 1.0, 0.0])
        counts = torch.tensor([[2.0, 1.0], [1.0, 3.0], [0.0, 0.0]])
        loss = bradley_terry_nll(logits, answers, counts)
        first = (2 * math.log(4 / 3) + math.log(2)) / 3
        second = (math.log(2) + 3 * math.log(4 / 3)) / 4
        assert loss.tolist() == pytest.approx([first, second])

    def test_a_head_without_comparisons_costs_nothing_and_learns_nothing(self):
        logits = torch.tensor([[5.0, 5.0]], requires_grad=True)
        loss = bradley_terry_nll(logits, torch.tensor([0.0]), torch.tensor([[0.0, 1.0]]))
        assert loss[0].item() == 0.0
        loss.sum().backward()
        assert logits.grad is not None
        assert logits.grad[0, 0].item() == 0.0
        assert logits.grad[0, 1].item() > 0.9

    def test_heads_that_cannot_tell_pay_ln_2_whatever_the_answers(self):
        loss = bradley_terry_nll(torch.zeros(3, 2), torch.tensor([0.0, 0.5, 1.0]), torch.ones(3, 2))
        assert loss.tolist() == pytest.approx([math.log(2)] * 2)

    def test_huge_logits_cost_in_proportion_and_stay_finite(self):
        logits = torch.tensor([[1e4], [-1e30], [1e30]], requires_grad=True)
        answers = torch.tensor([0.0, 0.0, 1.0])
        losses = [
            bradley_terry_nll(logits[i : i + 1], answers[i : i + 1], torch.ones(1, 1)).item()
            for i in range(3)
        ]
        assert losses == pytest.approx([1e4, 0.0, 0.0])
        bradley_terry_nll(logits, answers, torch.ones(3, 1)).sum().backward()
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()

    @given(rows=ROWS)
    def test_it_is_the_mean_of_naive_log_probabilities(self, rows):
        logits, answers, counts = split(rows)
        loss = bradley_terry_nll(logits, answers, counts)
        for head in range(2):
            total = weight = 0.0
            for (*both, answer, first, second), logit in zip(rows, logits[:, head], strict=True):
                p_left = 1 / (1 + math.exp(-float(logit)))
                p_right = 1 / (1 + math.exp(float(logit)))
                count = (first, second)[head]
                total -= count * (answer * math.log(p_left) + (1 - answer) * math.log(p_right))
                weight += count
                assert len(both) == 2
            assert loss[head].item() == pytest.approx(total / max(weight, 1), rel=1e-6, abs=1e-9)

    @given(rows=ROWS)
    def test_swapping_left_and_right_changes_nothing(self, rows):
        logits, answers, counts = split(rows)
        torch.testing.assert_close(
            bradley_terry_nll(-logits, 1 - answers, counts),
            bradley_terry_nll(logits, answers, counts),
        )

    @given(rows=ROWS)
    def test_an_answer_held_twice_counts_as_two(self, rows):
        logits, answers, counts = split(rows)
        repeats = counts[:, 0].to(torch.int64)
        written_out = bradley_terry_nll(
            logits[:, :1].repeat_interleave(repeats, 0),
            answers.repeat_interleave(repeats),
            torch.ones(int(repeats.sum()), 1),
        )
        loss = bradley_terry_nll(logits, answers, counts)
        torch.testing.assert_close(written_out, loss[:1], check_dtype=False)


class TestPreferenceAccuracy:
    def test_it_is_the_share_of_decisive_answers_whose_sign_is_right(self):
        logits = torch.tensor([2.0, -1.0, 0.1, -0.1, 5.0])
        answers = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.5])
        assert preference_accuracy(logits, answers) == 0.5
        assert preference_accuracy(torch.tensor([3.0, -3.0]), torch.tensor([1.0, 0.0])) == 1.0
        assert preference_accuracy(torch.tensor([-3.0, 3.0]), torch.tensor([1.0, 0.0])) == 0.0

    @pytest.mark.parametrize("answer", [0.0, 1.0])
    def test_a_model_that_cannot_tell_is_as_good_as_a_coin(self, answer):
        assert preference_accuracy(torch.zeros(4), torch.full((4,), answer)) == 0.5

    @pytest.mark.parametrize("num", [0, 3])
    def test_without_decisive_answers_there_is_none(self, num):
        assert math.isnan(preference_accuracy(torch.ones(num), torch.full((num,), 0.5)))

    @given(rows=ROWS)
    def test_swapping_left_and_right_changes_nothing(self, rows):
        logits, answers, _ = split(rows)
        swapped = preference_accuracy(-logits[:, 0], 1 - answers)
        assert swapped == pytest.approx(preference_accuracy(logits[:, 0], answers), nan_ok=True)
