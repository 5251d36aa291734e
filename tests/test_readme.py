"""The README's examples run as they stand, in an empty folder."""

import re
import subprocess
import sys
from pathlib import Path

from tests.command_line import prefrl

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES: list[str] = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
# Two thirds of the time would go into gradient steps; a few show as well that examples run.
SHORT_FITS = """
import dataclasses
from prefrl.rewards import RewardTrainer

def begin(self, model, config, usual=RewardTrainer.__init__, **rest):
    usual(self, model, dataclasses.replace(config, max_updates=10), **rest)

RewardTrainer.__init__ = begin
"""
# A first line such as "# my_strategies.py" makes an example a file of its own.
FILES = {name[1]: text for text in EXAMPLES if (name := re.match(r"# (\w+\.py)\n", text))}


def test_every_python_example_runs_in_order_in_an_empty_folder(tmp_path: Path) -> None:
    examples = [text for text in EXAMPLES if text not in FILES.values()]
    assert len(examples) >= 5
    script = tmp_path / "examples.py"
    script.write_text("\n".join([SHORT_FITS, *examples]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "runs/cheetah/learning_curve.png").exists()
    assert (tmp_path / "runs/calm/summary.json").exists()


def test_the_command_with_a_strategy_of_ones_own_runs_beside_its_file(tmp_path: Path) -> None:
    words = re.search(r"prefrl (run .* --strategy (\w+):\w+)", README)
    assert words
    file = f"{words[2]}.py"
    (tmp_path / file).write_text(FILES[file], encoding="utf-8")
    small = ("--steps", 4_000, "--budget", 12, "--reward-model.max-updates", 10, "--out", "out")
    done = prefrl(tmp_path, *words[1].split(), *small)
    assert done.status == 0, done.err
    assert (tmp_path / "out/summary.json").exists()


def test_every_file_the_readme_links_to_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
