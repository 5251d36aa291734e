"""Measures reward models on recorded answers: how often they predict a person, how well they know.

    python scripts/benchmark_reward.py --data shared/data/door_human.npz --num-labels 100 all
    python scripts/benchmark_reward.py --data arguments.npz --answers votes --flip-rate 0 0.2
    python scripts/benchmark_reward.py --data door_human.npz --models enhanced --without temperature

A file's own split is tested on once a seed; a file without one is cut into five parts, whole groups
where it has groups, each of which is tested on by a model fitted to the others. Splits, training
answers and flipped answers are the same for every model. Means over seeds and their 95% bootstrap
intervals go to standard output as a Markdown table, and to --out as JSON with the metrics of every
seed. --without and --with add the enhanced model with one part left out, or with one that is off by
default; --reliability draws what was answered against what was predicted, a picture a row.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lab.command_line import OneLineParser, number_above_0
from lab.recorded import Recorded, load
from lab.reward_models import (
    MEASURES,
    MODELS,
    Outcome,
    Setting,
    predicted,
    summarised,
    tasks_of,
    use_one_thread,
)
from lab.variants import WITH, WITHOUT
from prefrl.errors import PrefrlError, StorageError
from prefrl.media.plots import plot_reliability
from prefrl.records.files import write_text_atomically
from prefrl.rewards.calibration.probabilities import reliability_bins

# Read by the numerical libraries of a worker when it starts.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def labels(word: str) -> int | None:
    """Reads a number of labels; None: all."""
    if word == "all":
        return None
    try:
        return number_above_0(word)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, or all") from None


def share(word: str) -> float:
    """Reads a flip rate."""
    try:
        rate = float(word)
    except ValueError:
        rate = -1.0
    if not 0 <= rate < 0.5:
        raise argparse.ArgumentTypeError(f"{word} is not a share, 0 or more and below 0.5")
    return rate


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = OneLineParser(prog="benchmark_reward", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="FILE.npz", help="recorded comparisons")
    add("--num-labels", nargs="+", type=labels, default=[None], help="numbers of answers, or all")
    add("--flip-rate", nargs="+", type=share, default=[0.0], help="shares turned round")
    add("--seeds", type=number_above_0, default=5, help="how many seeds, counted from 0")
    add("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    add("--without", nargs="+", choices=list(WITHOUT), default=[], help="a part left out of it")
    add(
        "--with", nargs="+", choices=list(WITH), default=[], dest="extra", help="a part added to it"
    )
    add("--answers", choices=("gold", "votes"), default="gold", help="what is trained on")
    add("--jobs", type=number_above_0, default=1, help="fits side by side, one thread each")
    add("--out", type=Path, metavar="FILE.json", help="where results are written")
    add("--reliability", type=Path, metavar="FOLDER", help="where reliability is drawn")
    return parser.parse_args(words)


def check(data: Recorded, settings: Sequence[Setting], arguments: argparse.Namespace) -> None:
    """Raises what would otherwise come up after hours."""
    out = arguments.out
    if out is not None and not out.absolute().parent.is_dir():
        raise StorageError(f"there is no folder {out.absolute().parent} to write {out.name} into")
    if out is not None and out.is_dir():
        raise StorageError(f"{out} is a folder; name a file")
    folder = arguments.reliability
    if folder is not None and not folder.is_dir():
        raise StorageError(f"there is no folder {folder} to draw reliability into")
    for setting, seed in itertools.product(settings, range(arguments.seeds)):
        tasks_of(data, setting, seed=seed)


Contender = tuple[str, Setting]


def outcomes_of(
    data: Recorded, rows: Sequence[Contender], *, seeds: int, jobs: int
) -> dict[Contender, list[Outcome]]:
    """Measures every model in every setting with every seed, side by side."""
    os.environ.update(ONE_THREAD)
    cells = [(row, seed) for seed in range(seeds) for row in rows]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=use_one_thread) as pool:
        work = {
            pool.submit(predicted, model, data, setting, seed=seed): ((model, setting), seed)
            for (model, setting), seed in cells
        }
        try:
            done = {
                work[one]: one.result()
                for one in tqdm(as_completed(work), total=len(work), unit="cell")
            }
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {row: [done[row, seed] for seed in range(seeds)] for row in rows}


def draw_reliability(outcomes: Mapping[Contender, Sequence[Outcome]], folder: Path) -> None:
    """Draws one picture a row: the answers of all seeds, every pair shown from both sides."""
    for (model, setting), of_seeds in outcomes.items():
        p = np.concatenate([one.predictions.p for one in of_seeds])
        p_left = np.concatenate([one.p_left for one in of_seeds])
        both = np.concatenate([p, 1 - p]), np.concatenate([p_left, 1 - p_left])
        labels, flips = setting.num_labels or "all", setting.flip_rate
        plot_reliability(
            reliability_bins(*both, num_bins=20),
            folder / f"{model.replace(' ', '')}-{labels}-{flips:g}.png",
            title=f"{model}, {labels} labels, {flips:g} flipped",
        )


def table(results: Sequence[dict[str, Any]]) -> list[str]:
    """Writes the results in Markdown: means with their intervals."""
    lines = [
        f"| model | labels | flipped | {' | '.join(MEASURES)} | fit, s |",
        "| --- " * (len(MEASURES) + 4) + "|",
    ]
    for row in results:
        cells = [
            ""
            if row[name] is None
            else f"{row[name]:.3f} ({row[f'{name}_low']:.3f} to {row[f'{name}_high']:.3f})"
            for name in MEASURES
        ]
        lines.append(
            f"| {row['model']} | {row['num_labels']} | {row['flip_rate']:g} "
            f"| {' | '.join(cells)} | {row['fit_s']:.2f} |"
        )
    return lines


def main(words: Sequence[str] | None = None) -> int:
    """Measures, prints and saves what was asked for."""
    arguments = arguments_of(words)
    settings = [
        Setting(num_labels, flip_rate, from_votes=arguments.answers == "votes")
        for num_labels, flip_rate in itertools.product(
            dict.fromkeys(arguments.num_labels), dict.fromkeys(arguments.flip_rate)
        )
    ]
    try:
        data = load(arguments.data)
        check(data, settings, arguments)
        variants = [f"enhanced -{part}" for part in arguments.without]
        variants += [f"enhanced +{part}" for part in arguments.extra]
        models = dict.fromkeys([*arguments.models, *variants])
        rows = list(itertools.product(models, settings))
        outcomes = outcomes_of(data, rows, seeds=arguments.seeds, jobs=arguments.jobs)
        results = [
            # The same bootstrap samples for every row.
            summarised(*row, [one.metrics() for one in of_seeds], rng=np.random.default_rng(0))
            for row, of_seeds in outcomes.items()
        ]
        print("\n".join(table(results)))
        if (ceiling := data.human_ceiling()) is not None:
            print(f"\nOne voter agrees with the majority of the others: {ceiling:.3f}")
        if arguments.out is not None:
            text = json.dumps(results, indent=1, allow_nan=False)
            write_text_atomically(arguments.out, text + "\n")
        if arguments.reliability is not None:
            draw_reliability(outcomes, arguments.reliability)
    except PrefrlError as error:
        print(f"benchmark_reward: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
