"""Recorded data as material: its pairs as they are, or windows of its episodes.

Axes: R rows of the table of steps, N pairs.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prefrl.config import LabelConfig, RewardConfig, RunConfig, SessionSettings
from prefrl.config.labelling import REPEAT_SHARE
from prefrl.errors import ConfigError, DataError, StorageError, option, text_of
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.feedback.interchange import dataset_of, load_comparisons
from prefrl.feedback.pairs import windows_of
from prefrl.feedback.steps import Steps, true_reward_of
from prefrl.records.archive import open_archive, read_arrays
from prefrl.records.files import opened, reason
from prefrl.rewards import RewardTrainer, build_model
from prefrl.runs.label.material import Material, chooser_of, decided, pairs_in
from prefrl.seeding import REWARD_WEIGHTS, Streams
from prefrl.segments import Episode, EpisodeStore, SegmentBatch
from prefrl.session.listed import ListedPairs

if TYPE_CHECKING:
    from prefrl.labelling.clips import DatasetClips

_CHUNK = 2**20
_OF_PAIRS = ("left_start", "right_start", "p_left")
# Questions that are chosen, and not in the file.
_OF_CHOICE = ("strategy", "ease")


def about_of(path: Path, settings: LabelConfig) -> str:
    """Names the material of a file: questions about another one would not go with its answers.

    Raises:
        StorageError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with opened(path) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except (OSError, ValueError) as error:
        raise StorageError(f"could not read {path}: {reason(error)}") from None
    length = settings.segment_length
    return f"{digest.hexdigest()} {'pairs' if length is None else f'segments of {length}'}"


def data_material(path: Path, settings: LabelConfig) -> Material:
    """Returns what there is to ask about a file of recorded steps.

    Without `settings.segment_length` these are the pairs in it, in their order. Else they are
    windows of its episodes, chosen at random first, and then by a model that is fitted to the
    answers.

    Raises:
        PrefrlError: the file is missing, damaged, or has nothing that can be shown.
    """
    from prefrl.labelling.clips import DatasetClips

    recorded = _recorded(path, settings)
    try:
        clips = DatasetClips(recorded)
    except (ConfigError, DataError) as error:
        raise StorageError(f"{path} cannot be labelled: {text_of(error)}") from None
    streams = Streams(settings.seed or 0)
    if settings.segment_length is None:
        return _of_pairs(path, recorded, clips, settings, streams)
    length = settings.segment_length
    first, stop = clips.episodes
    episodes, beginnings = _episodes(recorded.steps, first, stop), np.unique(first)
    name = str(path) if "episode" in recorded.steps else f"without `episode` {path}"
    num_pairs = pairs_in(episodes, length, name)
    num_observations, num_actions = recorded.pairs.dims[1:3]
    model = build_model(
        num_observations + num_actions,
        RewardConfig(),
        segment_length=length,
        generator=streams.torch_generator(REWARD_WEIGHTS),
        observation_dim=num_observations,
        env_id=recorded.env_id,
    )
    learner = RewardTrainer(model, RewardConfig(), streams=streams)
    sessions = decided(settings, SessionSettings(segment_length=length, repeat_share=REPEAT_SHARE))
    strategy = settings.strategy or RunConfig().strategy
    return Material(
        env_id=recorded.env_id or "",
        chooser=chooser_of(episodes, learner, sessions, streams, strategy),
        spec=lambda segment: clips.clip(
            int(beginnings[segment.episode[0]] + segment.start[0]), int(segment.length[0])
        ),
        num_pairs=num_pairs,
        overlap=sessions.overlap,
        repeat_share=sessions.repeat_share or 0.0,
        dataset=PreferenceDataset(env_id=recorded.env_id),
        learner=learner,
        is_rendered=not clips.has_frames,
    )


def _of_pairs(
    path: Path,
    recorded: PreferenceDataset,
    clips: "DatasetClips",
    settings: LabelConfig,
    streams: Streams,
) -> Material:
    """Returns the pairs of a file, which are asked about as they are."""
    for name in _OF_CHOICE:
        if getattr(settings, name):
            raise ConfigError(
                f"{option(name)} is {getattr(settings, name)}, but the pairs of {path} are asked "
                f"about as they are; leave it out, or choose others of its steps by "
                f"{option('segment_length')}"
            )
    pairs, rows = ListedPairs(recorded.pairs.left, recorded.pairs.right, streams), _rows(recorded)
    share = settings.repeat_share
    return Material(
        env_id=recorded.env_id or "",
        chooser=pairs,
        spec=lambda segment: clips.clip(rows[_window(segment)], int(segment.length[0])),
        num_pairs=pairs.num_pairs,
        overlap=settings.overlap or 0.0,
        repeat_share=REPEAT_SHARE if share is None else share,
        dataset=PreferenceDataset(env_id=recorded.env_id),
        is_rendered=not clips.has_frames,
    )


def _recorded(path: Path, settings: LabelConfig) -> PreferenceDataset:
    """Reads a file in the interchange layout, which need not have pairs.

    Raises:
        StorageError: it is missing or damaged, or lacks what is asked about.
    """
    with open_archive(path, "recorded steps") as archive:
        names = {name.removesuffix(".npy") for name in archive.members}
    if {"lengths", "first_episode"} <= names:
        raise StorageError(
            f"{path} holds the episodes of a run; prefrl label {path.parent} asks about them"
        )
    if not names.isdisjoint(_OF_PAIRS):
        recorded = load_comparisons(path)
    else:
        none: dict[str, NDArray[Any]] = {
            "left_start": np.zeros(0, np.int64),
            "right_start": np.zeros(0, np.int64),
            "p_left": np.zeros(0),
            "segment_length": np.asarray(1),
        }
        try:
            recorded = dataset_of({**read_arrays(path, "recorded steps"), **none})
        except (DataError, OverflowError, MemoryError) as error:
            raise StorageError(f"{path} is damaged: {text_of(error)}") from None
    if settings.segment_length is None and not len(recorded):
        raise ConfigError(
            f"{path} has no pairs to ask about; say by {option('segment_length')} how many of its "
            "steps a clip is to show"
        )
    return recorded


def _rows(recorded: PreferenceDataset) -> dict[tuple[int, int], int]:
    """Returns, by its window, the row at which each segment begins."""
    pairs = recorded.pairs
    windows = np.concatenate(pairs.windows())
    rows = np.concatenate([pairs.left_start, pairs.right_start])
    return {(int(a), int(b)): int(row) for (a, b), row in zip(windows, rows, strict=True)}


def _window(segment: SegmentBatch) -> tuple[int, int]:
    (window,) = windows_of(segment).tolist()
    return window[0], window[1]


def _episodes(steps: Steps, first: NDArray[np.int64], stop: NDArray[np.int64]) -> EpisodeStore:
    """Returns the rows that follow each other as episodes.

    Args:
        steps: R of them.
        first: (R,) first row of each row's episode.
        stop: (R,) the row after its last one.
    """
    rewards = true_reward_of(steps).astype(np.float32)
    states = steps.get("sim_states", np.zeros((len(rewards), 0)))
    store = EpisodeStore(max(len(rewards), 1))
    for begin in np.unique(first).tolist():
        end = int(stop[begin])
        rows = slice(begin, end)
        observations = steps["observations"][rows].astype(np.float32)
        is_over = {
            name: bool(steps[name][end - 1]) if name in steps else False
            for name in ("terminated", "truncated")
        }
        store.add(
            Episode(
                # What the last step led to is in no window.
                np.concatenate([observations, observations[-1:]]),
                steps["actions"][rows].astype(np.float32),
                rewards[rows],
                states[rows].astype(np.float64),
                is_complete=is_over["terminated"] or is_over["truncated"],
                terminated=is_over["terminated"],
                truncated=not is_over["terminated"],
            )
        )
    return store
