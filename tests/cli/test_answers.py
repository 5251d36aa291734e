"""`prefrl answers` of a run whose questions people answer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import prefrl
from prefrl.records.files import claimed
from tests.cli.in_process import call
from tests.session.stores import Clock, put

pytest.importorskip("sqlalchemy", reason="the extra human is missing")

from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.store import LabelStore


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'run/labels.sqlite'}"
    return request.getfixturevalue("emptied_postgres")


@pytest.fixture
def home(tmp_path, url):
    """A folder with a run that ann and bob have answered; its files are those of its end."""
    folder = tmp_path / "run"
    folder.mkdir()
    store = LabelStore(url, clock=Clock())
    store.claim("abc", name="run")
    kept = {"run": "abc", "database": "" if url.startswith("sqlite") else store.address}
    (folder / "serving.json").write_text(json.dumps(kept))
    store.set_settings(StoreSettings(budget=6, needs_clips=False, overlap=0.25))
    for name in ("ann", "bob"):
        store.add_annotator(name)
        store.renew(name)
    put(store, 6)
    store.give("ann", 0, "left")
    store.give("ann", 1, "tie")
    store.give("ann", 2, "skip")
    store.give("bob", 2, "right")
    store.give("bob", 3, "right")
    store.give("ann", 3, "left")
    store.give("ann", store.put_repeat(0, session=3, policy_step=0).id, "right")
    store.withdraw([5])
    dataset = store.dataset(env_id="Hopper-v4").without_repeats()
    dataset.is_validation[1] = True
    dataset.save(folder / "comparisons.npz")
    summary = {"labelling": {"annotators": [{"annotator": "ann"}]}, "steps": 7}
    (folder / "summary.json").write_text(json.dumps(summary))
    store.close()
    return tmp_path


def rows(path: Path) -> set[tuple[int, str, str]]:
    said = prefrl.load_comparisons(path)
    p_left = map(str, said.p_left.tolist())
    return set(zip(said.question.tolist(), said.annotator.tolist(), p_left, strict=True))


def out_of(home: Path, *words: str) -> list[str]:
    ended = call(home, ["answers", *words])
    assert ended.status == 0, ended.err
    return ended.out.splitlines()


def test_answers_are_counted_by_annotator(home):
    assert out_of(home, "run") == [
        "4 of 6 questions answered, 0 skipped, 1 open, 1 withdrawn; 5 answers and 1 skips",
        "ann: 3 answers (1 ties), 1 skips, the same again in 100% of repeats",
        "bob: 2 answers (0 ties), 0 skips",
    ]
    assert out_of(home, "list", "run") == out_of(home, "run")


def test_every_answer_is_listed_on_request(home):
    assert out_of(home, "run", "--each")[4:] == [
        "question\tannotator\tanswer\tsession\trepeat of",
        "0\tann\tleft\t2\t",
        "1\tann\ttie\t2\t",
        "2\tann\tskip\t2\t",
        "2\tbob\tright\t2\t",
        "3\tann\tleft\t2\t",
        "3\tbob\tright\t2\t",
        "6\tann\tright\t3\t0",
    ]


def test_they_are_exported_with_who_gave_them_and_taken_in_again(home):
    (line,) = out_of(home, "export", "run", "--out", "said.npz")
    assert line == "6 answers to 4 questions in said.npz"
    said = prefrl.load_comparisons(home / "said.npz")
    assert said.is_repeat.tolist() == [False] * 6 + [True]
    assert set(said.source) == {"human"}
    (home / "other").mkdir()
    store = LabelStore(home / "other/labels.sqlite")
    store.claim("other", name="other")
    store.close()
    (home / "other/serving.json").write_text('{"run": "other"}')
    (line,) = out_of(home, "import", "other", "said.npz")
    assert line == "7 of the 7 answers in said.npz are new in other"
    assert "0 of the 7 answers" in out_of(home, "import", "other", "said.npz")[0]
    out_of(home, "export", "other", "--out", "again.npz")
    assert rows(home / "again.npz") == rows(home / "said.npz")
    names = [line.partition(":")[0] for line in out_of(home, "other")[1:]]
    assert names == ["ann", "bob"]


def test_whose_name_is_removed_stays_nowhere_and_the_answers_do(home):
    before = rows(home / "run/comparisons.npz")
    (line,) = out_of(home, "delete", "run", "ann", "--yes")
    assert line == "removed ann; 5 answers stay, under a name that says nothing"
    assert [line.partition(":")[0] for line in out_of(home, "run")[1:]] == ["bob", "removed 1"]
    renamed = {(n, "removed 1" if who == "ann" else who, said) for n, who, said in before}
    assert rows(home / "run/comparisons.npz") == renamed
    said = prefrl.load_comparisons(home / "run/comparisons.npz")
    assert np.flatnonzero(said.is_validation).tolist() == [1]
    summary = json.loads((home / "run/summary.json").read_text())
    assert summary["steps"] == 7
    told = [one["annotator"] for one in summary["labelling"]["annotators"]]
    assert told == ["bob", "removed 1"]


def test_whose_answers_are_removed_too_has_said_nothing(home):
    (line,) = out_of(home, "delete", "run", "ann", "--with-answers", "--yes")
    assert line == "removed ann, and the 5 answers of theirs"
    assert rows(home / "run/comparisons.npz") == {(2, "bob", "0.0"), (3, "bob", "0.0")}
    assert out_of(home, "run") == [
        "2 of 6 questions answered, 0 skipped, 4 open, 1 withdrawn; 2 answers and 0 skips",
        "bob: 2 answers (0 ties), 0 skips",
    ]


def test_answers_of_somebody_removed_can_be_removed_later(home):
    out_of(home, "delete", "run", "ann", "--yes")
    ended = call(home, ["answers", "delete", "run", "removed 1", "--yes"])
    assert "'removed 1' is nobody's name any more; --with-answers removes" in ended.refusal
    ended = call(home, ["answers", "delete", "run", "removed 2", "--with-answers", "--yes"])
    assert "choose from bob, removed 1; did you mean removed 1?" in ended.refusal
    (line,) = out_of(home, "delete", "run", "removed 1", "--with-answers", "--yes")
    assert line == "removed removed 1, and the 5 answers of theirs"
    assert rows(home / "run/comparisons.npz") == {(2, "bob", "0.0"), (3, "bob", "0.0")}
    assert [line.partition(":")[0] for line in out_of(home, "run")[1:]] == ["bob"]


def test_the_files_of_a_run_at_work_are_left_to_it(home):
    before = (home / "run/comparisons.npz").read_bytes()
    with claimed(home / "run"):
        (line,) = out_of(home, "delete", "run", "bob", "--yes")
    assert line.endswith("; the run, which is at work, follows when it looks next")
    assert (home / "run/comparisons.npz").read_bytes() == before
    assert "bob" not in "".join(out_of(home, "run"))


def test_nothing_is_removed_unasked_and_nobody_by_another_name(home):
    ended = call(home, ["answers", "delete", "run", "anna", "--yes"])
    assert "there is no annotator 'anna'; choose from ann, bob; did you mean ann?" in ended.refusal
    before = out_of(home, "run", "--each")
    # Nobody sits at a terminal here.
    alone = subprocess.run(
        check=False,
        args=[sys.executable, "-m", "prefrl", "answers", "delete", "run", "ann"],
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(prefrl.__file__).parents[1])},
    )
    assert alone.returncode == 2
    assert alone.stderr == "prefrl: whether to remove them cannot be asked here; add --yes\n"
    assert out_of(home, "run", "--each") == before


@pytest.mark.parametrize(("said", "is_left"), [("\n", True), ("n\n", True), ("y\n", False)])
def test_whoever_sits_at_a_terminal_is_asked(home, said, is_left, monkeypatch):
    class Terminal:
        def isatty(self):
            return True

        def readline(self):
            return said

    monkeypatch.setattr("sys.stdin", Terminal())
    told = out_of(home, "delete", "run", "ann", "--with-answers")
    assert told[0].startswith("Remove ann, and the 5 answers of theirs, for good? [y/N] ")
    assert ("ann" in "".join(out_of(home, "run"))) == is_left


def test_another_database_than_the_runs_own_is_refused(home, tmp_path):
    LabelStore(tmp_path / "other.sqlite").close()
    database = f"sqlite:///{tmp_path / 'other.sqlite'}"
    ended = call(home, ["answers", "run", "--database", database])
    assert "has none of them" in ended.refusal
