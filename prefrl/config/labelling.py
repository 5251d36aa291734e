"""The settings of labelling apart from a run: what people are asked about, and how much."""

from prefrl.config.checking import settings
from prefrl.config.ranges import PositiveInt, Probability, SeedInt

OPEN_AHEAD = 20
"""Questions that are open at once where people answer: what is worth asking changes."""
REPEAT_SHARE = 0.05
"""Share of the questions that come back where people answer."""


@settings()
class LabelConfig:
    """Labelling apart from a run, of a finished run's episodes or of recorded data.

    None leaves a setting to the run, as far as it has one.

    Args:
        budget: answered questions to end with, those of all times that this folder was labelled in
            since its run ended (ties count, skips do not); None asks for as many as there are.
        strategy: how questions are chosen, as in `prefrl run`. Recorded pairs are asked about as
            they are.
        segment_length: steps of a segment that is cut out of recorded data; None asks about the
            pairs that the data has.
        overlap: share of the questions that two annotators answer; the budget counts them once.
        repeat_share: share of the answered questions that come back later with their sides swapped,
            to whoever has answered them; .05 by default.
        ease: what an answer is worth is weighed by the chance that it is a decisive one, whether or
            not the run did so.
        open_ahead: questions that are open at once, at most; others are put as these are answered,
            chosen by the newest model.
        seed: everything random follows from it.

    Example:
        >>> from prefrl.config import LabelConfig
        >>> LabelConfig(budget=100, overlap=0.1).open_ahead
        20
    """

    budget: PositiveInt | None = None
    strategy: str | None = None
    segment_length: PositiveInt | None = None
    overlap: Probability | None = None
    repeat_share: Probability | None = None
    ease: bool = False
    open_ahead: PositiveInt = OPEN_AHEAD
    seed: SeedInt | None = None
