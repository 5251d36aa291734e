"""Versions of installed packages."""

from importlib import metadata


def version_of(package: str) -> str | None:
    """Returns the installed version; None where there is none, as in a checkout on PYTHONPATH."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
