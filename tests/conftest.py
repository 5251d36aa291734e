"""Settings every test shares; set before the libraries that read them are imported."""

import os
import signal
import tempfile
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import torch

# A shell lets what it runs in the background ignore Ctrl-C, and their children inherit that; tests
# that press it are about programs in the foreground.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Two test processes share two cores: more threads only make them wait for each other.
torch.set_num_threads(1)

# How long it takes to draw and to try an example says something of the machine, not of the test.
hypothesis.settings.register_profile(
    "prefrl",
    deadline=None,
    max_examples=25,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "prefrl-ci", hypothesis.settings.get_profile("prefrl"), derandomize=True
)
hypothesis.settings.load_profile("prefrl-ci" if os.environ.get("CI") else "prefrl")


@pytest.fixture(scope="module")
def without_curves():
    """Leaves out the picture at a run's end: to draw it takes as long as the smallest runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "prefrl.runs.ending.plot_learning_curve", lambda rows, path, *, title: path.touch()
        )
        yield


@pytest.fixture(scope="session")
def postgres():
    """Runs one PostgreSQL server for all tests that want one."""
    # Only here: whoever has no extra `human` can still run the tests of everything else.
    from tests.postgres import Cluster, skip_without_postgres

    skip_without_postgres()
    cluster = Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture
def durable_postgres():
    """Runs a server of the test's own, to be stopped: it syncs what it has acknowledged."""
    from tests.postgres import Cluster, skip_without_postgres

    skip_without_postgres()
    cluster = Cluster(is_durable=True)
    yield cluster
    cluster.remove()


@pytest.fixture
def postgres_url(postgres):
    """Makes an empty database, and returns its URL."""
    return postgres.new_database()


@pytest.fixture(scope="session")
def used_postgres(postgres):
    return postgres.new_database()


@pytest.fixture
def emptied_postgres(used_postgres):
    """Empties a store of labels, and returns its URL: another database takes half a second."""
    from tests.postgres import emptied

    return emptied(used_postgres)


@pytest.fixture(scope="session")
def memory_path():
    """Makes a folder in memory where there is one, for tests that are about no disk."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)
