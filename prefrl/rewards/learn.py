"""Fits a reward model to recorded answers, and judges it by those that it has not seen."""

import dataclasses
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from prefrl.arguments import optional, whole_number
from prefrl.config import RewardConfig
from prefrl.config.effect import OF_LEARNING, check_reward_model
from prefrl.errors import ArgumentError, DataError, not_a
from prefrl.feedback.columns import COLUMNS, ungrouped
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.interchange import load_comparisons
from prefrl.rewards.calibration.probabilities import (
    ReliabilityBins,
    expected_calibration_error,
    preference_probability,
    reliability_bins,
    report,
)
from prefrl.rewards.fitting import RewardTrainer, build_model
from prefrl.rewards.fitting.answers import AnswerTensors
from prefrl.rewards.fitting.calibrating import logits_of
from prefrl.rewards.model import EnhancedRewardModel
from prefrl.seeding import CHANCE, HELD_OUT, REWARD_WEIGHTS, SPLIT, Streams

HeldOutBy = Literal["split", "group", "random", "nothing"]

# Share of the answers that is held out where a file has no split of its own.
HELD_OUT_SHARE = 0.2
# Of the answers trained on, where intervals are asked for, which take answers that were not fitted.
INTERVAL_SHARE = 0.2
# Made-up answers that the calibration error of a calibrated model is averaged over.
NUM_CHANCE_DRAWS = 200


@dataclass(frozen=True)
class LearningReport:
    """Metrics of a reward model on answers that played no part in its fitting.

    What is measured on held-out answers is measured on decisive ones; it is NaN without any.

    Args:
        num_answers: in the file, ties included; to questions put again they are left out, here
            and below.
        num_skips: questions in it that were not answered.
        num_trained_on: answers the model was fitted to.
        num_held_out: answers it was not shown.
        num_decisive: of these, those that are no ties.
        held_out_by: the file's split, whole groups, a random part, or nothing.
        accuracy: share of decisive answers on the predicted side, 0.5 counting half.
        nll: mean negative log-likelihood in nats; log 2 is what a coin gets.
        ece: expected calibration error.
        chance_ece: the expected calibration error that a perfectly calibrated model would show on
            as many answers, for there are few of them in a bin: the mean over answers drawn from
            the model's own probabilities.
        error_rate: estimated share of answers that are random.
        temperature: what scores are divided by to make probabilities.
        seed: of the fit.
        fit_s: seconds it took.
        reliability: what was predicted beside what was answered, in bins.
    """

    num_answers: int
    num_skips: int
    num_trained_on: int
    num_held_out: int
    num_decisive: int
    held_out_by: HeldOutBy
    accuracy: float
    nll: float
    ece: float
    chance_ece: float
    error_rate: float
    temperature: float
    seed: int
    fit_s: float
    reliability: ReliabilityBins

    def as_json(self) -> dict[str, Any]:
        """Returns plain numbers and lists; None for what is not known."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain["reliability"] = {
            name: array.tolist() for name, array in vars(self.reliability).items()
        }
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in plain.items()
        }


def fit_reward_model(
    comparisons: PreferenceDataset | Path | str,
    *,
    config: RewardConfig | None = None,
    seed: int = 0,
    num_objectives: int | None = None,
) -> tuple[EnhancedRewardModel, LearningReport]:
    """Fits a reward model to recorded answers, without any environment.

        model, report = prefrl.fit_reward_model("comparisons.npz")
        model.save("reward_model")

    A part of the answers is held out and measured on: those that the file's `split` calls "test";
    else whole groups, where it has groups; else a random part, in which all answers to one question
    stay together. Fitting, the noise estimate and the temperature see nothing of them.

    Args:
        comparisons: answers, or the file that they are in.
        config: the model's settings and how it is fitted; the measured defaults by default.
        seed: draws the weights, the minibatches and, where it is drawn, the held-out part.
        num_objectives: how many the model has; as many as there are answers about by default.

    Returns:
        the model, and how it does on the answers held out.

    Raises:
        ArgumentError: an argument is of another type.
        ConfigError: a setting has no effect beside the others; it is named.
        StorageError: the file is missing or damaged; it is named.
        DataError: there is no answer to fit to.

    Example:
        >>> import numpy as np
        >>> from prefrl import RewardConfig, fit_reward_model
        >>> from prefrl.testing.made_up import comparisons
        >>> answers = comparisons(60, rng=np.random.default_rng(0))
        >>> model, report = fit_reward_model(answers, config=RewardConfig(recipe="plain"))
        >>> report.num_held_out > 0
        True
    """
    if not isinstance(comparisons, (PreferenceDataset, str, os.PathLike)):
        expected = "a PreferenceDataset, or the path of a file of comparisons"
        raise ArgumentError(not_a("comparisons", comparisons, expected))
    config = optional("config", config, RewardConfig) or RewardConfig()
    seed = whole_number("seed", seed)
    if num_objectives is not None:
        num_objectives = whole_number("num_objectives", num_objectives, least=1)
    check_reward_model(OF_LEARNING, config)
    if not isinstance(comparisons, PreferenceDataset):
        comparisons = load_comparisons(comparisons)
    return fit_to(comparisons, config, seed=seed, num_objectives=num_objectives)


def fit_to(
    comparisons: PreferenceDataset, config: RewardConfig, *, seed: int, num_objectives: int | None
) -> tuple[EnhancedRewardModel, LearningReport]:
    """Does as `fit_reward_model`, with whatever settings: those of a run are of its sessions."""
    streams, comparisons = Streams(seed), comparisons.without_repeats()
    is_held, by = held_out(comparisons, rng=streams.generator(HELD_OUT))
    answered = ~np.isnan(comparisons.p_left)
    train = _without(comparisons, is_held)
    if config.interval_coverage is not None:
        rows = np.flatnonzero(~np.isnan(train.p_left))
        chosen = streams.generator(SPLIT).choice(
            rows, size=int(INTERVAL_SHARE * len(rows)), replace=False
        )
        train.is_validation[chosen] = True
    model = _new_model(comparisons, config, streams, num_objectives)
    trainer = RewardTrainer(model, config, streams=streams)
    began_s = time.perf_counter()
    metrics = trainer.fit(train, session=0)
    fit_s = time.perf_counter() - began_s
    measured = _measured(trainer, _part(comparisons, is_held), rng=streams.generator(CHANCE))
    return trainer.model, LearningReport(
        num_answers=int(answered.sum()),
        num_skips=comparisons.num_skips,
        num_trained_on=int((answered & ~is_held).sum()),
        num_held_out=int((answered & is_held).sum()),
        held_out_by=by,
        error_rate=float(metrics["reward_error_rate"]),
        temperature=float(trainer.model.temperature),
        seed=seed,
        fit_s=fit_s,
        **measured,
    )


def held_out(
    comparisons: PreferenceDataset, *, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], HeldOutBy]:
    """Chooses the answers that are not trained on.

    Args:
        comparisons: N answers.
        rng: draws which, where the file does not say.

    Returns:
        (N,) those held out, and what they were chosen by; nothing, where there are too few.
    """
    answered = ~np.isnan(comparisons.p_left)
    is_test = comparisons.is_validation
    if (is_test & answered).any() and (~is_test & answered).any():
        return is_test, "split"
    parts: list[tuple[NDArray[np.int64], HeldOutBy]] = [(comparisons.question, "random")]
    alone = ungrouped(comparisons.group)
    if not alone.all():
        numbers, questions = (
            np.unique(names, return_inverse=True)[1].reshape(-1)
            for names in (comparisons.group, comparisons.question)
        )
        # Answers in no group are one each, by their question.
        numbers = np.where(alone, len(numbers) + questions, numbers)
        parts.insert(0, (numbers, "group"))
    for units, by in parts:
        chosen = _units_held_out(units[answered], rng)
        if len(chosen):
            return np.isin(units, chosen), by
    return np.zeros(len(comparisons), dtype=bool), "nothing"


def _units_held_out(units: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws whole units that hold about the share of the answers; none, where all are one."""
    names, sizes = np.unique(units, return_counts=True)
    if len(names) < 2:
        return names[:0]
    order = rng.permutation(len(names))
    total = np.cumsum(sizes[order])
    count = int(np.argmin(np.abs(total - HELD_OUT_SHARE * total[-1]))) + 1
    return np.asarray(names[order[: min(count, len(names) - 1)]])


def _without(comparisons: PreferenceDataset, is_held: NDArray[np.bool_]) -> PreferenceDataset:
    """Returns the answers with those held out not given; the bank goes by their numbers."""
    columns = {name: getattr(comparisons, name).copy() for name in COLUMNS}
    columns["is_validation"][:] = False
    columns["p_left"][is_held] = np.nan
    return PreferenceDataset.of_pairs(comparisons.pairs, columns)


def _part(comparisons: PreferenceDataset, rows: NDArray[np.bool_]) -> PreferenceDataset:
    """Returns some answers, none of them held out."""
    columns = {name: getattr(comparisons, name)[rows] for name in COLUMNS}
    columns["is_validation"] = np.zeros(int(rows.sum()), dtype=bool)
    return PreferenceDataset.of_pairs(comparisons.pairs.select(np.flatnonzero(rows)), columns)


def _new_model(
    comparisons: PreferenceDataset,
    config: RewardConfig,
    streams: Streams,
    num_objectives: int | None,
) -> EnhancedRewardModel:
    pairs = comparisons.pairs
    length, num_observations, num_actions = pairs.dims[:3]
    # Single rows without actions are features of something that nobody steps through.
    are_features = length == 1 and num_actions == 0
    return build_model(
        num_observations + num_actions,
        config,
        segment_length=length,
        generator=streams.torch_generator(REWARD_WEIGHTS),
        observation_dim=None if are_features else num_observations,
        env_id=comparisons.env_id,
        num_objectives=num_objectives or _num_objectives(comparisons),
    )


def _num_objectives(comparisons: PreferenceDataset) -> int:
    """Counts the objectives that answers are about.

    Raises:
        DataError: about one of them there is none.
    """
    found = np.unique(comparisons.objective[~np.isnan(comparisons.p_left)])
    if len(found) and found[0] < 0:
        raise DataError(f"an answer is about objective {found[0]}; they are counted from 0")
    gaps = np.flatnonzero(found != np.arange(len(found)))
    if len(gaps):
        raise DataError(
            f"no answer is about objective {gaps[0]}, though one is about objective "
            f"{found[gaps[0]]}; objectives are counted from 0"
        )
    return max(1, len(found))


def _measured(
    trainer: RewardTrainer, held: PreferenceDataset, *, rng: np.random.Generator
) -> dict[str, Any]:
    is_decisive = ~np.isnan(held.p_left) & (held.p_left != 0.5)
    p_left = held.p_left[is_decisive]
    temperature = float(trainer.model.temperature)
    if not len(p_left):
        nothing = dict.fromkeys(("accuracy", "nll", "ece", "chance_ece"), math.nan)
        return {**nothing, "num_decisive": 0, "reliability": reliability_bins(p_left, p_left)}
    decisive, _ = held.select(is_decisive).split()
    model = trainer.model
    weights = torch.ones(len(p_left), model.config.num_reward_heads)
    logits = logits_of(model, AnswerTensors.of(decisive, weights, model.input_mean.device))
    p = preference_probability(logits, temperature=temperature)
    calibration = report(logits, p_left, temperature=temperature)
    return {
        "num_decisive": len(p_left),
        "accuracy": calibration.accuracy,
        "nll": calibration.nll,
        "ece": calibration.ece,
        "chance_ece": chance_calibration_error(p, rng=rng),
        "reliability": reliability_bins(p, p_left),
    }


def chance_calibration_error(p: NDArray[np.float64], *, rng: np.random.Generator) -> float:
    """Returns the calibration error that a perfectly calibrated model shows by chance.

    The mean over answers drawn from the predictions themselves: what is left of the error where
    every probability is right, since a bin of few answers never holds exactly its share.

    Args:
        p: (B,) predicted probability of "left".
        rng: draws the answers.
    """
    drawn = rng.random((NUM_CHANCE_DRAWS, len(p))) < p
    errors = [expected_calibration_error(p, answers.astype(np.float64)) for answers in drawn]
    return float(np.mean(errors))
