"""Modules of the user's own, named in settings: `my_robot:MyArm-v0`, `my_module:strategy`."""

import contextlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from prefrl.errors import ConfigError, with_type


def import_own(name: str) -> ModuleType:
    """Imports a module.

    Args:
        name: its dotted name.

    Raises:
        ConfigError: there is none, or its own code fails; the module is named.
    """
    try:
        return importlib.import_module(name)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # whatever it does, such as ending the process
        raise ConfigError(_what_failed(name, error)) from error


def _what_failed(name: str, error: BaseException) -> str:
    parents = {name, *(name[:i] for i, letter in enumerate(name) if letter == ".")}
    if isinstance(error, ModuleNotFoundError) and error.name in parents:
        plain = name.removesuffix(".py")
        hint = f"; without its ending it is {plain}" if plain != name else ""
        return f"No module named {error.name!r} in the working folder or installed{hint}"
    if isinstance(error, (ValueError, TypeError)) and not _is_dotted_name(name):
        return f"{name!r} is no module's name; expected words joined by dots"
    return f"the module {name} fails when it is imported: {with_type(error)}"


def is_module(name: str) -> bool:
    """Tells whether there is a module of a name without dots; it is not imported."""
    return name.isidentifier() and PathFinder.find_spec(name) is not None


def _is_dotted_name(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


@contextlib.contextmanager
def found_from(words: Sequence[str]) -> Iterator[None]:
    """Finds modules in the working folder, too, as `python -m` does.

    They come after all that is installed, so that a file there is never taken for a package. A
    folder that a command is about, or one inside it, is left out: what lies in a run folder may be
    somebody else's.

    Args:
        words: of the command line.
    """
    try:
        here = Path.cwd()
    except OSError:  # It was removed.
        yield
        return
    is_subject = any(_is_within(here, word.rpartition("=")[2]) for word in words)
    if is_subject or str(here) in sys.path or "" in sys.path:
        yield
        return
    sys.path.append(str(here))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(here))


def _is_within(folder: Path, word: str) -> bool:
    try:
        return bool(word) and folder.is_relative_to(Path(word).resolve())
    except (OSError, ValueError, RuntimeError):  # It is no path.
        return False


def check_is_elsewhere(name: str, folder: Path) -> None:
    """Refuses a module that lies in a folder whose settings name it; nothing of it is run.

    Args:
        name: of a setting, such as `my_robot:MyArm-v0`; one without a module passes.
        folder: the run folder.

    Raises:
        ConfigError: it would be imported from there.
    """
    module, colon, _ = name.rpartition(":")
    inside = folder.resolve()
    full_name, path = "", None
    for part in module.split(".") if colon else ():
        full_name = f"{full_name}.{part}".lstrip(".")
        spec = PathFinder.find_spec(full_name, path)
        if spec is None:
            return
        path = spec.submodule_search_locations
        places = [spec.origin] if spec.origin and spec.has_location else []
        for place in [*places, *(path or ())]:
            if Path(place).resolve().is_relative_to(inside):
                raise ConfigError(
                    f"{folder} names the module {module}, which lies in that folder itself; code "
                    "in a run folder is never run, so move it elsewhere if you trust it"
                )
