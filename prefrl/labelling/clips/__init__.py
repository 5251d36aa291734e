"""Clips of segments: what they are rendered from, and how.

Whatever needs MuJoCo is imported when it is first asked for: MuJoCo reads `MUJOCO_GL` then.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from prefrl.labelling.clips.spec import ClipSpec, NamedEnv, Recorded, Replay, SavedModel, SimStates

if TYPE_CHECKING:
    from prefrl.labelling.clips.datasets import DatasetClips
    from prefrl.labelling.clips.making import ClipMaker
    from prefrl.labelling.clips.rendering import Clip, ClipRenderer, render
    from prefrl.labelling.clips.sources import ClipSource, choose_source

_HOMES = {
    **dict.fromkeys(("Clip", "ClipRenderer", "render"), "rendering"),
    **dict.fromkeys(("ClipSource", "choose_source"), "sources"),
    "ClipMaker": "making",
    "DatasetClips": "datasets",
}

__all__ = [
    "Clip",
    "ClipMaker",
    "ClipRenderer",
    "ClipSource",
    "ClipSpec",
    "DatasetClips",
    "NamedEnv",
    "Recorded",
    "Replay",
    "SavedModel",
    "SimStates",
    "choose_source",
    "render",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
