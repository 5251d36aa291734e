"""Docstrings begin with a verb or a noun, as docs/words.md and the style of the field have it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("agents", "envs", "prefrl", "scripts", "tests")
QUESTION = re.compile(r"(What|How|Whether|Where|Which|Who)\b")
Documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_docstring_begins_as_a_question(folder: str) -> None:
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, Documented) else None
            if text and QUESTION.match(text):
                found.append(f"{path.relative_to(ROOT)}: {text.splitlines()[0]}")
    assert not found
