"""Summaries that many ask for are made anew as often as there is time for it."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from prefrl.labelling.service.digest import Digest, Remembered

PATIENCE_S = 120.0
NUM_WAITING = 6


class Work:
    """Takes so long each time; returns how often it was done."""

    def __init__(self, takes_s):
        self.takes_s, self.now_s, self.num = takes_s, 0.0, 0

    def __call__(self):
        self.now_s += self.takes_s
        self.num += 1
        return self.num

    def remembered(self):
        return Remembered(self, clock=lambda: self.now_s, cpu=lambda: self.now_s)


def test_what_takes_no_time_is_made_each_time():
    remembered = Work(0.01).remembered()
    assert [remembered.get() for _ in range(3)] == [1, 2, 3]


def test_what_takes_long_is_made_in_a_tenth_of_the_time():
    work = Work(0.5)
    remembered = work.remembered()
    found = []
    for _ in range(100):
        found.append(remembered.get())
        work.now_s += 0.5
    assert found[:12] == [1] * 10 + [2, 2]
    assert work.num == 10


def test_answers_are_read_when_something_has_changed(service):
    first, second = service.ask_about(2)
    digest = Digest(service.store)
    service.ann.answer(first, "left")
    before = digest.answers()
    assert digest.answers() is before
    service.bob.answer(second, "tie")
    assert {name: len(some) for name, some in digest.answers().items()} == {"ann": 1, "bob": 1}


def test_those_who_wait_for_the_same_share_what_was_begun_after_they_had_asked():
    num_asked, first_has_begun, all_have_asked = itertools.count(), Event(), Event()
    ticks = itertools.count()
    num_made = itertools.count(1)

    def make():
        number = next(num_made)
        first_has_begun.set()
        assert all_have_asked.wait(PATIENCE_S)
        return number

    def clock():
        # Each looks at the clock when it asks, and again when it is its turn, which is later.
        if next(num_asked) == 1 + NUM_WAITING:
            all_have_asked.set()
        return float(next(ticks))

    remembered = Remembered(make, clock=clock, cpu=lambda: 0.0)
    with ThreadPoolExecutor(1 + NUM_WAITING) as pool:
        first = pool.submit(remembered.get)
        assert first_has_begun.wait(PATIENCE_S)
        others = [pool.submit(remembered.get) for _ in range(NUM_WAITING)]
        assert first.result(PATIENCE_S) == 1
        assert {one.result(PATIENCE_S) for one in others} == {2}
