"""The last words of `prefrl label`."""

from pathlib import Path

from prefrl.cli.label import LabelCommand, _result
from prefrl.runs.label import Labelled


def test_whoever_stops_before_any_answer_is_told_how_to_go_on():
    said = _result(LabelCommand(data=Path("walks.npz")), Labelled(num_answered=0))
    assert said == "0 questions are answered; the same command asks the same questions again"
