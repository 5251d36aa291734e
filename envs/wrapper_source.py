"""Reads in a wrapper's source whether its `step` hands on what it is given and what it gets.

A `gymnasium.Wrapper` of somebody's own may log in its `step`, or may add noise there; nothing but
its source tells the one from the other before it is run.
"""

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import gymnasium as gym

_KNOWN_OTHERWISE = ("builtins", "gymnasium", "prefrl", "stable_baselines3")


def changes_in_step(wrapper: Any) -> bool:
    """Tells whether a step writes to its action, observation or reward, or is taken several times.

    Where there is no source, or it is of a form that is not known, nothing is said against it.

    Args:
        wrapper: a Gymnasium wrapper, or one of Stable-Baselines3's vector environments.
    """
    cls: Any = type(wrapper)
    if isinstance(wrapper, gym.Wrapper):
        return _changes(cls, "step")
    return _changes(cls, "step_async") or _changes(cls, "step_wait")


@functools.cache
def _changes(cls: type, method: str) -> bool:
    owner = next((base for base in cls.__mro__ if method in vars(base)), object)
    if owner.__module__.partition(".")[0] in _KNOWN_OTHERWISE:
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(vars(owner)[method]))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return False
    if not isinstance(tree, ast.FunctionDef):
        return False
    calls = [node for node in ast.walk(tree) if _steps(node, method)]
    if not calls:
        return False
    repeated = (_steps(node, method) for loop in _loops(tree) for node in ast.walk(loop))
    if len(calls) > 1 or any(repeated):
        return True
    (call,) = calls
    assert isinstance(call, ast.Call)
    taken = [argument.arg for argument in tree.args.args[1:2]]
    written = list(_written(tree))
    if not {*taken}.isdisjoint(written) or not _hands_on(call, taken):
        return True
    return any(written.count(name) > 1 for name in _received(tree, call)) or _swaps(tree, call)


def _steps(node: ast.AST, method: str) -> bool:
    """Tells whether it is a call of the same method of what is wrapped."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == method
        and ast.unparse(node.func.value) in ("self.env", "self.venv", "super()")
    )


def _loops(tree: ast.AST) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, (ast.For, ast.While)))


def _hands_on(call: ast.Call, taken: list[str]) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    return [part.id if isinstance(part, ast.Name) else "" for part in given] == taken


def _written(tree: ast.AST) -> Iterator[str]:
    """Yields the names that are assigned to, or into, each time that they are."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Subscript)) and isinstance(node.ctx, ast.Store):
            while isinstance(node, ast.Subscript):
                node = node.value
            if isinstance(node, ast.Name):
                yield node.id


def _received(tree: ast.AST, call: ast.Call) -> list[str]:
    """Returns the names that the observation and the reward of a step are given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and node.value is call:
            (target, *_) = node.targets
            if isinstance(target, ast.Tuple):
                return [part.id for part in target.elts[:2] if isinstance(part, ast.Name)]
    return []


def _swaps(tree: ast.AST, call: ast.Call) -> bool:
    """Tells whether something else is returned than the names of what was received."""
    names = _received(tree, call)
    if len(names) < 2:
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            given = node.value.elts[:2]
            if [part.id if isinstance(part, ast.Name) else "" for part in given] != names:
                return True
    return False
