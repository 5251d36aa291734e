"""Labels a HalfCheetah in a browser: measures how soon the next pair is there, and takes pictures.

    cd scripts && python -m lab.page times --answers 40
    cd scripts && python -m lab.page pictures --folder ../docs/images

Both record a cheetah that paddles, render its clips as a run does, serve them, and open the
page in Debian's Chromium (`apt-get install chromium`), which must be installed.

`times` answers by keys and prints milliseconds, measured in the browser: from the key to when the
first frame of each clip of the next pair is on the screen, to when the next pair is loaded, and how
far apart both clips are while they run. `pictures` writes `label-1280.png` and `label-390.png`,
the page at 1280 and 390 pixels, in 256 colours.
"""

import argparse
import contextlib
import dataclasses
import os
import shutil
import socket
import statistics
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lab.clips import ENV_ID
from lab.command_line import OneLineParser, number_above_0

LENGTH = 25  # steps of a segment, of .05 s
WIDTHS = ((1280, 800), (390, 844))
LOOKED_MS = 1_500  # at each pair
NUM_COLOURS = 256
_WATCH = """() => {
  window.shown = [];
  window.loaded = [];
  let begun = null;
  const noted = (list) => list.push(performance.now() - begun);
  addEventListener("keydown", () => { begun = performance.now(); }, true);
  const watch = () => {
    for (const video of document.querySelectorAll("#labelling video")) {
      if (video.isSeen) continue;
      video.isSeen = true;
      video.requestVideoFrameCallback(() => { if (begun !== null) noted(window.shown); });
    }
  };
  new MutationObserver(watch).observe(document.body, { childList: true, subtree: true });
  new MutationObserver(() => {
    if (document.querySelector("#pair[data-has-next]") && begun !== null) noted(window.loaded);
  }).observe(document.getElementById("pair"), { attributes: true });
  watch();
}"""
_APART = """() => {
  const [left, right] = [...document.querySelectorAll("#labelling video")];
  return Math.abs(left.currentTime - right.currentTime) * 1000;
}"""


def segments(num: int) -> tuple[Any, Any, Any]:
    """Records a cheetah that paddles, each episode in a rhythm of its own.

    Returns:
        `num` segments, the episodes that they lie in, and a maker of their clips.
    """
    import numpy as np

    from prefrl.envs import make_env, make_vec_env
    from prefrl.labelling.clips import ClipMaker, NamedEnv, choose_source
    from prefrl.segments import EpisodeStore

    rng = np.random.default_rng(1)
    episodes = EpisodeStore()
    maker = ClipMaker(choose_source(lambda _: make_env(ENV_ID), NamedEnv(ENV_ID)))
    num_envs = 4
    venv = make_vec_env(lambda: make_env(ENV_ID), num_envs, episodes)
    venv.seed(0)
    for _ in range(4):
        venv.reset()
        phases = rng.uniform(0, 2 * np.pi, (num_envs, 6))
        pace_hz, force = rng.uniform(1, 3, (num_envs, 1)), rng.uniform(0.3, 1, (num_envs, 1))
        for step in range(200):
            venv.step(force * np.sin(2 * np.pi * pace_hz * step * maker.source.dt + phases))
    venv.reset()  # The last episodes are kept, too.
    venv.close()
    return episodes.sample(num, LENGTH, rng=rng), episodes, maker


def fill(store: Any, num_questions: int) -> str:
    """Puts questions whose clips are rendered; returns the token of somebody who labels."""
    from prefrl.labelling.clips import ClipRenderer, ClipSpec
    from prefrl.labelling.rows import StoreSettings
    from prefrl.labelling.run_status import RunStatus, write_run_status

    drawn, episodes, maker = segments(2 * num_questions + 1)
    specs = [spec.to_bytes() for spec in maker.specs(drawn, episodes)]
    num = num_questions
    store.set_settings(StoreSettings(budget=100))
    questions = store.put(drawn[:num], drawn[num : 2 * num], session=1, policy_step=12_000)
    for row, question in enumerate(questions):
        store.add_clips(question.id, specs[row], specs[num + row])
    policy = store.add_clip(specs[-1])
    with ClipRenderer() as renderer:
        while job := store.next_clip_job("this process"):
            clip = renderer.render(ClipSpec.from_bytes(job.spec))
            store.put_clip(job.key, clip.mp4, clip.meta)
    curve = tuple((500.0 * i, -250 + 4.0 * i**1.7 - 90 * (i % 3)) for i in range(25))
    status = RunStatus(ENV_ID, 12_000, 20_000, curve=curve, curve_name="true return")
    write_run_status(store, dataclasses.replace(status, policy_clip=policy, policy_step=12_000))
    return str(store.add_annotator("Ann"))


@contextlib.contextmanager
def served(num_questions: int) -> Iterator[str]:
    """Serves such questions on this machine; yields the link under which they are answered."""
    import uvicorn

    from prefrl.labelling.clips.graphics import choose_graphics
    from prefrl.labelling.service import make_app
    from prefrl.labelling.store import LabelStore

    choose_graphics()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(contextlib.closing(LabelStore(folder / "labels.sqlite")))
        token = fill(store, num_questions)
        listening = stack.enter_context(contextlib.closing(socket.socket()))
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(make_app(store), log_config=None, ws="none", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/#token={token}"
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def opened(link: str, size: tuple[int, int], scale: float = 1.0) -> Iterator[Any]:
    """Opens the page in a browser, past its tour, when the next pair is loaded, too."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("chromium is missing: apt-get install chromium")
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    words = ["--disable-gpu", "--no-first-run", *(["--no-sandbox"] if is_root else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=words)
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, device_scale_factor=scale
        )
        context.add_init_script("localStorage.setItem('prefrl.toured', 'yes')")
        page = context.new_page()
        page.goto(link)
        page.wait_for_selector("#pair[data-has-next]", timeout=120_000)
        page.wait_for_selector("#policy-clip:visible", timeout=120_000)
        yield page
        browser.close()


def measure_times(num_answers: int) -> None:
    """Prints how soon the next pair is on the screen after an answer."""
    apart_ms = []
    with served(num_answers + 2) as link, opened(link, WIDTHS[0]) as page:
        page.evaluate(_WATCH)
        for number in range(num_answers):
            page.wait_for_timeout(LOOKED_MS / 2)
            apart_ms.append(page.evaluate(_APART))
            page.wait_for_timeout(LOOKED_MS / 2)
            page.wait_for_selector("#pair[data-has-next]", timeout=120_000)
            page.keyboard.press("ArrowLeft" if number % 2 else "ArrowRight")
            page.wait_for_function(
                "(num) => window.shown.length >= num", arg=2 * number + 2, timeout=120_000
            )
        shown_ms, loaded_ms = page.evaluate("[window.shown, window.loaded]")
    print(f"{num_answers} answers, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| milliseconds | median | 95% | longest |\n| --- | ---: | ---: | ---: |")
    for what, times_ms in (
        ("from the key to a clip of the next pair on the screen", shown_ms),
        ("from the key to when the pair after that is loaded", loaded_ms),
        ("between both clips, while they run", apart_ms),
    ):
        ordered = sorted(times_ms)
        high = ordered[min(round(0.95 * len(ordered)), len(ordered) - 1)]
        print(f"| {what} | {statistics.median(ordered):.0f} | {high:.0f} | {ordered[-1]:.0f} |")


def take_pictures(folder: Path) -> None:
    """Writes what is seen at each width."""
    from PIL import Image

    with served(6) as link:
        for size in WIDTHS:
            with opened(link, size, scale=2 if size[0] < 500 else 1) as page:
                page.wait_for_timeout(LOOKED_MS)
                page.keyboard.press("ArrowLeft")
                page.wait_for_timeout(600)
                page.keyboard.press("Space")
                page.wait_for_timeout(300)
                path = folder / f"label-{size[0]}.png"
                with tempfile.TemporaryDirectory() as scratch:
                    taken = Path(scratch) / "taken.png"
                    page.screenshot(path=taken)
                    picture = Image.open(taken).convert("RGB")
                picture.quantize(NUM_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
            print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main(words: Sequence[str] | None = None) -> None:
    """Does what the command line asks for."""
    parser = OneLineParser(
        prog="python -m lab.page", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("what", choices=("times", "pictures"))
    parser.add_argument("--answers", type=number_above_0, default=40)
    parser.add_argument("--folder", type=Path, default=Path())
    options: argparse.Namespace = parser.parse_args(words)
    if options.what == "times":
        measure_times(options.answers)
    else:
        take_pictures(options.folder)


if __name__ == "__main__":
    main()
