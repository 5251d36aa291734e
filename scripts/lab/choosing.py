"""Timings of query strategies, one beside the other.

Axes: S segments, K heads.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lab.speed import Sizes, Workload
from lab.workloads import Material, config_of, dataset_of, model_of
from prefrl.queries import ACQUISITIONS, SELECTORS, make_strategy
from prefrl.queries.pairs import num_pairs
from prefrl.rewards import RewardTrainer
from prefrl.seeding import Streams

# As in the robust recipe; k-center counts its distances from what the bank holds.
BANK_SIZE = 2_048


def timed_names() -> Iterator[str]:
    """Lists every acquisition with the greedy selector, then every selector with disagreement."""
    for name in ACQUISITIONS:
        yield f"{name}+greedy"
    for name in SELECTORS:
        if name != "greedy":
            yield f"disagreement+{name}"


def choosing_workloads(material: Material, sizes: Sizes) -> list[Workload]:
    """Makes a workload for each strategy: it chooses a batch among all pairs of the pool.

    Scoring and embedding the segments is part of it, as far as the strategy needs them. The model
    was fitted to the material's answers before, so that there is something already asked about.
    """
    config = config_of(bank_size=BANK_SIZE, max_updates=sizes.num_updates, min_epochs=0.0)
    trainer = RewardTrainer(model_of(config), config, streams=Streams(0))
    trainer.fit(dataset_of(material), session=0)
    pairs = float(num_pairs(len(material.pool)))

    def choosing(name: str) -> Callable[[], float]:
        strategy, rng = make_strategy(name), np.random.default_rng(0)

        def run() -> float:
            strategy.select(material.pool, sizes.num_queries, trainer, rng=rng)
            return pairs

        return run

    return [Workload(name, "choosing", "pairs", choosing(name), 0.0) for name in timed_names()]


def choosing_results(
    timed: Mapping[tuple[str, str], Sequence[float]], sizes: Sizes
) -> dict[str, Any]:
    """Returns a row for each strategy, and imitation's rate; medians over repeats.

    Args:
        timed: seconds a pair, by tool and title; imitation has one title or none.
        sizes: what was timed.
    """
    seconds = {key: statistics.median(each) for key, each in timed.items()}
    theirs = next((one for (tool, _), one in seconds.items() if tool == "imitation"), None)
    batch_ms = 1e3 * num_pairs(sizes.num_segments)
    rows = [
        {
            "strategy": title,
            "batch_ms": batch_ms * one,
            "pairs_per_s": 1 / one,
            "times_imitation": None if theirs is None else theirs / one,
            "batch_ms_each": [round(batch_ms * each, 3) for each in timed[tool, title]],
        }
        for (tool, title), one in seconds.items()
        if tool == "prefrl"
    ]
    return {"strategies": rows, "imitation_pairs_per_s": None if theirs is None else 1 / theirs}


def choosing_table(results: Mapping[str, Any], *, num_queries: int) -> list[str]:
    """Writes the results in Markdown."""
    theirs = results["imitation_pairs_per_s"]
    names = ["strategy", f"{num_queries} chosen, ms", "pairs/s"]
    names += ["times imitation's pairs/s"] if theirs else []
    lines = [f"| {' | '.join(names)} |", "| --- " * len(names) + "|"]
    for row in results["strategies"]:
        cells = [f"`{row['strategy']}`", f"{row['batch_ms']:,.1f}", f"{row['pairs_per_s']:,.0f}"]
        cells += [f"{row['times_imitation']:,.0f}"] if theirs else []
        lines.append(f"| {' | '.join(cells)} |")
    if theirs:
        lines += ["", f"imitation's active selection: {theirs:,.0f} pairs/s."]
    return lines
