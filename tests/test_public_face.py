import importlib.util
import inspect
import pydoc
import subprocess
import sys
import types

import pytest

import prefrl
import prefrl.envs
import prefrl.rewards


def test_every_public_name_is_listed_and_there():
    assert set(prefrl.__all__) <= set(dir(prefrl))
    assert sorted(prefrl.__all__) == prefrl.__all__
    for name in prefrl.__all__:
        assert getattr(prefrl, name).__name__ == name


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(AttributeError, match="module 'prefrl' has no attribute 'runn'"):
        _ = prefrl.runn


def test_importing_it_imports_nothing_heavy():
    code = "import sys, prefrl; dir(prefrl); print({'torch', 'numpy', 'pydantic'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_its_docstring_shows_a_run():
    assert prefrl.__doc__ is not None
    assert "prefrl.run(config" in prefrl.__doc__


def test_tab_shows_what_is_public_and_nothing_else():
    code = "import prefrl; print(*(n for n in dir(prefrl) if not n.startswith('__')))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(prefrl.__all__) <= set(found.stdout.split())
    others = set(found.stdout.split()) - set(prefrl.__all__)
    assert all(importlib.util.find_spec(f"prefrl.{name}") for name in others)
    assert not {"moved", "import_module", "Any", "arguments"} & others


def test_help_shows_the_functions_and_an_example_that_runs():
    shown = pydoc.plain(pydoc.render_doc(prefrl))
    functions = shown[shown.index("\nFUNCTIONS\n") :]
    for name in prefrl.__all__:
        where = functions if isinstance(getattr(prefrl, name), types.FunctionType) else shown
        assert f"    {name}(" in where or f"class {name}(" in where
    assert prefrl.__doc__.count(">>> ") == 5


@pytest.mark.parametrize(
    "public",
    [
        getattr(module, name)
        for module in (prefrl, prefrl.envs, prefrl.rewards)
        for name in module.__all__
        if name not in ("ScoreInterval", "score_interval")
    ],
    ids=lambda public: public.__name__,
)
def test_every_public_object_has_an_example(public):
    assert ">>> " in (inspect.getdoc(public) or "")
