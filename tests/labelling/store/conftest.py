"""A store on each kind of database, with two annotators and a clock that is turned by hand."""

import shutil
import tempfile
from pathlib import Path

import pytest

from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.store import LabelStore
from prefrl.labelling.store.exchange import copy_tables
from tests.session.stores import Clock


def make_template(database):
    """Makes the tables once, as to do so takes longer than most tests."""
    store = LabelStore(database, clock=Clock())
    store.set_settings(StoreSettings(needs_clips=False))
    for name in ("ann", "bob"):
        store.add_annotator(name)
    store.close()
    return database


@pytest.fixture(scope="session")
def sqlite_template(memory_path):
    return make_template(memory_path / "template.sqlite")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    """Names a database without tables."""
    if request.param == "sqlite":
        return tmp_path / "labels.sqlite"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def opened(clock):
    """Opens databases, with the clock, and closes them in the end."""
    stores = []

    def open_(database, **options):
        stores.append(LabelStore(database, **{"clock": clock, **options}))
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, memory_path, sqlite_template, opened):
    if request.param == "sqlite":
        with tempfile.TemporaryDirectory(dir=memory_path) as folder:
            yield opened(Path(shutil.copy(sqlite_template, f"{folder}/labels.sqlite")))
    else:
        store = opened(request.getfixturevalue("emptied_postgres"))
        template = LabelStore(sqlite_template)
        with template._database.reading() as source, store._database.writing() as target:
            copy_tables(source, target)
        template.close()
        yield store
