"""A folder's page and its database: what is kept of them, and whose they are."""

import contextlib
import json
import shlex
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from prefrl import ServingConfig
from prefrl.errors import ConfigError, PrefrlError, StorageError
from prefrl.feedback.protocols import Answer
from prefrl.labelling.errors import Unavailable
from tests.cli.in_process import call, contents
from tests.session.stores import ids, put

pytest.importorskip("fastapi", reason="the extra human is missing")

from prefrl.labelling.store import LabelStore
from prefrl.runs.serving import (
    FolderServing,
    check_serving,
    claimed_store,
    open_store,
    read_serving,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PREFRL_DATABASE", raising=False)
    (tmp_path / "a" / "run").mkdir(parents=True)
    return tmp_path / "a" / "run"


def owner_of(store: LabelStore) -> str:
    owner = store.owner()
    assert owner is not None
    return owner.run


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
    with claimed_store(folder, serving) as (store, kept):
        put(store, 1)
    with claimed_store(folder, ServingConfig(database=with_password(postgres_url))) as (_, again):
        assert replace(again, turn=kept.turn) == kept
    assert read_serving(folder) == again
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
    with claimed_store(folder, ServingConfig()) as (store, _):
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
    with claimed_store(folder, serving) as (store, _):
        put(store, 1)
        with pytest.raises(StorageError, match="holds the questions of another run, run; choose"):
            claimed_store(other, serving).__enter__()
    assert list(other.iterdir()) == []


def test_a_folder_that_was_renamed_has_its_questions_still(folder):
    with claimed_store(folder, ServingConfig()) as (store, _):
        put(store, 2)
    moved = folder.rename(folder.with_name("cheetah"))
    with claimed_store(moved, ServingConfig()) as (store, _):
        assert len(store.entries()) == 2


def test_questions_are_not_left_behind_in_another_database(folder, postgres_url):
    with claimed_store(folder, ServingConfig()) as (store, kept):
        put(store, 2)
    elsewhere = ServingConfig(database=postgres_url)
    with pytest.raises(StorageError, match=r"are in .*labels\.sqlite, and postgresql://.* none of"):
        claimed_store(folder, elsewhere).__enter__()
    assert read_serving(folder) == kept
    with contextlib.closing(LabelStore(folder / "labels.sqlite")) as store:
        store.copy_to(postgres_url)
    with claimed_store(folder, elsewhere) as (store, moved):
        assert len(store.entries()) == 2
    assert moved == replace(kept, database=postgres_url, turn=moved.turn)


def test_what_failed_before_the_first_question_leaves_the_database_to_others(folder, postgres_url):
    serving = ServingConfig(database=postgres_url)
    with pytest.raises(ConfigError, match="no service"), claimed_store(folder, serving):
        raise ConfigError("no service")
    other = folder.with_name("other")
    other.mkdir()
    with claimed_store(other, serving) as (store, kept):
        put(store, 1)
    with (
        pytest.raises(ConfigError, match="no service"),
        claimed_store(other, serving) as (store, _),
    ):
        raise ConfigError("no service")
    with contextlib.closing(LabelStore(postgres_url)) as store:
        assert owner_of(store) == kept.run


def test_a_kill_before_the_database_was_claimed_is_made_good(folder, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(LabelStore, "claim", lambda *_, **__: pytest.exit("killed"))
        patched.setattr(Path, "unlink", lambda *_, **__: None)  # as nobody cleans up after a kill
        with pytest.raises(pytest.exit.Exception):
            claimed_store(folder, ServingConfig()).__enter__()
    left = read_serving(folder)
    assert left is not None
    with claimed_store(folder, ServingConfig()) as (store, kept):
        assert kept == replace(left, is_claimed=True)
        assert owner_of(store) == left.run


# ---- a folder that was copied ---------------------------------------------------------------


@pytest.fixture
def copied(folder, postgres_url):
    """A folder whose questions are on a server, and a copy of it."""
    asked(folder, postgres_url)
    return folder, Path(shutil.copytree(folder, folder.with_name("copy")))


def num_questions(folder: Path) -> int:
    with contextlib.closing(open_store(folder, kept=read_serving(folder))) as store:
        return len(store.entries())


@pytest.mark.parametrize("is_at_work", [True, False])
def test_a_copy_does_not_ask_in_the_database_of_the_original(copied, is_at_work):
    original, copy = copied
    before = contents(copy)
    with contextlib.ExitStack() as stack:
        if is_at_work:
            stack.enter_context(claimed_store(original, ServingConfig()))
        with pytest.raises(StorageError, match=f"{copy} is a copy of {original}, and two runs"):
            claimed_store(copy, ServingConfig()).__enter__()
    assert contents(copy) == before
    with claimed_store(original, ServingConfig()) as (store, _):
        put(store, 1)
    assert num_questions(original) == 2


def test_a_copy_goes_on_in_a_database_of_its_own_as_its_refusal_says(copied):
    original, copy = copied
    with pytest.raises(StorageError) as refused:
        claimed_store(copy, ServingConfig()).__enter__()
    _, _, said = str(refused.value).partition("of its own: prefrl ")
    words, _, option = said.partition(", and go on with ")
    call(copy.parent, shlex.split(words))
    database = shlex.split(option)[-1]
    with claimed_store(copy, ServingConfig(database=database)) as (store, kept):
        assert [one.id for one in put(store, 1)] == [1]
    assert kept.database == ""
    for folder, num in ((original, 1), (copy, 2)):
        with claimed_store(folder, ServingConfig()) as (store, _):
            assert len(store.entries()) == num


def test_a_copy_of_a_folder_with_its_database_in_it_is_a_run_of_its_own(folder):
    asked(folder)
    copy = Path(shutil.copytree(folder, folder.with_name("copy")))
    for one, num in ((copy, 3), (folder, 2), (copy, 1)):
        with claimed_store(one, ServingConfig()) as (store, _):
            put(store, num)
    assert (num_questions(folder), num_questions(copy)) == (3, 5)


def test_an_original_that_nobody_sees_from_the_copy_asks_no_more(folder, postgres_url, tmp_path):
    asked(folder, postgres_url)
    elsewhere = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    with claimed_store(folder, ServingConfig()) as (store, _):
        shutil.copy(folder / "serving.json", elsewhere)
        away = folder.rename(tmp_path / "out of sight")
        with claimed_store(elsewhere, ServingConfig()) as (other, _):
            put(other, 1)
        with pytest.raises(StorageError, match="a copy of this run, elsewhere, has gone on with"):
            put(store, 1)
        away.rename(folder)
    shutil.rmtree(elsewhere)
    before = contents(folder)
    with pytest.raises(StorageError, match=f"a copy of {folder}, elsewhere, has been gone on"):
        claimed_store(folder, ServingConfig()).__enter__()
    assert contents(folder) == before


def test_a_server_whose_backup_was_put_back_goes_on(folder, postgres_url, postgres):
    asked(folder, postgres_url)
    older = postgres.new_database(postgres_url)
    asked_again = ServingConfig(database=older)
    with claimed_store(folder, ServingConfig()) as (store, _):
        put(store, 1)
    with claimed_store(folder, asked_again) as (store, kept):
        put(store, 1)
    assert kept.database == older
    assert num_questions(folder) == 2


# ---- a database that is gone ----------------------------------------------------------------

WITHOUT = "to go on without them, remove {folder}/serving.json"


def asked(folder: Path, database: str | None = None) -> None:
    """Asks one question about a folder, which somebody answers."""
    with claimed_store(folder, ServingConfig(database=database)) as (store, _):
        put(store, 1)
        store.answer([Answer(0, 1.0, "ann")])


def check_refused(folder: Path, *said: str) -> None:
    """Whoever goes on with a folder or reads its answers is told in a line; nothing is made."""
    before = contents(folder)

    def go_on() -> None:
        claimed_store(folder, ServingConfig()).__enter__()

    def read() -> None:
        open_store(folder, kept=read_serving(folder)).close()

    for doing in (go_on, read):
        with pytest.raises(StorageError) as refused:
            doing()
        assert not isinstance(refused.value, Unavailable), "nobody waits for it"
        for part in (*said, WITHOUT.format(folder=folder)):
            assert part in str(refused.value)
        assert "\n" not in str(refused.value)
    for words in (
        ["answers", str(folder)],
        ["answers", "export", str(folder), "--out", "said.npz"],
        ["answers", "delete", str(folder), "ann", "--yes"],
        ["label", "backup", str(folder), "copy.sqlite"],
    ):
        assert said[0] in call(folder.parent, words).refusal
    assert contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("is_emptied", [False, True])
def test_a_file_of_answers_that_is_gone_is_not_made_anew(folder, is_emptied):
    asked(folder)
    labels = folder / "labels.sqlite"
    saved = labels.read_bytes()
    for path in folder.glob("labels.sqlite*"):
        path.unlink()
    if is_emptied:
        labels.touch()
    what = f"{labels} is empty" if is_emptied else f"there is no file {labels}"
    check_refused(folder, what, f"in which the answers of {folder} were; put a backup in its place")
    labels.write_bytes(saved)
    with claimed_store(folder, ServingConfig()) as (store, _):
        assert len(store.answers()) == 1


def test_a_database_of_a_server_that_is_empty_by_now_is_not_filled_anew(folder, postgres_url):
    asked(folder, postgres_url)
    with contextlib.closing(LabelStore(postgres_url)) as store, store._database.migrating() as one:
        one.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    check_refused(folder, f"{postgres_url} is empty", f"in which the answers of {folder} were")
    with contextlib.closing(LabelStore(postgres_url)) as store:
        store.claim("2", name="hopper")
    said = f"{postgres_url} holds those of another run, hopper"
    check_refused(folder, said, f"in which the answers of {folder} were")


def test_a_folder_goes_on_without_its_answers_where_that_is_wanted(folder):
    asked(folder)
    for path in folder.glob("labels.sqlite*"):
        path.unlink()
    (folder / "serving.json").unlink()
    with claimed_store(folder, ServingConfig(), first_id=1) as (store, _):
        assert [one.id for one in put(store, 1)] == [1]


def test_questions_that_a_backup_lacks_keep_their_numbers(folder):
    asked(folder)
    with claimed_store(folder, ServingConfig(), first_id=5) as (store, _):
        assert [one.id for one in put(store, 2)] == [5, 6]
        assert ids(store.entries()) == [0, 5, 6]


def test_a_backup_that_is_put_back_takes_in_what_the_run_has_learned_since(folder):
    asked(folder)
    call(folder, ["label", "backup", ".", "../copy.sqlite"])
    with claimed_store(folder, ServingConfig()) as (store, _):
        put(store, 2)
        # Of ann, who is no annotator, as of somebody whose name was removed, answers are there.
        store.answer([Answer(1, 0.0, "bob"), Answer(2, 0.5, "ann")])
        store.dataset().save(folder / "comparisons.npz")
        given = store.answers()
    for path in folder.glob("labels.sqlite*"):
        path.unlink()
    (folder.parent / "copy.sqlite").rename(folder / "labels.sqlite")
    assert call(folder, ["answers", "import", ".", "comparisons.npz"]).out.startswith("2 of the 3")
    with contextlib.closing(open_store(folder, kept=read_serving(folder))) as store:
        said = [(one.question, one.annotator, one.p_left) for one in store.answers()]
    assert said == [(one.question, one.annotator, one.p_left) for one in given]


def test_a_database_is_made_by_whoever_asks_first_and_by_nobody_who_reads(folder, postgres_url):
    (folder / "serving.json").write_text(json.dumps({"run": "1", "is_claimed": False}))
    for database in (None, postgres_url, f"sqlite:///{folder.parent / 'other.sqlite'}"):
        with pytest.raises(StorageError, match=f"{folder} has asked no people anything yet"):
            open_store(folder, database, kept=read_serving(folder))
    assert [path.name for path in folder.iterdir()] == ["serving.json"]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    with pytest.raises(StorageError, match="is empty"):
        LabelStore(postgres_url, is_made=False)


def test_what_is_named_and_empty_stays_so(folder, postgres_url):
    asked(folder)
    for database in (postgres_url, f"sqlite:///{folder.parent / 'other.sqlite'}"):
        with pytest.raises(StorageError, match="has none of them; leave database"):
            claimed_store(folder, ServingConfig(database=database)).__enter__()
        line = call(folder.parent, ["answers", str(folder), "--database", database]).refusal
        assert "has none of them; leave --database" in line
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    with pytest.raises(StorageError, match="is empty"):
        LabelStore(postgres_url, is_made=False)


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
        claimed_store(folder, ServingConfig()).__enter__()
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
