import io
import json
import math
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common import logger as sb3_logger

from prefrl.errors import ConfigError, DataError, StorageError
from prefrl.plan import Phase
from prefrl.records.metrics import (
    JsonLinesSink,
    LoggerSink,
    Metrics,
    WandbSink,
    check_lines,
    read_metrics,
)
from prefrl.records.progress import ProgressBar, short_number
from prefrl.records.remaining import Stopwatch, Workload
from tests.waiting import PATIENCE_S


class Recorder:
    def __init__(self):
        self.lines = []
        self.is_closed = False

    def write(self, step, metrics):
        self.lines.append((step, dict(metrics)))

    def close(self):
        self.is_closed = True


class Broken(Recorder):
    def close(self):
        raise OSError("gone")


# Metrics


def test_every_sink_gets_the_same_metrics_with_the_time_that_was_taken_first():
    sinks = [Recorder(), Recorder()]
    Metrics(sinks).write(5, {"true_return": 1.5})
    assert sinks[0].lines == sinks[1].lines
    ((step, metrics),) = sinks[0].lines
    assert step == 5
    assert list(metrics) == ["wall_s", "cpu_s", "true_return"]


def test_wall_time_goes_on_across_a_resume():
    sink = Recorder()
    metrics = Metrics([sink], wall_offset_s=1000.0)
    metrics.write(0, {})
    assert 1000 <= sink.lines[0][1]["wall_s"] <= metrics.wall_s + 0.001 < 1060  # rounded


def test_computing_time_goes_on_across_a_resume_and_leaves_out_what_is_not_counted(
    monkeypatch,
):
    computed_s = [7.0]
    clock = SimpleNamespace(monotonic=time.monotonic, process_time=lambda: computed_s[0])
    monkeypatch.setattr("prefrl.records.metrics.time", clock)
    metrics = Metrics([], cpu_offset_s=1000.0)
    with metrics.uncounted():
        computed_s[0] += 5.0
    assert metrics.cpu_s == 1000
    computed_s[0] += 2.0
    assert metrics.cpu_s == 1002


def test_a_metric_cannot_take_the_place_of_the_step():
    with pytest.raises(ValueError, match=r"metrics hold \['step'\]"):
        Metrics([]).write(0, {"step": 1.0})


def test_every_sink_is_closed_also_where_one_fails():
    first, last = Recorder(), Recorder()
    with pytest.raises(OSError, match="gone"):
        Metrics([first, Broken(), last]).close()
    assert first.is_closed
    assert last.is_closed


# JSON lines


def test_lines_are_json_in_order_and_on_the_disk_at_once(tmp_path):
    sink = JsonLinesSink(tmp_path / "metrics.jsonl")
    sink.write(10, {"wall_s": 0.5, "true_return": math.nan, "num_answers": 3, "loss": math.inf})
    line = (tmp_path / "metrics.jsonl").read_text()
    expected = '{"step": 10, "wall_s": 0.5, "true_return": null, "num_answers": 3, "loss": null}\n'
    assert line == expected
    sink.close()


def test_what_was_written_comes_back_with_nan_for_null(tmp_path):
    sink = JsonLinesSink(tmp_path / "m")
    sink.write(1, {"a": 0.1})
    sink.write(2, {"a": math.nan})
    sink.close()
    first, second = read_metrics(tmp_path / "m")
    assert first == {"step": 1, "a": 0.1}
    assert math.isnan(second["a"])


def test_lines_after_the_checkpoint_are_cut_off_on_resume_and_not_doubled(tmp_path):
    path = tmp_path / "m"
    sink = JsonLinesSink(path)
    sink.write(1, {})
    mark = sink.mark()
    sink.write(2, {})
    sink.close()
    with path.open("ab") as file:
        file.write(b'{"step": 3, "a')  # The kill came here.

    resumed = JsonLinesSink(path)
    resumed.cut_back(mark)
    resumed.write(2, {})
    resumed.write(3, {})
    resumed.close()
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3]


def test_a_file_shorter_than_at_the_checkpoint_is_refused(tmp_path):
    sink = JsonLinesSink(tmp_path / "m")
    with pytest.raises(StorageError, match=r"m has 0 bytes, but had 5"):
        sink.cut_back({"position": 5})
    sink.close()


def without(lines, at):
    return lines[:at] + lines[at + 1 :]


def changed(lines, at):
    return [*lines[:at], lines[at][:-1] + b"0}", *lines[at + 1 :]]


def added(lines, at):
    return [*lines[:at], b'{"step": 7}', *lines[at:]]


def doubled(lines, at):
    return [*lines[: at + 1], *lines[at:]]


def exchanged(lines, at):
    return [*lines[:at], *reversed(lines[at : at + 2]), *lines[at + 2 :]]


def cut(lines, at):
    return lines[:at]


@given(
    values=st.lists(st.integers(0, 2), min_size=1, max_size=6),
    alter=st.sampled_from([without, changed, added, doubled, exchanged, cut]),
    at=st.integers(0, 5),
    num_later=st.integers(0, 2),
)
@settings(deadline=None)
def test_the_first_line_that_is_not_as_it_was_is_named_and_nothing_changes(
    tmp_path_factory, values, alter, at, num_later
):
    path = tmp_path_factory.mktemp("log") / "m"
    sink = JsonLinesSink(path)
    for step, value in enumerate(values):
        sink.write(step, {"a": value})
    mark = sink.mark()
    for step in range(num_later):
        sink.write(9, {"a": step})
    sink.close()
    before = path.read_bytes()
    whole = before.split(b"\n")[:-1]
    lines = alter(whole, at % len(values))
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    known = whole[: len(values)]
    pairs = enumerate(zip(known, [*lines, *[None] * 9], strict=False), start=1)
    wrong = next((number for number, (one, other) in pairs if one != other), None)
    if wrong is None:
        assert check_lines(path, mark)[0] == mark["position"]
        return
    altered = path.read_bytes()
    with pytest.raises(StorageError, match=f"m was changed after .* was made: line {wrong} is "):
        check_lines(path, mark)
    assert path.read_bytes() == altered


def test_a_log_whose_lines_are_gone_is_not_made_anew(tmp_path):
    sink = JsonLinesSink(tmp_path / "m")
    sink.write(1, {})
    mark = sink.mark()
    sink.close()
    (tmp_path / "m").unlink()
    with pytest.raises(StorageError, match="line 1 is missing"):
        check_lines(tmp_path / "m", mark)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    "mark", [None, [], {}, {"position": -1}, {"position": True}, {"position": 0, "digests": [1]}]
)
def test_a_mark_that_is_none_is_refused(tmp_path, mark):
    with pytest.raises(DataError):
        check_lines(tmp_path / "m", mark)


def test_a_last_line_cut_short_is_left_out(tmp_path):
    (tmp_path / "m").write_text('{"step": 1}\n{"step": 2, "tr')
    assert read_metrics(tmp_path / "m") == [{"step": 1}]


@pytest.mark.parametrize("line", ["{", "3", "[]"])
def test_a_damaged_line_is_refused_by_number(tmp_path, line):
    (tmp_path / "m").write_text(f'{{"step": 1}}\n{line}\n{{"step": 2}}\n')
    with pytest.raises(StorageError, match=r"m is damaged: line 2 is not a JSON object"):
        read_metrics(tmp_path / "m")


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"could not write .*gone/m: No such file"):
        JsonLinesSink(tmp_path / "gone" / "m")
    with pytest.raises(StorageError, match=r"could not read .*m: No such file"):
        read_metrics(tmp_path / "m")


FULL_DISK = """
import resource, sys
from prefrl.errors import ConfigError, DataError, StorageError
from prefrl.records.metrics import JsonLinesSink

resource.setrlimit(resource.RLIMIT_FSIZE, (90, 90))
sink = JsonLinesSink(sys.argv[1])
try:
    for step in range(100):
        sink.write(step, {"true_return": 1.0})
except StorageError as error:
    print(error)
sink.close()
"""


def test_a_full_disk_is_named_and_the_lines_before_stay_readable(tmp_path):
    path = tmp_path / "m"
    command = [sys.executable, "-W", "error", "-c", FULL_DISK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert done.stdout == f"could not write {path}: File too large\n"
    assert [row["step"] for row in read_metrics(path)] == [0, 1]


# Loggers


def test_stable_baselines_logger_takes_the_metrics_that_are_known(tmp_path):
    logger = sb3_logger.configure(str(tmp_path), ["json"])
    sink = LoggerSink(logger)
    sink.write(100, {"true_return": 1.5, "learned_return": math.nan})
    sink.close()
    logger.record("still", "open")
    logger.dump(200)
    logger.close()
    first, second = (tmp_path / "progress.json").read_text().splitlines()
    assert json.loads(first) == {"prefrl/true_return": 1.5}
    assert json.loads(second) == {"still": "open"}


def test_wandb_that_is_not_installed_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # Makes the import fail, installed or not.
    expected = r"^wandb is not installed; pip install 'prefrl\[wandb\]'$"
    with pytest.raises(ConfigError, match=expected):
        WandbSink("project", run_id="a", config={}, folder=tmp_path)


def test_wandb_continues_its_run_and_gets_the_metrics_that_are_known(tmp_path, monkeypatch):
    calls: list[object] = []

    class StandIn:
        def init(self, **settings):
            calls.append(settings)
            return self

        def log(self, metrics, step):
            calls.append((step, metrics))

        def finish(self):
            calls.append("finished")

    monkeypatch.setitem(sys.modules, "wandb", StandIn())
    sink = WandbSink("project", run_id="a", config={"seed": 0}, folder=tmp_path)
    sink.write(5, {"true_return": 1.0, "learned_return": math.nan})
    sink.close()
    settings = {"project": "project", "id": "a", "resume": "allow", "config": {"seed": 0}}
    assert calls == [settings | {"dir": str(tmp_path)}, (5, {"true_return": 1.0}), "finished"]


# Progress


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where a test says so."""
    made = SimpleNamespace(now_s=1_000.0)
    made.monotonic = lambda: made.now_s
    monkeypatch.setattr("prefrl.records.progress.time", made)
    return made


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_where_there_is_no_terminal_progress_is_plain_lines():
    stream = io.StringIO()
    progress = ProgressBar(1_000_000, budget=500, plain_interval_s=0.0, stream=stream)
    progress.advance(0)
    progress.write(250_000, {"true_return": 1234.5, "learned_return": 12.34, "num_answers": 120})
    progress.write(1_000_000, {"true_return": math.nan, "num_answers": 500})
    progress.close()
    first, second, third = stream.getvalue().splitlines()
    assert first == "0/1,000,000 steps, 0/500 answers"
    shown = "250,000/1,000,000 steps, 120/500 answers, true return 1,234, learned return 12.3, "
    assert second == shown.removesuffix(", ")
    shown = "1,000,000/1,000,000 steps, 500/500 answers, true return 1,234, learned return 12.3"
    assert third == shown
    assert stream.getvalue().replace("\n", "").isprintable()


def test_plain_lines_keep_their_distance_but_the_last_one_comes():
    stream = io.StringIO()
    progress = ProgressBar(100, plain_interval_s=3600.0, stream=stream)
    for step in range(1, 101):
        progress.advance(step)
        progress.write(step, {"true_return": float(step)})
    progress.close()
    first, last = stream.getvalue().splitlines()
    assert first.startswith("1/100 steps")
    assert last == "100/100 steps, true return 100"


def test_time_left_counts_from_the_resume_and_not_from_step_0(clock):
    stream = io.StringIO()
    stopwatch = Stopwatch(Workload([Phase(0, 1_000, is_exploration=True)]), clock=clock.monotonic)
    progress = ProgressBar(
        1_000, first_step=900, stopwatch=stopwatch, plain_interval_s=0.0, stream=stream
    )
    with progress.doing("exploring"):
        clock.now_s += 0.5
        progress.advance(901)  # Half a second a step: 99 to go; counted from 0 it would be 0 s.
    assert stream.getvalue().endswith(", 50 s left\n")


def test_answers_from_before_a_resume_are_shown_at_once():
    stream = io.StringIO()
    progress = ProgressBar(9, budget=50, first_step=5, num_answers=30, stream=stream)
    progress.advance(6)
    assert stream.getvalue().startswith("6/9 steps, 30/50 answers")


def test_what_the_run_is_doing_is_said_while_it_does_it():
    stream = io.StringIO()
    progress = ProgressBar(100, budget=20, plain_interval_s=0.0, stream=stream)
    with progress.doing("training"):
        progress.advance(50)
        with progress.doing("evaluating"):
            pass
        progress.advance(51)
    with progress.doing("asking", "14"):
        pass
    progress.close()
    assert [line.split(", ")[:2] for line in stream.getvalue().splitlines()] == [
        ["0/100 steps", "training"],
        ["50/100 steps", "training"],
        ["50/100 steps", "evaluating"],
        ["51/100 steps", "training"],
        ["51/100 steps", "asking 14"],
        ["51/100 steps", "0/20 answers"],
    ]


def test_answers_that_arrive_while_the_run_waits_are_counted():
    stream = io.StringIO()
    progress = ProgressBar(100, budget=20, plain_interval_s=0.0, stream=stream)
    with progress.doing("waiting", "for 4 answers", num_answers=0):
        pass
    with progress.doing("waiting", "for 1 answer", num_answers=3):
        pass
    progress.close()
    assert stream.getvalue().splitlines() == [
        "0/100 steps, waiting for 4 answers, 0/20 answers",
        "0/100 steps, waiting for 1 answer, 3/20 answers",
        "0/100 steps, 3/20 answers",
    ]


def test_a_plain_line_names_what_took_the_time_and_not_the_moment_after_it(clock):
    stream = io.StringIO()
    progress = ProgressBar(100, plain_interval_s=30.0, stream=stream)
    with progress.doing("saving"):
        pass
    with progress.doing("training"):
        progress.advance(50)
    with progress.doing("fitting"):
        clock.now_s += 31.0
    with progress.doing("relabelling"):
        pass
    clock.now_s += 31.0
    with progress.doing("relabelling"):
        pass
    with progress.doing("training"):
        progress.advance(51)
    assert [line.split(", ")[:2] for line in stream.getvalue().splitlines()] == [
        ["0/100 steps", "training"],
        ["50/100 steps", "fitting"],
        ["50/100 steps", "training"],
    ]


def test_a_bar_shows_at_once_what_the_run_is_doing():
    stream = Terminal()
    progress = ProgressBar(100, stream=stream)
    with progress.doing("asking", "140"):
        assert "asking 140" in stream.getvalue()
    with progress.doing("fitting"):
        assert "fitting" in stream.getvalue()
    progress.close()
    assert "fitting" not in stream.getvalue().rsplit("\r", 1)[-1]


def test_on_a_terminal_progress_is_one_bar():
    stream = Terminal()
    progress = ProgressBar(1_000, budget=50, first_step=500, stream=stream)
    progress.advance(501)
    progress.write(1_000, {"true_return": 7.0, "num_answers": 50})
    progress.close()
    assert stream.getvalue().count("\n") == 1
    last = stream.getvalue().rsplit("\r", 1)[-1]
    assert "100%" in last
    assert "1.00k/1.00k steps" in last
    assert "50/50 answers, true return 7" in last


def test_a_bar_is_drawn_a_few_times_a_second_however_many_steps_are_told(clock):
    drawn = []

    class Counting(Terminal):
        def write(self, text):
            if "steps" in text:
                drawn.append(clock.now_s)
            return super().write(text)

    progress = ProgressBar(1_000_000, stream=Counting())
    drawn.clear()
    for step in range(10_000):
        clock.now_s += 1e-4
        progress.advance(step)
    assert 4 <= len(drawn) <= 5
    progress.close()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-1234.5, "-1,234"), (12345.6, "12,346"), (12.345, "12.3"), (0.01234, "0.0123")],
)
def test_numbers_for_people_are_short(value, text):
    assert short_number(value) == text
