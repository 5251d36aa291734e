"""The renderer: a process that turns the store's clip jobs into clips, and lets others go first.

    python -m prefrl.labelling.renderer DATABASE

It may be killed and started again at any moment, and several may work beside each other: a job that
was begun and not finished is given out again after a minute. It ends by SIGTERM or Ctrl-C, after
the clip it is at, and when the run whose status is in the store has ended.
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prefrl.errors import ConfigError, PrefrlError, StorageError, text_of, with_type
from prefrl.labelling.clips.graphics import choose_graphics
from prefrl.labelling.clips.spec import ClipSpec, Recorded
from prefrl.labelling.errors import Unavailable
from prefrl.labelling.rows import ClipJob
from prefrl.labelling.run_status import read_run_status
from prefrl.labelling.starting import DATABASE_VARIABLE, end_process, start_process
from prefrl.labelling.store import LabelStore

if TYPE_CHECKING:
    from prefrl.labelling.clips.rendering import ClipRenderer

NUM_AHEAD = 4
"""While fewer questions than these can be shown next, people come first, and training waits."""

# So many times as long as a clip had to wait for a core, others have it: a twentieth of a core that
# it shares with training is the renderer's, all of one that nobody else wants. A low priority would
# do as much, but nobody may raise their own again while somebody waits.
_REST = 19.0
_POLL_S = 0.25
_LOOK_S = 1.0
_AWAY_S = 2.0
# After so long it is tried again whether the machine can by now what it could not.
_MENDED_S = 60.0
# The machine is at fault, not the clip: no graphics, no encoder, a package or room that is missing.
_MACHINE = (ConfigError, StorageError, OSError, MemoryError)


@dataclass
class RenderWork:
    """The jobs of a store, done one after the other until told to stop.

    Args:
        store: gives the jobs and takes the clips.
        stop: set from anywhere to end it.
        no_graphics: why nothing can be rendered here; "" where it can. Recorded pictures become
            clips all the same.
        stays: it goes on when the run has ended.
    """

    store: LabelStore
    stop: threading.Event = field(default_factory=threading.Event)
    no_graphics: str = ""
    stays: bool = False
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    _rest: "Rest" = field(init=False, repr=False)
    _renderer: "ClipRenderer | None" = field(default=None, init=False, repr=False)
    _beyond: set[str] = field(default_factory=set, init=False, repr=False)
    _look_again_s: float = field(default=0.0, init=False, repr=False)
    _fault: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        self._rest = Rest(self.stop, self._somebody_waits)

    def run(self) -> None:
        """Works until it is told to stop, or the run has ended."""
        is_away = False
        try:
            while not self.stop.is_set():
                if self._beyond and time.monotonic() >= self._look_again_s:
                    self._look_again()
                try:
                    job = self.store.next_clip_job(self.name, but=self._beyond)
                    has_ended = job is None and not self.stays and self._has_ended()
                except Unavailable as error:
                    if not is_away:
                        _say(f"{text_of(error)}; trying again every {_AWAY_S:g} s")
                    is_away = True
                    self.stop.wait(_AWAY_S)
                    continue
                is_away = False
                if has_ended:
                    return
                if job is None:
                    self.stop.wait(_POLL_S)
                else:
                    self.do(job)
                    self._rest.take()
        finally:
            self._close()

    def do(self, job: ClipJob) -> None:
        """Renders the clip of a job, or notes why it could not be rendered.

        Where that is not the clip's fault, but this machine's, the job is given back: it is no try.
        """
        try:
            spec = ClipSpec.from_bytes(job.spec)
            if self.no_graphics and not isinstance(spec.content, Recorded):
                raise ConfigError(self.no_graphics)
            with self._rest.owed():
                clip = self._opened().render(spec)
        except _MACHINE as error:
            self._give_back(
                job, text_of(error) if isinstance(error, PrefrlError) else with_type(error)
            )
            return
        except Exception as error:  # noqa: BLE001 - the other clips go on
            why = text_of(error) if isinstance(error, PrefrlError) else with_type(error)
            _say(f"clip {job.key[:8]} could not be rendered: {why}")
            self._close()  # Whatever is left of it is not used for the next one.
            self._tell(lambda: self.store.fail_clip(job.key, why))
            return
        self._tell(lambda: self.store.put_clip(job.key, clip.mp4, clip.meta))

    def _give_back(self, job: ClipJob, why: str) -> None:
        if why != self._fault:  # It is the same for many clips.
            _say(f"nothing is held against clips that cannot be rendered here: {why}")
        self._fault = why
        self._close()
        if not self._beyond:
            self._look_again_s = time.monotonic() + _MENDED_S
        self._beyond.add(job.key)
        self._tell(lambda: self.store.give_clip_back(job.key, why))

    def _look_again(self) -> None:
        """Tries once more what could not be rendered here; graphics may be installed by now."""
        self._beyond.clear()
        if self.no_graphics and "mujoco" not in sys.modules:
            os.environ.pop("MUJOCO_GL", None)  # which says that there are none
            self.no_graphics = _chosen_graphics(says=False)

    def _tell(self, change: Callable[[], None]) -> None:
        """Tells the store something, again and again while it is away."""
        while True:
            try:
                change()
                return
            except Unavailable:
                if self.stop.wait(_AWAY_S):
                    return
            except PrefrlError as error:  # The job is none any more.
                _say(text_of(error))
                return

    def _somebody_waits(self) -> bool:
        try:
            return self.store.wants_clips(NUM_AHEAD)
        except Unavailable:
            return True  # Whoever asks for the next job will say so, and wait.

    def _has_ended(self) -> bool:
        return read_run_status(self.store).has_ended

    def _opened(self) -> "ClipRenderer":
        if self._renderer is None:
            # Not before the way to render is chosen: MuJoCo reads it when it is imported.
            from prefrl.labelling.clips.rendering import ClipRenderer

            self._renderer = ClipRenderer()
        return self._renderer

    def _close(self) -> None:
        if self._renderer is not None:
            with contextlib.suppress(Exception):  # of graphics that have failed already
                self._renderer.close()
            self._renderer = None


class Rest:
    """Lets others compute for as long as they were kept from it, unless somebody waits for clips.

    Args:
        stop: ends a rest.
        somebody_waits: likewise; it is asked every second.
        clock: seconds, never running back.
        computed: seconds that this process has computed, and its children that have ended.
    """

    def __init__(
        self,
        stop: threading.Event,
        somebody_waits: Callable[[], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
        computed: Callable[[], float] = lambda: sum(os.times()[:4]),
    ) -> None:
        self._stop, self._somebody_waits = stop, somebody_waits
        self._clock, self._computed = clock, computed
        self._owed_s = 0.0

    @contextlib.contextmanager
    def owed(self) -> Iterator[None]:
        """Notes how long what is done here waits for a core."""
        waited_s = self._computed() - self._clock()
        yield
        waited_s += self._clock() - self._computed()
        self._owed_s = _REST * max(waited_s, 0.0)

    def take(self) -> None:
        """Rests for what is owed."""
        until_s, self._owed_s = self._clock() + self._owed_s, 0.0
        while (left_s := until_s - self._clock()) > 0 and not self._somebody_waits():
            if self._stop.wait(min(left_s, _LOOK_S)):
                return


class RendererProcess:
    """A renderer that was started by this process, and does not outlive it.

    Args:
        url: of the store, a password included.
        stays: as in `RenderWork`.
    """

    def __init__(self, url: str, *, stays: bool = False) -> None:
        options = ["--with-parent", *(["--stays"] if stays else [])]
        self._process = start_process(
            "prefrl.labelling.renderer", options, url, stdin=subprocess.PIPE
        )

    @property
    def is_alive(self) -> bool:
        """Tells whether it still works."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Returns the number of the process."""
        return self._process.pid

    def close(self, patience_s: float = 10.0) -> None:
        """Ends it after the clip it is at, or at once where that takes longer than so long."""
        end_process(self._process, patience_s)
        assert self._process.stdin is not None
        self._process.stdin.close()


def main(words: Sequence[str] | None = None) -> int:
    """Runs a renderer until it is told to stop; returns the status of the process."""
    parser = argparse.ArgumentParser(prog="python -m prefrl.labelling.renderer")
    parser.add_argument("database", nargs="?", default=os.environ.get(DATABASE_VARIABLE))
    parser.add_argument("--stays", action="store_true", help="go on when the run has ended")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin is closed")
    options = parser.parse_args(words)
    if not options.database:
        parser.error(f"which database? name it, or set {DATABASE_VARIABLE}")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if options.with_parent:
        threading.Thread(target=_stop_at_end_of_stdin, args=(stop,), daemon=True).start()
    os.environ.setdefault("LP_NUM_THREADS", "1")  # of Mesa's rendering in software
    try:
        no_graphics = _chosen_graphics()
        store = LabelStore(options.database, is_made=False, is_upgraded=False)
        try:
            RenderWork(store, stop, no_graphics, stays=options.stays).run()
        finally:
            store.close()
    except PrefrlError as error:
        _say(text_of(error))
        return 2
    return 0


def _chosen_graphics(*, says: bool = True) -> str:
    """Chooses what to render with; returns why there is nothing, "" where there is."""
    try:
        choose_graphics()
    except ConfigError as error:
        os.environ["MUJOCO_GL"] = "disable"  # Else MuJoCo could not be imported at all.
        if says:
            _say(text_of(error))
        return text_of(error)
    return ""


def _stop_at_end_of_stdin(stop: threading.Event) -> None:
    # Whoever started it has ended, in whatever way.
    while os.read(0, 1024):
        pass
    stop.set()


def _say(line: str) -> None:
    print(f"renderer: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
