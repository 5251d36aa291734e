"""Paths that cannot be are refused before there is anything to write, and nothing is left there."""

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.errors import StorageError
from prefrl.records.files import (
    check_new_file,
    claimed,
    is_claimed,
    is_there,
    write_text_atomically,
)
from prefrl.records.new_folder import check_new_folder, new_folder

NAMES = st.sampled_from(
    [
        *("file", "empty", "full", "dangling", "loop", "new", ".", "..", "a\0b", "x" * 250),
        *("x" * 256, "é" * 100, "é" * 130, "\udcff", "a\nb", "\x1b[31m", " ", "~", "-", "%s", "C:"),
    ]
) | st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with something of every kind in it."""
    folder = tmp_path_factory.mktemp("deep") / "er" / "home"
    (folder / "full").mkdir(parents=True)
    (folder / "full/file").write_text("mine")
    (folder / "file").write_text("mine")
    (folder / "empty").mkdir()
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    return folder


def contents(folder):
    return sorted(os.fsencode(path) for path in folder.parent.parent.rglob("*"))


def allowed(check, *args, **options) -> bool:
    """Says whether a path is taken; else it is refused by a StorageError."""
    with contextlib.suppress(StorageError):
        check(*args, **options)
        return True
    return False


def fill(path: Path) -> None:
    """Writes into a folder, and fails."""
    write_text_atomically(path / "x", "something")
    assert is_there(path / "x")
    raise KeyError


@given(path=PATHS)
def test_what_is_allowed_can_be_done_and_what_is_not_leaves_nothing(home, path):
    path, before = home / path, contents(home)
    if home.parent.parent not in Path(os.path.normpath(path)).parents:
        return
    allowed(is_there, path)
    folder = allowed(check_new_folder, path, instead="choose another")
    file = allowed(check_new_file, path)
    assert contents(home) == before
    if folder:
        with pytest.raises(KeyError), new_folder(path, is_worth_keeping=lambda: False):
            fill(path)
    if file and not os.path.lexists(path):
        write_text_atomically(path, "something")
        path.unlink()
    assert contents(home) == before


def test_a_folder_in_use_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(StorageError, match=r"is in use; choose another"):
            check_new_folder(path, instead="choose another")


def test_a_folder_is_claimed_while_somebody_works_in_it(tmp_path):
    assert not is_claimed(tmp_path)
    with claimed(tmp_path):
        assert is_claimed(tmp_path)
    assert not is_claimed(tmp_path)


def test_a_folder_that_is_none_cannot_be_claimed(tmp_path):
    with pytest.raises(StorageError, match="No such file"), claimed(tmp_path / "none"):
        pass


def test_a_folder_behind_one_that_is_not_there_is_refused_and_nothing_is_left(tmp_path):
    for name in ("a/b/..", "a/..", "a/../b", "a/b/../../c/d"):
        with pytest.raises(StorageError, match="there is no folder"):
            check_new_folder(tmp_path / name, instead="choose another")
        assert not list(tmp_path.iterdir())
