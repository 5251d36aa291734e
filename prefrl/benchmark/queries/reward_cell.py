"""A cell without reinforcement learning: a strategy asks about a fixed pool, a model is fitted.

Axes: B pairs, S segments, T steps, K heads.
"""

import time
from pathlib import Path

import numpy as np

from prefrl.benchmark.grid.cell_process import inputs_folder
from prefrl.benchmark.grid.cells import Cell, Keep, Row
from prefrl.benchmark.queries.pool import cached
from prefrl.config import PoolSettings, RewardConfig, Schedule, TeacherConfig
from prefrl.config.effect import OF_REWARD_MODELS, check_reward_model
from prefrl.errors import ConfigError, DataError, option
from prefrl.feedback.teachers import SyntheticTeacher
from prefrl.queries import make_strategy
from prefrl.queries.pairs import num_pairs
from prefrl.rewards import RewardTrainer, build_model
from prefrl.rewards.calibration.probabilities import report
from prefrl.seeding import REWARD_WEIGHTS, Streams
from prefrl.segments import SegmentBatch
from prefrl.session.asker import Asker
from prefrl.session.chooser import Chooser
from prefrl.session.pool import FixedSource

# Pairs of test segments that a model is measured on.
NUM_TEST_PAIRS = 4_000


def measured(learner: RewardTrainer, test: SegmentBatch) -> Row:
    """Returns how well a model predicts the oracle's answers about segments of other episodes."""
    model = learner.model
    # The same pairs whatever the seed of the cell.
    rows = np.random.default_rng(0).integers(len(test), size=(NUM_TEST_PAIRS, 2))
    gap = test.true_returns[rows[:, 0]] - test.true_returns[rows[:, 1]]
    rows, gap = rows[gap != 0], gap[gap != 0]
    scores = learner.score_segments(test).astype(np.float64)
    calibration = report(
        scores[rows[:, 0]] - scores[rows[:, 1]],
        (gap > 0).astype(np.float64),
        temperature=float(model.temperature),
    )
    dims = test.observations.shape[-1]
    rewards = model.reward_function().with_uncertainty(
        test.observations.reshape(-1, dims), test.actions.reshape(-1, test.actions.shape[-1])
    )[0]
    true = test.true_rewards.reshape(-1)
    is_told = rewards.std() > 0 and true.std() > 0
    correlation = float(np.corrcoef(rewards, true)[0, 1]) if is_told else None
    return {
        "accuracy": calibration.accuracy,
        "nll": calibration.nll,
        "ece": calibration.ece,
        "correlation": correlation,
    }


def run_reward_cell(cell: Cell, work: Path, keep: Keep) -> list[Row]:
    """Measures one strategy, teacher and seed on the pool of an environment.

    Args:
        cell: what to do; its settings are those of `Schedule` by name, `pool`, those of
            `PoolSettings` but for the environment, and `reward_model`.
        work: not needed, as a cell takes seconds.
        keep: likewise.

    Returns:
        a row a budget.
    """
    options = dict(cell.settings)
    reward_config = RewardConfig(**options.pop("reward_model", {}))
    check_reward_model(OF_REWARD_MODELS, reward_config)
    pool = cached(PoolSettings(cell.env, **options.pop("pool", {})), inputs_folder())
    schedule = Schedule(**{**options, "budgets": tuple(options["budgets"])})
    streams = Streams(cell.seed)
    dims = pool.candidates.observations.shape[-1], pool.candidates.actions.shape[-1]
    model = build_model(
        sum(dims),
        reward_config,
        segment_length=pool.candidates.segment_length,
        generator=streams.torch_generator(REWARD_WEIGHTS),
        observation_dim=dims[0],
    )
    if schedule.budgets[-1] > num_pairs(len(pool.candidates)):
        raise ConfigError(
            f"{option('budgets')} holds {schedule.budgets[-1]}, but the pool's "
            f"{len(pool.candidates)} segments make {num_pairs(len(pool.candidates))} pairs; choose "
            f"fewer answers, or more {option('steps')}"
        )
    learner = RewardTrainer(model, reward_config, streams=streams)
    chooser = Chooser(
        source=FixedSource(pool.candidates, size=schedule.num_candidates),
        strategy=make_strategy(cell.strategy),
        predictor=learner,
        streams=streams,
        spread_factor=schedule.spread_factor,
    )
    asker = Asker(chooser, SyntheticTeacher(teacher_config(cell.teacher)))
    rows, fit_s = [], 0.0
    for session, total in enumerate(schedule.totals()):
        asker.ask(total, session=session)
        num_queries, num_answers = len(asker.dataset), asker.dataset.num_answers
        if num_answers < total:
            raise DataError(
                f"the teacher answered {num_answers} of {num_queries} queries, where {total} "
                f"answers were asked for: the pool's {len(pool.candidates)} segments make "
                f"{num_pairs(len(pool.candidates)):,} pairs"
            )
        began_s = time.perf_counter()
        learner.fit(asker.dataset, session=session)
        fit_s += time.perf_counter() - began_s
        if total in schedule.budgets:
            times = {"select_s": chooser.select_s, "fit_s": fit_s, "num_queries": num_queries}
            rows.append({"budget": total, **measured(learner, pool.test), **times})
    return rows


_FAILINGS = {
    "noisy": "beta",
    "myopic": "gamma",
    "mistake": "p_mistake",
    "skip": "skip_fraction",
    "equal": "equal_fraction",
}


def canonical_teacher(name: str) -> str:
    """Returns the one name of a teacher with several, as mistake for mistake:.10.

    Raises:
        ConfigError: as `teacher_config`.
    """
    kind, colon, _ = name.partition(":")
    config = teacher_config(name)
    if not colon or config.decided() == TeacherConfig(kind).decided():
        return kind
    return f"{kind}:{getattr(config, _FAILINGS[kind])!r}".removesuffix(".0")


def teacher_config(name: str) -> TeacherConfig:
    """Returns a teacher by name, or by `name:share` for the failing that its name is about.

    Raises:
        ConfigError: there is none of that name, or the number is not one or out of range.
    """
    kind, colon, number = name.partition(":")
    own: dict[str, float] = {}
    if colon:
        failing = _FAILINGS.get(kind)
        if failing is None:
            raise ConfigError(f"teacher {name!r} takes no number; {', '.join(_FAILINGS)} do")
        try:
            own = {failing: float(number)}
        except ValueError:
            raise ConfigError(f"teacher {name!r}: {number!r} is no number") from None
    try:
        return TeacherConfig(kind, **own)
    except ConfigError as error:
        raise ConfigError(f"teacher {name!r}: {error}" if colon else str(error)) from None
