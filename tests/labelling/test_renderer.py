"""The renderer beside a real store, in this process and in one of its own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefrl.errors import ConfigError, StorageError
from prefrl.labelling.clips import ClipSpec, NamedEnv, Recorded, SimStates
from prefrl.labelling.errors import Unavailable
from prefrl.labelling.renderer import NUM_AHEAD, RendererProcess, RenderWork, Rest
from prefrl.labelling.run_status import RunStatus, write_run_status
from prefrl.labelling.starting import DATABASE_VARIABLE
from prefrl.labelling.store import LabelStore
from prefrl.media.mp4 import mp4_bytes
from tests.labelling.videos import frames_of
from tests.waiting import PATIENCE_S, is_alive, wait_until

MP4 = mp4_bytes([np.zeros((16, 16, 3), np.uint8)] * 10, 10.0)
PICTURES = ClipSpec(Recorded(MP4, 10), counts=(0, 10), dt=0.1)


def cheetah(pitch: float = 0.0, **changes: Any) -> ClipSpec:
    states = np.zeros((1, 18), np.float32)
    states[0, 2] = pitch
    content = SimStates(NamedEnv("HalfCheetah-v4"), states, np.zeros(10, int))
    return replace(ClipSpec(content, counts=(0, 10), dt=0.1, size=32), **changes)


BAD = cheetah(float("nan"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    made = LabelStore(tmp_path / "labels.sqlite")
    yield made
    made.close()


def wanted(store: LabelStore, *specs: ClipSpec) -> None:
    for spec in specs:
        assert store.add_clip(spec.to_bytes()) == spec.key


def test_jobs_become_clips_until_the_run_has_ended(store):
    wanted(store, PICTURES)
    write_run_status(store, RunStatus(has_ended=True))
    RenderWork(store).run()
    clip = store.clip(PICTURES.key)
    assert clip is not None
    assert clip.mp4 == MP4
    assert clip.meta == {"fps": 10.0, "num_frames": 10, "counts": [0, 10]}


@pytest.mark.usefixtures("graphics")
def test_states_become_clips_and_one_that_fails_is_no_end(store, capsys, tmp_path):
    wanted(store, cheetah(), BAD, cheetah(0.5))
    write_run_status(store, RunStatus(has_ended=True))
    RenderWork(store).run()
    for spec in (cheetah(), cheetah(0.5)):
        clip = store.clip(spec.key)
        assert clip is not None
        assert frames_of(clip.mp4, tmp_path).shape == (10, 32, 32, 3)
    assert store.clip(BAD.key) is None
    said = capsys.readouterr().err.splitlines()
    why = "could not be rendered: HalfCheetah-v4: a state holds NaN or an infinity"
    assert said == [f"renderer: clip {BAD.key[:8]} {why}"] * 3, "it is tried three times"


def test_what_is_no_spec_is_a_failure_of_its_own(store, capsys):
    store.add_clip(b"nonsense")
    wanted(store, PICTURES)
    write_run_status(store, RunStatus(has_ended=True))
    RenderWork(store).run()
    assert store.clip(PICTURES.key) is not None
    assert "these bytes describe no clip" in capsys.readouterr().err


def test_without_graphics_pictures_become_clips_all_the_same(store):
    wanted(store, PICTURES, cheetah())
    write_run_status(store, RunStatus(has_ended=True))
    RenderWork(store, no_graphics="clips cannot be rendered here (egl: none)").run()
    assert store.clip(PICTURES.key) is not None
    assert store.clip(cheetah().key) is None


def test_without_graphics_no_clip_is_charged_a_try_and_others_can_render_it(store, capsys):
    wanted(store, cheetah(), cheetah(0.5))
    write_run_status(store, RunStatus(has_ended=True))
    no_graphics = "clips cannot be rendered here (egl: none); apt-get install libegl1"
    for _ in range(12):  # more than the tries that a clip has, failed or begun
        RenderWork(store, no_graphics=no_graphics).run()
    said = capsys.readouterr().err.splitlines()
    line = f"renderer: nothing is held against clips that cannot be rendered here: {no_graphics}"
    assert said == [line] * 12, "once a renderer, not once a clip"
    job = store.next_clip_job("with graphics")
    assert job is not None
    assert job.attempts == 1


@pytest.mark.parametrize("fault", [ConfigError, StorageError, OSError, MemoryError])
def test_what_the_machine_lacks_is_not_the_clips_fault(store, monkeypatch, fault):
    segments = _segments()
    (question,) = store.put(segments, segments, session=0, policy_step=0)
    store.add_clips(question.id, PICTURES.to_bytes(), PICTURES.to_bytes())

    class Broken:
        def render(self, spec: ClipSpec) -> Any:
            raise fault("no encoder is installed")

        def close(self) -> None:
            pass

    write_run_status(store, RunStatus(has_ended=True))
    for _ in range(12):
        work = RenderWork(store)
        monkeypatch.setattr(work, "_opened", Broken)
        work.run()
    assert "no encoder is installed" in store.clip_failures()[question.id]
    RenderWork(store).run()
    assert store.clip(PICTURES.key) is not None
    assert store.clip_failures() == {}


@pytest.mark.usefixtures("graphics")
def test_graphics_that_come_later_are_found(store, monkeypatch):
    monkeypatch.setattr("prefrl.labelling.renderer._MENDED_S", 0.0)
    monkeypatch.setenv("MUJOCO_GL", os.environ["MUJOCO_GL"])
    monkeypatch.setattr("sys.modules", {k: v for k, v in sys.modules.items() if k != "mujoco"})
    work = RenderWork(store, no_graphics="none yet")
    work._beyond.add(cheetah().key)
    work._look_again()
    assert (work.no_graphics, work._beyond) == ("", set())


def test_why_a_question_cannot_be_shown_is_told(store):
    segments = _segments()
    (question,) = store.put(segments, segments, session=0, policy_step=0)
    store.add_clips(question.id, PICTURES.to_bytes(), cheetah().to_bytes())
    write_run_status(store, RunStatus(has_ended=True))
    RenderWork(store, no_graphics="clips cannot be rendered here (egl: none)").run()
    assert store.clip_failures() == {question.id: "clips cannot be rendered here (egl: none)"}


def test_it_stops_when_told_and_stays_only_where_asked_to(store):
    write_run_status(store, RunStatus(has_ended=True))
    work = RenderWork(store, stays=True)
    thread = threading.Thread(target=work.run)
    thread.start()
    wanted(store, PICTURES)
    wait_until(lambda: store.clip(PICTURES.key))
    assert thread.is_alive()
    work.stop.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


class Hours:
    """A clock, computing, and a stop that is not set, in a world where only what is told passes."""

    def __init__(self) -> None:
        self.now_s = self.computed_s = 0.0

    def wait(self, seconds: float) -> bool:
        self.now_s += seconds
        return False

    def rest_after(self, clock_s: float, computed_s: float, somebody_waits: Any) -> float:
        rest = Rest(
            self,  # type: ignore[arg-type]
            somebody_waits,
            clock=lambda: self.now_s,
            computed=lambda: self.computed_s,
        )
        with rest.owed():
            self.now_s, self.computed_s = clock_s, computed_s
        rest.take()
        return self.now_s - clock_s


def test_others_have_a_shared_core_for_nineteen_times_as_long_as_they_waited():
    assert Hours().rest_after(2.0, 1.0, lambda: False) == pytest.approx(19.0)
    assert Hours().rest_after(1.0, 1.0, lambda: False) == 0.0
    assert Hours().rest_after(1.0, 1.5, lambda: False) == 0.0  # the encoder beside it


def test_a_rest_ends_when_somebody_waits():
    looks = iter([False, False, True])
    assert Hours().rest_after(2.0, 1.0, lambda: next(looks)) == pytest.approx(2.0)
    assert Hours().rest_after(2.0, 1.0, lambda: True) == 0.0


def test_somebody_waits_until_enough_can_be_shown_next(store):
    segments = _segments()
    work = RenderWork(store)
    for number in range(NUM_AHEAD):
        assert work._somebody_waits()
        (question,) = store.put(segments, segments, session=0, policy_step=0)
        store.add_clips(question.id, *(f"{side} {number}".encode() for side in "lr"))
        while (job := store.next_clip_job("test")) is not None:
            store.put_clip(job.key, b"film", {})
    assert not work._somebody_waits()
    store.add_annotator("ann")
    assert store.next_question("ann") is not None  # who has one before them wants the next one
    assert work._somebody_waits()


def test_somebody_waits_for_a_clip_that_no_question_shows(store):
    assert not store.wants_clips(0)
    wanted(store, PICTURES)
    assert store.wants_clips(0)


def test_a_database_that_is_away_for_a_while_is_waited_for(store, monkeypatch, capsys):
    monkeypatch.setattr("prefrl.labelling.renderer._AWAY_S", 0.01)
    wanted(store, PICTURES)
    write_run_status(store, RunStatus(has_ended=True))
    failing = {"next_clip_job": 3, "put_clip": 2}

    class Away:
        """The store behind a line that is cut now and then."""

        def __getattr__(self, name: str) -> Any:
            if failing.get(name, 0):
                failing[name] -= 1
                raise Unavailable("the database cannot be reached")
            return getattr(store, name)

    RenderWork(Away()).run()  # type: ignore[arg-type]
    assert store.clip(PICTURES.key) is not None
    said = "renderer: the database cannot be reached; trying again every 0.01 s"
    assert capsys.readouterr().err.splitlines() == [said]


@pytest.mark.usefixtures("graphics")
def test_the_process_renders_and_ends_when_told(store):
    process = RendererProcess(store.url)
    try:
        wanted(store, cheetah())
        wait_until(lambda: store.clip(cheetah().key))
        assert process.is_alive
    finally:
        process.close(PATIENCE_S)
    assert not process.is_alive
    assert process._process.returncode == 0


@pytest.mark.usefixtures("graphics")
def test_a_process_that_was_killed_in_the_middle_is_replaced_by_the_next(
    store, tmp_path, monkeypatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    long = _killed_in_the_middle(store, tmp_path)
    later = LabelStore(store.url, clock=lambda: time.time() + 61)  # The lease is over by then.
    work = RenderWork(later, stays=True)
    job = later.next_clip_job(work.name)
    assert job is not None
    assert job.attempts == 2
    work.do(job)
    clip = store.clip(long.key)
    assert clip is not None
    assert len(frames_of(clip.mp4, tmp_path)) == 200
    later.close()


@pytest.mark.usefixtures("graphics")
def test_it_does_not_outlive_who_started_it(store):
    code = (
        "import sys, time; from prefrl.labelling.renderer import RendererProcess; "
        "print(RendererProcess(sys.argv[1]).pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, store.url], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wanted(store, PICTURES)
        wait_until(lambda: store.clip(PICTURES.key))
        parent.kill()
    wait_until(lambda: not is_alive(pid))


def test_a_database_that_is_none_is_refused_in_a_line(tmp_path):
    path = tmp_path / "labels.sqlite"
    path.write_text("no database at all, but long enough to be looked at as if it were one" * 9)
    done = subprocess.run(
        [sys.executable, "-m", "prefrl.labelling.renderer", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("renderer: ")
    assert done.stderr.count("\n") == 1
    environment = {name: value for name, value in os.environ.items() if name != DATABASE_VARIABLE}
    done = subprocess.run(
        [sys.executable, "-m", "prefrl.labelling.renderer"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 2
    assert f"which database? name it, or set {DATABASE_VARIABLE}" in done.stderr


def _killed_in_the_middle(store: LabelStore, folder: Path) -> ClipSpec:
    """Kills a renderer whose files are in that folder, and returns what it was at."""
    for size in range(32, 96, 2):
        content = SimStates(NamedEnv("HalfCheetah-v4"), *_many_states())
        long = cheetah(content=content, counts=(0, 10), size=size)
        wanted(store, long)
        process = RendererProcess(store.url)
        begun = "prefrl-clip-*/.clip.unfinished.mp4"
        wait_until(lambda: any(folder.glob(begun)) or store.clip(long.key))  # noqa: B023
        os.kill(process.pid, signal.SIGKILL)
        process.close()
        if store.clip(long.key) is None:
            return long
        # It was done before this process came to kill it.
        for leftover in folder.glob(begun):
            leftover.unlink()
    raise AssertionError("no renderer could be killed in the middle")


def _segments() -> Any:
    from prefrl.segments import SegmentBatch

    rows = np.zeros((1, 4, 2), np.float32)
    numbers = np.zeros(1, np.int64)
    return SegmentBatch(rows, rows, rows[..., 0], rows.astype(float), numbers, numbers)


def _many_states() -> tuple[np.ndarray, np.ndarray]:
    states = np.zeros((200, 18), np.float32)
    states[:, 0] = np.arange(200) / 20
    return states, np.arange(200)
