"""Reads the project's source files as syntax trees: who imports what, and what a name stands for.

Nothing is imported. A module is named as it is installed: envs/recorder.py is prefrl.envs.recorder.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDERS = {
    "prefrl": "prefrl",
    "envs": "prefrl.envs",
    "agents": "prefrl.agents",
    "scripts": "scripts",
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True)
class Import:
    """One imported module.

    Args:
        target: its full name; for `from package import name`, the module `package.name` if it is
            one of ours, else `package`.
        line: where.
        at_start: whether importing the importer runs it, so neither in a function nor for type
            checkers only.
        for_types: whether only type checkers see it.
    """

    target: str
    line: int
    at_start: bool = True
    for_types: bool = False


@dataclass(frozen=True)
class Module:
    """A source file under the name it is installed as."""

    name: str
    path: Path
    tree: ast.Module
    imports: tuple[Import, ...]

    def at(self, line: int) -> str:
        return f"{self.path}:{line}"


def is_within(name: str, prefixes: Iterable[str]) -> bool:
    """Whether `name` is one of the modules, or inside one of the packages."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def imports_of(tree: ast.Module, *, package: str, ours: frozenset[str]) -> Iterator[Import]:
    """Every import of a file, relative ones resolved against `package`."""

    def targets_of(node: ast.AST) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            above = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            inner = [f"{base}.{alias.name}" for alias in node.names]
            return [name if name in ours else base for name in inner]
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
            return [name for name in names if isinstance(name, str)]
        return []

    def visit(node: ast.AST, in_function: bool, for_types: bool) -> Iterator[Import]:
        for target in targets_of(node):
            line = getattr(node, "lineno", 0)
            yield Import(target, line, not in_function and not for_types, for_types)
        in_function = in_function or isinstance(node, FUNCTIONS)
        only_types: list[ast.stmt] = []
        if isinstance(node, ast.If) and ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING":
            only_types = node.body
        for child in ast.iter_child_nodes(node):
            yield from visit(child, in_function, for_types or child in only_types)

    return visit(tree, False, False)


def modules_of(sources: Mapping[Path, str]) -> dict[str, Module]:
    """Parses files, given by their path from the project's root, into modules by name."""
    named: dict[str, Path] = {}
    for path in sources:
        parts = [FOLDERS[path.parts[0]], *path.with_suffix("").parts[1:]]
        if parts[-1] == "__init__":
            parts.pop()
        named[".".join(parts)] = path
    modules = {}
    for name, path in named.items():
        tree = ast.parse(sources[path], filename=str(path))
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        imports = imports_of(tree, package=package, ours=frozenset(named))
        modules[name] = Module(name, path, tree, tuple(imports))
    return modules


def start_chains(start: str, modules: Mapping[str, Module]) -> dict[str, tuple[str, ...]]:
    """Everything that importing `start` imports, each with the chain of `file:line` leading there.

    Importing a.b.c runs a and a.b first, so the packages' own imports count.
    """
    chains: dict[str, tuple[str, ...]] = {}
    queue: list[tuple[str, tuple[str, ...]]] = [(start, ())]
    while queue:
        name, chain = queue.pop(0)
        if name in chains:
            continue
        chains[name] = chain
        parent = name.rpartition(".")[0]
        if parent:
            queue.append((parent, chain))
        if name in modules:
            module = modules[name]
            starts = [one for one in module.imports if one.at_start]
            queue += [(one.target, (*chain, module.at(one.line))) for one in starts]
    return chains


def global_name(node: ast.expr, aliases: Mapping[str, str]) -> str:
    """`np.random.rand` -> "numpy.random.rand"; "" for what is not a name reached from an import."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, "")
    if isinstance(node, ast.Attribute):
        base = global_name(node.value, aliases)
        return f"{base}.{node.attr}" if base else ""
    return ""


def aliases_of(tree: ast.Module) -> dict[str, str]:
    """What each imported name of a file stands for, in full."""
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                aliases[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return aliases


def project_at(root: Path) -> dict[str, Module]:
    """The project's modules by name; the links prefrl/envs and prefrl/agents are not followed."""
    files = [file for folder in FOLDERS for file in sorted((root / folder).rglob("*.py"))]
    linked = [root / "prefrl" / name for name in ("envs", "agents")]
    files = [file for file in files if not any(link in file.parents for link in linked)]
    return modules_of({file.relative_to(root): file.read_text("utf-8") for file in files})
