"""Material that people are asked about apart from a run: segments, clips, and what is known."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from prefrl.config import LabelConfig, SessionSettings
from prefrl.errors import DataError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.queries import make_strategy, with_ease
from prefrl.queries.pairs import num_pairs
from prefrl.rewards import RewardTrainer
from prefrl.seeding import Streams
from prefrl.segments import EpisodeStore, SegmentBatch
from prefrl.session.chooser import Chooser
from prefrl.session.listed import ListedPairs
from prefrl.session.pool import StoreSource

if TYPE_CHECKING:
    from prefrl.labelling.clips import ClipSpec


@dataclass(frozen=True)
class Material:
    """Segments to ask people about.

    Args:
        env_id: of their environment; "" where it is not known.
        chooser: finds the questions.
        spec: describes the clip of one segment.
        dataset: the answers that there are already.
        learner: the reward model that chooses; None where nothing is chosen.
        is_fitted: it was fitted before.
        step: environment steps that the policy had taken.
        first_session: rounds of queries that were held before.
        num_pairs: different pairs that may be asked about.
        overlap: share of the questions that two annotators answer.
        repeat_share: share of them that come back.
        is_rendered: clips are rendered from states, for which there must be graphics.
    """

    env_id: str
    chooser: Chooser | ListedPairs
    spec: Callable[[SegmentBatch], "ClipSpec"]
    num_pairs: int
    overlap: float
    repeat_share: float
    dataset: PreferenceDataset = field(default_factory=PreferenceDataset)
    learner: RewardTrainer | None = None
    is_fitted: bool = False
    step: int = 0
    first_session: int = 0
    is_rendered: bool = True


def chooser_of(
    episodes: EpisodeStore,
    learner: RewardTrainer,
    settings: SessionSettings,
    streams: Streams,
    strategy: str,
    among: Collection[int] | None = None,
) -> Chooser:
    """Returns who chooses windows of episodes by a reward model, of all or of these numbers.

    Raises:
        ConfigError: there is no such strategy, or it cannot be weighed by ease.
    """
    chosen = make_strategy(strategy)
    return Chooser(
        source=StoreSource(episodes, settings, among),
        strategy=with_ease(chosen) if settings.ease else chosen,
        predictor=learner,
        streams=streams,
        spread_factor=settings.spread_factor,
        audit_share=settings.audit_share,
    )


def pairs_in(
    episodes: EpisodeStore, segment_length: int, name: str, among: Collection[int] | None = None
) -> int:
    """Counts the pairs of windows that episodes hold.

    Args:
        episodes: whole ones.
        segment_length: steps of a window.
        name: of where they are from, for errors.
        among: numbers of the episodes that count; None: all do.

    Raises:
        DataError: there is none.
    """
    num = num_pairs(episodes.num_windows(segment_length, among=among))
    if not num:
        raise DataError(
            f"{name} holds no two segments of {segment_length} steps, so there is no pair to ask "
            "about"
        )
    return num


def decided(settings: LabelConfig, usual: SessionSettings) -> SessionSettings:
    """Returns the settings of sessions, those of `settings` where it has some."""
    shares = {name: getattr(settings, name) for name in ("overlap", "repeat_share")}
    given = {name: value for name, value in shares.items() if value is not None}
    return replace(usual, **given, ease=settings.ease or usual.ease)
