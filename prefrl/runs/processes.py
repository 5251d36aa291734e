"""The processes behind a folder that people label: its service and its renderer.

They and whoever puts the questions meet in the database alone. The latter starts the two, starts
them anew should they end, and ends them with itself.
"""

import contextlib
import os
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prefrl.config import ServingConfig
from prefrl.runs.serving import FolderServing

if TYPE_CHECKING:
    from prefrl.labelling.service.link_file import Links
    from prefrl.labelling.store import LabelStore

_LOOK_AFTER_EVERY_S = 1.0


class Processes:
    """The service and the renderer of a folder, beside whoever puts the questions.

    Args:
        store: where they meet.
        folder: that of `labelling.json`.
        kept: how the page is served.
        port: to be served at; None: the last one, or any.
        is_runs: the service ends with the run, and whoever comes first starts it anew.

    Raises:
        ConfigError: the service cannot be started; it says why.
    """

    def __init__(
        self,
        store: "LabelStore",
        folder: Path,
        kept: FolderServing,
        *,
        port: int | None,
        is_runs: bool = True,
    ) -> None:
        from prefrl.labelling.renderer import RendererProcess
        from prefrl.labelling.serve import ServiceProcess

        words = [*kept.words(folder), *([] if port is None else [f"--port={port}"])]
        words += ["--ends-with-run"] if is_runs else []
        self._store, self._folder, self._is_runs = store, folder, is_runs
        self._start_service = partial(ServiceProcess, store.url, folder, words)
        self._start_renderer = partial(RendererProcess, store.url, stays=not is_runs)
        self._service = self._start_service()
        self._renderer = self._start_renderer()
        self._looked_s = time.monotonic()

    @property
    def links(self) -> "Links":
        """Returns the links under which people label, and under which the owner looks on."""
        return self._service.links

    def look_after(self) -> None:
        """Starts anew what has ended."""
        if time.monotonic() - self._looked_s < _LOOK_AFTER_EVERY_S:
            return
        self._looked_s = time.monotonic()
        if not (self._service.is_alive and self._renderer.is_alive):
            self._store.revision()  # While the database is away nothing can be started.
        if not self._service.is_alive:
            self._service.close()
            self._service = self._start_service()
        if not self._renderer.is_alive:
            self._renderer.close()
            self._renderer = self._start_renderer()

    @property
    def is_replaced(self) -> bool:
        """Tells whether the service was told to end, as by that of a run that goes on."""
        return self._service.has_ended_in_order

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, error: object, *_: object) -> None:
        # Pages are told that the run has ended, if it has.
        self._service.close(patience_s=10.0 if error is None and self._is_runs else 0.0)
        self._renderer.close()


@contextlib.contextmanager
def served(
    store: "LabelStore",
    folder: Path,
    kept: FolderServing,
    serving: ServingConfig,
    *,
    say: Callable[[str], None],
    is_runs: bool = True,
) -> Iterator[Processes]:
    """Lets people answer as long as it is entered: says where, and opens the page there.

    Args:
        store: as in `Processes`.
        folder: likewise.
        kept: likewise.
        serving: the port, and whether the page is opened.
        say: called with the links.
        is_runs: as in `Processes`.
    """
    with Processes(store, folder, kept, port=serving.port, is_runs=is_runs) as processes:
        say(processes.links.as_text())
        if serving.open_page:
            _open_page(processes.links.label_link)
        yield processes


def _open_page(link: str) -> None:
    """Opens the page where somebody sits in front of a screen."""
    has_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if has_screen and sys.stderr.isatty():
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(link)
