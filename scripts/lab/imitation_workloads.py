"""The same work done by imitation, in its own way and on the same network.

imitation's members are independent of each other, and so are the members that prefrl is timed with
beside it.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from imitation.algorithms import (  # type: ignore[import-not-found]
    preference_comparisons as comparisons,
)
from imitation.data.types import TrajectoryWithRew  # type: ignore[import-not-found]
from imitation.rewards.reward_nets import (  # type: ignore[import-not-found]
    BasicRewardNet,
    RewardEnsemble,
)
from imitation.rewards.reward_wrapper import RewardVecEnvWrapper  # type: ignore[import-not-found]
from imitation.util import logger  # type: ignore[import-not-found]

from lab.speed import (
    NUM_ENVS,
    NUM_HEADS,
    SEGMENT_LENGTH,
    WIDTH,
    Sizes,
    Workload,
    comparison_multiply_adds,
    row_multiply_adds,
)
from lab.workloads import (
    ACTION_SPACE,
    OBSERVATION_SPACE,
    Material,
    null_environments,
    stepper,
)
from prefrl.segments import SegmentBatch


def ensemble() -> Any:
    """Makes the reward ensemble of the timed size."""
    members = [
        BasicRewardNet(OBSERVATION_SPACE, ACTION_SPACE, hid_sizes=(WIDTH, WIDTH))
        for _ in range(NUM_HEADS)
    ]
    return RewardEnsemble(OBSERVATION_SPACE, ACTION_SPACE, members)


def fragments(segments: SegmentBatch) -> list[Any]:
    """Returns segments as imitation has them; what follows the last action is what came before."""
    return [
        TrajectoryWithRew(
            obs=np.concatenate([observations, observations[-1:]]),
            acts=actions,
            infos=None,
            terminal=False,
            rews=rewards,
        )
        for observations, actions, rewards in zip(
            segments.observations, segments.actions, segments.true_rewards, strict=True
        )
    ]


def their_workloads(material: Material, sizes: Sizes) -> list[Workload]:
    """Lists those of prefrl's tasks that imitation does as well."""
    return [
        steps_of(material),
        *scoring_of(material, sizes),
        environments_of(material, sizes),
    ]


def steps_of(material: Material) -> Workload:
    """Times an epoch of its EnsembleTrainer: each member in turn on its own bootstrap sample.

    A comparison counts once for all members, as it does for prefrl; batches are its default, 32.
    """
    # Its logger wants a folder, though it then writes nothing there; removed when Python exits.
    folder = tempfile.mkdtemp(prefix="prefrl-speed-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    silent = logger.configure(folder, format_strs=[])
    trainer = comparisons.EnsembleTrainer(
        comparisons.PreferenceModel(ensemble()),
        comparisons.CrossEntropyRewardLoss(),
        rng=np.random.default_rng(0),
        custom_logger=silent,
    )
    dataset = comparisons.PreferenceDataset()
    pairs = list(zip(fragments(material.left), fragments(material.right), strict=True))
    dataset.push(pairs, material.p_left)

    def run() -> float:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
            trainer.train(dataset)
        return float(len(dataset))

    multiply_adds = comparison_multiply_adds(shared_trunk=False)
    return Workload("EnsembleTrainer, one epoch", "fitting", "comparisons", run, multiply_adds)


def scoring_of(material: Material, sizes: Sizes) -> list[Workload]:
    """Times its active selection, one pair after the other, and the scoring of segments in it."""
    model = comparisons.PreferenceModel(ensemble())
    pool = fragments(material.pool)
    rng = np.random.default_rng(0)
    pairs = [
        tuple(pool[i] for i in rng.choice(len(pool), size=2, replace=False))
        for _ in range(sizes.num_their_pairs)
    ]
    multiply_adds = SEGMENT_LENGTH * row_multiply_adds(shared_trunk=False)

    def given(
        trajectories: Sequence[Any], fragment_length: int, num_pairs: int
    ) -> Sequence[tuple[Any, ...]]:
        return pairs

    fragmenter = comparisons.ActiveSelectionFragmenter(
        model, given, fragment_sample_factor=1.0, uncertainty_on="probability"
    )

    def select() -> float:
        num_chosen = min(sizes.num_queries, len(pairs))
        fragmenter(trajectories=[], fragment_length=SEGMENT_LENGTH, num_pairs=num_chosen)
        return float(len(pairs))

    @torch.no_grad()
    def score() -> float:
        some = pool[: 2 * len(pairs)]
        for fragment in some:
            model.rewards(comparisons.rollout.flatten_trajectories([fragment]))
        return float(len(some))

    return [
        Workload("segments scored", "scoring", "segments", score, multiply_adds),
        Workload("active selection", "choosing", "pairs", select, 2 * multiply_adds),
    ]


def environments_of(material: Material, sizes: Sizes) -> Workload:
    """Times what its reward wrapper adds to a step of environments that do nothing."""
    venv = RewardVecEnvWrapper(null_environments(), ensemble().predict_processed)
    step: Callable[[], float] = stepper(venv, material.actions, sizes.num_steps)
    return Workload(
        f"RewardVecEnvWrapper, {NUM_ENVS} environments",
        "environments",
        "step",
        step,
        NUM_ENVS * row_multiply_adds(shared_trunk=False),
        base=stepper(null_environments(), material.actions, sizes.num_steps),
        in_ms=True,
    )
