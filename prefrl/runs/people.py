"""People as the teacher of a run: the store of their answers, and what they see."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from prefrl.config import ResolvedRun, ServingConfig
from prefrl.envs.beginnings import NotedResets
from prefrl.envs.beside import Beside
from prefrl.errors import ConfigError, DataError, option
from prefrl.feedback.protocols import Answer, Question
from prefrl.records import run_folder
from prefrl.records.metrics import read_metrics
from prefrl.rewards import RewardTrainer
from prefrl.runs.answers import statistics_of
from prefrl.runs.predictions import NotedPredictions
from prefrl.runs.processes import Processes, served
from prefrl.runs.resolve import MakeEnv, env_maker, make_configured_env
from prefrl.runs.serving import check_installed, claimed_store
from prefrl.segments import EpisodeStore
from prefrl.segments.windows import Windows

if TYPE_CHECKING:
    from prefrl.labelling.clips import NamedEnv
    from prefrl.labelling.run_status import RunStatus
    from prefrl.labelling.store import LabelStore

_CLIP_S = 5.0  # of the present policy
_STATUS_EVERY_S = 2.0
_FIT = "reward_updates"  # stands among the metrics of a fit


def scene_of(config: ResolvedRun) -> "NamedEnv":
    """Returns how whoever renders makes a run's environment."""
    from prefrl.labelling.clips import NamedEnv

    settings = {
        "fixed_horizon": config.fixed_horizon,
        "max_episode_steps": config.max_episode_steps,
    }
    return NamedEnv(config.env, {**settings, **config.env_kwargs})


class People:
    """The people who answer a run's questions: an `AsyncTeacher` whose answers are in the store.

    Args:
        config: the run's settings.
        own: makes one environment as its user has it; None makes it by its id.

    Raises:
        ConfigError: a package is missing, the environment cannot be shown, or people are asked
            about several objectives.
    """

    def __init__(self, config: ResolvedRun, own: MakeEnv | None) -> None:
        check_installed()
        if config.objectives:
            raise ConfigError(
                f"{option('objectives')} is {config.objectives}, but people are asked about one "
                "thing; leave it out"
            )
        from prefrl.labelling.clips import ClipMaker, choose_source
        from prefrl.labelling.clips.graphics import check_can_render

        named = None
        make: Callable[[str | None], gym.Env[Any, Any]]
        if own is None:
            make = partial(make_configured_env, config)
            named = scene_of(config)
        else:
            as_it_is = env_maker(config, own)
            make = lambda _: as_it_is()  # noqa: E731 - one of two ways to make it
        source = choose_source(make, named)
        check_can_render(is_rendered=source.kind != "pictures")
        self._config = config
        self._make = make
        self._maker = ClipMaker(source)
        self._store: LabelStore | None = None
        self._predictions: NotedPredictions | None = None
        self._episodes: EpisodeStore | None = None
        self._processes: Processes | None = None
        self._status: RunStatus | None = None
        self._step = 0
        self._curve: list[tuple[float, float]] = []
        self._told_s = -np.inf

    @property
    def beside(self) -> Beside | None:
        """Returns what is to be recorded beside episodes, so that they can be shown."""
        return self._maker.beside

    def make_env(self) -> gym.Env[Any, Any]:
        """Makes one environment to train in, of which episodes can be shown."""
        if self._maker.source.kind == "pictures":
            return self._make("rgb_array")
        env = self._make(None)
        return NotedResets(env) if self._maker.source.kind == "actions" else env

    def keep_in(self, folder: Path, episodes: EpisodeStore) -> None:
        """Keeps what episodes are shown by in the run folder, where their states do not do.

        Args:
            folder: of the run.
            episodes: as they were when the checkpoint was written that the run goes on from.

        Raises:
            StorageError: the folder cannot be written into.
        """
        if self.beside is not None:
            from prefrl.labelling.clips.source_file import write_source

            first, shown = episodes.num_dropped, folder / run_folder.SHOWN
            self.beside.keep_in(shown, first=first, stop=first + len(episodes))
            write_source(shown, self._maker.source)

    @contextlib.contextmanager
    def serving(
        self,
        folder: Path,
        episodes: EpisodeStore,
        learner: object,
        serving: ServingConfig,
        *,
        first_id: int,
        say: Callable[[str], None],
    ) -> Iterator["LabelStore"]:
        """Opens the store, and lets people answer until the run has ended.

        Args:
            folder: of the run.
            episodes: that segments lie in.
            learner: the reward model, whose predictions are noted.
            serving: how the page is served.
            first_id: of the first question.
            say: called with the links under which people label, and with what is waited for while
                the database is away.

        Raises:
            PrefrlError: the database cannot be used, or the service cannot be started.
        """
        from prefrl.labelling.rows import StoreSettings
        from prefrl.labelling.run_status import RunStatus

        config = self._config
        with claimed_store(folder, serving, first_id=first_id, say=say) as (store, kept):
            store.set_settings(StoreSettings(config.budget, overlap=config.queries.overlap))
            self._store, self._episodes = store, episodes
            self._status = RunStatus(
                env_id=config.env, num_steps=config.steps, curve_name="true return"
            )
            rows = []
            if (folder / run_folder.METRICS).exists():
                rows = read_metrics(folder / run_folder.METRICS)
            for row in rows:
                self._note(int(row["step"]), row)
            if isinstance(learner, RewardTrainer):
                # Fits that a kill has undone are counted: versions that were given stay theirs.
                num_fits = sum(_FIT in row for row in rows)
                self._predictions = NotedPredictions(store, learner, num_fits)
            self._tell_status()
            with served(store, folder, kept, serving, say=say) as self._processes:
                yield store
                self._change(has_ended=True, waits_for="")

    def ask(self, questions: Sequence[Question]) -> None:
        """Gives questions their clips, and notes what is predicted of them."""
        from prefrl.labelling.clips.giving import give_clips

        assert self._store is not None
        give_clips(self._store, questions, lambda one: self._maker.specs(one, self._episodes)[0])
        if self._predictions is not None:
            self._predictions.note(questions)

    def collect(self) -> Sequence[Answer]:
        """Returns nothing, as people answer into the store; sees to those who serve them."""
        if self._processes is not None:
            self._processes.look_after()
        return ()

    def tell(self, sentence: str) -> None:
        """Tells people what is waited for."""
        self._change(waits_for=sentence)

    def advance(self, step: int) -> None:
        """Tells people how far the run is, every few seconds."""
        self._step = step  # Told of every step, so that little is done for most.
        if time.monotonic() - self._told_s >= _STATUS_EVERY_S:
            self._tell_status()

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Shows people the curve so far and, after each fit, the policy that it came from."""
        self._note(step, metrics)
        if _FIT in metrics:
            if self._predictions is not None:
                self._predictions.num_fits += 1
            self._show_policy(step)
        self._tell_status()

    def close(self) -> None:
        """Does nothing: metrics go to the store, which others close."""

    def statistics(self) -> dict[str, Any]:
        """Returns who answered, how fast, and how much they agree, for summary.json."""
        assert self._store is not None
        return asdict(statistics_of(self._store))

    def _note(self, step: int, metrics: Mapping[str, Any]) -> None:
        assert self._status is not None
        # Evaluations show the policy itself, where there are any.
        name = "eval_true_return" if self._config.eval_every else "true_return"
        value, accuracy = metrics.get(name), metrics.get("reward_holdout_accuracy")
        if value is not None and np.isfinite(value):
            self._curve.append((float(step), float(value)))
        if accuracy is not None and np.isfinite(accuracy):
            self._status = replace(self._status, accuracy=float(accuracy))
        self._step = step

    def _show_policy(self, step: int) -> None:
        """Has the end of the newest episode rendered."""
        assert self._store is not None and self._episodes is not None and self._status is not None
        if not self._episodes.episodes:
            return
        newest = self._episodes.episodes[-1]
        length = min(len(newest), max(round(_CLIP_S / self._maker.source.dt), 1))
        windows = Windows.of(
            list(self._episodes.episodes),
            np.array([len(self._episodes) - 1]),
            np.array([len(newest) - length]),
            length,
            first_number=self._episodes.num_dropped,
        )
        with contextlib.suppress(DataError):  # Nothing is kept to show it by.
            (spec,) = self._maker.specs(windows[[0]], self._episodes)
            key = self._store.add_clip(spec.to_bytes())
            self._status = replace(self._status, policy_clip=key, policy_step=step)

    def _change(self, **changes: Any) -> None:
        assert self._status is not None
        self._status = replace(self._status, **changes)
        self._tell_status()

    def _tell_status(self) -> None:
        from prefrl.labelling.run_status import thinned, write_run_status

        assert self._store is not None and self._status is not None
        curve = thinned(tuple(self._curve))
        self._status = replace(self._status, step=self._step, curve=curve)
        write_run_status(self._store, self._status)
        self._told_s = time.monotonic()
