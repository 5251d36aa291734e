"""A run's settings as a strict YAML file."""

import dataclasses
from pathlib import Path

import yaml

from prefrl.config.checking import validated
from prefrl.config.run import RunConfig
from prefrl.config.yaml_text import Dumper, Loader
from prefrl.errors import ConfigError


def to_yaml(config: RunConfig) -> str:
    """The settings as YAML, in the order they are declared; they are `checked` ones."""
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
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path} holds no settings; expected a mapping such as a run's config.yaml"
        )
    return validated(tree, source=f"{path}: ")
