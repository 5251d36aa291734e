import os
import sys

import pytest

from prefrl.errors import ConfigError
from prefrl.own_modules import check_is_elsewhere, found_from, import_own
from tests.command_line import prefrl

ARM = """
import gymnasium
from tests.own_envs import PointMass

gymnasium.register("MyArm-v0", "my_arm_of_tests.body:Arm", max_episode_steps=50)
"""
BODY = """
from tests.own_envs import PointMass

class Arm(PointMass):
    pass
"""
CHOOSER = """
def newest_first(pool, num_queries, predictor, *, rng):
    order = (-pool.episode).argsort(kind="stable")[: 2 * num_queries]
    return order.reshape(-1, 2)
"""
TINY = (
    "--steps 220 --budget 4 --segment-length 10 --explore-steps 200 --eval-episodes 1 --agent sac"
    " --reward-model.max-updates 4"
)


@pytest.fixture
def home(tmp_path):
    """A folder with a robot and a strategy in it, that is on no path."""
    home = tmp_path / "home"
    (home / "my_arm_of_tests").mkdir(parents=True)
    (home / "my_arm_of_tests" / "__init__.py").write_text(ARM)
    (home / "my_arm_of_tests" / "body.py").write_text(BODY)
    (home / "my_chooser_of_tests.py").write_text(CHOOSER)
    return home


def test_an_environment_and_a_strategy_are_found_where_the_user_stands(home):
    own = ("--env", "my_arm_of_tests:MyArm-v0", "--strategy", "my_chooser_of_tests:newest_first")
    done = prefrl(home, "run", *own, *TINY.split(), "--out", "out")
    assert done.status == 0, done.err
    again = prefrl(home, "eval", "out", "--episodes", 1)
    assert again.status == 0, again.err
    more = prefrl(home, "run", "--resume", "out")
    assert more.status == 0, more.err
    elsewhere = home.parent / "elsewhere"
    elsewhere.mkdir()
    assert "No module named 'my_arm_of_tests'" in prefrl(elsewhere, "eval", home / "out").complaint


def test_a_benchmarks_cells_find_it_too(home):
    words = "--strategies uniform --teachers oracle --budgets 4 --seeds 1 --steps 1000 --out cells"
    own = ("--env", "my_arm_of_tests:MyArm-v0", "--candidates", 20)
    done = prefrl(home, "bench", *own, *words.split())
    assert done.status == 0, done.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def choose(:", r"SyntaxError: .*\(fails_of_tests.py, line 1\)"),
        ("import no_such_thing_at_all", "ModuleNotFoundError: No module named 'no_such_thing"),
        ("from math import no_such_name", "ImportError: cannot import name"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise RuntimeError", "RuntimeError"),
        ("raise KeyError('several\\nlines')", "KeyError: 'several"),
    ],
)
def test_a_module_that_fails_when_imported_is_named_in_one_line(tmp_path, monkeypatch, text, said):
    (tmp_path / "fails_of_tests.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=f"the module fails_of_tests fails .*{said}") as error:
        import_own("fails_of_tests")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["no_such_module", "no_such.module", "json.no_such"])
def test_a_module_that_is_not_there_is_said_to_be_missing(name):
    with pytest.raises(ConfigError, match=r"^No module named '(json\.)?no_such"):
        import_own(name)


def test_a_module_named_by_its_file_is_told_its_name(tmp_path, monkeypatch):
    (tmp_path / "robot_of_tests.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"; without its ending it is robot_of_tests$"):
        import_own("robot_of_tests.py")


@pytest.mark.parametrize("name", ["", ".", "..mine", "a b", "a..b", "\0"])
def test_what_is_no_modules_name_is_refused(name):
    with pytest.raises(ConfigError) as error:
        import_own(name)
    assert "\n" not in str(error.value)


def test_the_working_folder_comes_last_and_only_for_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    before = list(sys.path)
    with found_from(["run", "--env", "X"]):
        assert sys.path == [*before, str(tmp_path)]
    assert sys.path == before


@pytest.mark.parametrize("word", [".", "..", "--run=.", os.curdir + os.sep])
def test_a_folder_that_the_command_is_about_is_no_place_for_modules(tmp_path, monkeypatch, word):
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    with found_from(["eval", word]):
        assert str(tmp_path / "run") not in sys.path


def test_a_working_folder_that_was_removed_holds_no_modules(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    before = list(sys.path)
    with found_from(["run"]):
        assert sys.path == before


@pytest.mark.parametrize("name", ["theirs.evil:X-v0", "theirs.deep.evil:X-v0", "evil_of_tests:X"])
def test_a_module_inside_the_run_folder_that_names_it_is_never_run(tmp_path, monkeypatch, name):
    trace = tmp_path / "trace"
    theirs = tmp_path / "theirs"
    for file in ("evil.py", "__init__.py", "deep/evil.py", "deep/__init__.py", "evil_of_tests.py"):
        (theirs / file).parent.mkdir(parents=True, exist_ok=True)
        (theirs / file).write_text(f"open({str(trace)!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(theirs)
    with pytest.raises(ConfigError, match="lies in that folder itself"):
        check_is_elsewhere(name, theirs)
    check_is_elsewhere(name, tmp_path / "another")
    assert not trace.exists()


@pytest.mark.parametrize(
    "name", ["env: theirs.evil:X-v0", "env: Pendulum-v1\nstrategy: theirs.evil:x"]
)
def test_a_run_folder_that_names_a_module_of_its_own_runs_nothing(home, name):
    out = home / "theirs"
    out.mkdir()
    (out / "evil.py").write_text("open('trace', 'w')")
    (out / "config.yaml").write_text(f"{name}\nagent: sac\nsteps: 400\n")
    (out / "metrics.jsonl").touch()
    begin_as_it = ("run", "--config", "theirs/config.yaml", "--out", "mine")
    for words in (("eval", "theirs"), ("run", "--resume", "theirs"), begin_as_it):
        assert "lies in that folder itself" in prefrl(home, *words).complaint
    for words in (("eval", "."), ("run", "--resume", ".")):
        assert prefrl(out, *words).status == 2
    assert not list(home.rglob("trace"))
