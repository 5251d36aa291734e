"""A run's settings as a strict YAML file."""

import codecs
import dataclasses
from pathlib import Path
from typing import Any

import yaml

from prefrl.config.checking import validated
from prefrl.config.run import RunConfig
from prefrl.config.yaml_text import LARGEST_TEXT, Dumper, read_yaml
from prefrl.errors import ConfigError, shown, text_of


def to_yaml(config: RunConfig) -> str:
    """Returns the settings as YAML, in the order they are declared."""
    tree = dataclasses.asdict(config)
    # In ASCII: PyYAML breaks some of Unicode's line ends otherwise.
    return yaml.dump(tree, Dumper=Dumper, sort_keys=False)


def from_yaml(path: Path) -> RunConfig:
    """Reads settings strictly: an unknown key or a value out of range is an error.

    Raises:
        ConfigError: the file is missing, is not YAML, or does not hold a run's settings.
    """
    path = Path(path)
    try:
        tree = read_yaml(_text(path))
    except OSError as error:
        raise ConfigError(f"could not read {path}: {error.strerror or text_of(error)}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not YAML: {text_of(error)}") from None
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path} holds no settings; expected a mapping such as a run's config.yaml"
        )
    return validated(RunConfig, tree, source=f"{path}: ")


def _text(path: Path) -> str:
    """Reads a file of settings; a device or a pipe, which may have no end, is none.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text in UTF-8 or, with a mark that says so, UTF-16; or too large.
    """
    if "\0" in str(path):
        raise OSError("no name holds a NUL")
    if (path / "config.yaml").exists():
        raise OSError(f"it is a folder; its settings are in {path / 'config.yaml'}")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(f"{path} is no file")
    with path.open("rb") as file:
        content = file.read(4 * LARGEST_TEXT + 1)
    if len(content) > 4 * LARGEST_TEXT:
        raise ValueError(f"it has more than {4 * LARGEST_TEXT:,} bytes")
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        name = "UTF-16" if is_wide else "UTF-8"
        raise ValueError(f"it is no text in {name} (byte {error.start})") from None


def mapping_from_text(text: str) -> dict[str, Any]:
    """Reads a mapping that is typed as YAML: '{n_epochs: 5}'.

    Raises:
        ValueError: it is none.
    """
    tree, why = None, ""
    try:
        tree = read_yaml(text)
    except ValueError as error:
        why = f"{error}; " if text.lstrip().startswith("{") else ""
    if not isinstance(tree, dict):
        raise ValueError(f"{shown(text)}; {why}expected a mapping such as '{{n_epochs: 5}}'")
    return tree


def mapping_to_text(mapping: dict[str, Any]) -> str:
    """Returns what `mapping_from_text` reads, in one line."""
    return yaml.dump(
        mapping, Dumper=Dumper, sort_keys=False, default_flow_style=True, width=float("inf")
    ).strip()
