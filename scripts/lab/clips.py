"""Measures what clips cost: seconds of a pair, and how much slower training is meanwhile.

    cd scripts && python -m lab.clips pairs
    cd scripts && python -m lab.clips training --core 0
    cd scripts && python -m lab.clips training --hurry

`pairs` renders pairs of 50-frame clips of HalfCheetah-v4 at 320 x 320 by size of the shadow map and
samples a pixel, encoding included: seconds by the clock and of computing, the median of --repeats.

`training` lets SAC train on HalfCheetah-v4 while a renderer renders without end, both on one core
if --core names it, which is the worst case. It rests as a renderer does that nobody waits for, or
with --hurry not at all. The renderer is started and ended in turns of --seconds; compared are the
steps in both, turn by turn, by the clock and by computing time, which whatever else the machine
does hardly changes. Both print Markdown.
"""

import argparse
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.command_line import OneLineParser, number_above_0

ENV_ID = "HalfCheetah-v4"
NUM_FRAMES, SIZE = 50, 320
QUALITIES = ((4096, 4), (4096, 0), (1024, 4), (1024, 0), (512, 4), (512, 0), (0, 0))


def specs(num: int) -> list[Any]:
    """Returns the specs of clips of a cheetah that moves at random, each of other steps."""
    import numpy as np

    from prefrl.envs import make_env
    from prefrl.envs.sim_state import state_reader
    from prefrl.labelling.clips import ClipSpec, NamedEnv, SimStates

    env = make_env(ENV_ID)
    env.reset(seed=0)
    env.action_space.seed(0)
    reader = state_reader([env])
    assert reader is not None
    states = []
    for _ in range(num * NUM_FRAMES):
        states.append(np.frombuffer(reader()).astype(np.float32))
        if env.step(env.action_space.sample())[3]:
            env.reset()
    env.close()
    frames, counts = np.arange(NUM_FRAMES), (0, NUM_FRAMES)
    return [
        ClipSpec(SimStates(NamedEnv(ENV_ID), part, frames), counts=counts, dt=0.05, size=SIZE)
        for part in np.array_split(np.array(states), num)
    ]


def computing_s() -> float:
    """Returns the seconds of computing so far, those of processes that have ended included."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure_pairs(repeats: int) -> None:
    """Prints the seconds of a pair by shadow map and samples."""
    from prefrl.labelling.clips.graphics import choose_graphics

    backend = choose_graphics()
    os.environ.setdefault("LP_NUM_THREADS", "1")  # as the renderer has it

    from prefrl.labelling.clips import ClipRenderer

    pairs = specs(2 * (repeats + 1))
    print(f"{backend}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the beginning\n")
    print("| shadow map | samples | s a pair | computing s a pair | first pair s | kB a clip |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for shadow_size, num_samples in QUALITIES:
        clock, computing, sizes = [], [], []
        with ClipRenderer(shadow_size=shadow_size, num_samples=num_samples) as renderer:
            for row in range(repeats + 1):
                began_s, computed_s = time.perf_counter(), computing_s()
                clips = [renderer.render(spec) for spec in pairs[2 * row : 2 * row + 2]]
                clock.append(time.perf_counter() - began_s)
                computing.append(computing_s() - computed_s)
                sizes += [len(clip.mp4) / 1000 for clip in clips]
        usual = statistics.median(clock[1:]), statistics.median(computing[1:])
        print(
            f"| {shadow_size} | {num_samples} | {usual[0]:.2f} | {usual[1]:.2f} | {clock[0]:.2f} "
            f"| {statistics.median(sizes):.0f} |",
            flush=True,
        )


@contextmanager
def rendering_without_end(*, hurries: bool) -> Iterator[int]:
    """Starts a process that renders the same clips over and over, and yields its number."""
    code = [sys.executable, "-m", "lab.clips", "render", *(["--hurry"] if hurries else [])]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            code, stdout=said, start_new_session=True, cwd=Path(__file__).parents[1]
        )
        try:
            while process.poll() is None and not said.tell():
                said.seek(0, os.SEEK_END)
                time.sleep(0.2)
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def render_without_end(*, hurries: bool) -> None:
    """Renders until it is killed; says so when the first clip is there."""
    from prefrl.labelling.clips.graphics import choose_graphics
    from prefrl.labelling.renderer import Rest

    choose_graphics()
    os.environ.setdefault("LP_NUM_THREADS", "1")  # as the renderer has it

    from prefrl.labelling.clips import ClipRenderer

    rest = Rest(threading.Event(), lambda: hurries)
    with ClipRenderer() as renderer:
        for number, spec in enumerate(specs(20) * 100_000):
            with rest.owed():
                renderer.render(spec)
            if not number:
                print("it renders", flush=True)
            rest.take()


class Training:
    """SAC on HalfCheetah-v4 in a thread of this process, which counts its steps."""

    def __init__(self) -> None:
        import torch
        from stable_baselines3 import SAC

        from prefrl.envs import make_env

        torch.set_num_threads(1)
        self.has_ended = False
        self._model = SAC("MlpPolicy", make_env(ENV_ID), learning_starts=200, seed=0)
        self._thread = threading.Thread(
            target=lambda: self._model.learn(10**9, callback=self._go_on), daemon=True
        )
        self._thread.start()

    def _go_on(self, *_: object) -> bool:
        return not self.has_ended

    @property
    def num_steps(self) -> int:
        """Returns the steps so far."""
        return int(self._model.num_timesteps)

    def close(self) -> None:
        """Ends it."""
        self.has_ended = True
        self._thread.join()


@dataclass(frozen=True)
class Turn:
    """The progress of training in a turn.

    Args:
        steps_per_s: by the clock.
        steps_per_computing_s: by its own computing time, which what else runs hardly changes.
        renderers_share: of the computing of both.
    """

    steps_per_s: float
    steps_per_computing_s: float
    renderers_share: float


def take_turn(training: Training, renderer: int | None, seconds: float) -> Turn:
    """Watches training, and the renderer where there is one, for some seconds."""
    before = training.num_steps, time.perf_counter(), time.process_time(), computing_of(renderer)
    time.sleep(seconds)
    after = training.num_steps, time.perf_counter(), time.process_time(), computing_of(renderer)
    steps, clock_s, trained_s, rendered_s = (b - a for a, b in zip(before, after, strict=True))
    return Turn(steps / clock_s, steps / trained_s, rendered_s / (rendered_s + trained_s))


def computing_of(process: int | None) -> float:
    """Returns the seconds of computing of another process, and of those that it waited for."""
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def measure_training(*, core: int | None, hurries: bool, turns: int, seconds: float) -> None:
    """Prints how fast training is beside the renderer, as a share of alone."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    training = Training()
    alone: list[Turn] = []
    beside: list[Turn] = []
    while training.num_steps < 400:
        time.sleep(0.5)
    for _ in range(turns):
        alone.append(take_turn(training, None, seconds))
        with rendering_without_end(hurries=hurries) as renderer:
            beside.append(take_turn(training, renderer, seconds))
    training.close()
    pairs = list(zip(alone, beside, strict=True))
    by_clock = statistics.median(b.steps_per_s / a.steps_per_s for a, b in pairs)
    efficiency = statistics.median(
        b.steps_per_computing_s / a.steps_per_computing_s for a, b in pairs
    )
    share = statistics.median(turn.renderers_share for turn in beside)
    where = "any core" if core is None else f"both on core {core}"
    how = "renders as fast as it can" if hurries else "rests"
    print(f"{where}, the renderer {how}, load {os.getloadavg()[0]:.1f} at the end\n")
    print("| of training beside the renderer, by training alone | |")
    print("| --- | ---: |")
    print(f"| steps by the clock | {by_clock:.2f} |")
    print(f"| steps by its own computing time | {efficiency:.2f} |")
    print(f"| the renderer's share of the computing of both | {share:.3f} |")
    print(f"| so, with a core for the two of them alone | {(1 - share) * efficiency:.2f} |")


def main(words: Sequence[str] | None = None) -> None:
    """Measures what the command line asks for."""
    parser = OneLineParser(
        prog="python -m lab.clips", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("what", choices=("pairs", "training", "render"))
    parser.add_argument("--repeats", type=number_above_0, default=5)
    parser.add_argument("--core", type=int, default=None)
    parser.add_argument("--hurry", action="store_true", help="as where people wait for clips")
    parser.add_argument("--turns", type=number_above_0, default=3)
    parser.add_argument("--seconds", type=number_above_0, default=60)
    options: argparse.Namespace = parser.parse_args(words)
    if options.what == "pairs":
        measure_pairs(options.repeats)
    elif options.what == "render":
        render_without_end(hurries=options.hurry)
    else:
        measure_training(
            core=options.core,
            hurries=options.hurry,
            turns=options.turns,
            seconds=options.seconds,
        )


if __name__ == "__main__":
    main()
