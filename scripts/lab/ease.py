"""Measures how many questions an answer costs with ease and without.

A teacher that skips, or calls a tie, from a third to a half of random pairs is asked about recorded
segments, the same number of questions with each strategy; accuracy is that of `prefrl bench`, on
pairs of other episodes. Run from the repository: `python scripts/lab/ease.py --pools FOLDER`.

Axes: S seeds, Q sessions.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from prefrl.benchmark.queries.pool import Pool, cached
from prefrl.benchmark.queries.reward_cell import measured, teacher_config
from prefrl.config import PoolSettings, RewardConfig
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.teachers import SyntheticTeacher
from prefrl.queries import make_strategy, with_ease
from prefrl.rewards import RewardTrainer, build_model
from prefrl.seeding import REWARD_WEIGHTS, SPLIT, TEACHER, Streams
from prefrl.session.chooser import Chooser
from prefrl.session.pool import FixedSource
from prefrl.session.unasked import Asked
from prefrl.types import Float64Array

ENVS = ("HalfCheetah-v4", "Hopper-v4")
TEACHERS = ("skip:1.5", "equal:1.0")
STRATEGY = "disagreement"
ARMS = ("plain", "ease")
SEEDS = 5
# Questions put by the end of each session; those of the first are drawn at random.
TOTALS = (40, 70, 110, 160, 230)
POOL = {"steps": 40_000, "num_candidates": 2_000, "num_test": 1_000}
CANDIDATES = 300  # of each session
NUM_RESAMPLES = 2_000
LEVEL = 0.95


@dataclass(frozen=True)
class Row:
    """A run after one of its sessions.

    Args:
        env: the environment.
        teacher: who answers.
        arm: plain, or with ease.
        seed: of everything random.
        questions: put so far.
        decisive: those answered by left or right.
        skips: those not answered.
        accuracy: share of test pairs whose better segment the reward model scores higher.
    """

    env: str
    teacher: str
    arm: str
    seed: int
    questions: int
    decisive: int
    skips: int
    accuracy: float


def run(pool: Pool, teacher_name: str, arm: str, seed: int) -> list[Row]:
    """Asks in sessions and fits after each; returns a row a session."""
    streams, config = Streams(seed), RewardConfig()
    dims = pool.candidates.observations.shape[-1], pool.candidates.actions.shape[-1]
    model = build_model(
        sum(dims),
        config,
        segment_length=pool.candidates.segment_length,
        generator=streams.torch_generator(REWARD_WEIGHTS),
        observation_dim=dims[0],
    )
    learner = RewardTrainer(model, config, streams=streams)
    strategy = make_strategy(STRATEGY)
    chooser = Chooser(
        source=FixedSource(pool.candidates, size=CANDIDATES),
        strategy=with_ease(strategy) if arm == "ease" else strategy,
        predictor=learner,
        streams=streams,
        spread_factor=3,
    )
    teacher = SyntheticTeacher(teacher_config(teacher_name))
    teacher.observe(pool.candidates)
    dataset, rows = PreferenceDataset(), []
    for session, total in enumerate(TOTALS):
        while (num := len(dataset)) < total:
            chosen = chooser.choose(
                total - num,
                asked=Asked(dataset.window_pairs(), dataset.objective),
                num_before=num,
                num_audits_before=0,
                is_fitted=session > 0,
            )
            assert chosen is not None
            rng = streams.generator(TEACHER, num)
            p_left = teacher.answer(chosen.left, chosen.right, rng=rng)
            rng = streams.generator(SPLIT, num)
            dataset.add(chosen.left, chosen.right, p_left, session=session, rng=rng)
        learner.fit(dataset, session=session)
        is_decisive = ~np.isnan(dataset.p_left) & (dataset.p_left != 0.5)
        accuracy = measured(learner, pool.test)["accuracy"]
        counts = len(dataset), int(is_decisive.sum()), dataset.num_skips
        rows.append(Row(pool.env, teacher_name, arm, seed, *counts, round(accuracy, 5)))
    return rows


def interval(differences: Float64Array) -> tuple[float, float, float]:
    """Returns the mean of (S,) paired differences, and Student's interval around it."""
    mean, num = float(differences.mean()), len(differences)
    half = float(stats.t.ppf(0.5 + LEVEL / 2, num - 1) * differences.std(ddof=1) / num**0.5)
    return mean, mean - half, mean + half


def questions_to_reach(
    target: float, accuracy: Float64Array, questions: Float64Array
) -> float | None:
    """Returns where a curve of Q points first reaches a height, by linear interpolation."""
    above = np.flatnonzero(accuracy >= target)
    if not len(above):
        return None
    at = int(above[0])
    if at == 0:
        return float(questions[0])
    share = (target - accuracy[at - 1]) / (accuracy[at] - accuracy[at - 1])
    return float(questions[at - 1] + share * (questions[at] - questions[at - 1]))


def compared(plain: Float64Array, ease: Float64Array, totals: Float64Array) -> float:
    """Returns the share of the plain questions that ease needs for what they end at.

    Args:
        plain: (S, Q) accuracies.
        ease: (S, Q) likewise.
        totals: (Q,) questions.

    Returns:
        more than 1 where it needs more; where it does not get there, as if it did with all.
    """
    target = float(plain.mean(0)[-1])
    needed = questions_to_reach(target, plain.mean(0), totals)
    needs = questions_to_reach(target, ease.mean(0), totals)
    return (float(totals[-1]) if needs is None else needs) / (needed or float(totals[-1]))


def summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Compares both arms for each environment and teacher, and for all of a teacher's."""
    totals = np.array(TOTALS, dtype=np.float64)
    found = []
    for teacher in TEACHERS:
        for env in ENVS:
            table = {
                (arm, name): _table(rows, env, teacher, arm, name)
                for arm in ARMS
                for name in ("accuracy", "decisive")
            }
            plain, ease = (table[arm, "accuracy"] for arm in ARMS)
            cost = {arm: _cost(table[arm, "decisive"]) for arm in ARMS}
            rng = np.random.default_rng(0)
            draws = rng.integers(len(plain), size=(NUM_RESAMPLES, len(plain)))
            shares = [compared(plain[draw], ease[draw], totals) for draw in draws]
            tail = 100 * (1 - LEVEL) / 2
            found.append(
                {
                    "env": env,
                    "teacher": teacher,
                    "questions_per_decisive_answer": {
                        arm: float(each.mean()) for arm, each in cost.items()
                    },
                    # Of logarithms: the interval of a ratio.
                    "cost_ratio": np.exp(interval(np.log(cost["ease"] / cost["plain"]))).tolist(),
                    "accuracy": {arm: table[arm, "accuracy"].mean(0).tolist() for arm in ARMS},
                    "decisive": {arm: table[arm, "decisive"].mean(0).tolist() for arm in ARMS},
                    "accuracy_difference": [interval(column) for column in (ease - plain).T[1:]],
                    "questions_at_equal_accuracy": [
                        compared(plain, ease, totals),
                        *np.percentile(shares, [tail, 100 - tail]).tolist(),
                    ],
                }
            )
    return found


def _table(rows: Sequence[Row], env: str, teacher: str, arm: str, name: str) -> Float64Array:
    """Returns (S, Q)."""
    own = [row for row in rows if (row.env, row.teacher, row.arm) == (env, teacher, arm)]
    seeds = sorted({row.seed for row in own})
    by_place = {(row.seed, row.questions): getattr(row, name) for row in own}
    return np.array([[by_place[seed, total] for total in TOTALS] for seed in seeds], np.float64)


def _cost(decisive: Float64Array) -> Float64Array:
    """Returns (S,) questions put for each decisive answer, once they are chosen."""
    return (TOTALS[-1] - TOTALS[0]) / (decisive[:, -1] - decisive[:, 0])


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draws accuracy and decisive answers over questions, a column an environment and teacher."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.6), layout="constrained")
    axes = figure.subplots(2, len(ENVS) * len(TEACHERS), sharex=True)
    columns = [(teacher, env) for teacher in TEACHERS for env in ENVS]
    for column, (teacher, env) in enumerate(columns):
        for row, name in enumerate(("accuracy", "decisive")):
            axis = axes[row, column]
            for arm, colour in zip(ARMS, ("#7f7f7f", "#d1495b"), strict=True):
                table = _table(rows, env, teacher, arm, name)
                for each in table:
                    axis.plot(TOTALS, each, color=colour, alpha=0.25, linewidth=0.8)
                label = f"{STRATEGY}, weighed by ease" if arm == "ease" else STRATEGY
                axis.plot(TOTALS, table.mean(0), color=colour, marker="o", ms=3, label=label)
            axis.grid(alpha=0.3)
        axes[0, column].set_title(f"{env}, teacher {teacher}", fontsize=10)
        axes[1, column].set_xlabel("questions put")
    axes[0, 0].set_ylabel("accuracy on held-out pairs")
    axes[1, 0].set_ylabel("decisive answers")
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Runs every cell that is not in the result yet, and sums up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pools", type=Path, required=True, help="recorded segments; made once")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/labelling"))
    given = parser.parse_args()
    pools = {env: cached(PoolSettings(env, **POOL), given.pools) for env in ENVS}
    path = given.out / "ease.json"
    known = json.loads(path.read_text())["rows"] if path.exists() else []
    rows = [Row(**row) for row in known]
    rates = {
        f"{env} {teacher}": SyntheticTeacher(teacher_config(teacher)).observe(pools[env].candidates)
        for env in ENVS
        for teacher in TEACHERS
    }
    settings = {"strategy": STRATEGY, "totals": TOTALS, "pool": POOL, "candidates": CANDIDATES}
    for seed in range(SEEDS):
        for env, teacher, arm in ((e, t, a) for e in ENVS for t in TEACHERS for a in ARMS):
            if any((r.env, r.teacher, r.arm, r.seed) == (env, teacher, arm, seed) for r in rows):
                continue
            began_s = time.process_time()
            rows += run(pools[env], teacher, arm, seed)
            print(env, teacher, arm, seed, f"{time.process_time() - began_s:.1f} s", flush=True)
            given.out.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"rows": [asdict(row) for row in rows]}) + "\n")
    result = {
        "settings": settings,
        "not_decisive": {
            name: {k: round(rate[f"teacher_{k}_rate"], 3) for k in ("skip", "tie")}
            for name, rate in rates.items()
        },
        "pools": {env: pool.digest for env, pool in pools.items()},
        "summary": summary(rows),
        "rows": [asdict(row) for row in rows],
    }
    path.write_text(json.dumps(result) + "\n")
    draw(rows, given.out / "ease.png")


if __name__ == "__main__":
    main()
