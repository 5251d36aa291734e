import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from prefrl.config import RewardConfig
from prefrl.feedback.dataset import Comparisons
from prefrl.rewards import EnhancedRewardModel
from prefrl.rewards.fitting.answers import AnswerTensors, stride_of, thinned
from prefrl.rewards.fitting.comparing import FittingLoss, comparison_logits, loss_of
from prefrl.rewards.fitting.descent import (
    CHECK_EVERY,
    adapted_l2,
    descend,
    learning_rate,
    mean_loss,
)
from prefrl.rewards.fitting.losses import (
    bradley_terry_nll,
    calibration_penalty,
    contrastive_loss,
    diversity_penalty,
)
from prefrl.rewards.fitting.prior import regularised
from tests.rewards.small_model import SHAPES, assert_same, make_model, rows, weights_of

CPU = torch.device("cpu")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def answers_of(num: int, *, seed: int = 0, num_heads: int = 3) -> AnswerTensors:
    """Answers to which segment's first input is larger, all of them seen by all heads."""
    pairs = rows(num, 2, 4, seed=seed)
    totals = pairs[..., 0].sum(-1)
    p_left = (totals[:, 0] > totals[:, 1]).float()
    return AnswerTensors(
        pairs, p_left, torch.zeros(num, dtype=torch.int64), torch.ones(num, num_heads)
    )


def of_pairs(pairs: Tensor) -> AnswerTensors:
    return dataclasses.replace(answers_of(len(pairs)), pairs=pairs)


def reversed_answers(answers: AnswerTensors) -> AnswerTensors:
    return dataclasses.replace(answers, p_left=1 - answers.p_left)


def loss_like(
    *,
    error_rate: float = 0.0,
    l2: float = 0.0,
    contrast: Callable[[np.random.Generator], tuple[Tensor, Tensor | None]] | None = None,
    **settings: Any,
) -> FittingLoss:
    """`settings` are those of `RewardConfig`."""
    usual: dict[str, Any] = {"max_updates": 30, "batch_size": 8, "cooldown": 0.0}
    usual |= {"warmup_updates": 0, "learning_rate": 1e-2}
    return FittingLoss(RewardConfig(**{**usual, **settings}).decided(), error_rate, l2, contrast)


def size_of(model: EnhancedRewardModel) -> float:
    with torch.no_grad():
        return float(sum(weight.square().sum() for weight in regularised(model)))


class TestAnswers:
    def test_comparisons_are_moved_over_left_before_right(self):
        left, right = rows(3, 4, seed=1).numpy(), rows(3, 4, seed=2).numpy()
        p_left = np.array([1.0, 0.5, 0.0], dtype=np.float32)
        comparisons = Comparisons(left, right, p_left, objective=np.array([0, 1, 0]))
        weights = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 0.0]])
        answers = AnswerTensors.of(comparisons, weights, CPU)
        assert len(answers) == 3
        np.testing.assert_array_equal(answers.pairs[:, 0], left)
        np.testing.assert_array_equal(answers.pairs[:, 1], right)
        assert answers.p_left.tolist() == [1.0, 0.5, 0.0]
        assert answers.objective.tolist() == [0, 1, 0]
        assert torch.equal(answers.weights, weights)
        assert answers.pairs.dtype == torch.float32


class TestComparisonLogits:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_they_are_differences_of_summed_rewards(self, shape):
        model, pairs = make_model(**shape), rows(6, 2, 4)
        with torch.no_grad():
            totals = model.head_rewards(pairs).sum(2)
            logits = comparison_logits(model, pairs)
            turned = comparison_logits(model, pairs.flip(1))
        torch.testing.assert_close(logits, totals[:, 0] - totals[:, 1])
        torch.testing.assert_close(turned, -logits)

    @pytest.mark.parametrize("shared_trunk", [True, False])
    def test_each_comparison_is_about_its_own_objective(self, shared_trunk):
        model, pairs = make_model(num_objectives=2, shared_trunk=shared_trunk), rows(5, 2, 4)
        about = torch.tensor([0, 1, 1, 0, 1])
        with torch.no_grad():
            logits = comparison_logits(model, pairs, about)
            for row, chosen in enumerate(about.tolist()):
                only = (1.0, 0.0) if chosen == 0 else (0.0, 1.0)
                totals = model.head_rewards(pairs[row], only).sum(1)
                torch.testing.assert_close(logits[row], totals[0] - totals[1])

    def test_without_an_objective_they_count_in_equal_shares(self):
        model, pairs = make_model(num_objectives=2), rows(5, 2, 4)
        with torch.no_grad():
            both = [
                comparison_logits(model, pairs, torch.full((5,), chosen)) for chosen in range(2)
            ]
            combined = comparison_logits(model, pairs)
        torch.testing.assert_close(combined, (both[0] + both[1]) / 2)
        assert combined.shape == (5, 3)


class TestRegularised:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_it_is_exactly_the_weight_matrices(self, shape):
        model = make_model(**shape, num_objectives=2, bank_size=4)
        names = {name for name, _ in model.named_parameters()}
        spared = {name for name in names if name.endswith("bias")}
        spared |= names & {"head_scale", "head_shift"}
        chosen = {id(parameter) for parameter in regularised(model)}
        assert {name for name, p in model.named_parameters() if id(p) in chosen} == names - spared
        assert len(regularised(model)) == shape["num_layers"] + 2  # the trunk's, and two a head


class TestLearningRate:
    def rates(self, **settings: Any) -> list[float]:
        config = RewardConfig(learning_rate=1.0, **settings).decided()
        return [learning_rate(config, update, 8) for update in range(8)]

    def test_it_falls_to_nothing_over_the_last_steps(self):
        fallen = self.rates(cooldown=0.5, warmup_updates=0)
        assert fallen == [1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]

    def test_it_may_rise_and_fall_at_once(self):
        both = self.rates(cooldown=1.0, warmup_updates=1)
        assert both == [0.5, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]

    def test_without_a_cooldown_it_stays_where_it_rose_to(self):
        assert self.rates(cooldown=0.0, warmup_updates=3) == [0.25, 0.5, 0.75, *[1.0] * 5]


class TestAdaptedL2:
    @pytest.mark.parametrize(
        ("ratio", "expected"), [(1.6, 13.0), (1.5, 10.0), (1.3, 10.0), (1.1, 10.0), (1.0, 10 / 1.3)]
    )
    def test_it_rises_above_the_range_and_falls_below_it(self, ratio, expected):
        assert adapted_l2(10.0, ratio, start=10.0) == pytest.approx(expected)

    @pytest.mark.parametrize(("ratio", "bound"), [(5.0, 1000.0), (0.5, 0.1)])
    def test_it_stays_within_a_hundredfold_of_where_it_started(self, ratio, bound):
        l2 = 10.0
        for _ in range(100):
            l2 = adapted_l2(l2, ratio, start=10.0)
        assert l2 == pytest.approx(bound)

    def test_it_can_rise_from_nothing(self):
        assert adapted_l2(0.0, 2.0, start=0.0) == pytest.approx(1.3e-3)


class TestDescend:
    def test_without_held_out_answers_it_takes_every_update_and_learns(self):
        model, answers = make_model(), answers_of(24)
        before = mean_loss(model, answers, 0.0)
        assert descend(model, answers, loss_like(max_updates=60), rng=rng()) == 60
        assert mean_loss(model, answers, 0.0) < before / 2
        assert not model.training

    def test_no_held_out_answers_are_as_good_as_none(self):
        model, answers = make_model(), answers_of(24)
        nothing = answers_of(0)
        assert descend(model, answers, loss_like(patience=1), rng=rng(), held=nothing) == 30

    @pytest.mark.parametrize("patience", [1, 3])
    def test_it_stops_when_the_held_out_loss_finds_no_new_best(self, patience):
        # What is held out is answered the other way round: the better the fit, the worse for it.
        model, answers = make_model(), answers_of(24)
        updates = descend(
            model,
            answers,
            loss_like(max_updates=200, patience=patience),
            rng=rng(),
            held=reversed_answers(answers),
        )
        assert updates == CHECK_EVERY * (1 + patience)

    def test_it_goes_on_while_the_held_out_loss_falls(self):
        model, answers = make_model(), answers_of(24)
        wanted = loss_like(max_updates=40, patience=1)
        assert descend(model, answers, wanted, rng=rng(), held=answers) == 40

    @pytest.mark.parametrize(
        ("max_updates", "min_epochs", "updates"),
        [(3, 0.0, 3), (3, 1.0, 3), (3, 2.0, 6), (7, 2.0, 7), (1, 0.5, 2)],
    )
    def test_every_answer_is_seen_as_often_as_asked(self, max_updates, min_epochs, updates):
        # Ten answers are three batches of four, the last of them a small one.
        wanted = loss_like(max_updates=max_updates, min_epochs=min_epochs, batch_size=4)
        assert descend(make_model(), answers_of(10), wanted, rng=rng()) == updates

    def test_one_epoch_reaches_the_answer_that_comes_last(self):
        answers = answers_of(5)
        last = int(rng().permutation(5)[-1])
        p_left = answers.p_left.clone()
        p_left[last] = 1 - p_left[last]
        wanted = loss_like(max_updates=1, min_epochs=1.0, batch_size=4)
        first, second = make_model(), make_model()
        descend(first, answers, wanted, rng=rng())
        descend(second, dataclasses.replace(answers, p_left=p_left), wanted, rng=rng())
        assert not torch.equal(first.head_out, second.head_out)

    @pytest.mark.parametrize("settings", [{}, {"calibration": 1.0}], ids=["plain", "calibration"])
    def test_hidden_answers_have_no_influence(self, settings):
        answers = answers_of(20)
        weights, p_left = answers.weights.clone(), answers.p_left.clone()
        weights[:5] = 0.0
        p_left[:5] = 1 - p_left[:5]
        hidden = dataclasses.replace(answers, weights=weights)
        first, second = make_model(), make_model()
        descend(first, hidden, loss_like(**settings), rng=rng())
        changed = dataclasses.replace(hidden, p_left=p_left)
        descend(second, changed, loss_like(**settings), rng=rng())
        assert_same(weights_of(first), weights_of(second))
        seen = make_model()
        descend(seen, answers, loss_like(**settings), rng=rng())
        assert not torch.equal(seen.head_out, first.head_out)

    def test_answers_that_are_all_hidden_leave_weights_finite(self):
        answers = dataclasses.replace(answers_of(8), weights=torch.zeros(8, 3))
        model = make_model()
        descend(model, answers, loss_like(calibration=1.0, l2=1.0), rng=rng())
        assert all(torch.isfinite(parameter).all() for parameter in model.parameters())

    def test_an_answer_hidden_from_one_head_is_learned_by_the_others(self):
        answers = answers_of(12)
        weights, p_left = answers.weights.clone(), answers.p_left.clone()
        weights[0, 1] = 0.0
        p_left[0] = 1 - p_left[0]
        models = make_model(shared_trunk=False), make_model(shared_trunk=False)
        wanted = loss_like(max_grad_norm=float("inf"))
        for model, said in zip(models, (answers.p_left, p_left), strict=True):
            shown = dataclasses.replace(answers, weights=weights, p_left=said)
            descend(model, shown, wanted, rng=rng())
        is_same = [torch.equal(*(model.head_out[head] for model in models)) for head in range(3)]
        assert is_same == [False, True, False]

    def test_a_strong_prior_shrinks_the_weights(self):
        sizes = []
        for l2 in (0.0, 1.0, 100.0):
            model = make_model()
            descend(model, answers_of(24), loss_like(l2=l2), rng=rng())
            sizes.append(size_of(model))
        assert sizes[0] > sizes[1] > 5 * sizes[2]

    def test_a_strong_prior_draws_each_weight_to_its_anchor(self):
        model, elsewhere = make_model(), make_model(seed=1)
        anchors = tuple(weight.detach().clone() for weight in regularised(elsewhere))

        def distance() -> float:
            pairs = zip(regularised(model), anchors, strict=True)
            return sum(float((weight.detach() - at).square().sum()) for weight, at in pairs)

        before = distance()
        wanted = dataclasses.replace(loss_like(l2=100.0, max_updates=60), anchors=anchors)
        descend(model, answers_of(24), wanted, rng=rng())
        assert distance() < before / 10

    def test_a_held_out_loss_that_runs_away_strengthens_the_prior_on_request(self):
        answers, sizes = answers_of(24), []
        for adapt_l2 in (False, True):
            model = make_model()
            wanted = loss_like(l2=0.1, adapt_l2=adapt_l2, max_updates=80)
            descend(model, answers, wanted, rng=rng(), held=reversed_answers(answers))
            sizes.append(size_of(model))
        assert sizes[1] < sizes[0]

    def test_the_same_draw_gives_the_same_weights(self):
        first, again, other = make_model(), make_model(), make_model()
        for model, seed in ((first, 1), (again, 1), (other, 2)):
            descend(model, answers_of(24), loss_like(), rng=rng(seed))
        assert_same(weights_of(first), weights_of(again))
        assert not torch.equal(first.head_out, other.head_out)

    def test_it_turns_dropout_on_and_off_again(self):
        model, modes = make_model(dropout=0.5), []
        model.trunk.register_forward_pre_hook(lambda module, _: modes.append(module.training))
        descend(model, answers_of(8), loss_like(max_updates=3), rng=rng())
        assert modes == [True] * 3
        assert not model.training


class TestLossOf:
    model = make_model()
    answers = answers_of(6)
    chosen = (4, 0, 3)

    def parts(self) -> tuple[Tensor, Tensor]:
        """Logits and answers of the chosen rows."""
        rows = list(self.chosen)
        return comparison_logits(self.model, self.answers.pairs[rows]), self.answers.p_left[rows]

    def loss(self, wanted: FittingLoss) -> Tensor:
        return loss_of(self.model, self.answers, list(self.chosen), wanted, rng())

    @pytest.mark.parametrize("error_rate", [0.0, 0.2])
    def test_by_itself_it_is_the_nll_summed_over_heads(self, error_rate):
        logits, p_left = self.parts()
        expected = bradley_terry_nll(logits, p_left, torch.ones(3, 3), error_rate).sum()
        torch.testing.assert_close(self.loss(loss_like(error_rate=error_rate)), expected)

    def test_the_prior_is_not_in_it(self):
        torch.testing.assert_close(self.loss(loss_like(l2=9.0)), self.loss(loss_like()))

    def test_diversity_and_calibration_are_added_in_their_weights(self):
        logits, p_left = self.parts()
        plain = self.loss(loss_like())
        torch.testing.assert_close(
            self.loss(loss_like(diversity=2.0)), plain + 2 * diversity_penalty(logits)
        )
        torch.testing.assert_close(
            self.loss(loss_like(calibration=3.0)), plain + 3 * calibration_penalty(logits, p_left)
        )
        torch.testing.assert_close(
            self.loss(loss_like(diversity=2.0, calibration=3.0)),
            plain + 2 * diversity_penalty(logits) + 3 * calibration_penalty(logits, p_left),
        )

    def test_the_contrastive_loss_is_added_where_there_is_something_to_contrast(self):
        entries, draws = rows(7, 4, seed=9), []

        def contrast(rng: np.random.Generator) -> tuple[Tensor, None]:
            draws.append(rng)
            return entries, None

        plain = self.loss(loss_like())
        torch.testing.assert_close(self.loss(loss_like(contrastive=0.5)), plain)
        torch.testing.assert_close(self.loss(loss_like(contrast=contrast)), plain)
        assert draws == []
        segments = self.answers.pairs[list(self.chosen)].flatten(0, 1)
        values, entry_values = (
            self.model.head_rewards(batch).mean(1).mean(1) for batch in (segments, entries)
        )
        expected = contrastive_loss(
            self.model.embed(segments), values, self.model.embed(entries), entry_values
        )
        actual = self.loss(loss_like(contrastive=0.5, contrast=contrast))
        torch.testing.assert_close(actual, plain + 0.5 * expected)
        assert len(draws) == 1

    def test_each_answer_is_about_its_own_objective(self):
        model = make_model(num_objectives=2)
        about = torch.tensor([0, 1, 0, 1, 1, 0])
        answers = dataclasses.replace(self.answers, objective=about)
        loss = loss_of(model, answers, [1, 2], loss_like(), rng())
        logits = comparison_logits(model, answers.pairs[1:3], about[1:3])
        expected = bradley_terry_nll(logits, answers.p_left[1:3], torch.ones(2, 3)).sum()
        torch.testing.assert_close(loss, expected)


class TestThinned:
    @given(steps=st.integers(1, 30), stride=st.integers(1, 4), seed=st.integers(0, 9))
    def test_steps_lie_a_stride_apart_from_a_random_first_one(self, steps, stride, seed):
        stride = min(stride, steps)
        pairs = torch.arange(2 * steps).view(1, 2, steps, 1)
        thin, share = thinned(of_pairs(pairs), stride, rng(seed))
        some = thin.pairs
        first = int(some[0, 0, 0, 0])
        assert first < stride
        assert some[0, 0, :, 0].tolist() == list(range(first, steps, stride))
        assert some[0, 1, :, 0].tolist() == list(range(steps + first, 2 * steps, stride))
        assert share == some.shape[2] / steps

    def test_every_first_step_has_its_turn(self):
        pairs, draw = of_pairs(torch.arange(6).view(1, 2, 3, 1)), rng()
        assert {int(thinned(pairs, 3, draw)[0].pairs[0, 0, 0, 0]) for _ in range(50)} == {0, 1, 2}

    def test_scores_of_what_is_left_stand_for_all(self):
        model, pairs = make_model(), rows(5, 2, 12)
        with torch.no_grad():
            whole = comparison_logits(model, pairs)
            parts = [comparison_logits(model, pairs[:, :, first::3]) * 3 for first in range(3)]
        torch.testing.assert_close(torch.stack(parts).mean(0), whole)

    @pytest.mark.parametrize(
        ("asked", "steps", "stride"),
        [(2, 50, 2), (4, 50, 4), (9, 50, 4), (2, 24, 2), (2, 23, 1), (2, 1, 1), (1, 50, 1)],
    )
    def test_twelve_steps_are_left(self, asked, steps, stride):
        answers = dataclasses.replace(answers_of(3), pairs=rows(3, 2, steps))
        config = RewardConfig(step_stride=asked)
        assert stride_of(config, answers) == stride

    @pytest.mark.parametrize("shape", SHAPES)
    def test_where_steps_are_alike_the_loss_is_that_of_whole_segments(self, shape):
        pairs = rows(6, 2, 1).expand(6, 2, 25, -1)
        answers = dataclasses.replace(answers_of(6), pairs=pairs)
        model, everything = make_model(**shape), list(range(6))
        losses = [
            loss_of(model, answers, everything, loss_like(step_stride=stride), rng())
            for stride in (1, 2)
        ]
        torch.testing.assert_close(losses[1], losses[0])

    def test_a_fit_to_every_second_step_learns_what_whole_segments_say(self):
        pairs = rows(40, 2, 26)
        totals = pairs[..., 0].sum(-1)
        p_left = (totals[:, 0] > totals[:, 1]).float()
        answers = dataclasses.replace(answers_of(40), pairs=pairs, p_left=p_left)
        model = make_model()
        descend(model, answers, loss_like(step_stride=2, max_updates=200), rng=rng())
        assert mean_loss(model, answers, 0.0) < 0.3


class TestMeanLoss:
    @pytest.mark.parametrize("error_rate", [0.0, 0.3])
    def test_every_answer_counts_once_whatever_its_weight(self, error_rate):
        model, answers = make_model(), answers_of(6)
        logits = comparison_logits(model, answers.pairs)
        expected = bradley_terry_nll(logits, answers.p_left, torch.ones(6, 3), error_rate).mean()
        uneven = torch.arange(18.0).view(6, 3)
        for weights in (answers.weights, uneven, torch.zeros(6, 3)):
            loss = mean_loss(model, dataclasses.replace(answers, weights=weights), error_rate)
            assert loss == pytest.approx(expected.item())

    @pytest.mark.parametrize("training", [True, False])
    def test_dropout_is_off_meanwhile_and_the_mode_is_restored(self, training):
        model, answers = make_model(dropout=0.5), answers_of(6)
        without = mean_loss(make_model(), answers, 0.0)
        model.train(training)
        assert mean_loss(model, answers, 0.0) == pytest.approx(without)
        assert model.training is training
        assert all(module.training is training for module in model.trunk)
