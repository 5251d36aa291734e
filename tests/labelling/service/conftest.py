"""A service with an owner and two annotators, of a store of its own for each test."""

import pytest

from tests.labelling.service.serving import service_of


@pytest.fixture
def service(template, server, tmp_path):
    with service_of(template, server, tmp_path / "labels.sqlite") as found:
        yield found
