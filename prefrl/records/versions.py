"""Which versions are installed."""

from importlib import metadata


def version_of(package: str) -> str | None:
    """The installed version; None where there is none, as in a checkout on PYTHONPATH."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
