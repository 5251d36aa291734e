import os
import time

import pytest

from lab import clips
from prefrl.errors import ConfigError
from prefrl.labelling.clips.graphics import choose_graphics


@pytest.fixture
def graphics() -> None:
    try:
        choose_graphics()
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("graphics")
def test_pairs_of_clips_are_timed_by_quality(monkeypatch, capsys):
    monkeypatch.setattr(clips, "QUALITIES", ((512, 0), (0, 0)))
    monkeypatch.setattr(clips, "NUM_FRAMES", 20)
    monkeypatch.setattr(clips, "SIZE", 32)
    clips.main(["pairs", "--repeats", "1"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line[:3] in ("| 5", "| 0")]
    assert len(rows) == 2
    for row in rows:
        _, clock_s, computing_s, first_s, size_kb = map(float, row.strip("| ").split("|")[1:])
        assert 0 < clock_s < 60
        assert 0 < computing_s < 60
        assert first_s > 0
        assert size_kb > 1


def test_computing_of_a_process_is_what_it_says_itself():
    end_s = time.process_time() + 0.3
    while time.process_time() < end_s:
        sum(range(10_000))
    assert clips.computing_of(os.getpid()) == pytest.approx(clips.computing_s(), abs=0.1)


def test_a_turn_tells_steps_and_whose_computing_it_was():
    class Steady:
        """Takes a step a millisecond of computing, and computes meanwhile."""

        @property
        def num_steps(self) -> float:
            end_s = time.process_time() + 0.05
            while time.process_time() < end_s:
                sum(range(1000))
            return 1000 * time.process_time()

    turn = clips.take_turn(Steady(), os.getpid(), 0.1)  # type: ignore[arg-type]
    assert turn.steps_per_computing_s == pytest.approx(1000, rel=0.2)
    assert turn.renderers_share == pytest.approx(0.5, abs=0.15), "it stands for both"


def test_odd_words_are_refused_in_a_line(capsys):
    with pytest.raises(SystemExit):
        clips.main(["pears"])
    assert capsys.readouterr().err.startswith("python -m lab.clips: argument what: invalid choice")
