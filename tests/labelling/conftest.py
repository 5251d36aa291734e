"""Graphics, where there are some."""

import pytest

from prefrl.errors import ConfigError


@pytest.fixture(scope="session")
def graphics() -> str:
    """Skips where MuJoCo cannot render; else the name of what it renders with."""
    from prefrl.labelling.clips.graphics import choose_graphics

    try:
        return choose_graphics()
    except ConfigError as error:
        pytest.skip(str(error))
