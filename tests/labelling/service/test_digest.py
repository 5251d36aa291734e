"""Summaries that many ask for are made anew as often as there is time for it."""

from prefrl.labelling.service.digest import Digest, Remembered


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
