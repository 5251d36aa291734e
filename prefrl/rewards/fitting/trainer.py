"""Fits a reward ensemble to comparisons, session after session.

Axes: B comparisons, S segments, T steps, D input dims, K heads.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prefrl.arguments import instance
from prefrl.config import RewardConfig
from prefrl.errors import DataError
from prefrl.feedback.dataset import Comparisons, PreferenceDataset
from prefrl.queries.predictor import AskedPairs
from prefrl.rewards.fitting.answers import AnswerTensors
from prefrl.rewards.fitting.banking import fill_bank, set_bank_alpha
from prefrl.rewards.fitting.bootstrap import bootstrap_counts
from prefrl.rewards.fitting.calibrating import set_interval, set_temperature, unit_of
from prefrl.rewards.fitting.comparing import NUM_CONTRASTED, FittingLoss
from prefrl.rewards.fitting.descent import descend
from prefrl.rewards.fitting.diagnosis import fit_metrics, warn_of_odd_answers
from prefrl.rewards.fitting.prior import anchors_of, prior_strength
from prefrl.rewards.fitting.reliability import without_noise
from prefrl.rewards.model.ensemble import EnhancedRewardModel, segments_at_once
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
from prefrl.segments import FloatArray, SegmentBatch
from prefrl.segments.stored import check_arrays
from prefrl.types import State


class RewardTrainer:
    """A reward model and everything it is fitted with; the loop's `RewardLearner`.

    Args:
        model: the ensemble, changed in place by `fit`.
        config: how to fit.
        streams: the run's random streams; each session draws from its own.
        objective_weights: M numbers, how much each objective counts in the reward that agents are
            given; None takes equal shares. Queries are chosen by equal shares whatever they are,
            so that answers serve other weights, too.

    Raises:
        ArgumentError: an argument is of another type.
        DataError: the weights are not those of M objectives.

    Example:
        >>> import numpy as np
        >>> from prefrl import EnhancedRewardModel, RewardConfig
        >>> from prefrl.rewards import RewardTrainer
        >>> from prefrl.seeding import Streams
        >>> from prefrl.testing.made_up import comparisons
        >>> settings = RewardConfig(recipe="plain", max_updates=20)
        >>> trainer = RewardTrainer(EnhancedRewardModel(6), settings, streams=Streams(0))
        >>> metrics = trainer.fit(comparisons(30, rng=np.random.default_rng(0)), session=0)
        >>> metrics["reward_updates"]
        20.0
    """

    def __init__(
        self,
        model: EnhancedRewardModel,
        config: RewardConfig,
        *,
        streams: Streams,
        objective_weights: Sequence[float] | None = None,
    ) -> None:
        self.model = instance("model", model, EnhancedRewardModel)
        self.config = instance("config", config, RewardConfig).decided()
        instance("streams", streams, Streams, "a prefrl.seeding.Streams: Streams(0)")
        self.objective_weights = objective_weights
        model.objective_weights(objective_weights)  # refused here rather than after exploring
        self._streams = streams
        self._num_banked = 0  # queries whose segments were offered to the bank
        self._asked_observation_embeddings: FloatArray = np.zeros((0, 0), dtype=np.float32)
        # Of left segments, then of right ones, as those above; and what was said of them.
        self._asked_scores: FloatArray = np.zeros((0, 0), dtype=np.float32)
        self._asked_p_left: NDArray[np.float64] = np.zeros(0)

    def score_segments(self, segments: SegmentBatch) -> FloatArray:
        """Returns (S, K) each head's reward summed over each segment, in nats."""
        scores = [
            self.model.score(part.inputs(), attention_mask=mask)
            for part, mask in _parts(segments, multiple=segments_at_once(segments.segment_length))
        ]
        return np.concatenate(scores)

    @property
    def is_fitted(self) -> bool:
        """Tells whether the model was ever fitted."""
        return len(self._asked_p_left) > 0

    def preference_by_head(self, left: SegmentBatch, right: SegmentBatch) -> FloatArray:
        """Returns (B, K) each head's chance that a teacher who never errs prefers left.

        Args:
            left: B segments.
            right: B segments, each as long as the one that it is compared with.
        """
        scores = self.score_segments(SegmentBatch.concatenate([left, right]))
        logits = torch.from_numpy(scores[: len(left)] - scores[len(left) :])
        return torch.sigmoid(logits / self.model.temperature.cpu()).numpy()

    @torch.inference_mode()
    def embed_segments(self, segments: SegmentBatch) -> FloatArray:
        """Returns (S, D) embeddings of segments, of unit length as those in the bank."""
        embedded = [
            self.model.embed(
                torch.from_numpy(part.inputs()), None if mask is None else torch.from_numpy(mask)
            )
            for part, mask in _parts(segments)
        ]
        return torch.nn.functional.normalize(torch.cat(embedded), dim=-1).cpu().numpy()

    def asked_embeddings(self) -> FloatArray:
        """Returns (M, D) embeddings of the segments in the bank; none without a bank."""
        return self.model.bank.embeddings_of_entries().cpu().numpy()

    def asked_observation_embeddings(self) -> FloatArray:
        """Returns (M, 2 O) of all queries' segments up to the last fit, skipped ones too."""
        return self._asked_observation_embeddings

    def asked_pairs(self) -> AskedPairs:
        """Returns all N queries up to the last fit, as it left the model; skipped ones, too."""
        num = len(self._asked_p_left)
        scores, points = self._asked_scores, self._asked_observation_embeddings
        left, right = slice(num), slice(num, 2 * num)
        return AskedPairs(
            scores[left], scores[right], points[left], points[right], self._asked_p_left
        )

    def asked_places(self) -> FloatArray:
        """Returns what `asked_observation_embeddings` does: its name in the version before."""
        warnings.warn(
            "asked_places is asked_observation_embeddings now; the old name goes with the next "
            "version",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.asked_observation_embeddings()

    def reward_function(self) -> ModelReward:
        """Returns the present reward, frozen."""
        return self.model.reward_function(self.objective_weights)

    def fit(self, comparisons: PreferenceDataset, *, session: int) -> dict[str, float]:
        """Fits to every answer so far; warm from the last session unless asked to start anew.

        First, models that each leave out a fold say how often the teacher errs, and what a linear
        part would add; then the ensemble is fitted under that error rate until `max_updates`
        gradient steps, or until the held-out loss has found no new best for `patience` checks. Then
        come the linear part, the normalisation of heads, and the bank; last, of the reward as it
        then is, the temperature of probabilities, and intervals on request.

        Args:
            comparisons: all queries and answers of the run; repeats among them are left out.
            session: the round of queries just answered.

        Returns:
            losses in nats, accuracies as shares, and the number of gradient steps.

        Raises:
            DataError: there is no answer to train on, or an answer names an objective that the
                model does not have.
        """
        model, config = self.model, self.config
        comparisons = comparisons.without_repeats()
        train_set, held_set = comparisons.split()
        self._check(train_set, held_set)
        device = model.input_mean.device
        if config.restart:
            model.reset(self._streams.torch_generator(REWARD_WEIGHTS, session))
        held = AnswerTensors.of(held_set, self._ones(held_set), device)
        train = AnswerTensors.of(train_set, self._head_weights(train_set), device)
        self._set_input_statistics(train)
        if model.config.linear_part:
            model.linear.zero_()  # the network is fitted by itself,
        model.bank_alpha.zero_()  # and without the pull of the bank
        compared = train_set.segment_numbers()
        train, known = without_noise(
            model,
            train,
            compared,
            config,
            rng=self._streams.generator(FOLDS, session),
            generator=self._streams.torch_generator(FOLD_WEIGHTS, session),
        )
        minimised = FittingLoss(
            config,
            known.error_rate,
            prior_strength(config, compared, known.error_rate),
            contrast=self._contrast(train, train_set),
            # The same all run long, unless every session starts anew.
            anchors=anchors_of(
                model,
                config,
                generator=self._streams.torch_generator(REWARD_WEIGHTS, session * config.restart),
            ),
        )
        num_updates = self._descend(train, held, minimised, session)
        unit = unit_of(model, train, known)
        if known.linear is not None:
            model.linear.copy_(torch.from_numpy(unit * known.linear.weights))
        model.set_reward_statistics(train.steps())
        self._fill_bank(comparisons, held, session)
        if config.temperature:
            set_temperature(model, held, known, unit=unit)
        set_interval(model, held, config.interval_coverage)
        asked = SegmentBatch.concatenate([*comparisons.left, *comparisons.right])
        self._asked_observation_embeddings = asked.observation_embeddings()
        self._asked_scores = self.score_segments(asked)
        self._asked_p_left = comparisons.p_left.copy()
        return {
            "reward_updates": float(num_updates),
            "reward_error_rate": known.error_rate,
            **fit_metrics(model, train, held),
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

    def _set_input_statistics(self, train: AnswerTensors) -> None:
        segments, mask = train.segments()
        # Frozen features may be of any scale; a robot's observations are in SI units.
        are_features = segments.shape[1] == 1 and self.model.config.observation_dim is None
        if not self.config.scale_by_segment:
            # From single rows, segments are taken to differ as much as they do.
            segments, mask = train.steps(), None
        self.model.set_input_statistics(segments, mask, any_unit=are_features)

    def _ones(self, comparisons: Comparisons) -> Tensor:
        return torch.ones(len(comparisons), self.model.config.num_reward_heads)

    def _head_weights(self, train_set: Comparisons) -> Tensor:
        """Returns (B, K) each head's sample of the answers."""
        if not self.config.bootstrap:
            return self._ones(train_set)
        return bootstrap_counts(
            len(train_set),
            self.model.config.num_reward_heads,
            rng=self._streams.generator(BOOTSTRAP),
        )

    def _descend(
        self, train: AnswerTensors, held: AnswerTensors, minimised: FittingLoss, session: int
    ) -> int:
        """Fits the ensemble; returns the number of gradient steps."""
        noise = torch.Generator(train.pairs.device)
        noise.manual_seed(self._streams.integer(DROPOUT, session))
        self.model.set_dropout_generator(noise)
        try:
            rng = self._streams.generator(MINIBATCH, session)
            return descend(self.model, train, minimised, rng=rng, held=held)
        finally:  # Whatever ends fitting, Ctrl-C too: nobody scores with dropout on.
            self.model.set_dropout_generator(None)
            self.model.eval()

    def _fill_bank(self, comparisons: PreferenceDataset, held: AnswerTensors, session: int) -> None:
        self._num_banked = fill_bank(
            self.model,
            comparisons,
            first=self._num_banked,
            session=session,
            generator=self._streams.torch_generator(BANK, session),
        )
        set_bank_alpha(self.model, held, self.config.bank_alpha)

    def _contrast(
        self, train: AnswerTensors, train_set: Comparisons
    ) -> Callable[[np.random.Generator], tuple[Tensor, Tensor | None]] | None:
        """Draws the segments of bank entries among those that are fitted to.

        Before the first of them is in the bank it draws from all that will be.
        """
        if not self.config.contrastive or self.model.bank.capacity == 0:
            return None
        keys = self.model.bank.keys_of_entries().cpu().numpy()
        row_of_query = {query: row for row, query in enumerate(train_set.query.tolist())}
        slots = [
            (row_of_query[key // 2], key % 2) for key in keys.tolist() if key // 2 in row_of_query
        ]
        if not slots:
            slots = [(row, side) for row in range(len(train)) for side in (0, 1)]
        rows, sides = torch.tensor(slots, device=train.pairs.device).T

        def draw(rng: np.random.Generator) -> tuple[Tensor, Tensor | None]:
            chosen = rng.permutation(len(rows))[:NUM_CONTRASTED]
            mask = None if train.mask is None else train.mask[rows[chosen]]
            return train.pairs[rows[chosen], sides[chosen]], mask

        return draw

    def state(self) -> State:
        """Returns the model's weights, statistics and bank, and embeddings of what was asked about.

        The optimiser starts afresh every session.
        """
        # Copies: fitting changes the model's own tensors in place.
        tensors = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        return {
            "model": tensors,
            "num_banked": self._num_banked,
            "asked_observation_embeddings": self._asked_observation_embeddings,
            "asked_scores": self._asked_scores,
            "asked_p_left": self._asked_p_left,
        }

    def restore(self, state: State) -> None:
        """Puts back what `state` returned."""
        # Versions before 0.2 did not keep these: nothing is told from them until the next fit.
        kept = {"asked_p_left": np.zeros(0), "asked_scores": np.zeros((0, 0), np.float32), **state}
        check_arrays(kept, {"asked_p_left": ("f", (None,))})
        num = len(kept["asked_p_left"])
        check_arrays(
            kept,
            {
                "asked_scores": ("f", (2 * num, None)),
                "asked_observation_embeddings": ("f", (2 * num or None, None)),
            },
        )
        self.model.load_state_dict(state["model"])
        self._num_banked = int(state["num_banked"])
        self._asked_observation_embeddings = kept["asked_observation_embeddings"]
        self._asked_scores, self._asked_p_left = kept["asked_scores"], kept["asked_p_left"]


def _parts(
    segments: SegmentBatch, *, multiple: int = 1
) -> Iterator[tuple[SegmentBatch, NDArray[np.bool_] | None]]:
    """Yields segments in turns, with their masks, or None for all where none is padded."""
    is_full = segments.is_full
    for part in segments.in_parts(multiple):
        yield part, None if is_full else part.mask()
