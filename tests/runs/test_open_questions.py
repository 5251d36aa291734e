"""A whole run with a teacher that answers in its own time, from settings to summary."""

import contextlib
import json

import gymnasium as gym
import numpy as np
from stable_baselines3 import PPO

from prefrl import Parts, RunConfig, load_comparisons, resume, run
from prefrl.feedback.protocols import Answer
from prefrl.records.metrics import read_metrics
from prefrl.session.question_files import FileQuestions
from tests.own_envs import PointMass

CONFIG = RunConfig(
    env="point",
    steps=1_200,
    budget=12,
    segment_length=10,
    num_envs=2,
    explore_steps=200,
    checkpoint_every=300,
    max_episode_steps=30,
    eval_episodes=1,
)


class Leisurely:
    """Answers every question after it was looked for a few times; knows ids that come again."""

    def __init__(self, looks=3):
        self.looks, self.waiting, self.ids = looks, {}, []

    def ask(self, questions):
        for question in questions:
            self.ids.append(question.id)
            returns = [float(side.true_returns[0]) for side in (question.left, question.right)]
            self.waiting[question.id] = [self.looks, float(returns[0] > returns[1])]

    def collect(self):
        for entry in self.waiting.values():
            entry[0] -= 1
        ready = [number for number, (left, _) in self.waiting.items() if left < 0]
        return [Answer(number, self.waiting.pop(number)[1], "pat") for number in ready]


def parts(teacher):
    return Parts(
        teacher=teacher,
        make_env=lambda: gym.wrappers.TimeLimit(PointMass(), 30),
        make_model=lambda venv: PPO("MlpPolicy", venv, n_steps=50, batch_size=50),
    )


def test_a_run_may_go_on_while_questions_are_open(tmp_path):
    settings = {**vars(CONFIG), "pace": "answers"}
    result = run(
        RunConfig(**settings), out=tmp_path / "run", parts=parts(Leisurely()), show_progress=False
    )
    answers = load_comparisons(tmp_path / "run" / "comparisons.npz")
    assert result.summary["num_answers"] == answers.num_answers == 12
    assert set(answers.annotator) == {"pat"}
    questions = FileQuestions(folder=tmp_path / "run" / "questions")
    assert len(questions.entries("answered")) == len(questions.entries()) == 12
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["num_answers"] == 12


def test_a_run_that_was_stopped_while_it_waited_goes_on_with_the_same_questions(tmp_path, capsys):
    class Stopped(Leisurely):
        def collect(self):
            if self.ids:
                raise KeyboardInterrupt
            return []

    folder, teacher = tmp_path / "run", Leisurely()
    with contextlib.suppress(KeyboardInterrupt):
        run(CONFIG, out=folder, parts=parts(Stopped()), show_progress=False)
    before = FileQuestions(folder=folder / "questions").entries("open")
    assert before
    resume(folder, parts=parts(teacher), show_progress=False)
    assert f"waiting for {len(before)} answers" in capsys.readouterr().err
    after = FileQuestions(folder=folder / "questions").entries()
    assert teacher.ids[: len(before)] == [entry.question.id for entry in before]
    for one, other in zip(before, after, strict=False):
        np.testing.assert_array_equal(
            one.question.left.observations, other.question.left.observations
        )
    assert json.loads((folder / "summary.json").read_text())["num_answers"] == 12
