"""One task of a session, and how much memory it took at its peak, as a line of JSON.

python -m lab.memory TASK STEPS QUERIES
"""

import ctypes
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

OBSERVATION_DIM, ACTION_DIM, STATE_DIM = 376, 17, 47
NUM_EPISODES = 20

TASKS = ("choose", "choose, kcenter", "answer and keep", "fit", "save", "load")


def peak_of(task: str, steps: int, num_queries: int) -> dict[str, Any]:
    """Runs a task and measures what it takes.

    Args:
        task: one of `TASKS`.
        steps: of a segment.
        num_queries: put in the session.

    Returns:
        bytes at the task's peak, of the pool, and of what answers store.
    """
    session = _Session(steps, num_queries)
    run, result = session.prepared(task), None
    ctypes.CDLL(None).malloc_trim(0)  # What is free already would not count.
    Path("/proc/self/clear_refs").write_text("5")  # The peak counts from here.
    before = _status("VmRSS")
    result = run()
    peak = _status("VmHWM") - before
    del result
    a_segment = session.bytes_of_a_segment()
    return {
        "task": task,
        "steps": steps,
        "queries": num_queries,
        "stored": 2 * num_queries * a_segment,
        "pool": session.pool_size * a_segment,
        "peak": peak,
    }


class _Session:
    """A store of episodes, a reward model, and who asks."""

    def __init__(self, steps: int, num_queries: int) -> None:
        import numpy as np
        import torch

        from prefrl.config import RewardConfig, SessionSettings, TeacherConfig
        from prefrl.feedback.teachers import SyntheticTeacher
        from prefrl.rewards import RewardTrainer, build_model
        from prefrl.seeding import Streams
        from prefrl.segments import Episode, EpisodeStore

        torch.set_num_threads(1)
        self.rng, self.num_queries = np.random.default_rng(0), num_queries
        self.settings = SessionSettings(segment_length=steps)
        self.pool_size = self.settings.pool_size(num_queries)
        self.store, length = EpisodeStore(), steps + 1_000
        for _ in range(NUM_EPISODES):
            self.store.add(
                Episode(
                    self.rng.standard_normal((length + 1, OBSERVATION_DIM), dtype=np.float32),
                    self.rng.standard_normal((length, ACTION_DIM), dtype=np.float32),
                    self.rng.standard_normal(length, dtype=np.float32),
                    self.rng.standard_normal((length, STATE_DIM)),
                )
            )
        self.streams, config = Streams(0), RewardConfig(max_updates=20)
        model = build_model(
            OBSERVATION_DIM + ACTION_DIM,
            config,
            segment_length=steps,
            generator=torch.Generator().manual_seed(0),
            observation_dim=OBSERVATION_DIM,
        )
        self.trainer = RewardTrainer(model, config, streams=self.streams)
        self.teacher = SyntheticTeacher(TeacherConfig())
        self._dataset: Any = None

    def bytes_of_a_segment(self) -> int:
        """Returns the size of a segment's arrays."""
        import numpy as np

        one = self.store.sample(1, self.settings.segment_length, rng=np.random.default_rng(0))
        return sum(getattr(one, field.name).nbytes for field in fields(one))

    def prepared(self, task: str) -> Callable[[], Any]:
        """Returns the task, with all done that comes before it."""
        if task.startswith("choose"):
            return lambda: self._chosen("disagreement+kcenter" if "kcenter" in task else "")
        if task == "answer and keep":
            return self._ask
        self._ask(small=True)
        path = Path(tempfile.mkdtemp()) / "comparisons.npz"
        if task == "fit":
            return lambda: self.trainer.fit(self._dataset, session=0)
        if task == "save":
            return lambda: self._dataset.save(path)
        self._dataset.save(path)
        self._dataset = None
        return lambda: _load(path)

    def _chooser(self, strategy: str = "") -> Any:
        from prefrl.queries import make_strategy
        from prefrl.session.chooser import Chooser
        from prefrl.session.pool import StoreSource

        return Chooser(
            source=StoreSource(self.store, self.settings),
            strategy=make_strategy(strategy or "disagreement"),
            predictor=self.trainer,
            streams=self.streams,
            spread_factor=self.settings.spread_factor,
            audit_share=0.1,
        )

    def _chosen(self, strategy: str) -> Any:
        import numpy as np

        from prefrl.session.unasked import Asked

        return self._chooser(strategy).choose(
            self.num_queries,
            num_before=0,
            num_audits_before=0,
            asked=Asked(np.zeros((0, 4), np.int64), np.zeros(0, np.int64)),
            is_fitted=True,
        )

    def _ask(self, *, small: bool = False) -> None:
        from prefrl.feedback.dataset import PreferenceDataset
        from prefrl.session.asker import Asker

        if small:  # What comes before a task is not to be its peak.
            self._dataset = PreferenceDataset()
            pool = self.store.sample(
                2 * self.num_queries, self.settings.segment_length, rng=self.rng
            )
            left, right = pool[: self.num_queries], pool[self.num_queries :]
            answers = (left.true_returns > right.true_returns).astype(float)
            self._dataset.add(left, right, answers, session=0, rng=self.rng)
            return
        asker = Asker(self._chooser(), self.teacher, num_observed=self.settings.min_candidates)
        asker.ask(self.num_queries, session=0, is_fitted=True)
        self._dataset = asker.dataset


def _load(path: Path) -> Any:
    from prefrl.feedback.interchange import load_comparisons

    return load_comparisons(path)


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")


if __name__ == "__main__":
    task, steps, queries = sys.argv[1:]
    print(json.dumps(peak_of(task, int(steps), int(queries))))
