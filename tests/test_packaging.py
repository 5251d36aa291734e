"""The wheel installs what stands in the tree, under prefrl.envs and prefrl.agents."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
FOLDERS = {"prefrl": "prefrl", "prefrl.envs": "envs", "prefrl.agents": "agents"}
LINKS = {"prefrl/envs": "../envs", "prefrl/agents": "../agents"}
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", *FOLDERS.values())


def run_python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def build(what: str, *, source: Path, into: Path) -> Path:
    """Calls setuptools the way pip and build do, but here and so without a network."""
    code = f"from setuptools import build_meta; print(build_meta.{what}({str(into)!r}))"
    built = run_python("-c", code, cwd=source)
    assert built.returncode == 0, built.stderr
    return into / built.stdout.splitlines()[-1]


def files_in_tree() -> dict[str, Path]:
    """Every file of the packages by the path it is installed at; links are not followed."""
    linked = [ROOT / link for link in LINKS]
    return {
        f"{package.replace('.', '/')}/{path.relative_to(ROOT / folder).as_posix()}": path
        for package, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        if not any(link in path.parents for link in linked)
    }


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build needs, links and all, for builds leave files behind."""
    copy = tmp_path_factory.mktemp("tree")
    for name in BUILT_FROM:
        original = ROOT / name
        if original.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(original, copy / name, symlinks=True, ignore=ignore)
        elif original.exists():
            shutil.copy(original, copy / name)
    return copy


@pytest.fixture(scope="module")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("build_sdist", source=tree, into=tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("build_wheel", source=tree, into=tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel_of_sdist(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds what a user without a fitting wheel gets: the sdist has no links."""
    folder = tmp_path_factory.mktemp("wheel_of_sdist")
    unpacked = run_python("-m", "tarfile", "--extract", str(sdist), cwd=folder)
    assert unpacked.returncode == 0, unpacked.stderr
    return build("build_wheel", source=next(folder.glob("prefrl-*")), into=folder)


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if ".dist-info/" not in name]


def test_every_folder_with_python_files_is_a_listed_package(settings: dict[str, Any]) -> None:
    modules = [Path(name) for name in files_in_tree() if name.endswith(".py")]
    folders = {module.parent for module in modules}
    without_init = {str(folder) for folder in folders if folder / "__init__.py" not in modules}
    assert not without_init
    packages = settings["tool"]["setuptools"]["packages"]
    assert sorted(packages) == sorted(".".join(folder.parts) for folder in folders)


def test_the_folders_beside_prefrl_are_mapped_into_it(settings: dict[str, Any]) -> None:
    beside = {package: folder for package, folder in FOLDERS.items() if package != folder}
    assert settings["tool"]["setuptools"]["package-dir"] == beside


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a checkout has the links")
@pytest.mark.parametrize(("link", "target"), LINKS.items())
def test_the_links_inside_prefrl_are_relative_and_lead_beside_it(link: str, target: str) -> None:
    assert str((ROOT / link).readlink()) == target
    assert (ROOT / link / "__init__.py").samefile(ROOT / Path(link).name / "__init__.py")


@pytest.mark.parametrize("built", ["wheel", "wheel_of_sdist"])
def test_a_wheel_holds_every_file_of_the_tree_once_and_nothing_else(
    built: str, request: pytest.FixtureRequest
) -> None:
    assert sorted(names_in(request.getfixturevalue(built))) == sorted(files_in_tree())


def test_the_sdist_holds_every_file_of_the_tree_once(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
    assert all(member.isfile() for member in members)
    names = [member.name.partition("/")[2] for member in members]
    inside = [name for name in names if name.split("/")[0] in FOLDERS.values()]
    assert sorted(inside) == sorted(
        path.relative_to(ROOT).as_posix() for path in files_in_tree().values()
    )


def test_a_wheel_has_types_and_templates_and_no_laboratory(wheel: Path) -> None:
    names = names_in(wheel)
    assert "prefrl/py.typed" in names
    assert [name for name in names if "/templates/" in name]
    assert [name for name in names if not name.startswith("prefrl/") or "lab/" in name] == []


def test_every_module_is_imported_from_an_unpacked_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import importlib, pkgutil, prefrl\n"
        "for found in pkgutil.walk_packages(prefrl.__path__, 'prefrl.'):\n"
        "    if found.name != 'prefrl.__main__':\n"
        "        print(importlib.import_module(found.name).__file__)"
    )
    imported = run_python("-I", "-c", code, cwd=tmp_path)
    assert imported.returncode == 0, imported.stderr
    modules = {tmp_path / name for name in files_in_tree() if name.endswith(".py")}
    unnamed = {tmp_path / "prefrl" / name for name in ("__init__.py", "__main__.py")}
    assert {Path(line) for line in imported.stdout.splitlines()} == modules - unnamed


@pytest.mark.parametrize("name", ["envs", "agents"])
def test_the_bare_name_is_refused(name: str) -> None:
    imported = run_python("-c", f"import {name}", cwd=ROOT)
    assert imported.returncode == 1
    assert f"ImportError: this package is imported as `prefrl.{name}`" in imported.stderr


def test_every_direct_dependency_is_pinned_exactly_once_for_each_python(
    settings: dict[str, Any],
) -> None:
    def key(requirement: str) -> str:
        name = re.match(r"[\w.-]+", requirement)
        assert name, requirement
        return re.sub(r"[-_.]+", "-", name[0]).lower()

    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+(; .+)?", pin) for pin in pins)
    project = settings["project"]
    wanted = {*project["dependencies"], *project["optional-dependencies"]["dev"]}
    assert {key(requirement) for requirement in wanted} <= {key(pin) for pin in pins}
    assert len(pins) == len(set(pins))
