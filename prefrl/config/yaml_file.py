"""A run's settings as a strict YAML file."""

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from prefrl.config.checking import validated
from prefrl.config.run import RunConfig
from prefrl.config.yaml_text import Dumper, Loader
from prefrl.errors import ConfigError, one_line


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
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise ConfigError(f"could not read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {one_line(str(error))}") from None
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path} holds no settings; expected a mapping such as a run's config.yaml"
        )
    return validated(RunConfig, tree, source=f"{path}: ")


def mapping_from_text(text: str) -> dict[str, Any]:
    """Reads a mapping that is typed as YAML: '{n_epochs: 5}'.

    Raises:
        ValueError: it is none.
    """
    try:
        tree = yaml.load(text, Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError:
        tree = None
    if not isinstance(tree, dict):
        raise ValueError(f"expected a mapping such as '{{n_epochs: 5}}', got {text!r}")
    return tree


def mapping_to_text(mapping: dict[str, Any]) -> str:
    """Returns what `mapping_from_text` reads, in one line."""
    return yaml.dump(
        mapping, Dumper=Dumper, sort_keys=False, default_flow_style=True, width=float("inf")
    ).strip()
