"""Labels a HalfCheetah in a browser: measures how soon the next pair is there, and takes pictures.

    cd scripts && python -m lab.page times --answers 40
    cd scripts && python -m lab.page pictures --folder ../docs/images

Both record a cheetah that paddles, render its clips as a run does, serve them, and open the
page in Debian's Chromium (`apt-get install chromium`), which must be installed.

`times` answers by keys and prints milliseconds, measured in the browser: from the key to when the
first frame of each clip of the next pair is on the screen, to when the next pair is loaded, and how
far apart both clips are while they run. `pictures` writes `label-1280.png` and `label-390.png`,
the page at 1280 and 390 pixels, and `owner-1280.png`, its owner's, in 256 colours. What they show
is made up: no run asked, and nobody answered.
"""

import argparse
import contextlib
import dataclasses
import functools
import os
import shutil
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lab.clips import ENV_ID
from lab.command_line import OneLineParser, number_above_0

LENGTH = 25  # steps of a segment, of .05 s
WIDTHS = ((1280, 800), (390, 844))
OWNER_SIZE = (1280, 900)
PEOPLE = {"Ann": (3.4, 0.03), "Bea": (5.2, 0.08)}  # seconds for each answer, share of slips
NUM_ASKED, NUM_OPEN = 180, 12
SHARE_TOLD_TWICE, SHARE_REPEATED = 0.2, 0.1
FORWARD = 8  # in an observation of HalfCheetah: the speed forward
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


def fill_answered(store: Any) -> str:
    """Puts questions that made-up people answered by who runs further; returns the owner's token.

    Their answers slip now and then, and so does what heads of a reward model foresaw.
    """
    import numpy as np

    from prefrl.labelling.rows import StoreSettings
    from prefrl.labelling.run_status import RunStatus, write_run_status

    rng = np.random.default_rng(2)
    drawn, _, _ = segments(2 * NUM_ASKED)
    metres = drawn.observations[:, :, FORWARD].mean(axis=1)
    ahead = metres[:NUM_ASKED] - metres[NUM_ASKED:]
    store.set_settings(
        StoreSettings(budget=300, overlap=SHARE_TOLD_TWICE, needs_clips=False, lease_s=3600)
    )
    begun_s = time.time() - 1_800
    now_s = dict.fromkeys(PEOPLE, begun_s)
    store.clock = lambda: begun_s
    for name in PEOPLE:
        store.add_annotator(name)
    logits = 3 * ahead[:, None] / ahead.std() + rng.normal(0, 2, (NUM_ASKED, 3))
    lead: dict[int, float] = {}

    def ask(rows: slice) -> None:
        left, right = drawn[:NUM_ASKED][rows], drawn[NUM_ASKED:][rows]
        ids = [one.id for one in store.put(left, right, session=1, policy_step=9_000)]
        store.set_predictions(ids, 1 / (1 + np.exp(-logits[rows])), model_version=1)
        lead.update(zip(ids, ahead[rows], strict=True))

    ask(slice(NUM_ASKED - NUM_OPEN))
    busy = dict.fromkeys(PEOPLE, begun_s)
    while busy:
        name = min(busy, key=busy.__getitem__)
        pace_s, p_slip = PEOPLE[name]
        took_s = float(pace_s * rng.lognormal(0, 0.3))
        now_s[name] = busy[name] = busy[name] + took_s
        store.clock = lambda at_s=now_s[name]: at_s
        leased = store.next_question(name)
        if leased is None:
            del busy[name]
            continue
        by = lead[leased.question] * (-1 if rng.random() < p_slip else 1)
        said = "tie" if abs(by) < 0.1 * ahead.std() else "left" if by > 0 else "right"
        store.give(name, leased.question, said, response_time_s=round(took_s, 1))
        asked = store.standings().get(leased.question)  # None: it is a repeat itself
        if asked and asked.state == "answered" and rng.random() < SHARE_REPEATED:
            repeat = store.put_repeat(leased.question, session=1, policy_step=9_000)
            lead[repeat.id] = -lead[leased.question]
    store.clock = lambda: max(now_s.values())
    ask(slice(NUM_ASKED - NUM_OPEN, None))
    write_run_status(store, RunStatus(ENV_ID, 12_000, 20_000, accuracy=0.88))
    return str(store.set_owner_token())


@contextlib.contextmanager
def served(fill: Callable[[Any], str], path: str = "/") -> Iterator[str]:
    """Serves a store that was filled; yields the link of whoever's token `fill` returned."""
    import uvicorn

    from prefrl.labelling.clips.graphics import choose_graphics
    from prefrl.labelling.service import make_app
    from prefrl.labelling.store import LabelStore

    choose_graphics()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(contextlib.closing(LabelStore(folder / "labels.sqlite")))
        token = fill(store)
        listening = stack.enter_context(contextlib.closing(socket.socket()))
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(make_app(store), log_config=None, ws="none", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}{path}#token={token}"
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def opened(link: str, size: tuple[int, int], scale: float = 1.0) -> Iterator[Any]:
    """Opens a page in a browser, past its tour."""
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
        yield page
        browser.close()


def await_pairs(page: Any) -> None:
    """Returns when a pair is shown, the next one loaded, and the present policy is seen."""
    page.wait_for_selector("#pair[data-has-next]", timeout=120_000)
    page.wait_for_selector("#policy-clip:visible", timeout=120_000)


def measure_times(num_answers: int) -> None:
    """Prints how soon the next pair is on the screen after an answer."""
    apart_ms = []
    filled = functools.partial(fill, num_questions=num_answers + 2)
    with served(filled) as link, opened(link, WIDTHS[0]) as page:
        await_pairs(page)
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
    """Writes what is seen at each width, and by the owner."""
    with served(functools.partial(fill, num_questions=6)) as link:
        for size in WIDTHS:
            with opened(link, size, scale=2 if size[0] < 500 else 1) as page:
                await_pairs(page)
                page.wait_for_timeout(LOOKED_MS)
                page.keyboard.press("ArrowLeft")
                page.wait_for_timeout(600)
                page.keyboard.press("Space")
                page.wait_for_timeout(300)
                take_picture(page, folder / f"label-{size[0]}.png")
    with served(fill_answered, "/owner") as link, opened(link, OWNER_SIZE) as page:
        page.wait_for_selector("#annotators tbody tr", timeout=120_000)
        take_picture(page, folder / f"owner-{OWNER_SIZE[0]}.png")


def take_picture(page: Any, path: Path) -> None:
    """Writes what is seen of a page as a PNG file of few colours."""
    from PIL import Image

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
