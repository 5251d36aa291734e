"""The examples of docs/labelling.md do what the page says of them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefrl.labelling.clips import choose_source
from prefrl.labelling.run_status import RunStatus, write_run_status
from prefrl.labelling.service import ServiceSettings
from prefrl.labelling.service.instructions import html_of
from prefrl.labelling.service.link_file import Links, write_links
from tests.labelling.clips.recorded import named
from tests.labelling.service.serving import service_of
from tests.waiting import PATIENCE_S, wait_until

PAGE = (Path(__file__).parents[2] / "docs/labelling.md").read_text("utf-8")
# The first line of an example names its file.
FILES = dict(re.findall(r"```python\n(?=# (\w+\.py)\n)(.*?)```", PAGE, flags=re.DOTALL))


@pytest.fixture
def served(template: Any, server: Any, tmp_path: Path) -> Any:
    folder = tmp_path / "runs/cheetah"
    folder.mkdir(parents=True)
    with service_of(template, server, folder / "labels.sqlite") as service:
        owner, token = template.tokens["owner"], template.tokens["ann"]
        write_links(folder, Links(service.url, owner, "ann", token))
        yield service


def test_every_python_example_is_a_file_that_a_test_here_runs() -> None:
    assert len(re.findall(r"^```python$", PAGE, flags=re.MULTILINE)) == len(FILES)
    assert set(FILES) == {"my_robot.py", "labeller.py"}


def test_the_labeller_answers_all_questions_by_the_least_torque_until_the_run_has_ended(
    served: Any, tmp_path: Path
) -> None:
    asked = served.ask_about(4)
    (tmp_path / "labeller.py").write_text(FILES["labeller.py"], encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "labeller.py"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: len(served.store.answers()) == len(asked), of=process)
        write_run_status(served.store, RunStatus(has_ended=True))
        _, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    for one in served.store.answers():
        question = served.store.question(one.question)
        left, right = (np.square(side.actions).mean() for side in (question.left, question.right))
        assert one.said == ("left" if left < right else "right")
        assert (one.annotator, one.response_time_s) == ("ann", 0.5)


def test_the_environment_of_ones_own_can_be_shown_by_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_robot.py").write_text(FILES["my_robot.py"], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    source = choose_source(*named("my_robot:Cart-v0"))
    assert source.kind == "pictures"
    assert source.dt == pytest.approx(1 / 20)


def test_the_instructions_are_shown_as_they_are_meant() -> None:
    (text,) = re.findall(r"```markdown\n(.*?)```", PAGE, flags=re.DOTALL)
    shown = html_of(ServiceSettings(instructions=text).instructions)
    assert shown.count("<li>") == 3
    assert "<strong>skip</strong>" in shown
    assert "&lt;" not in shown
