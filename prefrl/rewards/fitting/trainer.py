"""Fits a reward ensemble to comparisons, session after session.

Axes: B comparisons, S segments, T steps, D input dims, K heads.
"""

import copy
import dataclasses
import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prefrl.config import RewardConfig
from prefrl.errors import DataError
from prefrl.feedback.dataset import Comparisons, PreferenceDataset
from prefrl.rewards.calibration.conformal import fit_conformal, least_answers
from prefrl.rewards.calibration.probabilities import fit_temperature
from prefrl.rewards.fitting.banking import fill_bank, set_bank_alpha
from prefrl.rewards.fitting.crossfit import cross_fit, score_spread
from prefrl.rewards.fitting.descent import (
    NUM_CONTRASTED,
    Answers,
    Objective,
    comparison_logits,
    descend,
    regularised,
)
from prefrl.rewards.fitting.diagnosis import figures_of, warn_of_odd_answers
from prefrl.rewards.fitting.linear import LinearPart, linear_part
from prefrl.rewards.fitting.noise import corrected_answers, estimate_error_rate, prior_share
from prefrl.rewards.model.ensemble import EnhancedRewardModel
from prefrl.rewards.model.frozen import ModelReward
from prefrl.seeding import (
    BANK,
    BOOTSTRAP,
    DROPOUT,
    FOLD_WEIGHTS,
    FOLDS,
    MINIBATCH,
    REWARD_WEIGHTS,
    Streams,
)
from prefrl.segments import FloatArray, SegmentBatch, observation_embeddings
from prefrl.types import State

# The prior's precision stays below this share of the number of answers.
MAX_PRIOR_SHARE = 0.1
# Models that estimate the error rate are fitted as if so many answers were random: they see
# through many wrong answers, and where there are none they lose next to nothing.
ASSUMED_RATE = 0.4
# Segments less far apart are all the same.
MIN_NATS = 1e-6
# How firmly cross-fitted predictions decide the temperature: a spread of about a fifth. Held-out
# answers are a sixth of theirs and themselves noisy.
TEMPERATURE_STRENGTH = 20.0


@dataclasses.dataclass(frozen=True)
class Reliability:
    """What is known of the answers, and of how sure predictions of them may be.

    Args:
        error_rate: share of random answers.
        temperature: at which models that leave answers out predict them best; None: not estimated.
        spread: of those models' scores.
        linear: what is to be added to such a model's rewards; None: nothing.
    """

    error_rate: float
    temperature: float | None = None
    spread: float = 1.0
    linear: LinearPart | None = None


def bootstrap_counts(num_answers: int, num_heads: int, *, rng: np.random.Generator) -> Tensor:
    """How often each head's bootstrap sample holds each answer.

    Returns:
        (B, K) counts, from Poisson(1). From the same stream, the first rows are the same however
        many follow, and every head holds something; a single head holds every answer once.
    """
    if num_heads == 1:
        return torch.ones(num_answers, 1)
    counts = rng.poisson(1.0, size=(num_answers, num_heads)).astype(np.float32)
    counts[:, counts.sum(0) == 0] = 1.0  # A head left empty-handed by few answers sees them all.
    return torch.from_numpy(counts)


class RewardTrainer:
    """A reward model and everything it is fitted with; the loop's `RewardLearner`.

    Args:
        model: the ensemble, changed in place by `fit`.
        config: how to fit.
        streams: the run's random streams; each session draws from its own.
    """

    def __init__(
        self, model: EnhancedRewardModel, config: RewardConfig, *, streams: Streams
    ) -> None:
        self.model = model
        self.config = config.decided()
        self._streams = streams
        self._num_banked = 0  # queries whose segments were offered to the bank
        self._asked_observation_embeddings: FloatArray = np.zeros((0, 0), dtype=np.float32)

    def score_segments(self, segments: SegmentBatch) -> FloatArray:
        """(S, K) each head's reward summed over each segment, in nats."""
        return self.model.score(segments.inputs())

    @torch.inference_mode()
    def embed_segments(self, segments: SegmentBatch) -> FloatArray:
        """(S, D) the model's embeddings of segments, of unit length as those in its bank."""
        embedded = self.model.embed(torch.from_numpy(segments.inputs()))
        return torch.nn.functional.normalize(embedded, dim=-1).cpu().numpy()

    def asked_embeddings(self) -> FloatArray:
        """(M, D) embeddings of the segments in the bank; none without a bank."""
        return self.model.bank.embeddings_of_entries().cpu().numpy()

    def asked_observation_embeddings(self) -> FloatArray:
        """(M, 2 O) of every query's segments up to the last fit, skipped and held-out ones too."""
        return self._asked_observation_embeddings

    def reward_function(self) -> ModelReward:
        """The present reward, frozen."""
        return self.model.reward_function()

    def fit(self, comparisons: PreferenceDataset, *, session: int) -> dict[str, float]:
        """Fits to every answer so far; warm from the last session unless told to start anew.

        First, models that each leave out a fold say how often the teacher errs, and what a linear
        part would add; then the ensemble is fitted under that error rate until `max_updates`
        gradient steps, or until the held-out loss has found no new best for `patience` checks. Last
        come the linear part, the normalisation of heads, the temperature of probabilities,
        intervals on request, and the bank.

        Args:
            comparisons: all queries and answers of the run.
            session: the round of queries just answered.

        Returns:
            losses in nats, accuracies as shares, and the number of gradient steps.

        Raises:
            DataError: there is no answer to train on, or an answer names an objective that the
                model does not have.
        """
        train_set, held_set = comparisons.split()
        self._check(train_set, held_set)
        device = self.model.input_mean.device
        if self.config.restart:
            self.model.reset(self._streams.torch_generator(REWARD_WEIGHTS, session))
        held = Answers.of(held_set, self._ones(held_set), device)
        train = Answers.of(train_set, self._head_weights(train_set), device)
        segments = train.pairs.flatten(0, 1)
        # From single rows, segments are taken to differ as much as they do.
        whole = segments if self.config.scale_by_segment else segments.flatten(0, 1)
        # Frozen features may be of any scale; a robot's observations are in SI units.
        are_features = segments.shape[1] == 1 and self.model.config.observation_dim is None
        self.model.set_input_statistics(whole, any_unit=are_features)
        if self.model.config.linear_part:
            self.model.linear.zero_()  # the network is fitted by itself
        compared = train_set.segment_numbers()
        train, reliability = self._without_noise(train, train_set, compared, session)
        objective = Objective(
            self.config,
            reliability.error_rate,
            self._prior_strength(compared, reliability.error_rate),
            contrast=self._contrast(train, train_set),
            anchors=self._anchors(session),
        )
        noise = torch.Generator(device).manual_seed(self._streams.integer(DROPOUT, session))
        self.model.set_dropout_generator(noise)
        try:
            rng = self._streams.generator(MINIBATCH, session)
            num_updates = descend(self.model, train, objective, rng=rng, held=held)
        finally:  # Whatever ends fitting, Ctrl-C too: nobody scores with dropout on.
            self.model.set_dropout_generator(None)
            self.model.eval()
        unit = self._unit(train, reliability)
        if reliability.linear is not None:
            self.model.linear.copy_(torch.from_numpy(unit * reliability.linear.weights))
        self.model.set_reward_statistics(train.pairs.flatten(0, 2))
        self._set_temperature(held, reliability, unit)
        self._set_interval(held)
        self._num_banked = fill_bank(
            self.model,
            comparisons,
            first=self._num_banked,
            session=session,
            generator=self._streams.torch_generator(BANK, session),
        )
        set_bank_alpha(self.model, held, self.config.bank_alpha)
        asked = (*comparisons.left, *comparisons.right)
        self._asked_observation_embeddings = np.concatenate(
            [observation_embeddings(batch.observations, batch.length) for batch in asked]
        )
        return {
            "reward_updates": float(num_updates),
            "reward_error_rate": reliability.error_rate,
            **figures_of(self.model, train, held),
        }

    def _check(self, train_set: Comparisons, held_set: Comparisons) -> None:
        if len(train_set) == 0:
            raise DataError("no answer to fit a reward model to: every query so far was skipped")
        num = self.model.config.num_objectives
        for comparisons in (train_set, held_set):
            outside = (comparisons.objective < 0) | (comparisons.objective >= num)
            if outside.any():
                raise DataError(
                    f"an answer is about objective {comparisons.objective[outside][0]}; this "
                    f"model has {num}, counted from 0"
                )
        warn_of_odd_answers(train_set)

    def _ones(self, comparisons: Comparisons) -> Tensor:
        return torch.ones(len(comparisons), self.model.config.num_reward_heads)

    def _head_weights(self, train_set: Comparisons) -> Tensor:
        """(B, K) each head's sample of the answers (Christiano et al. 2017, section 2.2.1)."""
        if not self.config.bootstrap:
            return self._ones(train_set)
        return bootstrap_counts(
            len(train_set),
            self.model.config.num_reward_heads,
            rng=self._streams.generator(BOOTSTRAP),
        )

    def _prior_strength(self, segments: NDArray[np.int64], error_rate: float) -> float:
        """Precision of the prior, in answers, from (B, 2) numbers of the compared segments.

        It grows where answers share segments: many answers about few segments say little of others.
        Few answers must not lose to it, or the reward would be the same everywhere.
        """
        if not self.config.l2:
            return 0.0
        num = len(segments)
        strength = self.config.l2 * 2 * num / len(np.unique(segments))
        if self.config.error_rate == "auto":
            strength *= prior_share(error_rate)
        return min(strength, MAX_PRIOR_SHARE * num)

    def _anchors(self, session: int) -> tuple[Tensor, ...]:
        """Random weights, the same all run long, to which the prior draws each head its own way.

        Anchored ensembling (Pearce et al. 2020): where answers say nothing, heads keep to their
        anchors and so disagree; drawn to zero, they would all become one.
        """
        if not (self.config.anchored and self.config.l2):
            return ()
        like = copy.deepcopy(self.model)
        like.reset(self._streams.torch_generator(REWARD_WEIGHTS, session * self.config.restart))
        return tuple(weight.detach() for weight in regularised(like))

    def _without_noise(
        self,
        train: Answers,
        train_set: Comparisons,
        compared: NDArray[np.int64],
        session: int,
    ) -> tuple[Answers, Reliability]:
        """The answers worth fitting to, how far to trust them, and the linear part they tell."""
        rate, mode = self.config.error_rate, self.config.contradictions
        assert rate is not None
        if rate != "auto" and mode == "keep" and not self.model.config.linear_part:
            return train, Reliability(rate)
        assumed = ASSUMED_RATE if rate == "auto" else rate
        fitted = cross_fit(
            self.model,
            train,
            compared,
            Objective(self.config, assumed, self._prior_strength(compared, assumed)),
            rng=self._streams.generator(FOLDS, session),
            generator=self._streams.torch_generator(FOLD_WEIGHTS, session),
        )
        answers = p_left = train_set.p_left.astype(np.float64)
        kept, logits, linear = np.ones_like(p_left), fitted.logits, None
        given = None if rate == "auto" else rate
        if mode != "keep":
            _, temperature = estimate_error_rate(logits, p_left, given=given)
            p_predicted = 0.5 * (1 + np.tanh(0.5 * logits / temperature))
            answers, kept = corrected_answers(p_predicted, p_left, mode=mode)
            if not kept.any():
                kept = np.ones_like(kept)
        if self.model.config.linear_part:
            linear = linear_part(
                _doubles(self.model.linear_inputs(train.pairs)),
                answers,
                kept,
                train.objective.cpu().numpy(),
                num_objectives=self.model.config.num_objectives,
                beside=fitted,
            )
            logits = logits + linear.logits
        error_rate, temperature = estimate_error_rate(logits, p_left, given=given)
        corrected = dataclasses.replace(
            train,
            p_left=torch.from_numpy(answers).to(train.p_left),
            weights=train.weights * torch.from_numpy(kept).to(train.weights)[:, None],
        )
        return corrected, Reliability(error_rate, temperature, fitted.spread, linear)

    @torch.no_grad()
    def _unit(self, train: Answers, known: Reliability) -> float:
        """How large the network's nat is in nats of the models that left answers out.

        The network saw more answers; how far apart both see all segments tells their units.
        """
        if known.temperature is None:
            return 1.0
        spread = score_spread(self.model.segment_scores(train.pairs.flatten(0, 1)).mean(1))
        return spread / known.spread if min(spread, known.spread) > MIN_NATS else 1.0

    @torch.no_grad()
    def _set_temperature(self, held: Answers, known: Reliability, unit: float) -> None:
        """How sure the ensemble may be, by predictions of answers that were not fitted to.

        Those of the models that left answers out count most.
        """
        if not self.config.temperature:
            return
        prior, strength = 1.0, 1.0
        if known.temperature is not None:
            prior = float(np.clip(known.temperature * unit, 0.05, 20.0))
            strength = TEMPERATURE_STRENGTH
        fitted = fit_temperature(
            self._logits(held),
            _doubles(held.p_left),
            error_rate=known.error_rate,
            prior=prior,
            prior_strength=strength,
        )
        self.model.temperature.fill_(fitted)

    @torch.no_grad()
    def _logits(self, answers: Answers) -> NDArray[np.float64]:
        """(B, K) each head's, in nats."""
        return _doubles(comparison_logits(self.model, answers.pairs, answers.objective))

    def _set_interval(self, held: Answers) -> None:
        """How many of the heads' spreads around a score difference agree with enough answers."""
        coverage = self.config.interval_coverage
        self.model.interval.zero_()
        if coverage is None:
            return
        logits = self._logits(held)
        fitted = fit_conformal(
            logits.mean(1), logits.std(1), _doubles(held.p_left), coverage=coverage
        )
        if math.isinf(fitted.factor):
            warnings.warn(
                f"{len(held)} held-out answers are too few for intervals that cover {coverage}; "
                f"they take {least_answers(coverage)} or more",
                stacklevel=3,
            )
            return
        self.model.interval.copy_(torch.tensor([coverage, fitted.factor], dtype=torch.float64))

    def _contrast(
        self, train: Answers, train_set: Comparisons
    ) -> Callable[[np.random.Generator], Tensor] | None:
        """Draws the segments of bank entries among those that are fitted to.

        Before the first of them is in the bank it draws from all that will be.
        """
        if not self.config.contrastive or self.model.bank.capacity == 0:
            return None
        keys = self.model.bank.keys_of_entries().cpu().numpy()
        row_of_query = {query: row for row, query in enumerate(train_set.query.tolist())}
        places = [
            (row_of_query[key // 2], key % 2) for key in keys.tolist() if key // 2 in row_of_query
        ]
        if not places:
            places = [(row, side) for row in range(len(train)) for side in (0, 1)]
        rows, sides = torch.tensor(places, device=train.pairs.device).T

        def draw(rng: np.random.Generator) -> Tensor:
            chosen = rng.permutation(len(rows))[:NUM_CONTRASTED]
            return train.pairs[rows[chosen], sides[chosen]]

        return draw

    def state(self) -> State:
        """The model's weights, statistics and bank, and where segments asked about lie.

        The optimiser starts afresh every session.
        """
        # Copies: fitting changes the model's own tensors in place.
        tensors = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        return {
            "model": tensors,
            "num_banked": self._num_banked,
            "asked_observation_embeddings": self._asked_observation_embeddings,
        }

    def restore(self, state: State) -> None:
        """Puts back what `state` returned."""
        self.model.load_state_dict(state["model"])
        self._num_banked = int(state["num_banked"])
        self._asked_observation_embeddings = state["asked_observation_embeddings"]


def _doubles(tensor: Tensor) -> NDArray[np.float64]:
    doubles: NDArray[np.float64] = tensor.double().cpu().numpy()
    return doubles
