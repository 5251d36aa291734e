"""A cell without reinforcement learning: a strategy asks about a fixed pool, a model is fitted.

Axes: B pairs, S segments, T steps, K heads.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from prefrl.benchmark.grid.cell_process import inputs_folder
from prefrl.benchmark.grid.cells import Cell, Keep, Row
from prefrl.benchmark.queries.pool import Pool, PoolSettings, cached
from prefrl.config import RewardConfig, TeacherConfig
from prefrl.errors import ConfigError, DataError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.teachers import SyntheticTeacher
from prefrl.loop import MAX_DRAWS, MAX_QUERIES_PER_ANSWER
from prefrl.queries import Uniform, make_strategy
from prefrl.queries.pairs import checked_pairs, num_pairs
from prefrl.queries.predictor import QueryStrategy
from prefrl.rewards import RewardTrainer, build_model
from prefrl.rewards.calibration.probabilities import report
from prefrl.runs.resolve import teacher_settings
from prefrl.seeding import Streams
from prefrl.segments import SegmentBatch

# Pairs of test segments that a model is measured on.
NUM_TEST_PAIRS = 4_000


@dataclass(frozen=True)
class Schedule:
    """When a strategy asks, and when the model is measured.

    Args:
        budgets: answers at which it is measured, ascending.
        first: answers of the first, uniform session.
        growth: a session has so large a share of the answers before it, at least.
        num_candidates: segments drawn from the pool for each session.
    """

    budgets: tuple[int, ...]
    first: int = 50
    growth: float = 0.5
    num_candidates: int = 1_000

    def __post_init__(self) -> None:
        if not self.budgets or min(self.budgets) < 1:
            raise ConfigError(f"budgets are {list(self.budgets)}; expected numbers of 1 or more")
        if list(self.budgets) != sorted(set(self.budgets)):
            raise ConfigError(f"budgets are {list(self.budgets)}; expected them ascending")

    def totals(self) -> list[int]:
        """Answers after each session: every budget is among them."""
        totals = [min(self.first, self.budgets[0])]
        for budget in self.budgets:
            # Equal sessions between two budgets, none much larger than `growth` allows.
            start = totals[-1]
            num, reached = 0, float(start)
            while reached < budget:
                reached *= 1 + self.growth
                num += 1
            totals += [start + round((budget - start) * (i + 1) / num) for i in range(num)]
        return totals


@dataclass
class _Study:
    """A model that learns from a pool."""

    pool: Pool
    teacher: SyntheticTeacher
    learner: RewardTrainer
    streams: Streams
    schedule: Schedule
    dataset: PreferenceDataset = field(default_factory=PreferenceDataset)

    def ask(self, strategy: QueryStrategy, total: int, session: int) -> float:
        """Asks until there are `total` answers; returns the seconds that choosing took."""
        seconds, limit = 0.0, MAX_QUERIES_PER_ANSWER * total
        while (missing := total - self.dataset.num_answers) > 0:
            asked = len(self.dataset)
            if asked >= limit:
                raise DataError(f"the teacher answered {total - missing} of {asked} queries")
            left, right, select_s = self._new_queries(strategy, missing)
            seconds += select_s
            answers = self.teacher.answer(left, right, rng=self.streams.generator("teacher", asked))
            split = self.streams.generator("split", asked)
            self.dataset.add(left, right, answers, session=session, rng=split)
        return seconds

    def _new_queries(
        self, strategy: QueryStrategy, num_queries: int
    ) -> tuple[SegmentBatch, SegmentBatch, float]:
        """Left and right segments of pairs that were not asked about, and the seconds it took.

        There may be fewer than were wanted, but at least one.

        Raises:
            DataError: there is none.
        """
        asked, everything = len(self.dataset), self.pool.candidates
        num_candidates = min(self.schedule.num_candidates, len(everything))
        seconds = 0.0
        # Of so large a batch as the second some are new, if any pair of its candidates is; but not
        # every strategy can choose so many.
        large = min(num_queries + asked, num_pairs(num_candidates))
        for draw, size in enumerate([num_queries, large, *[num_queries] * (MAX_DRAWS - 2)]):
            again = f" {draw}" if draw else ""
            rng = self.streams.generator(f"candidates{again}", asked)
            candidates = everything[rng.choice(len(everything), size=num_candidates, replace=False)]
            self.teacher.observe(candidates)
            rng = self.streams.generator(f"strategy{again}", asked)
            began_s = time.perf_counter()
            try:
                pairs = strategy.select(candidates, size, self.learner, rng=rng)
                seconds += time.perf_counter() - began_s
                pairs = checked_pairs(pairs, len(candidates), size)
            except Exception:  # whatever a strategy of one's own does when it runs out of segments
                if size <= num_queries:
                    raise
                continue
            left, right = candidates[pairs[:, 0]], candidates[pairs[:, 1]]
            new = np.flatnonzero(self.dataset.is_new(left, right))[:num_queries]
            if len(new):
                return left[new], right[new], seconds
        raise DataError(
            f"of {len(everything)} segments no pair was chosen that was not asked about before, "
            f"after {asked} queries; a longer run of the agent (--steps) has more segments"
        )

    def measured(self) -> Row:
        """How well the model predicts the oracle's answers about segments of other episodes."""
        test, model = self.pool.test, self.learner.model
        # The same pairs whatever the seed of the cell.
        rows = np.random.default_rng(0).integers(len(test), size=(NUM_TEST_PAIRS, 2))
        gap = test.true_returns[rows[:, 0]] - test.true_returns[rows[:, 1]]
        rows, gap = rows[gap != 0], gap[gap != 0]
        scores = self.learner.score_segments(test).astype(np.float64)
        told = report(
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
            "accuracy": told.accuracy,
            "nll": told.nll,
            "ece": told.ece,
            "correlation": correlation,
        }


def run_reward_cell(cell: Cell, work: Path, keep: Keep) -> list[Row]:
    """One strategy, teacher and seed on the pool of an environment.

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
    pool = cached(PoolSettings(cell.env, **options.pop("pool", {})), inputs_folder())
    schedule = Schedule(**{**options, "budgets": tuple(options["budgets"])})
    streams = Streams(cell.seed)
    dims = pool.candidates.observations.shape[-1], pool.candidates.actions.shape[-1]
    model = build_model(
        sum(dims),
        reward_config,
        segment_length=pool.candidates.segment_length,
        generator=streams.torch_generator("reward-weights"),
        observation_dim=dims[0],
    )
    study = _Study(
        pool,
        SyntheticTeacher(teacher_settings(teacher_config(cell.teacher))),
        RewardTrainer(model, reward_config, streams=streams),
        streams,
        schedule,
    )
    strategy, rows = make_strategy(cell.strategy), []
    select_s = fit_s = 0.0
    for session, total in enumerate(schedule.totals()):
        select_s += study.ask(strategy if session else Uniform(), total, session)
        began_s = time.perf_counter()
        study.learner.fit(study.dataset, session=session)
        fit_s += time.perf_counter() - began_s
        if total in schedule.budgets:
            times = {"select_s": select_s, "fit_s": fit_s, "num_queries": len(study.dataset)}
            rows.append({"budget": total, **study.measured(), **times})
    return rows


_FAILINGS = {
    "noisy": "beta",
    "myopic": "gamma",
    "mistake": "p_mistake",
    "skip": "skip_fraction",
    "equal": "equal_fraction",
}


def canonical_teacher(name: str) -> str:
    """The one name of a teacher that can be written in several ways, as mistake:.10 for mistake.

    Raises:
        ConfigError: as `teacher_config`.
    """
    preset, colon, _ = name.partition(":")
    config = teacher_config(name)
    if not colon or teacher_settings(config) == teacher_settings(TeacherConfig(name=preset)):
        return preset
    return f"{preset}:{getattr(config, _FAILINGS[preset])!r}".removesuffix(".0")


def teacher_config(name: str) -> TeacherConfig:
    """A teacher by its preset, or `preset:share` for the failing that its name is about.

    Raises:
        ConfigError: there is none of that name, or the number is not one or out of range.
    """
    preset, colon, number = name.partition(":")
    own: dict[str, float] = {}
    if colon:
        failing = _FAILINGS.get(preset)
        if failing is None:
            raise ConfigError(f"teacher {name!r} takes no number; {', '.join(_FAILINGS)} do")
        try:
            own = {failing: float(number)}
        except ValueError:
            raise ConfigError(f"teacher {name!r}: {number!r} is no number") from None
    config = TeacherConfig(name=preset, **own)
    teacher_settings(config)
    return config
