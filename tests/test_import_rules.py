"""Imports point one way only, heavy libraries stay where they belong, no draw is global.

The rules are the tables below, held against the syntax trees of prefrl/, envs/, agents/ and
scripts/.
"""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.source_tree import (
    Module,
    aliases_of,
    global_name,
    is_within,
    modules_of,
    project_at,
    start_chains,
)

ROOT = Path(__file__).parents[1]

LEAVES = (
    "prefrl.errors",
    "prefrl.seeding",
    "prefrl.segments",
    "prefrl.types",
    "prefrl.checkpoint",
    "prefrl.config",
    "prefrl.reward_config",
    "prefrl.setting_types",
)

# Who may import whom. A module follows the longest prefix of its name; on the right stand the
# prefixes of what it may import besides its own package. A module without a line is refused.
LAYERS: dict[str, tuple[str, ...]] = {
    "prefrl.errors": (),
    "prefrl.seeding": ("prefrl.errors",),
    # The protocols speak of segments, so types come after them.
    "prefrl.segments": ("prefrl.errors", "prefrl.seeding"),
    "prefrl.types": ("prefrl.errors", "prefrl.seeding", "prefrl.segments"),
    "prefrl.setting_types": (),
    "prefrl.reward_config": ("prefrl.setting_types",),
    "prefrl.config": (
        *("prefrl.errors", "prefrl.seeding", "prefrl.types"),
        *("prefrl.reward_config", "prefrl.setting_types"),
    ),
    "prefrl.checkpoint": ("prefrl.errors", "prefrl.seeding", "prefrl.types"),
    # metrics.jsonl and summary.json are written the way checkpoints are.
    "prefrl.metrics": ("prefrl.errors", "prefrl.seeding", "prefrl.types", "prefrl.checkpoint"),
    "prefrl.plan": ("prefrl.errors", "prefrl.types", "prefrl.config"),
    "prefrl.feedback": LEAVES,
    "prefrl.labelling": LEAVES,
    "prefrl.queries": LEAVES,
    "prefrl.rewards": (*LEAVES, "prefrl.feedback.dataset"),
    "prefrl.envs": LEAVES,
    "prefrl.agents": LEAVES,
    "prefrl.plots": (*LEAVES, "prefrl.metrics"),
    "prefrl.video": LEAVES,
    "prefrl.evaluation": (*LEAVES, "prefrl.metrics", "prefrl.envs"),
    "prefrl.loop": (
        *LEAVES,
        "prefrl.metrics",
        "prefrl.plan",
        "prefrl.queries",
        "prefrl.rewards",
        "prefrl.feedback.dataset",
        "prefrl.feedback.teachers",
    ),
    "prefrl.resolution": (
        *LEAVES,
        "prefrl.plan",
        "prefrl.feedback",
        "prefrl.queries",
        "prefrl.envs",
        "prefrl.agents",
    ),
    "prefrl.summary": (*LEAVES, "prefrl.evaluation", "prefrl.loop"),
    "prefrl.runs": (
        *LEAVES,
        "prefrl.metrics",
        "prefrl.plan",
        "prefrl.resolution",
        "prefrl.summary",
        "prefrl.plots",
        "prefrl.evaluation",
        "prefrl.feedback",
        "prefrl.queries",
        "prefrl.rewards",
        "prefrl.labelling",
        "prefrl.envs",
        "prefrl.agents",
        "prefrl.loop",
    ),
    "prefrl.playback": (
        *LEAVES,
        "prefrl.resolution",
        "prefrl.video",
        "prefrl.evaluation",
        "prefrl.rewards",
        "prefrl.envs",
        "prefrl.agents",
    ),
    "prefrl.benchmark": (
        *LEAVES,
        "prefrl.loop",
        "prefrl.metrics",
        "prefrl.plots",
        "prefrl.resolution",
        "prefrl.runs",
        "prefrl.summary",
        "prefrl.feedback",
        "prefrl.queries",
        "prefrl.rewards",
        "prefrl.envs",
        "prefrl.agents",
    ),
    "prefrl.cli": (
        *LEAVES,
        "prefrl.plots",
        "prefrl.video",
        "prefrl.evaluation",
        "prefrl.labelling",
        "prefrl.runs",
        "prefrl.playback",
        "prefrl.benchmark",
    ),
    "prefrl.__main__": ("prefrl.cli",),
    "scripts": ("prefrl",),
}
PUBLIC_FACE = "prefrl"  # prefrl/__init__.py re-exports from anywhere but the command line
PUBLIC_FACE_MAY_NOT = ("prefrl.cli", "scripts")

HOMES: dict[str, tuple[str, ...]] = {
    "stable_baselines3": (
        "prefrl.agents",
        "prefrl.benchmark.workloads",  # relabelling is timed on its replay buffer
        "prefrl.envs.recorder",
        "prefrl.envs.reward_vec_env",
        "prefrl.envs.vec_env",
        "scripts.benchmark_imitation",  # the other tool's loop is built on it
    ),
    "mujoco": ("prefrl.envs", "prefrl.labelling.clips"),
    "ray": ("prefrl.benchmark.ray_executor",),
    "sqlite3": ("prefrl.labelling.store",),
    "sqlalchemy": ("prefrl.labelling.store",),
}

WITHOUT_TORCH = ("prefrl.labelling.store", "prefrl.labelling.service")

SEEDING = "prefrl.seeding"
OWN_GENERATORS = {  # what these modules offer besides their global generator
    "numpy.random": {"Generator", "SeedSequence", "BitGenerator", "PCG64", "Philox", "SFC64"},
    "random": {"Random", "SystemRandom"},
}
DRAWS_OF_TORCH = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"}
SEEDS_OF_TORCH = {
    "torch.manual_seed",
    "torch.seed",
    "torch.set_rng_state",
    "torch.random.manual_seed",
    "torch.cuda.manual_seed",
    "torch.cuda.manual_seed_all",
}


def layer_violations(modules: Mapping[str, Module]) -> list[str]:
    """Imports between our own modules that the table does not allow."""
    found = []
    for module in modules.values():
        layers = [layer for layer in LAYERS if is_within(module.name, [layer])]
        if module.name == PUBLIC_FACE:
            found += [
                f"{module.at(one.line)}: the public face may not import {one.target}"
                for one in module.imports
                if is_within(one.target, PUBLIC_FACE_MAY_NOT)
            ]
            continue
        if not layers:
            found.append(f"{module.path}: {module.name} has no line in LAYERS")
            continue
        layer = max(layers, key=len)
        allowed = (layer, *LAYERS[layer])
        for one in module.imports:
            if is_within(one.target, ["prefrl", "scripts"]) and not is_within(one.target, allowed):
                found.append(
                    f"{module.at(one.line)}: {module.name} imports {one.target}; "
                    f"{layer} may import {', '.join(LAYERS[layer]) or 'nothing of ours'}"
                )
    return found


def home_violations(modules: Mapping[str, Module]) -> list[str]:
    """Imports of a library outside the modules it is confined to."""
    return [
        f"{module.at(one.line)}: {module.name} imports {one.target}; "
        f"{library} belongs in {', '.join(homes)}"
        for module in modules.values()
        for one in module.imports
        for library, homes in HOMES.items()
        if is_within(one.target, [library]) and not is_within(module.name, homes)
    ]


def bare_name_violations(modules: Mapping[str, Module]) -> list[str]:
    """Imports of `envs` or `agents`, which are installed as prefrl.envs and prefrl.agents."""
    return [
        f"{module.at(one.line)}: {module.name} imports {one.target}; write prefrl.{one.target}"
        for module in modules.values()
        for one in module.imports
        if is_within(one.target, ["envs", "agents"])
    ]


def torch_violations(modules: Mapping[str, Module]) -> list[str]:
    """Ways on which a module that promises to do without torch meets it."""
    found = []
    for name in WITHOUT_TORCH:
        if name not in modules:
            continue
        module = modules[name]
        chains = start_chains(name, modules)
        if "torch" in chains:
            found.append(f"{name} imports torch: {' -> '.join(chains['torch'])}")
        for one in module.imports:
            target = one.target
            if not one.at_start and not one.for_types and "torch" in start_chains(target, modules):
                found.append(f"{module.at(one.line)}: {name} imports torch through {target}")
    return found


def what_is_global(call: ast.Call, aliases: Mapping[str, str]) -> str:
    """Says which call draws from, or seeds, a generator nobody named; "" if it does not."""
    name = global_name(call.func, aliases)
    home, _, function = name.rpartition(".")
    if name == "numpy.random.default_rng":
        return "" if call.args or call.keywords else "numpy.random.default_rng() without a seed"
    if home in OWN_GENERATORS and function not in OWN_GENERATORS[home]:
        return name
    if is_within(name, SEEDS_OF_TORCH):
        return name
    if home == "torch" and function in DRAWS_OF_TORCH:
        keywords = {keyword.arg for keyword in call.keywords}
        return "" if "generator" in keywords else f"{name} without generator="
    return ""


def randomness_violations(modules: Mapping[str, Module]) -> list[str]:
    """Draws from, and seeds of, global generators outside prefrl/seeding.py."""
    found = []
    for module in modules.values():
        if module.name == SEEDING:
            continue
        aliases = aliases_of(module.tree)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and (what := what_is_global(node, aliases)):
                found.append(f"{module.at(node.lineno)}: {what}; take a named stream of {SEEDING}")
    return found


@pytest.fixture(scope="module")
def project() -> dict[str, Module]:
    return project_at(ROOT)


def snippet(path: str, source: str, *others: str) -> dict[str, Module]:
    """A project of one file, and of others that are empty."""
    return modules_of({Path(path): source} | {Path(other): "" for other in others})


def assert_none(found: Sequence[str]) -> None:
    assert not found, "\n" + "\n".join(found)


def test_imports_between_our_modules_point_one_way(project: dict[str, Module]) -> None:
    assert_none(layer_violations(project))


def test_the_table_of_layers_has_no_cycle() -> None:
    def below(layer: str) -> set[str]:
        return {other for other in LAYERS if is_within(other, LAYERS[layer]) and other != layer}

    waiting = {layer: below(layer) for layer in LAYERS}
    while waiting:
        free = [layer for layer, lower in waiting.items() if not lower & waiting.keys()]
        assert free, f"these layers may import each other in a circle: {sorted(waiting)}"
        for layer in free:
            del waiting[layer]


def test_libraries_stay_in_the_modules_they_belong_to(project: dict[str, Module]) -> None:
    assert_none(home_violations(project))


def test_nobody_imports_envs_or_agents_by_their_bare_name(project: dict[str, Module]) -> None:
    assert_none(bare_name_violations(project))


def test_the_labelling_service_starts_without_torch(project: dict[str, Module]) -> None:
    assert_none(torch_violations(project))


def test_global_generators_are_left_alone(project: dict[str, Module]) -> None:
    assert_none(randomness_violations(project))


@pytest.mark.parametrize(
    ("path", "source", "target"),
    [
        (
            "prefrl/queries/coverage.py",
            "import numpy\nfrom prefrl import rewards",
            "prefrl.rewards",
        ),
        ("prefrl/queries/coverage.py", "\nimport prefrl.rewards.model", "prefrl.rewards.model"),
        ("prefrl/loop.py", "\nfrom prefrl.agents.ppo import PPOAgent", "prefrl.agents.ppo"),
        ("prefrl/loop.py", "\nfrom prefrl.feedback.human import ask", "prefrl.feedback.human"),
        ("envs/registry.py", "\nfrom ..runs import build", "prefrl.runs"),
        ("agents/__init__.py", "\nfrom ..envs import recorder", "prefrl.envs"),
        ("prefrl/config.py", "def f():\n    from prefrl import loop", "prefrl.loop"),
        ("prefrl/runs.py", "\nfrom prefrl.cli import main", "prefrl.cli"),
        ("prefrl/metrics.py", "\nfrom prefrl import EpisodeStore", "prefrl"),
        ("prefrl/__init__.py", "\nfrom prefrl.cli import main", "prefrl.cli"),
    ],
)
def test_an_import_against_the_grain_is_named_with_file_and_line(
    path: str, source: str, target: str
) -> None:
    others = {"prefrl/rewards/__init__.py", "prefrl/loop.py"} - {path}
    (found,) = layer_violations(snippet(path, source, *others))
    assert found.startswith(f"{path}:2: ")
    assert f" {target}" in found


def test_a_module_without_a_layer_is_refused() -> None:
    (found,) = layer_violations(snippet("prefrl/utils.py", ""))
    assert "prefrl.utils has no line in LAYERS" in found


def test_imports_along_the_grain_are_allowed() -> None:
    source = (
        "import torch\nfrom prefrl.feedback.dataset import Comparisons\nfrom prefrl import errors\n"
    )
    assert_none(layer_violations(snippet("prefrl/rewards/model.py", source, "prefrl/errors.py")))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("prefrl/loop.py", "\nfrom stable_baselines3 import PPO"),
        ("envs/registry.py", "\nimport stable_baselines3.common.vec_env"),
        ("agents/ppo.py", "\nimport mujoco"),
        ("prefrl/labelling/service.py", "\nimport sqlite3"),
        ("prefrl/runs.py", '\nimport_module("sqlalchemy.orm")'),
    ],
)
def test_a_library_away_from_home_is_named_with_file_and_line(path: str, source: str) -> None:
    (found,) = home_violations(snippet(path, source))
    assert found.startswith(f"{path}:2: ")


def test_a_library_at_home_is_allowed() -> None:
    assert_none(home_violations(snippet("envs/recorder.py", "import stable_baselines3, mujoco")))
    assert_none(home_violations(snippet("prefrl/labelling/store.py", "import sqlite3")))


def test_a_bare_name_is_named_with_file_and_line() -> None:
    (found,) = bare_name_violations(
        snippet("scripts/run_pbrl.py", "\nfrom envs.registry import make")
    )
    assert found.startswith("scripts/run_pbrl.py:2: ")


@pytest.mark.parametrize(
    "service",
    [
        "import torch",
        "from prefrl.labelling.clips import render",
        "def f():\n    import torch",
        "def f():\n    from prefrl.labelling import clips",
    ],
)
def test_torch_is_found_however_far_away(service: str) -> None:
    sources = {
        "prefrl/labelling/service.py": service,
        "prefrl/labelling/clips.py": "from prefrl.rewards import model",
        "prefrl/rewards/model.py": "from torch import nn",
    }
    found = torch_violations(modules_of({Path(path): text for path, text in sources.items()}))
    assert len(found) == 1


def test_torch_is_found_in_the_packages_that_importing_the_service_runs() -> None:
    sources = {"prefrl/labelling/store.py": "", "prefrl/__init__.py": "import torch"}
    (found,) = torch_violations(modules_of({Path(path): text for path, text in sources.items()}))
    assert found == "prefrl.labelling.store imports torch: prefrl/__init__.py:1"


def test_imports_for_type_checkers_do_not_bring_torch_in() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"
    assert_none(torch_violations(snippet("prefrl/labelling/store.py", source)))


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nnp.random.seed(0)",
        "import numpy.random\nnumpy.random.rand(3)",
        "from numpy.random import randint\nrandint(3)",
        "from numpy import random as draw\ndraw.shuffle([])",
        "import numpy as np\nnp.random.default_rng()",
        "import torch\ntorch.manual_seed(0)",
        "import torch\ntorch.cuda.manual_seed_all(0)",
        "import torch\ntorch.randperm(4)",
        "import random\nrandom.seed(0)",
        "from random import choice\nchoice([1])",
    ],
)
def test_a_global_draw_is_named_with_file_and_line(source: str) -> None:
    (found,) = randomness_violations(snippet("prefrl/loop.py", source))
    assert found.startswith("prefrl/loop.py:2: ")
    assert_none(randomness_violations(snippet("prefrl/seeding.py", source)))


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nrng = np.random.default_rng(3)\nrng.random(3)",
        "import numpy as np\nnp.random.Generator(np.random.PCG64(1))",
        "import torch\ng = torch.Generator().manual_seed(1)\ntorch.rand(3, generator=g)",
        "import random\nrandom.Random(1).random()",
        "def f(random):\n    return random.choice([1])",
    ],
)
def test_a_draw_from_a_generator_of_ones_own_is_allowed(source: str) -> None:
    assert_none(randomness_violations(snippet("prefrl/loop.py", source)))
