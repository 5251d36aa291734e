"""Reward models on recorded answers: how often they predict a person, and how well they know it.

Axes: N comparisons, K heads.
"""

import dataclasses
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lab.recorded import Recorded, RowIndices
from lab.variants import variant
from prefrl.config import RewardConfig
from prefrl.errors import DataError, at_least
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.rewards import RewardTrainer, build_model
from prefrl.rewards.calibration.probabilities import (
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    preference_probability,
    sparsification_error,
)
from prefrl.rewards.fitting.linear import cross_fitted_linear
from prefrl.rewards.model.statistics import RESOLUTION
from prefrl.seeding import REWARD_WEIGHTS, SPLIT, Streams

Probabilities = NDArray[np.float64]

# What "the ordinary way" leaves out.
PLAIN: dict[str, Any] = {
    "recipe": "plain",
    "bootstrap": False,
    "weight_decay": 0.0,
    "temperature": False,
    "patience": 10**9,
    "step_stride": 1,
    "linear_part": False,
}

MEASURES = ("accuracy", "nll", "brier", "ece", "ause")
NUM_RESAMPLES = 10_000
# Parts of the training answers, of which the linear model leaves out one at a time.
NUM_INNER_FOLDS = 4


@dataclass(frozen=True)
class Setting:
    """The number of labels that a model is given, and how reliable they are.

    Args:
        num_labels: answers to train on; None: all there are.
        flip_rate: share of the decisive training answers that are turned round, in [0, 0.5).
        from_votes: train on shares of votes; tests stay on the file's answers.
    """

    num_labels: int | None = None
    flip_rate: float = 0.0
    from_votes: bool = False

    def __post_init__(self) -> None:
        if self.num_labels is not None and self.num_labels < 1:
            raise DataError(at_least("num_labels", self.num_labels, 1))
        if not 0 <= self.flip_rate < 0.5:
            raise DataError(f"flip_rate is {self.flip_rate}; expected 0 or more, below 0.5")


@dataclass(frozen=True)
class Task:
    """One split: what to train on, and what to predict.

    Args:
        data: the file.
        train: rows to train on.
        p_left: the answers to them, flipped ones included.
        test: rows to predict.
        seed: draws everything that is random in a model.
    """

    data: Recorded
    train: RowIndices
    p_left: Probabilities
    test: RowIndices
    seed: int


@dataclass(frozen=True)
class Metrics:
    """The outcome of a model on one seed's decisive test answers, all splits pooled.

    Args:
        accuracy: share on the predicted side; undecided counts half.
        nll: in nats.
        brier: mean squared error of the probability.
        ece: expected calibration error.
        ause: how badly the heads' standard deviation tells where the errors are (area under the
            sparsification error); None for a model without heads.
        fit_s: wall time of one fit, the mean over splits.
        num_labels: answers trained on, the mean over splits, rounded.
    """

    accuracy: float
    nll: float
    brier: float
    ece: float
    ause: float | None
    fit_s: float
    num_labels: int


def tasks_of(data: Recorded, setting: Setting, *, seed: int) -> list[Task]:
    """Returns the splits of one seed, the same whatever the model.

    Fewer labels are the first of more, and test rows do not depend on the setting.

    Raises:
        DataError: more labels are asked for than a split has, votes are asked for that were not
            recorded, or a split has no decisive answer to test on.
    """
    streams = Streams(seed)
    answers = data.vote_share() if setting.from_votes else data.p_left
    tasks = []
    for number, (train, test) in enumerate(data.splits(rng=streams.generator("splits"))):
        train = train[~np.isnan(answers[train])]  # Answered, but not by votes.
        wanted = 1 if setting.num_labels is None else setting.num_labels
        if wanted > len(train):
            raise DataError(
                f"num_labels is {wanted}, but a part to train on (seed {seed}) holds {len(train)}"
            )
        rows = train[: setting.num_labels]
        order = streams.generator("flips", number).random(len(train))[: len(rows)]
        decisive = test[data.p_left[test] != 0.5]
        if not len(decisive):
            raise DataError(f"a part to test on (seed {seed}) holds no decisive answer")
        p_left = flipped(answers[rows], setting.flip_rate, order=order)
        tasks.append(Task(data, rows, p_left, decisive, seed))
    return tasks


def flipped(p_left: Probabilities, rate: float, *, order: Probabilities) -> Probabilities:
    """Turns round a share of the answers; ties are not decisive and stay.

    Args:
        p_left: (N,) answers.
        rate: share of the decisive ones, rounded to whole answers.
        order: (N,) those with the smallest numbers are turned round first.
    """
    decisive = np.flatnonzero(p_left != 0.5)
    turned = decisive[np.argsort(order[decisive])][: round(rate * len(decisive))]
    p_left = p_left.copy()
    p_left[turned] = 1 - p_left[turned]
    return p_left


@dataclass(frozen=True)
class Predictions:
    """The predictions of a model for some comparisons.

    Args:
        p: (N,) probability of "left".
        std: (N,) standard deviation over heads of their probabilities; None without heads.
    """

    p: Probabilities
    std: Probabilities | None = None


@dataclass(frozen=True)
class Outcome:
    """A seed's test answers, all splits pooled, and what was predicted of them.

    Args:
        predictions: of a model that was fitted to the other splits.
        p_left: (N,) the answers.
        fit_s: wall time of one fit, the mean over splits.
        num_labels: answers trained on, the mean over splits, rounded.
    """

    predictions: Predictions
    p_left: Probabilities
    fit_s: float
    num_labels: int

    def metrics(self) -> Metrics:
        """Computes the metrics of the predictions."""
        p, p_left, std = self.predictions.p, self.p_left, self.predictions.std
        is_right = np.sign(p - 0.5) * np.sign(p_left - 0.5)  # undecided counts half
        error = np.abs(p - p_left)
        return Metrics(
            accuracy=float((is_right.mean() + 1) / 2),
            nll=negative_log_likelihood(p, p_left),
            brier=brier_score(p, p_left),
            ece=expected_calibration_error(p, p_left),
            ause=None if std is None else sparsification_error(error, std),
            fit_s=self.fit_s,
            num_labels=self.num_labels,
        )


def predicted(model: str, data: Recorded, setting: Setting, *, seed: int) -> Outcome:
    """Fits a model on each split of a seed, and pools its predictions over them.

    Args:
        model: one of `MODELS`, or a variant of the enhanced one.
        data: the file.
        setting: the labels that it is given.
        seed: draws splits, flips and everything that is random in a model.
    """
    tasks = tasks_of(data, setting, seed=seed)
    fit = model_named(model)
    said, answered, fit_s = [], [], 0.0
    for task in tasks:
        began_s = time.perf_counter()
        predict = fit(task)
        fit_s += time.perf_counter() - began_s
        said.append(predict(task.test))
        answered.append(data.p_left[task.test])
    stds = [one.std for one in said if one.std is not None]
    return Outcome(
        Predictions(
            np.concatenate([one.p for one in said]), np.concatenate(stds) if stds else None
        ),
        np.concatenate(answered),
        fit_s=fit_s / len(tasks),
        num_labels=round(float(np.mean([len(task.train) for task in tasks]))),
    )


def measure(model: str, data: Recorded, setting: Setting, *, seed: int) -> Metrics:
    """Measures what `predicted` returns."""
    return predicted(model, data, setting, seed=seed).metrics()


def summarised(
    model: str, setting: Setting, metrics: Sequence[Metrics], *, rng: np.random.Generator
) -> dict[str, Any]:
    """Makes one row of results: means over seeds, each with its 95% bootstrap interval.

    Args:
        model: its name.
        setting: the labels that it was given.
        metrics: one of each seed, in order of seeds.
        rng: draws bootstrap samples of the seeds, the same ones for every figure.
    """
    drawn = rng.integers(len(metrics), size=(NUM_RESAMPLES, len(metrics)))
    row: dict[str, Any] = {
        "model": model,
        "num_labels": round(float(np.mean([one.num_labels for one in metrics]))),
        "flip_rate": setting.flip_rate,
        "answers": "votes" if setting.from_votes else "gold",
    }
    for name in MEASURES:
        if getattr(metrics[0], name) is None:
            row |= {name: None, f"{name}_low": None, f"{name}_high": None}
            continue
        values = np.array([getattr(one, name) for one in metrics])
        low, high = np.percentile(values[drawn].mean(1), [2.5, 97.5])
        row |= {name: float(values.mean()), f"{name}_low": float(low), f"{name}_high": float(high)}
    row["fit_s"] = float(np.mean([one.fit_s for one in metrics]))
    row["seeds"] = len(metrics)
    row["by_seed"] = [{"seed": seed, **asdict(one)} for seed, one in enumerate(metrics)]
    return row


Predict = Callable[[RowIndices], Predictions]


def fitted(task: Task, config: RewardConfig, *, validation_fraction: float = 0.0) -> Predict:
    """Fits a reward model as the training loop does.

    Args:
        task: what to fit.
        config: the settings; the robust recipe decides what they leave open.
        validation_fraction: share of the answers held out of fitting.
    """
    data, streams = task.data, Streams(task.seed)
    dataset = PreferenceDataset(validation_fraction)
    left, right = data.segments(task.train, 0), data.segments(task.train, 1)
    dataset.add(left, right, task.p_left, session=0, rng=streams.generator(SPLIT))
    model = build_model(
        data.input_dim,
        config,
        segment_length=data.segment_length,
        generator=streams.torch_generator(REWARD_WEIGHTS),
    )
    with warnings.catch_warnings():
        # Collapsed heads show in the metrics here.
        warnings.filterwarnings("ignore", message=".*heads have collapsed", category=UserWarning)
        RewardTrainer(model, config, streams=streams).fit(dataset, session=0)

    def predict(rows: RowIndices) -> Predictions:
        left, right = (model.score(data.segments(rows, side).inputs()) for side in (0, 1))
        # As model.preference_probability, but in float64: float32 cannot tell 1 from 1 - 1e-8, and
        # a wrong answer would cost twice what the model thinks.
        logits = left.astype(np.float64) - right
        temperature = float(model.temperature)
        p_left = preference_probability(logits, temperature=temperature)
        if logits.shape[1] == 1:
            return Predictions(p_left)
        by_head = np.stack(
            [preference_probability(head[:, None], temperature=temperature) for head in logits.T]
        )
        return Predictions(p_left, by_head.std(0))

    return predict


def enhanced(task: Task) -> Predict:
    """Fits the Enhanced Reward Model with its defaults for recorded answers: the robust recipe.

    It needs no answers held out to know how sure it may be, so none are, as with the others.
    """
    return fitted(task, RewardConfig())


def single(task: Task) -> Predict:
    """Fits one plain network the ordinary way: as wide, with as many gradient steps."""
    config = dataclasses.replace(RewardConfig(num_reward_heads=1), **PLAIN)
    return fitted(task, config)


def ensemble(task: Task) -> Predict:
    """Fits five plain networks that share nothing, and averages their probabilities."""
    plain = RewardConfig(num_reward_heads=5, shared_trunk=False)
    return fitted(task, dataclasses.replace(plain, **PLAIN))


def _folds_of(task: Task) -> NDArray[np.int64]:
    """Returns (N,) the fold of `NUM_INNER_FOLDS` that each answer is in; groups stay whole."""
    group = task.data.group
    names = np.arange(len(task.train)) if group is None else group[task.train]
    groups, members = np.unique(names, return_inverse=True)
    order = Streams(task.seed).generator("linear-folds").permutation(len(groups))
    folds: NDArray[np.int64] = order[members.reshape(-1)] % NUM_INNER_FOLDS
    return folds


def linear(task: Task) -> Predict:
    """Fits Bradley-Terry on summed features: logistic regression with a Gaussian prior.

    Features are standardised over the training segments. The prior's precision is the one under
    which models that leave out a part of the training answers predict it best.
    """
    data = task.data

    def summed(rows: RowIndices, side: int) -> NDArray[np.float64]:
        total: NDArray[np.float64] = data.segments(rows, side).inputs().sum(1, dtype=np.float64)
        return total

    left, right = summed(task.train, 0), summed(task.train, 1)
    both = np.concatenate([left, right])
    # However small a feature is, its unit says nothing: it moves if float32 tells its values apart.
    std, least = both.std(0), RESOLUTION * np.abs(both).max(0)
    scale = np.divide(1, std, out=np.zeros_like(std), where=std > least)
    weights = cross_fitted_linear((left - right) * scale, task.p_left, _folds_of(task)).weights

    def predict(rows: RowIndices) -> Predictions:
        logits = (summed(rows, 0) - summed(rows, 1)) * scale @ weights
        return Predictions(preference_probability(logits[:, None], temperature=1.0))

    return predict


MODELS: dict[str, Callable[[Task], Predict]] = {
    "single": single,
    "ensemble": ensemble,
    "enhanced": enhanced,
    "linear": linear,
}


def model_named(name: str) -> Callable[[Task], Predict]:
    """Returns one of `MODELS`, or a variant of the enhanced one.

    Raises:
        DataError: there is none of that name.
    """
    if name in MODELS:
        return MODELS[name]
    changed = variant(name)

    def fit(task: Task) -> Predict:
        return fitted(task, changed.config(), validation_fraction=changed.validation_fraction)

    return fit


def use_one_thread() -> None:
    """Keeps each of several workers to its own core."""
    torch.set_num_threads(1)
