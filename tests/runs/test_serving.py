"""A folder's page and its database: what is kept of them, and whose they are."""

import contextlib
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from prefrl import ServingConfig
from prefrl.errors import ConfigError, PrefrlError, StorageError
from prefrl.labelling.errors import Unavailable
from tests.session.stores import put

pytest.importorskip("fastapi", reason="the extra human is missing")

from prefrl.labelling.store import LabelStore
from prefrl.runs.serving import (
    FolderServing,
    check_serving,
    open_store,
    read_serving,
    serving_store,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PREFRL_DATABASE", raising=False)
    (tmp_path / "a" / "run").mkdir(parents=True)
    return tmp_path / "a" / "run"


def with_password(url: str) -> str:
    return url.replace("prefrl@", "prefrl:hunter2@") + "?application_name=labels"


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_the_folder_keeps_the_page_and_never_a_password(folder, postgres_url):
    (folder.parent / "look.md").write_text("Who is **faster**?")
    serving = ServingConfig(
        host="0.0.0.0",
        public_url="https://label.example.org",
        allowed_hosts=("robots",),
        trusted_proxies=("10.0.0.1",),
        instructions=folder.parent / "look.md",
        database=with_password(postgres_url),
    )
    assert "hunter2" not in repr(serving)
    with serving_store(folder, serving) as (store, kept):
        put(store, 1)
    with serving_store(folder, ServingConfig(database=with_password(postgres_url))) as (_, again):
        assert again == kept
    assert read_serving(folder) == kept
    assert kept.database == f"{postgres_url}?application_name=labels"
    assert kept.words(folder) == [
        "--host=0.0.0.0",
        "--public-url=https://label.example.org",
        f"--instructions={folder / 'instructions.md'}",
        "--allowed-host=robots",
        "--trusted-proxy=10.0.0.1",
    ]
    assert (folder / "instructions.md").read_text() == "Who is **faster**?"
    assert b"hunter2" not in everything_in(folder)


def test_the_database_is_found_again_by_what_the_folder_keeps_or_by_the_variable(
    folder, postgres_url, monkeypatch
):
    monkeypatch.setenv("PREFRL_DATABASE", with_password(postgres_url))
    with serving_store(folder, ServingConfig()) as (store, _):
        put(store, 1)
    for url in (with_password(postgres_url), None):
        if url is None:
            monkeypatch.delenv("PREFRL_DATABASE")
        with contextlib.closing(open_store(folder, kept=read_serving(folder))) as store:
            assert len(store.entries()) == 1
    assert not (folder / "labels.sqlite").exists()


def test_two_runs_of_one_name_do_not_share_a_database(folder, postgres_url, tmp_path):
    other = tmp_path / "b" / "run"
    other.mkdir(parents=True)
    serving = ServingConfig(database=postgres_url)
    with serving_store(folder, serving) as (store, _):
        put(store, 1)
        with pytest.raises(StorageError, match="holds the questions of another run, run; choose"):
            serving_store(other, serving).__enter__()
    assert list(other.iterdir()) == []


def test_a_folder_that_was_renamed_has_its_questions_still(folder):
    with serving_store(folder, ServingConfig()) as (store, _):
        put(store, 2)
    moved = folder.rename(folder.with_name("cheetah"))
    with serving_store(moved, ServingConfig()) as (store, _):
        assert len(store.entries()) == 2


def test_questions_are_not_left_behind_in_another_database(folder, postgres_url):
    with serving_store(folder, ServingConfig()) as (store, kept):
        put(store, 2)
    elsewhere = ServingConfig(database=postgres_url)
    with pytest.raises(StorageError, match=r"are in .*labels\.sqlite, and postgresql://.* none of"):
        serving_store(folder, elsewhere).__enter__()
    assert read_serving(folder) == kept
    with contextlib.closing(LabelStore(folder / "labels.sqlite")) as store:
        store.copy_to(postgres_url)
    with serving_store(folder, elsewhere) as (store, moved):
        assert len(store.entries()) == 2
    assert moved == replace(kept, database=postgres_url)


def test_what_failed_before_the_first_question_leaves_the_database_to_others(folder, postgres_url):
    serving = ServingConfig(database=postgres_url)
    with pytest.raises(ConfigError, match="no service"), serving_store(folder, serving):
        raise ConfigError("no service")
    other = folder.with_name("other")
    other.mkdir()
    with serving_store(other, serving) as (store, kept):
        put(store, 1)
    with (
        pytest.raises(ConfigError, match="no service"),
        serving_store(other, serving) as (store, _),
    ):
        raise ConfigError("no service")
    with contextlib.closing(LabelStore(postgres_url)) as store:
        assert store.belongs_to(kept.run)


def test_a_kill_before_the_database_was_claimed_is_made_good(folder, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(LabelStore, "claim", lambda *_, **__: pytest.exit("killed"))
        patched.setattr(Path, "unlink", lambda *_, **__: None)  # as nobody cleans up after a kill
        with pytest.raises(pytest.exit.Exception):
            serving_store(folder, ServingConfig()).__enter__()
    left = read_serving(folder)
    assert left is not None
    with serving_store(folder, ServingConfig()) as (store, kept):
        assert kept == left
        assert store.belongs_to(left.run)


def test_a_password_that_is_missing_is_asked_for(folder):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        url = f"postgresql://ann@127.0.0.1:{one.getsockname()[1]}/labels"
        with pytest.raises(Unavailable, match="give the whole URL in PREFRL_DATABASE"):
            open_store(folder, kept=FolderServing("1", database=url))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is damaged"),
        ("{}", "lacks 'run'"),
        ('{"run": "1", "host": 3}', "'host' is a whole number, not text"),
        ('{"run": "1", "allowed_hosts": [3]}', "'allowed_hosts' holds something else than text"),
        ('{"run": "1", "allowed_hosts": "x"}', "'allowed_hosts' is text, not a list"),
    ],
)
def test_a_damaged_file_is_a_line_and_changes_nothing(folder, content, said):
    (folder / "serving.json").write_text(content)
    with pytest.raises(StorageError, match=said):
        serving_store(folder, ServingConfig()).__enter__()
    assert [path.name for path in folder.iterdir()] == ["serving.json"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "could not read"),
        (b"\xff\xfe\xff", "is no text in UTF-8"),
        (b"x" * 20_001, "the instructions have 20,001 characters; expected at most 20,000"),
    ],
)
def test_instructions_that_cannot_be_shown_are_refused_before_there_is_a_run(
    tmp_path, content, said
):
    path = tmp_path / "look.md"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PrefrlError, match=said):
        check_serving(ServingConfig(instructions=path))
