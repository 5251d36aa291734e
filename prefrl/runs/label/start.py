"""Labelling apart from a run: of a finished or stopped run, or of recorded data."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from prefrl.config import LabelConfig, ResolvedRun, RunConfig, ServingConfig
from prefrl.config.checking import changed
from prefrl.errors import ConfigError, StorageError, option
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.records import run_folder
from prefrl.records.files import claimed, is_claimed, is_there
from prefrl.records.new_folder import new_folder
from prefrl.records.run_records import say_on_stderr
from prefrl.runs.finished import final_state
from prefrl.runs.label.data_material import about_of, data_material
from prefrl.runs.label.material import Material
from prefrl.runs.label.run_material import run_material
from prefrl.runs.label.work import LabelWork
from prefrl.runs.processes import served
from prefrl.runs.resolve import check_is_run, settings_of
from prefrl.runs.serving import check_serving, claimed_store, read_serving

if TYPE_CHECKING:
    from prefrl.labelling.service.link_file import Links

_LOOK_EVERY_S = 0.5
ENDS = "Ctrl-C ends the service; what was answered is kept"
STOPPED = "The run is stopped. What is open can be answered; more is asked when it goes on."


@dataclass(frozen=True)
class Labelled:
    """The result of labelling.

    Args:
        num_answered: questions that were answered apart from a run, by now.
        comparisons: the file that the answers are in; None: they are in none yet.
        is_stopped: they are about a run that takes them when it goes on.
        links: of a service that another process has; None: this one has ended.
        has_model: they are about a run whose reward model can be fitted to them.
    """

    num_answered: int = 0
    comparisons: Path | None = None
    is_stopped: bool = False
    links: "Links | None" = None
    has_model: bool = False


def label_run(
    folder: Path | str,
    *,
    settings: LabelConfig | None = None,
    serving: ServingConfig | None = None,
    say: Callable[[str], None] = say_on_stderr,
) -> Labelled:
    """Lets people answer questions about a run until it is interrupted.

    Of a finished run its reward model chooses new ones, from `episodes.npz`; answers go into the
    store of labels and into `comparisons.npz`. Of a run that was stopped, its open ones are served.
    One that goes on serves itself.

    Args:
        folder: of the run.
        settings: what is asked, and how much.
        serving: how the page is served.
        say: called with the links under which people label, and with what happens.

    Raises:
        PrefrlError: the run cannot be labelled, or the page not be served; nothing is lost.
    """
    folder, settings, serving = Path(folder), settings or LabelConfig(), serving or ServingConfig()
    check_is_run(folder)
    config = settings_of(folder)
    check_serving(serving)
    if settings.segment_length is not None:
        raise ConfigError(
            f"{option('segment_length')} is of recorded data; the run's own is "
            f"{config.segment_length}"
        )
    if (links := _links_of_running(folder)) is not None:
        return Labelled(links=links)
    found = final_state(folder, config.fingerprint())
    if found is None:
        return _serve_stopped(folder, config, settings, serving, say)
    with claimed(folder):
        resolved = ResolvedRun.of(config, source=f"{folder / run_folder.CONFIG}: ")
        torch.set_num_threads(resolved.threads)
        material = run_material(folder, resolved, found, settings)
        labelled = _label(folder, material, settings, serving, say)
        return dataclasses.replace(labelled, has_model=resolved.reward == "learned")


def label_data(
    path: Path | str,
    *,
    out: Path | str | None = None,
    settings: LabelConfig | None = None,
    serving: ServingConfig | None = None,
    say: Callable[[str], None] = say_on_stderr,
) -> Labelled:
    """Lets people answer questions about recorded data until it is interrupted.

    Args:
        path: a file in the interchange layout, with `frames`, or `sim_states` and `env_id`, among
            its steps; it need not have pairs.
        out: the folder of the answers, new or that of the same data; None is beside the file.
        settings: what is asked, and how much.
        serving: how the page is served.
        say: called with the links under which people label, and with what happens.

    Raises:
        PrefrlError: the data cannot be shown, or the page not be served; nothing is lost.
    """
    path, settings, serving = Path(path), settings or LabelConfig(), serving or ServingConfig()
    check_serving(serving)
    about = about_of(path, settings)
    folder = Path(out) if out is not None else path.with_name(f"{path.stem}-labels")
    is_known = _is_about(folder, about)
    if is_known and (links := _links_of_running(folder)) is not None:
        return Labelled(links=links)
    material = data_material(path, settings)
    if not is_known:
        instead = f"choose another {option('out')}"
        reached = folder / run_folder.LABELLING  # is there once people may have answered
        with new_folder(folder, is_worth_keeping=reached.exists, instead=instead):
            return _label(folder, material, settings, serving, say, about)
    with claimed(folder):
        answers = folder / run_folder.COMPARISONS
        if answers.exists():
            material = dataclasses.replace(material, dataset=PreferenceDataset.load(answers))
        return _label(folder, material, settings, serving, say, about)


def _label(
    folder: Path,
    material: Material,
    settings: LabelConfig,
    serving: ServingConfig,
    say: Callable[[str], None],
    about: str = "",
) -> Labelled:
    """Asks about a material until it is interrupted."""
    from prefrl.labelling.clips.graphics import check_can_render

    check_can_render(is_rendered=material.is_rendered)
    answers = folder / run_folder.COMPARISONS
    first_id = int(material.dataset.question.max(initial=-1)) + 1
    with claimed_store(folder, serving, first_id=first_id, about=about, say=say) as (store, kept):
        work = LabelWork(material, store, settings, answers, say)
        with served(store, folder, kept, serving, say=say, is_runs=False) as processes:
            say(ENDS)
            try:
                work.run(processes)
            except KeyboardInterrupt:
                say("ending the service")
        num = work.finish()
    return Labelled(num, comparisons=answers if answers.exists() else None)


def _serve_stopped(
    folder: Path,
    config: RunConfig,
    settings: LabelConfig,
    serving: ServingConfig,
    say: Callable[[str], None],
) -> Labelled:
    """Serves the open questions of a run that has not ended, until it is interrupted or goes on."""
    from prefrl.labelling.clips.graphics import check_can_render
    from prefrl.labelling.run_status import read_run_status, write_run_status

    if not config.teacher.are_people:
        raise ConfigError(
            f"the run in {folder} has not ended, and asks a simulated teacher "
            f"({config.teacher.name}); go on with it by prefrl run --resume {folder}, and label it "
            "when it has ended"
        )
    if given := changed(settings):
        raise ConfigError(
            f"{option(given[0])} is of runs that have ended; what one that was stopped asks is up "
            "to its own settings"
        )
    if read_serving(folder) is None:
        raise StorageError(f"the run in {folder} has put no questions yet")
    check_can_render()
    with claimed_store(folder, serving, say=say) as (store, kept):
        write_run_status(store, dataclasses.replace(read_run_status(store), waits_for=STOPPED))
        with served(store, folder, kept, serving, say=say, is_runs=False) as processes:
            say(ENDS)
            try:
                while not processes.is_replaced:
                    processes.look_after()
                    time.sleep(_LOOK_EVERY_S)
                say(f"another process serves the run in {folder} now: it goes on, or is labelled")
            except KeyboardInterrupt:
                say("ending the service")
        return Labelled(store.counts().spent, is_stopped=True)


def _is_about(folder: Path, about: str) -> bool:
    """Tells whether a folder has answers about the same material; False: it has nothing yet.

    Raises:
        StorageError: it has answers about something else.
    """
    kept = read_serving(folder)
    if kept is None:
        return False
    if kept.about != about:
        its = "other data, or other segments of it" if kept.about else "a run"
        raise StorageError(f"{folder} has the answers about {its}; choose another {option('out')}")
    return True


def _links_of_running(folder: Path) -> "Links | None":
    """Returns the links of a service that somebody stands behind; None: there is none.

    One that a killed process has left takes answers, but nobody renders clips or asks on: it is
    taken over from.
    """
    from prefrl.labelling.service.one_at_a_time import LOCK, links_of_running

    return links_of_running(folder) if is_there(folder / LOCK) and is_claimed(folder) else None
