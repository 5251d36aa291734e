"""Old names, which go on working for one version, with a DeprecationWarning.

`install` is called when prefrl is imported. From then on a module that is gone is found by its old
name, and one that names have moved out of finds them where they are now; none of them needs a line
of its own for it.
"""

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_GRID, _CELLS, _REPORT = (f"prefrl.benchmark.{part}" for part in ("grid", "queries", "report"))
_MODEL, _FIT, _CALIBRATION = (f"prefrl.rewards.{p}" for p in ("model", "fitting", "calibration"))
_REGISTRY, _STRATEGIES = "prefrl.queries.registry", "prefrl.queries.strategies"

HOMES: dict[str, tuple[str, ...]] = {
    "prefrl.agents.base": ("prefrl.agents.callbacks",),
    "prefrl.agents.presets": ("prefrl.agents.table",),
    "prefrl.benchmark.analysis": tuple(
        f"{_REPORT}.{part}" for part in ("analysis", "verdicts", "answers", "numbers")
    ),
    "prefrl.benchmark.cell_folder": (f"{_GRID}.cell_folder",),
    "prefrl.benchmark.cell_process": (f"{_GRID}.cell_process",),
    "prefrl.benchmark.cells": (f"{_GRID}.cells",),
    "prefrl.benchmark.executors": (f"{_GRID}.executors",),
    "prefrl.benchmark.grid": (f"{_GRID}.ledger",),
    "prefrl.benchmark.pool": (f"{_CELLS}.pool", "prefrl.config"),
    "prefrl.benchmark.queries": (f"{_CELLS}.benchmark", "prefrl.config.benchmark"),
    "prefrl.benchmark.ray_executor": (f"{_GRID}.ray_executor",),
    "prefrl.benchmark.report": (f"{_REPORT}.report",),
    "prefrl.benchmark.report_figures": (f"{_REPORT}.figures", f"{_REPORT}.theme"),
    "prefrl.benchmark.report_page": (f"{_REPORT}.page", f"{_REPORT}.notes"),
    "prefrl.benchmark.report_tables": (f"{_REPORT}.tables",),
    "prefrl.benchmark.results": (f"{_GRID}.results", f"{_GRID}.cells"),
    "prefrl.benchmark.reward_cell": (f"{_CELLS}.reward_cell", "prefrl.config"),
    "prefrl.benchmark.rl_cell": (f"{_CELLS}.rl_cell",),
    "prefrl.benchmark.statistics": (f"{_REPORT}.statistics",),
    "prefrl.benchmark.study": tuple(f"{_REPORT}.{p}" for p in ("study", "curves", "gathering")),
    "prefrl.checkpoint": ("prefrl.records.checkpoint", "prefrl.records.files"),
    "prefrl.cli": tuple(
        f"prefrl.cli.{part}" for part in ("main", "run", "eval", "bench", "report")
    ),
    "prefrl.config": ("prefrl.config.mappings",),
    "prefrl.evaluation": ("prefrl.runs.evaluation",),
    "prefrl.feedback.archive": ("prefrl.records.archive",),
    "prefrl.feedback.dataset": ("prefrl.records.archive",),
    "prefrl.feedback.teachers": ("prefrl.config",),
    "prefrl.loop": ("prefrl.session.asker", "prefrl.session.chooser", "prefrl.config.queries"),
    "prefrl.metrics": ("prefrl.records.metrics", "prefrl.records.progress"),
    "prefrl.plan": (),
    "prefrl.playback": ("prefrl.runs.playback",),
    "prefrl.plots": tuple(f"prefrl.media.{p}" for p in ("plots", "canvas", "reliability")),
    "prefrl.queries.acquisitions": (_REGISTRY,),
    "prefrl.queries.base": (_REGISTRY, _STRATEGIES, "prefrl.queries.pairs"),
    "prefrl.queries.selectors": (_REGISTRY, "prefrl.queries.diverse_selectors"),
    "prefrl.resolution": ("prefrl.runs.resolve",),
    "prefrl.reward_config": ("prefrl.config.reward",),
    "prefrl.rewards.bank": (f"{_MODEL}.bank",),
    "prefrl.rewards.banking": (f"{_FIT}.banking",),
    "prefrl.rewards.building": (f"{_FIT}.building",),
    "prefrl.rewards.calibration": (f"{_CALIBRATION}.probabilities",),
    "prefrl.rewards.checks": (f"{_CALIBRATION}.checks",),
    "prefrl.rewards.conformal": (f"{_CALIBRATION}.conformal",),
    "prefrl.rewards.crossfit": (f"{_FIT}.crossfit",),
    "prefrl.rewards.diagnosis": (f"{_FIT}.diagnosis",),
    "prefrl.rewards.fitting": tuple(f"{_FIT}.{p}" for p in ("descent", "comparing", "answers")),
    "prefrl.rewards.inference": (f"{_MODEL}.frozen", f"{_MODEL}.chain"),
    "prefrl.rewards.layers": (f"{_MODEL}.layers",),
    "prefrl.rewards.linear": (f"{_FIT}.linear",),
    "prefrl.rewards.losses": (f"{_FIT}.losses",),
    "prefrl.rewards.model": (f"{_MODEL}.ensemble", f"{_MODEL}.network"),
    "prefrl.rewards.model_config": ("prefrl.config.reward_model",),
    "prefrl.rewards.noise": (f"{_FIT}.noise",),
    "prefrl.rewards.statistics": (f"{_MODEL}.statistics",),
    "prefrl.rewards.storage": (f"{_MODEL}.storage",),
    "prefrl.rewards.trainer": tuple(
        f"{_FIT}.{part}" for part in ("trainer", "bootstrap", "prior", "reliability", "calibrating")
    ),
    "prefrl.runs.resolve": (),
    "prefrl.segments": (),
    "prefrl.setting_types": ("prefrl.config.ranges",),
    "prefrl.summary": ("prefrl.runs.summary", "prefrl.records.versions"),
    "prefrl.types": ("prefrl.feedback.protocols", "prefrl.queries.predictor", "prefrl.loop"),
    "prefrl.video": ("prefrl.runs.video",),
}
"""Old module -> the modules that what it had is in now."""

RENAMED: dict[str, dict[str, str]] = {
    "prefrl.benchmark.statistics": {"FloatArray": "prefrl.segments:FloatArray"},
    "prefrl.config": {"AgentName": "builtins:str", "checked": "prefrl.moved:checked"},
    "prefrl.feedback.teachers": {"preset": "prefrl.moved:preset"},
    "prefrl.metrics": {"FigureLogger": "prefrl.records.metrics:MetricsLogger"},
    "prefrl.loop": {"return_figures": "prefrl.records.returns:return_metrics"},
    "prefrl.plan": {"Leg": "prefrl.plan:Phase"},
    "prefrl.resolution": {"teacher_settings": "prefrl.moved:teacher_settings"},
    "prefrl.plots": {"FloatArray": "prefrl.segments:FloatArray"},
    "prefrl.rewards.checks": {"FloatArray": "prefrl.segments:FloatArray"},
    "prefrl.rewards.crossfit": {"score_spread": f"{_FIT}.crossfit:score_std"},
    "prefrl.rewards.diagnosis": {"figures_of": f"{_FIT}.diagnosis:fit_metrics"},
    "prefrl.rewards.fitting": {
        "Answers": f"{_FIT}.answers:AnswerTensors",
        "Objective": f"{_FIT}.comparing:FittingLoss",
    },
    "prefrl.rewards.linear": {"FloatArray": "prefrl.segments:FloatArray"},
    "prefrl.rewards.losses": {"head_spread": f"{_FIT}.losses:head_std"},
    "prefrl.rewards.statistics": {"MIN_SPREAD": f"{_MODEL}.statistics:MIN_STD"},
    "prefrl.runs.resolve": {"teacher_settings": "prefrl.moved:teacher_settings"},
    "prefrl.segments": {"places_of": "prefrl.segments:observation_embeddings"},
    "prefrl.types": {"Pairs": "prefrl.queries.predictor:PairIndices"},
}
"""Old module -> old name -> what it is now, as `module:name`."""


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in HOMES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None:
            return ModuleSpec(fullname, _GoneLoader())
        if spec.loader is not None:
            _find_moved_names(spec.loader, fullname)
        return spec


class _GoneLoader(Loader):
    """Makes an empty module, which finds its names where they are now."""

    def exec_module(self, module: ModuleType) -> None:
        homes = HOMES[module.__name__]
        _warn(module.__name__, " and ".join(homes))
        vars(module)["__getattr__"] = _names_of(module.__name__, is_gone=True)


def _find_moved_names(loader: Any, module_name: str) -> None:
    """Gives a module, once it is loaded, the names that have moved out of it."""
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        vars(module).setdefault("__getattr__", _names_of(module_name, is_gone=False))

    loader.exec_module = exec_module


def _names_of(module: str, *, is_gone: bool) -> Callable[[str], Any]:
    """Returns the `__getattr__` of a module that is gone, or that names have moved out of."""

    def find(name: str) -> Any:
        renamed = RENAMED.get(module, {}).get(name)
        if renamed is not None:
            home, _, new_name = renamed.partition(":")
            found = getattr(importlib.import_module(home), new_name)
        else:
            home, new_name = _home_of(module, name), name
            found = getattr(sys.modules[home], name)
        if not is_gone:  # else the module's import has warned
            _warn(f"{module}.{name}", f"{home}.{new_name}")
        return found

    return find


def _home_of(module: str, name: str) -> str:
    if not name.startswith("_"):
        for home in HOMES[module]:
            # Only what stands there itself: not what is found by an old name, or a submodule.
            if name in vars(importlib.import_module(home)):
                return home
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f"{old} is {new} now; the old name goes with the next version",
        DeprecationWarning,
        stacklevel=3,
    )


def install() -> None:
    """Makes the old names work."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def checked(config: Any) -> Any:
    """Returns the settings: they are checked when they are made."""
    return config


def preset(name: str) -> Any:
    """Returns `prefrl.config.TEACHER_PRESETS[name]`."""
    return importlib.import_module("prefrl.config").TeacherConfig(name).decided()


def teacher_settings(config: Any) -> Any:
    """Returns `config.decided()`."""
    return config.decided()
