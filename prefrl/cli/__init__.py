"""The command line, one file a command."""

from prefrl.cli.main import main

__all__ = ["main"]
