"""Episodes, and the segments cut from them."""

from prefrl.segments.batch import SegmentBatch, equally_long, observation_embeddings
from prefrl.segments.episode import Episode, FloatArray
from prefrl.segments.store import EpisodeStore

__all__ = [
    "Episode",
    "EpisodeStore",
    "FloatArray",
    "SegmentBatch",
    "equally_long",
    "observation_embeddings",
]
