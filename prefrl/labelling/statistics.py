"""Statistics of the people who answer: their agreement, their lean to a side, their pace.

`labelling_statistics` sums up rows of answers in plain dataclasses, which `dataclasses.asdict`
makes JSON of; what is not defined is None. A row is one answer; there is one for each question and
annotator. Skips say that somebody could not tell, and are counted apart everywhere.
"""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

from prefrl.errors import DataError, shown

# What is said of a pair. A repeat shows it with its sides swapped.
ANSWERS = ("left", "right", "tie")
SKIP = "skip"
SWAPPED = {"left": "right", "right": "left", "tie": "tie", SKIP: SKIP}
# Somebody who says nothing for so long has paused, seconds.
PAUSE_S = 120.0
LEVEL = 0.95


class TimedRow(Protocol):
    """An answer, and when it was given."""

    @property
    def said(self) -> str:
        """Returns "left", "right", "tie" or "skip"; "" is a share of votes, of nobody's own."""
        ...

    @property
    def response_time_s(self) -> float | None:
        """Returns the seconds from showing the pair to the answer; None where nobody knows."""
        ...

    @property
    def answered_s(self) -> float | None:
        """Returns when it was given, in seconds since 1970; None where nobody knows."""
        ...


class AnswerRow(TimedRow, Protocol):
    """One answer of one annotator."""

    @property
    def question(self) -> int:
        """Returns the id of the question."""
        ...

    @property
    def annotator(self) -> str:
        """Returns the name of who answered."""
        ...

    @property
    def is_repeat_of(self) -> int | None:
        """Returns the question that this one repeats with its sides swapped; None: it is new."""
        ...


@dataclass(frozen=True)
class Share:
    """A share with its 95% interval.

    Args:
        share: None where it is of nothing.
        low: lower end of Wilson's score interval, which is sound for few answers, too; else None.
        high: upper end, likewise.
        num: how many it is a share of.
    """

    share: float | None
    low: float | None
    high: float | None
    num: int


@dataclass(frozen=True)
class AnnotatorStatistics:
    """The answers of one annotator.

    Args:
        annotator: name.
        num_answers: new questions answered by left, right or tie.
        num_ties: those of them that are ties.
        num_skips: new questions skipped.
        num_repeats: repeated questions answered or skipped.
        self_agreement: share of repeats answered as the first time, once sides are swapped back;
            left, right and tie are three answers, and a pair skipped either time does not count.
        self_agreement_decisive: the same of those answered left or right both times. Where one
            answer in a hundred is a slip, two such pairs in a hundred disagree.
        left_share: share of left among left and right, of new questions. Sides are drawn, so half
            of them are left for anybody who looks at nothing but the clips.
        left_share_of_same_side: share of left among repeats answered by the same side both times,
            which is another clip each time; away from a half, sides decide where clips do not.
        answers_per_hour: left, right and tie, repeats as well, in an hour of answering; None where
            less than a second of it is known.
        active_s: seconds of answering, skips as well, pauses of over two minutes left out.
        median_response_time_s: of left, right and tie; None where no time is known.
        model_agreement: share of left and right, of new questions, that the reward model predicted
            before it knew them.
    """

    annotator: str
    num_answers: int
    num_ties: int
    num_skips: int
    num_repeats: int
    self_agreement: Share
    self_agreement_decisive: Share
    left_share: Share
    left_share_of_same_side: Share
    answers_per_hour: float | None
    active_s: float
    median_response_time_s: float | None
    model_agreement: Share


@dataclass(frozen=True)
class PairAgreement:
    """The agreement of two annotators on the questions that both of them answered.

    Args:
        annotators: their names, in order of the alphabet.
        agreement: share of questions on which they say the same of left, right and tie.
        kappa: Cohen's kappa: the agreement beyond what their shares of left, right and tie make by
            chance, 1 at best; None where nothing is shared, or chance alone makes them agree.
        num_skipped: questions that one of them, or both, skipped; they do not count.
    """

    annotators: tuple[str, str]
    agreement: Share
    kappa: float | None
    num_skipped: int


@dataclass(frozen=True)
class LabellingStatistics:
    """Everything that rows of answers say of those who gave them.

    Args:
        annotators: those who said anything, by name.
        pairs: those who share a question, by name.
        agreement: of all pairs together. Where three share a question, they are three pairs, so the
            interval is somewhat too short then.
        kappa: pooled over pairs as by De Vries et al. 2008: from the mean agreement and the mean
            agreement by chance, each pair weighing (our choice) as many questions as it shares.
        model_agreement: of all annotators together.
    """

    annotators: tuple[AnnotatorStatistics, ...]
    pairs: tuple[PairAgreement, ...]
    agreement: Share
    kappa: float | None
    model_agreement: Share


def wilson(num: int, of: int, *, level: float = LEVEL) -> Share:
    """Returns a share with Wilson's score interval (Wilson 1927).

    Args:
        num: how many have it.
        of: how many there are.
        level: coverage of the interval.

    Example:
        >>> from prefrl.labelling.statistics import wilson
        >>> wilson(0, 0)
        Share(share=None, low=None, high=None, num=0)
    """
    if not 0 <= num <= of:
        raise DataError(f"num is {num}, of {of}; expected 0 to {of}")
    if not of:
        return Share(None, None, None, 0)
    z = statistics.NormalDist().inv_cdf(0.5 + level / 2)
    share, shrink = num / of, 1 + z * z / of
    centre = (share + z * z / (2 * of)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    # At the ends the formula gives 0 and 1 but for rounding.
    low = 0.0 if num == 0 else max(centre - half, 0.0)
    high = 1.0 if num == of else min(centre + half, 1.0)
    return Share(share, low, high, of)


def cohens_kappa(said: Iterable[tuple[str, str]]) -> float | None:
    """Returns the agreement of two annotators beyond chance (Cohen 1960).

    Args:
        said: what each of the two said of a question, for all questions that both answered.

    Returns:
        at most 1, 0 by chance; None of nothing, and where both always say the same one thing.
    """
    table = Counter(said)
    if not table:
        return None
    return _kappa(_agreed(table) / table.total(), _by_chance(table))


def _kappa(observed: float, by_chance: float) -> float | None:
    return None if by_chance >= 1 else (observed - by_chance) / (1 - by_chance)


def _agreed(table: Mapping[tuple[str, str], int]) -> int:
    return sum(num for (one, other), num in table.items() if one == other)


def _by_chance(table: Counter[tuple[str, str]]) -> float:
    """Returns the agreement of two who say the same as often, but of questions at random."""
    ones, others = Counter[str](), Counter[str]()
    for (one, other), num in table.items():
        ones[one] += num
        others[other] += num
    # Whole numbers, so that it is 1 exactly where both say one thing.
    return sum(ones[said] * others[said] for said in ones) / table.total() ** 2


def labelling_statistics(
    rows: Iterable[AnswerRow], *, p_left: Mapping[int, float] | None = None
) -> LabellingStatistics:
    """Sums up who answered, and how.

    Args:
        rows: answers, at most one for each question and annotator, in any order.
        p_left: by question the probability of "left" that the reward model gave it, its heads'
            mean, before it was answered; one of exactly 0.5 predicts nothing.

    Raises:
        DataError: somebody says something else than left, right, tie or skip, or answers a
            question twice; or a probability is none.
    """
    answers = _by_annotator(rows)
    p_left = p_left or {}
    for question, p in p_left.items():
        if not 0 <= p <= 1:
            raise DataError(f"p_left of question {question} is {shown(p)}; expected 0 to 1")
    people = tuple(_annotator_statistics(name, answers[name], p_left) for name in sorted(answers))
    right = [_predicted(list(answers[name].values()), p_left) for name in sorted(answers)]
    pairs, agreement, kappa = _between(answers)
    model = wilson(sum(map(sum, right)), sum(map(len, right)))
    return LabellingStatistics(people, pairs, agreement, kappa, model)


def _by_annotator(rows: Iterable[AnswerRow]) -> dict[str, dict[int, AnswerRow]]:
    """Returns rows by annotator and question."""
    answers: dict[str, dict[int, AnswerRow]] = {}
    for row in rows:
        if row.said == "":
            continue
        if row.said not in SWAPPED:
            raise DataError(
                f"{row.annotator} said {shown(row.said)} of question {row.question}; "
                f"expected {', '.join(ANSWERS)} or {SKIP}"
            )
        own = answers.setdefault(row.annotator, {})
        if row.question in own:
            raise DataError(f"{row.annotator} answers question {row.question} twice")
        own[row.question] = row
    return answers


def _annotator_statistics(
    name: str, answers: Mapping[int, AnswerRow], p_left: Mapping[int, float]
) -> AnnotatorStatistics:
    new = [row.said for row in answers.values() if row.is_repeat_of is None]
    num = Counter(new)
    twice = _said_twice(answers)
    same = [first for first, again in twice if first == SWAPPED[again]]
    decisive = [pair for pair in twice if "tie" not in pair]
    same_side = [first for first, again in decisive if first == again]
    num_same = sum(first != "tie" for first in same)
    times = [_response_time_s(row) for row in answers.values() if row.said != SKIP]
    known = [time_s for time_s in times if time_s is not None]
    num_timed, active_s = _activity(answers.values())
    predicted = _predicted(list(answers.values()), p_left)
    return AnnotatorStatistics(
        annotator=name,
        num_answers=len(new) - num[SKIP],
        num_ties=num["tie"],
        num_skips=num[SKIP],
        num_repeats=len(answers) - len(new),
        self_agreement=wilson(len(same), len(twice)),
        self_agreement_decisive=wilson(num_same, len(decisive)),
        left_share=wilson(num["left"], num["left"] + num["right"]),
        left_share_of_same_side=wilson(same_side.count("left"), len(same_side)),
        answers_per_hour=_an_hour(num_timed, active_s),
        active_s=active_s,
        median_response_time_s=statistics.median(known) if known else None,
        model_agreement=wilson(sum(predicted), len(predicted)),
    )


def _response_time_s(row: TimedRow) -> float | None:
    time_s = row.response_time_s
    return time_s if time_s is not None and 0 <= time_s < math.inf else None


def _said_twice(answers: Mapping[int, AnswerRow]) -> list[tuple[str, str]]:
    """Returns what was said first and of the repeat, where neither was skipped."""
    twice = []
    for row in answers.values():
        first = answers.get(row.is_repeat_of) if row.is_repeat_of is not None else None
        if first is not None and SKIP not in (first.said, row.said):
            twice.append((first.said, row.said))
    return twice


def answers_per_hour(rows: Iterable[TimedRow]) -> float | None:
    """Returns the pace of one annotator, as `AnnotatorStatistics` has it, of all their answers."""
    return _an_hour(*_activity(rows))


def _an_hour(num: int, active_s: float) -> float | None:
    return 3600 * num / active_s if active_s >= 1 else None


def _activity(rows: Iterable[TimedRow]) -> tuple[int, float]:
    """Returns answers, and the seconds that they and the skips between them took.

    An answer takes the time since the one before. After a pause, and at the beginning, it takes its
    response time, or where nobody knows that, it does not count.
    """
    num, active_s, before_s = 0, 0.0, -math.inf
    timed = [(row.answered_s, row) for row in rows if row.answered_s is not None and row.said]
    for answered_s, row in sorted(timed, key=lambda one: one[0]):
        took_s = answered_s - before_s
        before_s = answered_s
        if took_s > PAUSE_S:
            response_time_s = _response_time_s(row)
            if response_time_s is None:
                continue
            took_s = min(response_time_s, PAUSE_S)
        active_s += took_s
        num += row.said != SKIP
    return num, active_s


def _predicted(rows: Sequence[AnswerRow], p_left: Mapping[int, float]) -> list[bool]:
    """Returns for each decisive answer to a new question whether its side was predicted."""
    found = []
    for row in rows:
        p = p_left.get(row.question, 0.5)
        if row.is_repeat_of is None and row.said in ("left", "right") and p != 0.5:
            found.append((p > 0.5) == (row.said == "left"))
    return found


def _between(
    answers: Mapping[str, Mapping[int, AnswerRow]],
) -> tuple[tuple[PairAgreement, ...], Share, float | None]:
    """Returns the agreement of each two annotators, and of all of them."""
    said: dict[int, dict[str, str]] = {}
    for name in sorted(answers):
        for row in answers[name].values():
            if row.is_repeat_of is None:
                said.setdefault(row.question, {})[name] = row.said
    tables: dict[tuple[str, str], Counter[tuple[str, str]]] = {}
    for by_name in said.values():
        for one, other in combinations(by_name, 2):
            table = tables.setdefault((one, other), Counter())
            table[by_name[one], by_name[other]] += 1
    pairs = []
    num_agreed, num, num_by_chance = 0, 0, 0.0
    for names in sorted(tables):
        every = tables[names]
        table = Counter({both: count for both, count in every.items() if SKIP not in both})
        shared = table.total()
        agreed = _agreed(table)
        by_chance = _by_chance(table) if shared else 1.0
        kappa = _kappa(agreed / shared, by_chance) if shared else None
        skipped = every.total() - shared
        pairs.append(PairAgreement(names, wilson(agreed, shared), kappa, skipped))
        num_agreed, num = num_agreed + agreed, num + shared
        num_by_chance += by_chance * shared
    pooled = _kappa(num_agreed / num, num_by_chance / num) if num else None
    return tuple(pairs), wilson(num_agreed, num), pooled
