import importlib
import importlib.util
import inspect
import subprocess
import sys
import warnings
from typing import Any

import pytest

import prefrl
from prefrl import moved


def is_gone(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is None


GONE = [name for name in moved.HOMES if is_gone(name)]


def imported_anew(name: str):
    sys.modules.pop(name, None)
    return importlib.import_module(name)


@pytest.mark.parametrize("name", GONE)
def test_a_module_that_is_gone_is_found_where_it_is_now(name):
    with pytest.warns(DeprecationWarning, match=f"^{name} is prefrl.* now; the old name goes"):
        old = imported_anew(name)
    for home in map(importlib.import_module, moved.HOMES[name]):
        own = [
            its
            for its, value in vars(home).items()
            if not its.startswith("_") and inspect.getmodule(value) is home
        ]
        assert all(getattr(old, its) is getattr(home, its) for its in own)


@pytest.mark.parametrize(
    ("module", "name", "home", "new_name"),
    [
        ("prefrl.types", "Teacher", "prefrl.feedback.protocols", "Teacher"),
        ("prefrl.types", "QueryStrategy", "prefrl.queries.predictor", "QueryStrategy"),
        ("prefrl.types", "Predictor", "prefrl.queries.predictor", "Predictor"),
        ("prefrl.types", "Pairs", "prefrl.queries.predictor", "PairIndices"),
        ("prefrl.types", "RewardLearner", "prefrl.loop", "RewardLearner"),
        ("prefrl.plan", "Leg", "prefrl.plan", "Phase"),
        ("prefrl.segments", "places_of", "prefrl.segments", "observation_embeddings"),
        ("prefrl.queries.selectors", "SELECTORS", "prefrl.queries.registry", "SELECTORS"),
        (
            "prefrl.rewards.calibration",
            "report",
            "prefrl.rewards.calibration.probabilities",
            "report",
        ),
        ("prefrl.rewards.fitting", "descend", "prefrl.rewards.fitting.descent", "descend"),
        ("prefrl.benchmark.grid", "Ledger", "prefrl.benchmark.grid.ledger", "Ledger"),
        ("prefrl.agents.presets", "preset_for", "prefrl.agents.table", "preset_for"),
        ("prefrl.feedback.teachers", "TEACHER_PRESETS", "prefrl.config", "TEACHER_PRESETS"),
    ],
)
def test_a_name_that_has_moved_is_found_where_it_is_now(module, name, home, new_name):
    with pytest.warns(DeprecationWarning, match=f"^{module}.{name} is {home}.{new_name} now; the"):
        found = getattr(importlib.import_module(module), name)
    assert found is getattr(importlib.import_module(home), new_name)


def found_late(module: str, name: str) -> Any:
    with pytest.warns(DeprecationWarning, match=f"^{module}.{name} is "):
        return getattr(importlib.import_module(module), name)


def test_what_needs_no_calling_any_more_can_still_be_called():
    config = prefrl.RunConfig(teacher=prefrl.TeacherConfig("mistake"))
    assert found_late("prefrl.config", "checked")(config) == config
    assert found_late("prefrl.config", "AgentName") is str
    assert found_late("prefrl.feedback.teachers", "preset")("noisy").beta == 1.0
    decided = found_late("prefrl.runs.resolve", "teacher_settings")(config.teacher)
    assert decided.p_mistake == 0.1


def test_every_new_name_is_there():
    for names in moved.RENAMED.values():
        for home, _, name in (new.partition(":") for new in names.values()):
            assert hasattr(importlib.import_module(home), name), f"{home}:{name}"


@pytest.mark.parametrize("module", ["prefrl.types", "prefrl.plan", "prefrl.checkpoint"])
def test_a_name_that_never_was_is_refused_as_ever(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = importlib.import_module(module)
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'Nothing'"):
        _ = found.Nothing
    assert not hasattr(found, "__nothing__")


def test_the_warning_points_at_the_line_that_uses_the_old_name(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text("import prefrl.video\n\nfrom prefrl.plan import Leg\n")
    done = subprocess.run(
        [sys.executable, "-W", "always::DeprecationWarning", str(script)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "mine.py:1: DeprecationWarning: prefrl.video is prefrl.runs.video now" in done.stderr
    assert "mine.py:3: DeprecationWarning: prefrl.plan.Leg is prefrl.plan.Phase now" in done.stderr


def test_no_part_of_prefrl_uses_an_old_name():
    code = "import prefrl.cli, prefrl.benchmark.queries.benchmark, prefrl.runs, prefrl.agents"
    subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:prefrl", "-c", code], check=True
    )


def test_every_module_still_says_where_it_is():
    import prefrl.types

    assert "class Agent" in inspect.getsource(prefrl.types)
    assert prefrl.types.__spec__.name == "prefrl.types"
