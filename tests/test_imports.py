"""Some parts of prefrl are imported where torch is not wanted, as in a labelling server."""

import subprocess
import sys

import pytest

WITHOUT_TORCH = [
    "prefrl",
    "prefrl.config",
    "prefrl.envs",
    "prefrl.envs.cameras",
    "prefrl.envs.sim_state",
    "prefrl.errors",
    "prefrl.feedback.dataset",
    "prefrl.feedback.protocols",
    "prefrl.feedback.teachers",
    "prefrl.queries",
    "prefrl.records.files",
    "prefrl.records.metrics",
    "prefrl.seeding",
    "prefrl.segments",
    "prefrl.session",
    "prefrl.testing",
    "prefrl.types",
]
UNWANTED = {"hypothesis", "pytest", "stable_baselines3", "torch"}


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_it_is_imported_without_torch(module: str) -> None:
    code = f"import sys, {module}; print(*{UNWANTED} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
