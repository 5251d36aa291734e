"""The settings of queries: when the teacher is asked, and about what."""

from typing import Literal

from prefrl.config.checking import settings
from prefrl.config.ranges import PositiveFloat, PositiveInt, Probability, Share

ScheduleName = Literal["constant", "decreasing", "increasing"]

# All pairs of the pool are candidates, so its cost grows with the square of this.
MAX_CANDIDATES = 1_000


@settings("queries")
class QueryConfig:
    """When and about what the teacher is asked.

    Args:
        schedule: how the size of sessions changes over the run: constant, decreasing in proportion
            to 2e6 / (T + 2e6) at step T (Christiano et al. 2017), or increasing (its inverse).
        initial_fraction: share of the budget asked in the first session, before any training.
        num_sessions: rounds of queries in all; None lets the preset decide.
        session_spacing: session i of n is held after (i / (n - 1)) to this power of the steps from
            the first to the last one: 1 spaces them evenly, more holds the early ones closer
            together, while the policy still changes fast.
        last_session_at: share of the run's steps after which nothing is asked any more.
        candidate_factor: size of the candidate pool, in segments per query, up to 1,000 in all.
        min_candidates: smallest candidate pool, in segments.
        spread_factor: so many times the pool is drawn, and the segments that lie farthest apart (by
            their observations) are kept; 1 keeps a plain draw. Most of a policy's time may pass in
            few situations; a robot that has fallen lies there for the rest of its episode.
        newest_steps: candidates come from the newest episodes that together hold this many steps;
            None lets the preset decide, and means all of them in a loop of one's own.
        audit_share: share of the queries that are drawn at random from the plain pool, before any
            spreading and choosing, so that what is measured on them is unbiased; they are marked
            `is_audit` in comparisons.npz.
        repeat_share: share of the answered questions that come back later with their sides swapped,
            to whoever has answered them; they train nothing and cost no budget. None: .05 with
            people, else 0.
        overlap: share of the questions that two annotators answer; the budget counts them once.
        validation_fraction: share of the answers held out, to stop fitting and to report accuracy.
        ease: what an answer about a pair is worth is weighed by the chance that it is a decisive
            one, predicted from the answers so far: people skip, or call a tie, what they cannot
            tell apart. Audit queries are drawn as ever.

    Example:
        >>> from prefrl import QueryConfig
        >>> QueryConfig(candidate_factor=5).pool_size(num_queries=100)
        500
    """

    schedule: ScheduleName = "decreasing"
    initial_fraction: Probability = 0.2
    num_sessions: PositiveInt | None = None
    session_spacing: PositiveFloat = 2.0
    last_session_at: Probability = 0.9
    candidate_factor: PositiveInt = 10
    min_candidates: PositiveInt = 200
    spread_factor: PositiveInt = 3
    newest_steps: PositiveInt | None = None
    audit_share: Probability = 0.0
    repeat_share: Probability | None = None
    overlap: Probability = 0.0
    validation_fraction: Share = 0.15
    ease: bool = False

    def pool_size(self, num_queries: int) -> int:
        """Returns how many segments to draw for a batch of queries; at least two a query."""
        wanted = max(self.min_candidates, self.candidate_factor * num_queries)
        return max(min(wanted, MAX_CANDIDATES), 2 * num_queries)


@settings("queries", kw_only=True)
class ResolvedQueries(QueryConfig):
    """When and about what the teacher is asked, with nothing left to a preset."""

    num_sessions: PositiveInt
    newest_steps: PositiveInt


@settings("queries", kw_only=True)
class SessionSettings(QueryConfig):
    """Settings of the sessions in a loop of one's own; its plan says when they are held.

    Args:
        segment_length: T.
    """

    segment_length: PositiveInt
