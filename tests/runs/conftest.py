import pytest


@pytest.fixture(scope="module")
def graphics() -> None:
    """Skips where MuJoCo cannot render."""
    from prefrl.errors import ConfigError
    from prefrl.labelling.clips.graphics import choose_graphics

    try:
        choose_graphics()
    except ConfigError as error:
        pytest.skip(str(error))
