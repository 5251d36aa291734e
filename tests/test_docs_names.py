"""Paths, links, commands and layers that the documents name exist."""

import argparse
import itertools
import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import tyro

from prefrl.cli.main import main
from prefrl.cli.parsing import HelpShown
from prefrl.queries import ACQUISITIONS, SELECTORS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text("utf-8") for page in PAGES}
FOLDERS = ("agents", "docs", "envs", "prefrl", "scripts", "tests")
PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})(?:/[\w.-]+)+/?|[A-Z]+\.md|pyproject\.toml")
MAKE_TARGETS = re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


class Parsed(BaseException):
    """Raised once a command's options have been understood, before it does anything."""


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def inline_code(text: str) -> list[str]:
    return [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", without_blocks(text))]


def shell_lines(text: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"^ {4}(prefrl .*)$", text, flags=re.MULTILINE)  # an indented block
    return [line for line in lines if line.strip()]


def commands(text: str) -> list[list[str]]:
    """Every command that a page's shell blocks show, and every one in running text."""
    lines = shell_lines(text)
    lines += [c for c in inline_code(text) if re.match(r"(prefrl|make|python scripts/\S+) \S", c)]
    found = []
    for line in lines:
        for part in line.split("#")[0].split("&&"):
            words = shlex.split(part.strip().rstrip("&"))
            while words and (re.match(r"[A-Z_]+=", words[0]) or words[0] == "taskset"):
                words = words[3:] if words[0] == "taskset" else words[1:]
            if words:
                found.append(words)
    return found


@pytest.mark.parametrize("page", TEXTS)
def test_every_path_that_a_page_names_exists(page: str) -> None:
    named = {code for code in inline_code(TEXTS[page]) if PATH.fullmatch(code)}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@pytest.mark.parametrize("page", TEXTS)
def test_every_file_that_a_page_links_to_exists(page: str) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", TEXTS[page])
    folder = (ROOT / page).parent
    assert sorted(link for link in links if not (folder / link).exists()) == []


@pytest.mark.parametrize("page", TEXTS)
def test_every_heading_that_a_page_links_to_exists(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)#([^)]*)\)", TEXTS[page]):
        path = ((ROOT / page).parent / target).resolve() if target else ROOT / page
        headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), flags=re.MULTILINE)
        plain = [re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings]
        assert anchor in plain


@pytest.mark.parametrize("page", [page for page in TEXTS if commands(TEXTS[page])])
def test_every_command_that_a_page_shows_is_understood(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_cli, real_parse = tyro.cli, argparse.ArgumentParser.parse_args

    def cli(command: Any, *args: Any, **options: Any) -> Any:
        parsed = real_cli(command, *args, **options)
        if command.__name__.startswith("_"):  # What must be known before the others is parsed.
            return parsed
        raise Parsed

    def parse_args(parser: argparse.ArgumentParser, *args: Any, **options: Any) -> Any:
        real_parse(parser, *args, **options)
        raise Parsed

    def raised(error: BaseException, **_: Any) -> int:
        raise SystemExit(0) if isinstance(error, HelpShown) else error

    monkeypatch.setitem(main.__globals__, "status_of", raised)
    monkeypatch.setattr(tyro, "cli", cli)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    for words in commands(TEXTS[page]):
        check_command(words, monkeypatch)


def check_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    program, *rest = words
    if program == "prefrl":
        if len(rest) == 1:  # Its name alone, in running text.
            rest = [*rest, "--help"]
        with pytest.raises((Parsed, SystemExit)) as ended:
            main(rest)
        assert not getattr(ended.value, "code", None), words
    elif program == "python":
        monkeypatch.setattr(sys, "argv", rest)
        with pytest.raises(Parsed):
            runpy.run_path(str(ROOT / rest[0]), run_name="__main__")
    elif program == "make":
        targets = [word for word in rest if "=" not in word]
        assert set(targets) <= set(MAKE_TARGETS), words
    elif program == "pip":
        options = [after for word, after in itertools.pairwise(rest) if word == "-c"]
        assert all((ROOT / option).exists() for option in options), words
    else:
        assert program in ("cp", "git", "mkdir"), words


def test_the_layers_that_are_drawn_are_those_that_are_kept() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one["id"] == "layers")
    drawn = re.search(r"^```\n(.*?)^```", TEXTS["docs/architecture.md"], re.DOTALL | re.MULTILINE)
    assert drawn
    assert drawn[1].splitlines() == [re.sub(r"[()]", "", layer) for layer in layers]


def test_every_acquisition_and_selector_is_in_the_table_of_strategies() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", TEXTS["docs/strategies.md"], flags=re.MULTILINE))
    assert listed == {*ACQUISITIONS, *SELECTORS}
