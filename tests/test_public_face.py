import subprocess
import sys

import pytest

import prefrl


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
