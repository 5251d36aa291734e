"""Graphics, where there are some, and a server that tests share."""

import pytest

from prefrl.errors import ConfigError
from tests.labelling.service.serving import Server, Template, service_of


@pytest.fixture(scope="session")
def graphics() -> str:
    """Skips where MuJoCo cannot render; else the name of what it renders with."""
    from prefrl.labelling.clips.graphics import choose_graphics

    try:
        return choose_graphics()
    except ConfigError as error:
        pytest.skip(str(error))


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
