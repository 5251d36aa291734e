"""Stores of questions, and what tests do with them."""

from tests.session.made_up import segments


class Clock:
    now_s = 1_000.0

    def __call__(self):
        return self.now_s


def put(questions, num=3, *, seed=0, session=2, **options):
    left, right = segments(num, seed=seed), segments(num, seed=seed + 1)
    return questions.put(left, right, session=session, policy_step=500, **options)


def states(questions):
    return [entry.standing.state for entry in questions.entries()]


def ids(entries):
    return [entry.question.id for entry in entries]
