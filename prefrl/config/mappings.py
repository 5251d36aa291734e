"""Free mappings among the settings, in the types that YAML holds."""

import reprlib
from typing import Annotated, Any

import tyro
import yaml
from pydantic import AfterValidator

from prefrl.config.yaml_text import Loader


def _mapping(
    text: Annotated[str, tyro.conf.arg(name="", metavar="{KEY: VALUE}")],
) -> dict[str, Any]:
    """A mapping typed on the command line as YAML: '{n_epochs: 5}'."""
    try:
        tree = yaml.load(text, Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError:
        tree = None
    if not isinstance(tree, dict):
        raise ValueError(f"expected a mapping such as '{{n_epochs: 5}}', got {text!r}")
    return tree


def _plain(value: Any) -> Any:
    """The same value in the types that YAML holds, so that a run's config.yaml says all of it."""
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {str(key): _plain(item) for key, item in value.items()}
    raise ValueError(
        f"{reprlib.repr(value)} cannot be written to config.yaml; use text, numbers, true, "
        "false, null, and lists and mappings of them"
    )


Mapping = Annotated[
    dict[str, Any],
    AfterValidator(_plain),
    tyro.conf.arg(constructor=_mapping),
]
