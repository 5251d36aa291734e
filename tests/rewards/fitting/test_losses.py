import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from prefrl.rewards.fitting.losses import (
    bradley_terry_nll,
    calibration_penalty,
    contrastive_loss,
    diversity_penalty,
    head_correlation,
    head_std,
    preference_accuracy,
)

LOGIT = st.floats(-50, 50, width=32)
ANSWER = st.sampled_from([0.0, 0.5, 1.0])
COUNT = st.integers(0, 4)
ROWS = st.lists(st.tuples(LOGIT, LOGIT, ANSWER, COUNT, COUNT), min_size=1, max_size=12)
ERROR_RATE = st.floats(0.001, 0.9)
LN3 = math.log(3.0)  # the logit of three quarters


def split(rows: list[tuple[float, float, float, int, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Two heads' logits, the answers, and how often each head has each of them."""
    table = torch.tensor(rows, dtype=torch.float64)
    return table[:, :2], table[:, 2], table[:, 3:]


class TestBradleyTerryNll:
    def test_one_answer_costs_its_nll(self):
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


class TestBradleyTerryNllWithErrors:
    def test_a_random_answer_is_either_one_with_even_odds(self):
        # A fifth of random answers: "left" is expected with 0.1 + 0.8 * 3/4 = 0.7.
        logits = torch.tensor([[LN3]])
        losses = [
            bradley_terry_nll(logits, torch.tensor([answer]), torch.ones(1, 1), 0.2).item()
            for answer in (1.0, 0.0, 0.5)
        ]
        left, right = -math.log(0.7), -math.log(0.3)
        assert losses == pytest.approx([left, right, (left + right) / 2])

    def test_each_head_still_pays_for_its_own_sample(self):
        logits = torch.tensor([[LN3, 0.0], [-LN3, LN3]])
        counts = torch.tensor([[2.0, 0.0], [1.0, 0.0]])
        loss = bradley_terry_nll(logits, torch.tensor([1.0, 1.0]), counts, 0.2)
        first = -(2 * math.log(0.7) + math.log(0.3)) / 3
        assert loss.tolist() == pytest.approx([first, 0.0])

    @given(rows=ROWS)
    def test_without_errors_it_is_the_plain_loss_and_with_hardly_any_nearly_so(self, rows):
        logits, answers, counts = split(rows)
        plain = bradley_terry_nll(logits, answers, counts)
        assert torch.equal(bradley_terry_nll(logits, answers, counts, 0.0), plain)
        nearly = bradley_terry_nll(logits / 10, answers, counts, 1e-9)
        torch.testing.assert_close(
            nearly, bradley_terry_nll(logits / 10, answers, counts), rtol=1e-5, atol=1e-6
        )

    @given(rows=ROWS, error_rate=ERROR_RATE)
    def test_no_answer_costs_more_than_a_random_one_would(self, rows, error_rate):
        logits, answers, counts = split(rows)
        loss = bradley_terry_nll(logits * 1e6, answers, counts, error_rate)
        assert (loss >= 0).all()
        assert (loss <= -math.log(error_rate / 2) + 1e-9).all()

    @given(rows=ROWS, error_rate=ERROR_RATE)
    def test_swapping_left_and_right_changes_nothing(self, rows, error_rate):
        logits, answers, counts = split(rows)
        torch.testing.assert_close(
            bradley_terry_nll(-logits, 1 - answers, counts, error_rate),
            bradley_terry_nll(logits, answers, counts, error_rate),
        )

    def test_an_answer_that_is_surely_wrong_no_longer_pulls(self):
        logits = torch.tensor([[-30.0], [-1.0]], requires_grad=True)
        bradley_terry_nll(logits, torch.ones(2), torch.ones(2, 1), 0.1).sum().backward()
        assert logits.grad is not None
        assert abs(logits.grad[0, 0].item()) < 1e-6
        assert logits.grad[1, 0].item() < -0.1

    def test_huge_logits_leave_loss_and_gradient_finite(self):
        logits = torch.tensor([[1e4], [-1e30], [1e30], [0.0]], requires_grad=True)
        loss = bradley_terry_nll(logits, torch.tensor([0.0, 1.0, 1.0, 0.5]), torch.ones(4, 1), 0.1)
        loss.sum().backward()
        assert logits.grad is not None
        assert torch.isfinite(loss).all()
        assert torch.isfinite(logits.grad).all()


class TestDiversityPenalty:
    def test_it_is_minus_the_mean_variance_of_the_probabilities(self):
        # 3/4 and 1/4 lie a quarter from their mean; the second comparison is agreed upon.
        logits = torch.tensor([[LN3, -LN3], [LN3, LN3]])
        assert diversity_penalty(logits).item() == pytest.approx(-(0.25**2) / 2)

    @pytest.mark.parametrize("num_heads", [1, 4])
    def test_heads_that_agree_earn_nothing(self, num_heads):
        logits = torch.tensor([[2.0], [-1.0]]).expand(2, num_heads)
        assert diversity_penalty(logits).item() == pytest.approx(0.0)

    @given(rows=ROWS)
    def test_it_cannot_fall_without_end(self, rows):
        logits, _, _ = split(rows)
        assert -0.25 <= diversity_penalty(logits * 1e6).item() <= 0.0

    def test_it_pushes_heads_apart(self):
        logits = torch.tensor([[0.1, -0.1]], requires_grad=True)
        diversity_penalty(logits).backward()
        assert logits.grad is not None
        assert logits.grad[0, 0].item() < 0 < logits.grad[0, 1].item()


class TestCalibrationPenalty:
    def test_two_answers_by_hand(self):
        # Sure of "left" by 3/4, rightly: gap 1/4. Sure of "right" by 4/5, wrongly: gap -4/5.
        logits = torch.tensor([[LN3], [-math.log(4.0)]])
        kernel = math.exp(-(0.8 - 0.75) / 0.4)
        expected = math.sqrt((0.25**2 + 0.8**2 - 2 * 0.25 * 0.8 * kernel) / 4)
        penalty = calibration_penalty(logits, torch.tensor([1.0, 1.0]))
        assert penalty.item() == pytest.approx(expected)

    def test_a_tie_is_half_correct(self):
        logits = torch.tensor([[LN3], [LN3]])
        # Gaps 1/4 and -1/4 at the same confidence cancel; -1/4 alone does not.
        assert calibration_penalty(logits, torch.tensor([1.0, 0.5])).item() < 2e-6
        alone = calibration_penalty(logits[1:], torch.tensor([0.5]))
        assert alone.item() == pytest.approx(0.25)

    def test_confidence_is_that_of_the_mean_probability(self):
        penalty = calibration_penalty(torch.tensor([[LN3, 0.0]]), torch.tensor([0.0]))
        assert penalty.item() == pytest.approx(0.625)

    def test_three_in_four_right_at_three_quarters_costs_nothing(self):
        logits = torch.full((4, 1), LN3, dtype=torch.float64)
        penalty = calibration_penalty(logits, torch.tensor([1.0, 1.0, 1.0, 0.0]).double())
        assert penalty.item() < 2e-6

    def test_where_there_is_no_gap_the_gradient_is_finite(self):
        logits = torch.zeros(3, 2, requires_grad=True)
        penalty = calibration_penalty(logits, torch.full((3,), 0.5))
        penalty.backward()
        assert penalty.item() < 2e-6
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()

    def test_being_too_sure_is_pulled_back(self):
        logits = torch.full((2, 1), 3.0, requires_grad=True)
        calibration_penalty(logits, torch.tensor([1.0, 0.0])).backward()
        assert logits.grad is not None
        assert (logits.grad > 0).all()

    @given(rows=ROWS)
    def test_it_is_at_least_0_and_swapping_left_and_right_changes_nothing(self, rows):
        both, answers, _ = split(rows)
        logits = both[:, :1]
        logits = logits.where(logits.abs() > 1e-3, 1.0)  # at even odds neither side is expected
        penalty = calibration_penalty(logits, answers)
        assert penalty.item() >= 0
        swapped = calibration_penalty(-logits, 1 - answers)
        torch.testing.assert_close(swapped, penalty, rtol=1e-5, atol=1e-5)


class TestContrastiveLoss:
    def test_one_segment_and_two_entries_by_hand(self):
        embedding, value = torch.tensor([[2.0, 0.0]]), torch.tensor([0.0])
        entries, entry_values = torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([0.0, 1.0])
        # Values differ by 0 and 1, by half on average: wanted as 1 to e^-2. Cosines 1 and 0.
        wanted = 1 / (1 + math.exp(-2.0))
        actual = 1 / (1 + math.exp(-1 / 0.5))
        expected = -(wanted * math.log(actual) + (1 - wanted) * math.log(1 - actual))
        loss = contrastive_loss(embedding, value, entries, entry_values, temperature=0.5)
        assert loss.item() == pytest.approx(expected)
        sharper = contrastive_loss(embedding, value, entries, entry_values)
        actual = 1 / (1 + math.exp(-10.0))
        expected = -(wanted * math.log(actual) + (1 - wanted) * math.log(1 - actual))
        assert sharper.item() == pytest.approx(expected, rel=1e-5)

    def test_it_is_lower_when_like_values_are_near(self):
        embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        values, entry_values = torch.tensor([1.0, -1.0]), torch.tensor([0.9, -1.1])
        near = contrastive_loss(embeddings, values, embeddings, entry_values)
        far = contrastive_loss(embeddings, values, embeddings.flip(0), entry_values)
        assert near.item() < far.item()

    def test_the_unit_of_values_does_not_matter(self):
        generator = torch.Generator().manual_seed(0)
        embeddings, entries = (torch.randn(n, 3, generator=generator) for n in (4, 6))
        values, entry_values = (torch.randn(n, generator=generator) for n in (4, 6))
        torch.testing.assert_close(
            contrastive_loss(embeddings, 100 * values, entries, 100 * entry_values),
            contrastive_loss(embeddings, values, entries, entry_values),
        )

    def test_only_embeddings_learn_even_where_all_values_are_alike(self):
        embeddings = torch.tensor([[1.0, 0.2], [0.0, 1.0]], requires_grad=True)
        values = torch.ones(2, requires_grad=True)
        loss = contrastive_loss(embeddings, values, torch.eye(2), torch.ones(2))
        loss.backward()
        assert values.grad is None
        assert embeddings.grad is not None
        assert torch.isfinite(embeddings.grad).all()
        assert embeddings.grad.abs().sum() > 0


class TestHeadCorrelation:
    def test_three_heads_by_hand(self):
        # Centred: (-1, 0, 1), (-1, 1, 0) and (1, 0, -1); correlations 1/2, -1 and -1/2.
        scores = torch.tensor([[0.0, 5.0, 2.0], [1.0, 7.0, 1.0], [2.0, 6.0, 0.0]])
        assert head_correlation(scores[:, :2]) == pytest.approx(0.5)
        assert head_correlation(scores) == pytest.approx(-1 / 3)

    def test_heads_that_collapsed_onto_one_are_fully_correlated(self):
        scores = torch.tensor([[0.3], [1.0], [-2.0]])
        assert head_correlation(scores.expand(3, 4)) == pytest.approx(1.0)
        assert head_correlation(torch.cat([scores, 3 * scores + 7], 1)) == pytest.approx(1.0)

    @pytest.mark.parametrize(
        "scores",
        [
            torch.tensor([[1.0], [2.0]]),
            torch.tensor([[1.0, 2.0]]),
            torch.zeros(0, 3),
            torch.tensor([[0.1, 1.0], [0.1, 2.0], [0.1, 4.0]]),
        ],
        ids=["one head", "one segment", "none", "a head that says the same of everything"],
    )
    def test_without_two_heads_that_tell_segments_apart_there_is_none(self, scores):
        assert math.isnan(head_correlation(scores))


class TestHeadSpread:
    def test_two_heads_by_hand(self):
        # Centred: (-1, 1) and (-3, 3); their mean is (-2, 2), so every score is 1 away from it.
        scores = torch.tensor([[0.0, 1.0], [2.0, 7.0]])
        assert head_std(scores) == pytest.approx(1.0)

    def test_heads_that_collapsed_onto_one_are_nothing_apart_whatever_their_zero(self):
        scores = torch.tensor([[0.3], [1.0], [-2.0]])
        assert head_std(torch.cat([scores, scores + 7], 1)) == pytest.approx(0.0, abs=1e-6)

    def test_all_but_fully_correlated_heads_may_be_far_apart(self):
        scores = (
            1e4 * torch.arange(100.0)[:, None]
            + torch.tensor([1.0, -1.0]) * (-1.0) ** torch.arange(100)[:, None]
        )
        assert head_correlation(scores) > 1 - 1e-6
        assert head_std(scores) == pytest.approx(1.0, rel=1e-2)

    @pytest.mark.parametrize("shape", [(2, 1), (1, 2), (0, 3)])
    def test_without_two_heads_and_two_segments_there_is_none(self, shape):
        assert math.isnan(head_std(torch.zeros(shape)))


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
