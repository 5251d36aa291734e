"""Every kind of store that several annotators answer in, and a clock that is turned by hand."""

import shutil
import uuid

import pytest

from prefrl.labelling.store import LabelStore
from tests.contracts.annotated_stores import IN_PROCESS, in_sql
from tests.postgres import emptied
from tests.session.stores import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="session")
def empty_sqlite(memory_path):
    """A database without questions: to make its tables takes longer than to copy it."""
    database = memory_path / "empty.sqlite"
    LabelStore(database).close()
    return database


@pytest.fixture(params=[*IN_PROCESS, "sqlite", "postgres"])
def kind(request, memory_path):
    if request.param in IN_PROCESS:
        yield IN_PROCESS[request.param]
        return
    opened: list[LabelStore] = []
    if request.param == "postgres":
        url = request.getfixturevalue("used_postgres")
        yield in_sql(lambda: emptied(url), opened)
    else:
        empty, folder = request.getfixturevalue("empty_sqlite"), memory_path / str(uuid.uuid4())
        folder.mkdir()
        yield in_sql(lambda: shutil.copy(empty, folder / f"{uuid.uuid4()}.sqlite"), opened)
    for store in opened:
        store.close()
