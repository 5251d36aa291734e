"""Recorded pairs are asked about as they are, in their order, each once."""

import numpy as np
import pytest

from prefrl.errors import DataError
from prefrl.feedback.protocols import Answer
from prefrl.seeding import Streams
from prefrl.session.asker import Asker
from prefrl.session.listed import ListedPairs
from tests.session.made_up import segments


class Mailbox:
    """Keeps questions until they are answered by hand."""

    def __init__(self):
        self.asked, self.answers = [], []

    def ask(self, questions):
        self.asked += questions

    def collect(self):
        arrived, self.answers = self.answers, []
        return arrived


def pairs(left, right):
    """The pairs of ten segments by their numbers."""
    ten = segments(10)
    return ListedPairs(ten[np.array(left)], ten[np.array(right)], Streams(0))


def episodes_of(questions):
    return [(int(one.left.episode[0]), int(one.right.episode[0])) for one in questions]


def test_pairs_come_in_their_order_as_they_stand():
    teacher = Mailbox()
    asker = Asker(pairs([7, 2, 5, 0], [1, 9, 3, 4]), teacher, open_ahead=2)
    asker.ask(4, session=0)
    assert episodes_of(teacher.asked) == [(7, 1), (2, 9)]
    teacher.answers = [Answer(0, 1.0), Answer(1, np.nan)]
    asker.ask(4, session=0)
    assert episodes_of(teacher.asked) == [(7, 1), (2, 9), (5, 3), (0, 4)]


def test_a_pair_that_comes_again_or_is_of_one_segment_is_not_asked_about():
    listed = pairs([1, 2, 1, 3], [2, 1, 2, 3])
    assert listed.num_pairs == 1
    teacher = Mailbox()
    with pytest.warns(UserWarning, match="every pair of the 8 segments there are was asked about"):
        Asker(listed, teacher).ask(4, session=0)
    assert episodes_of(teacher.asked) == [(1, 2)]


def test_a_list_of_no_pairs_is_refused():
    with pytest.raises(DataError, match="2 left and 1 right segments"):
        pairs([1, 2], [3])
