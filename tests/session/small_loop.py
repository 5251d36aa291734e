"""A loop whose agent and reward model cost nothing, so that its pace can be watched."""

import contextlib
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from prefrl.config.pace import PaceConfig
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.loop import Feedback, PreferenceLoop, Records, SessionSettings
from prefrl.plan import Phase
from prefrl.queries import Uniform
from prefrl.records.checkpoint import Checkpoints
from prefrl.records.metrics import Metrics
from prefrl.seeding import Streams
from prefrl.segments import Episode, EpisodeStore
from prefrl.session.question_files import FileQuestions

PLAN = (
    Phase(0, 2_000, is_exploration=True),
    Phase(2_000, 4_000, num_queries=12),
    Phase(6_000, 4_000, num_queries=10),
    Phase(10_000, 4_000),
    Phase(14_000, 2_000, num_queries=8),
    Phase(16_000, 4_000),
)
BUDGET = 30
STEPS = 20_000


class CountingAgent:
    """Takes steps of made-up episodes, and writes down which, and on how many answers."""

    stride = 10

    def __init__(self, store):
        self.store = store
        self.num_steps = 0
        self.rng = np.random.default_rng(0)
        self.reward = None
        self.diary: list[tuple[str, int, int]] = []

    def begin_phase(self, seed):
        self.rng = np.random.default_rng(seed)

    def _take(self, what, num_steps):
        assert num_steps % self.stride == 0
        for _ in range(max(num_steps // 100, 1)):
            self.store.add(
                Episode(
                    self.rng.normal(size=(51, 2)).astype(np.float32),
                    self.rng.normal(size=(50, 1)).astype(np.float32),
                    self.rng.normal(size=50).astype(np.float32),
                    np.zeros((50, 0)),
                )
            )
        self.num_steps += num_steps
        self.diary.append((what, num_steps, self.reward or 0))

    def explore(self, num_steps):
        self._take("explore", num_steps)

    def train(self, num_steps):
        self._take("train", num_steps)

    def set_reward(self, reward_function):
        self.reward = reward_function

    def relabel(self, reward_function):
        assert reward_function == self.reward

    def pop_finished(self):
        return []

    def state(self):
        return {"num_steps": self.num_steps, "reward": self.reward}

    def restore(self, state):
        self.num_steps, self.reward = state["num_steps"], state["reward"]


class CountingLearner:
    """Its reward function is the number of answers that it was fitted to."""

    def __init__(self):
        self.fits: list[tuple[int, int]] = []

    def fit(self, comparisons, *, session):
        self.fits.append((session, comparisons.num_answers))
        return {}

    def reward_function(self):
        return self.fits[-1][1]

    def state(self):
        return {"fits": [list(fit) for fit in self.fits]}

    def restore(self, state):
        self.fits = [tuple(fit) for fit in state["fits"]]


@dataclass
class SmallRun:
    """A run in a folder that can be killed and gone on with."""

    folder: Path
    teacher: Any
    pace: PaceConfig = field(default_factory=PaceConfig)
    audit_share: float = 0.0
    agent_class: Any = CountingAgent
    plan: Any = PLAN
    queries: Any = field(default_factory=dict)

    def __post_init__(self):
        store, path = EpisodeStore(), self.folder / "comparisons.npz"
        self.agent = self.agent_class(store)
        learner: Any = CountingLearner()
        self.learner = learner
        self.dataset = PreferenceDataset.load(path) if path.exists() else PreferenceDataset()
        self.questions = FileQuestions(
            overlap=self.queries.get("overlap", 0.0), folder=self.folder / "questions"
        )
        self.said: list[str] = []
        self.told: list[str] = []
        self.checkpoints = Checkpoints(self.folder / "checkpoints", "")
        self.loop = PreferenceLoop(
            plan=self.plan,
            agent=self.agent,
            store=store,
            streams=Streams(0),
            feedback=Feedback(
                teacher=self.teacher,
                strategy=Uniform(),
                learner=learner,
                settings=SessionSettings(
                    segment_length=10,
                    min_candidates=60,
                    audit_share=self.audit_share,
                    **self.queries,
                ),
                dataset=self.dataset,
                path=path,
                questions=self.questions,
                pace=self.pace,
            ),
            records=Records(
                Metrics([]), self.checkpoints, say=self.said.append, tell=self.told.append
            ),
        )
        if found := self.checkpoints.latest():
            self.loop.restore(found[1])

    def run(self):
        self.loop.run()
        return self

    def run_until_killed(self):
        with contextlib.suppress(Killed):
            self.loop.run()
            raise AssertionError("it was not killed")
        return self

    def again(self, teacher):
        """The same run, gone on with in another process."""
        return SmallRun(
            self.folder,
            teacher,
            self.pace,
            self.audit_share,
            CountingAgent,
            self.plan,
            self.queries,
        )


class Killed(Exception):
    pass


def killed_at(step):
    """An agent that is killed where it would pass that step."""

    class Mortal(CountingAgent):
        def _take(self, what, num_steps):
            if self.num_steps + num_steps > step:
                raise Killed
            super()._take(what, num_steps)

    return Mortal


class Untrained(CountingAgent):
    """Never comes to the end of its first training: whoever started the process kills it then."""

    def train(self, num_steps):
        while True:
            time.sleep(1.0)


if __name__ == "__main__":
    from tests.session.late_teacher import LateTeacher

    folder, pace = Path(sys.argv[1]), PaceConfig(**json.loads(sys.argv[2]))
    SmallRun(folder, LateTeacher(folder), pace, agent_class=Untrained).run()
