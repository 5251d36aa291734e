"""Some parts of prefrl are imported where torch is not wanted, as in a labelling server."""

import subprocess
import sys

import pytest

# Of a package, every module.
WITHOUT_TORCH = [
    "prefrl",
    "prefrl.config",
    "prefrl.envs",
    "prefrl.envs.cameras",
    "prefrl.envs.sim_state",
    "prefrl.errors",
    "prefrl.feedback",
    "prefrl.labelling",
    "prefrl.loop",
    "prefrl.media",
    "prefrl.plan",
    "prefrl.queries",
    "prefrl.records",
    "prefrl.seeding",
    "prefrl.segments",
    "prefrl.session",
    "prefrl.session.feedback",
    "prefrl.session.question_files",
    "prefrl.testing",
    "prefrl.types",
]
FACES = [
    "prefrl",
    "prefrl.envs",
]  # of these the face alone: what it shows is imported when asked for
UNWANTED = {"hypothesis", "pytest", "stable_baselines3", "torch"}


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_it_is_imported_without_torch(name: str) -> None:
    code = (
        f"import importlib, pkgutil, sys\n"
        f"found = importlib.import_module({name!r})\n"
        f"inside = [] if {name!r} in {FACES} else getattr(found, '__path__', [])\n"
        f"for module in pkgutil.walk_packages(inside, {name + '.'!r}):\n"
        f"    importlib.import_module(module.name)\n"
        f"print(*{UNWANTED} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_a_reward_wrapper_is_imported_without_what_checks_settings() -> None:
    code = "import sys; from prefrl.envs import RewardWrapper; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr
