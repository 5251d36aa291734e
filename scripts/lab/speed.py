"""The rules of the speed benchmark: workloads, clocks and the limit they are held against.

Axes: N rows, D input dims, F hidden width, K heads, T steps.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}

# The network that is timed, on HalfCheetah's dims.
OBSERVATION_DIM, ACTION_DIM = 17, 6
NUM_HEADS, WIDTH, SEGMENT_LENGTH = 3, 256, 50
NUM_ENVS = 8
PRODUCT_ROWS = 1_024


@dataclass(frozen=True)
class Sizes:
    """The amount of each thing that is done before the clock is read.

    Args:
        num_answers: comparisons in the dataset; a fitting step sees a minibatch of them.
        num_updates: gradient steps where steps alone are timed.
        session_updates: gradient steps of a whole session.
        num_segments: in the pool whose pairs are all compared.
        num_queries: pairs chosen among them.
        num_their_pairs: pairs that imitation is given to score, as it takes them one by one.
        num_steps: of the vector environments.
        num_transitions: in the replay buffer.
        recording_rounds: of 100 steps, with recording and without.
        repeats: how often all of it is done.
    """

    num_answers: int = 320
    num_updates: int = 30
    session_updates: int = 100
    num_segments: int = 1_000
    num_queries: int = 100
    num_their_pairs: int = 200
    num_steps: int = 1_000
    num_transitions: int = 1_000_000
    recording_rounds: int = 60
    repeats: int = 5


QUICK = Sizes(
    num_answers=16,
    num_updates=2,
    session_updates=2,
    num_segments=20,
    num_queries=3,
    num_their_pairs=4,
    num_steps=20,
    num_transitions=2_000,
    recording_rounds=2,
    repeats=2,
)

# Where query strategies are compared, a batch is what a session of a run asks for.
CHOOSING = Sizes(num_queries=50)


@dataclass(frozen=True)
class Workload:
    """Something that is timed.

    Args:
        title: the table's name for it.
        task: what it is a way of doing; another tool's workload for the same task is beside it.
        item: what it handles, in the plural.
        run: does it once, and returns how many items it handled.
        multiply_adds: of the matrix products that one item cannot do without.
        base: the same without what is measured; its time is subtracted.
        in_ms: shown as milliseconds an item instead of items a second.
    """

    title: str
    task: str
    item: str
    run: Callable[[], float]
    multiply_adds: float
    base: Callable[[], float] | None = None
    in_ms: bool = False


def row_multiply_adds(*, shared_trunk: bool) -> int:
    """Counts those of one row, forwards: K heads D x F, F x F, F x 1; the first may be shared."""
    first = (OBSERVATION_DIM + ACTION_DIM) * WIDTH * (1 if shared_trunk else NUM_HEADS)
    return first + NUM_HEADS * (WIDTH * WIDTH + WIDTH)


def comparison_multiply_adds(*, shared_trunk: bool, num_steps: int = SEGMENT_LENGTH) -> int:
    """Counts those of a gradient step, for each of its comparisons.

    Each product of the forward pass is followed by one for the gradient of its weights and one for
    that of its inputs, which nobody asks for in the first layer.

    Args:
        shared_trunk: whether heads share their first layer.
        num_steps: that it looks at of each segment.
    """
    forward = row_multiply_adds(shared_trunk=shared_trunk)
    first = forward - NUM_HEADS * (WIDTH * WIDTH + WIDTH)
    return 2 * num_steps * (3 * forward - first)


def matrix_products() -> list[Workload]:
    """Times the product that most of the work is: float32, (N, F) @ (F, K F), NumPy and torch.

    Operands and result stay in place and in cache, so that nothing but multiplying is timed. The
    faster of the two libraries sets the limit.
    """
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((PRODUCT_ROWS, WIDTH), dtype=np.float32)
    weight = rng.standard_normal((WIDTH, NUM_HEADS * WIDTH), dtype=np.float32)
    out = np.empty((PRODUCT_ROWS, NUM_HEADS * WIDTH), dtype=np.float32)
    tensors = [torch.from_numpy(array) for array in (rows, weight)]
    out_tensor = torch.from_numpy(out)
    turns = 20
    amount = float(turns * PRODUCT_ROWS * WIDTH * NUM_HEADS * WIDTH)

    def in_numpy() -> float:
        for _ in range(turns):
            np.matmul(rows, weight, out=out)
        return amount

    def in_torch() -> float:
        for _ in range(turns):
            torch.mm(*tensors, out=out_tensor)
        return amount

    return [
        Workload("NumPy", "product", "multiply-adds", in_numpy, 1.0),
        Workload("torch", "product", "multiply-adds", in_torch, 1.0),
    ]


def seconds_an_item(
    workloads: Mapping[str, Sequence[Workload]],
    *,
    repeats: int,
    clock: str,
    on_turn: Callable[[], object] = lambda: None,
) -> dict[tuple[str, str], list[float]]:
    """Times all workloads in turn, then all of them again, so that all meet the same weather.

    Args:
        workloads: by tool.
        repeats: how often; a first round, in which memory is claimed, is not counted.
        clock: a key of `CLOCKS`.
        on_turn: called after each run.

    Returns:
        seconds an item, one a repeat, by tool and title.
    """
    # All tools do a thing before any does the next.
    in_turn = sorted(
        ((tool, one) for tool, some in workloads.items() for one in some),
        key=lambda pair: pair[1].task,
    )
    now = CLOCKS[clock]

    def seconds(run: Callable[[], float]) -> float:
        start = now()
        num_items = run()
        return (now() - start) / num_items

    timed: dict[tuple[str, str], list[float]] = {}
    for repeat in range(repeats + 1):
        for tool, workload in in_turn:
            taken = seconds(workload.run)
            if workload.base is not None:
                taken -= seconds(workload.base)
            if repeat:
                timed.setdefault((tool, workload.title), []).append(taken)
            on_turn()
    return timed


def rate(seconds: float, *, in_ms: bool) -> float:
    """Returns items a second, or milliseconds an item."""
    return 1e3 * seconds if in_ms else 1.0 / seconds


def results_of(
    ours: Sequence[Workload],
    theirs: Sequence[Workload],
    timed: Mapping[tuple[str, str], Sequence[float]],
    *,
    seconds_a_product: float,
) -> list[dict[str, Any]]:
    """Returns a row for each workload of ours; medians over repeats.

    Args:
        ours: the rows.
        theirs: imitation's, at most one a task.
        timed: seconds an item, by tool and title.
        seconds_a_product: of one multiply-add, at the measured rate of matrix products.
    """
    title_of = {one.task: one.title for one in theirs}
    rows = []
    for one in ours:
        seconds = statistics.median(timed["prefrl", one.title])
        limit = one.multiply_adds * seconds_a_product
        row: dict[str, Any] = {
            "title": one.title,
            "unit": f"ms/{one.item}" if one.in_ms else f"{one.item}/s",
            "prefrl": rate(seconds, in_ms=one.in_ms),
            "limit": rate(limit, in_ms=one.in_ms),
            "times_the_limit": seconds / limit,
            "imitation": None,
            "times_imitation": None,
            "prefrl_s": list(timed["prefrl", one.title]),
        }
        if one.task in title_of:
            each = timed["imitation", title_of[one.task]]
            their_seconds = statistics.median(each)
            row |= {
                "imitation": rate(their_seconds, in_ms=one.in_ms),
                "times_imitation": their_seconds / seconds,
                "imitation_s": list(each),
            }
        rows.append(row)
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Writes the results in Markdown."""
    is_compared = any(row["imitation"] is not None for row in rows)
    names = ["what", "unit", "prefrl", "limit", "time / limit"]
    names += ["imitation", "imitation's time / prefrl's"] if is_compared else []
    lines = [f"| {' | '.join(names)} |", "| --- " * len(names) + "|"]
    for row in rows:
        cells = [row["title"], row["unit"], *map(_shown, (row["prefrl"], row["limit"]))]
        cells.append(f"{row['times_the_limit']:.2f}")
        if is_compared and row["imitation"] is None:
            cells += ["", ""]
        elif is_compared:
            cells += [_shown(row["imitation"]), f"{row['times_imitation']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"
