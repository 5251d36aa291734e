"""A service with an owner and two annotators, of a store of its own for each test."""

import pytest

from tests.labelling.service.serving import Server, Template, service_of


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    return Template.made(tmp_path_factory.mktemp("template") / "labels.sqlite")


@pytest.fixture(scope="session")
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def steady(template, tmp_path_factory):
    """A service that the tests of a file share, none of which changes what others see."""
    server = Server()
    path = tmp_path_factory.mktemp("steady") / "labels.sqlite"
    with service_of(template, server, path) as found:
        found.ask_about(2)
        yield found
    server.close()


@pytest.fixture
def service(template, server, tmp_path):
    with service_of(template, server, tmp_path / "labels.sqlite") as found:
        yield found
