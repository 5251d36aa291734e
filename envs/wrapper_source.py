"""Reads in a wrapper's source whether its `step` hands on what it is given and what it gets.

A `gymnasium.Wrapper` of somebody's own may log in its `step`, or may add noise there; nothing but
its source tells the one from the other before it is run. Where that does not, it is taken for one
that changes something: what was trained in it fits it, nothing else does.
"""

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import gymnasium as gym

_KNOWN_OTHERWISE = ("gymnasium", "prefrl", "stable_baselines3")


def changes_in_step(wrapper: Any) -> bool:
    """Tells whether a step may write to its action, observation or reward, or be taken twice.

    What has no source, or a form that is not known, may do anything.

    Args:
        wrapper: a Gymnasium wrapper, or one of Stable-Baselines3's vector environments.
    """
    cls: Any = type(wrapper)
    if not isinstance(wrapper, gym.Wrapper):
        kept = _names_of(wrapper, getattr(wrapper, "venv", None))
        return _changes(cls, "step_async", kept) or _changes(cls, "step_wait", kept)
    own = vars(wrapper).get("step")
    if own is not None and type(own).__module__.partition(".")[0] == "prefrl":
        own = own._step  # `CarefulStep`, which hands on what this returns.
    if own is not None and getattr(own, "__func__", None) is not getattr(cls, "step", None):
        return True  # A step was put into this instance alone.
    return _changes(cls, "step", _names_of(wrapper, wrapper.env))


def _names_of(wrapper: Any, inner: Any) -> frozenset[str]:
    """Returns under which names a wrapper keeps what it wraps."""
    return frozenset(f"self.{name}" for name, value in vars(wrapper).items() if value is inner)


@functools.cache
def _changes(cls: type, method: str, kept: frozenset[str]) -> bool:
    owner, tree = _read(cls, method)
    if owner is object or owner.__module__.partition(".")[0] in _KNOWN_OTHERWISE:
        return False
    calls = [node for node in ast.walk(tree) if _steps(node, method, tree, kept)] if tree else []
    if tree and not calls:
        # A method of its own may do it all.
        tree = _read(cls, _done_by(tree))[1]
        calls = (
            [node for node in ast.walk(tree) if _steps(node, method, tree, kept)] if tree else []
        )
    if not tree or not calls:
        return True
    repeated = (
        _steps(node, method, tree, kept) for loop in _loops(tree) for node in ast.walk(loop)
    )
    if len(calls) > 1 or any(repeated):
        return True
    (call,) = calls
    assert isinstance(call, ast.Call)
    taken = [argument.arg for argument in tree.args.args[1:2]]
    if not {*taken}.isdisjoint(_written(tree)) or not _hands_on(call, taken):
        return True
    return _changes_outcome(tree, call, cls)


def _read(cls: type, method: str) -> tuple[type, ast.FunctionDef | None]:
    """Returns the class that a method is of, and its source; None where that cannot be read."""
    owner = next((base for base in cls.__mro__ if method in vars(base)), object)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(vars(owner)[method]))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError, KeyError):
        return owner, None
    is_plain = isinstance(tree, ast.FunctionDef) and all(
        ast.unparse(decorator).rpartition(".")[2] in ("override", "final")
        for decorator in tree.decorator_list
    )
    return owner, tree if is_plain else None  # type: ignore[return-value]


def _done_by(tree: ast.FunctionDef) -> str:
    """Returns the method of its own whose outcome for the same arguments is all that it returns."""
    last = tree.body[-1]
    value = last.value if isinstance(last, ast.Return) else None
    taken = [argument.arg for argument in tree.args.args[1:]]
    if (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and ast.unparse(value.func.value) == "self"
        and _hands_on(value, taken)
        and {*taken}.isdisjoint(_written(tree))
    ):
        return value.func.attr
    return ""


def _steps(node: ast.AST, method: str, tree: ast.AST, kept: frozenset[str]) -> bool:
    """Tells whether it is a call of the same method of what is wrapped."""
    if not (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == method
    ):
        return False
    stepped = ast.unparse(_value_of(node.func.value, tree))
    return stepped in kept or stepped.startswith("super(")


def _loops(tree: ast.AST) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, (ast.For, ast.While)))


def _hands_on(call: ast.Call, taken: list[str]) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    return [part.id if isinstance(part, ast.Name) else "" for part in given] == taken


def _written(tree: ast.AST) -> Iterator[str]:
    """Yields what is assigned to, each time that it is: names, attributes, and places in them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "out":  # NumPy's
            yield ast.unparse(node.value)
        if isinstance(getattr(node, "ctx", None), ast.Store):
            at: Any = node
            while isinstance(at, ast.Subscript):
                if isinstance(at.value, ast.Name):
                    yield ast.unparse(at)
                at = at.value
            if at is node or not isinstance(at, ast.Name) or at.id not in _wholes(tree):
                yield ast.unparse(at)


def _wholes(tree: ast.AST) -> set[str]:
    """Returns the names of what a call returned as a whole, places of which are told apart."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.NamedExpr)) and isinstance(
            _inner(node.value), ast.Call
        ):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def _changes_outcome(tree: ast.AST, call: ast.Call, cls: type) -> bool:
    """Tells whether anything else is returned than the observation and reward of a step."""
    if any(isinstance(node, ast.Expr) and node.value is call for node in ast.walk(tree)):
        return any(isinstance(node, ast.Return) and node.value for node in ast.walk(tree))
    received, wholes = _received(tree, call)
    written = list(_written(tree))
    if any(written.count(name) > 1 for name in (*wholes, *received[0], *received[1])):
        return True
    if _writes_by_calls(tree, {*wholes, *received[0], *received[1]}, cls):
        return True
    for name in wholes:
        places = [text for text in written if text.startswith(f"{name}[")]
        if any(place not in {f"{name}[{i}]" for i in (2, 3, 4)} for place in places):
            return True
        for place, names in enumerate(received):
            names.add(f"{name}[{place}]")
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and _inner(node.value) is not call:
            (first, second) = (*_first_parts(node.value, tree, wholes), "", "")[:2]
            if first not in received[0] or second not in received[1]:
                return True
    is_kept = any(received) or any(
        isinstance(node, ast.Return) and _inner(node.value) is call for node in ast.walk(tree)
    )
    return not is_kept  # What became of it cannot be told.


def _writes_by_calls(tree: ast.AST, names: set[str], cls: type) -> bool:
    """Tells whether a call that is made for its effect alone writes to one of these names.

    That is one of a method of it, one of NumPy's, which take first what they write to, or one of a
    method of the wrapper's own that writes to what it is given.
    """
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
            continue
        call = node.value
        function, given = ast.unparse(call.func), [ast.unparse(part) for part in call.args]
        where, _, method = function.rpartition(".")
        if where in names or (
            where.startswith(("np", "numpy")) and given[:1] and given[0] in names
        ):
            return True
        helper = _read(cls, method)[1] if where == "self" else None
        parameters = [argument.arg for argument in helper.args.args[1:]] if helper else []
        passed = {own for own, part in zip(parameters, given, strict=False) if part in names}
        if helper and any(text.partition("[")[0] in passed for text in _written(helper)):
            return True
    return False


def _received(tree: ast.AST, call: ast.Call) -> tuple[tuple[set[str], set[str]], set[str]]:
    """Returns the names that a step's observation, its reward, and the whole of it are given."""
    received: tuple[set[str], set[str]] = (set(), set())
    wholes: set[str] = set()
    for node in 2 * list(ast.walk(tree)):  # Once more, as a whole may be unpacked further up.
        if not isinstance(node, (ast.Assign, ast.NamedExpr)):
            continue
        value = _inner(node.value)
        if value is not call and ast.unparse(value) not in wholes:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, (ast.Tuple, ast.List)):
                for names, part in zip(received, target.elts, strict=False):
                    names.add(ast.unparse(part))
            else:
                wholes.add(ast.unparse(target))
    return received, wholes


def _inner(value: Any) -> Any:
    """Returns what is made a list or tuple of, or the value itself."""
    while (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id in ("list", "tuple")
        and len(value.args) == 1
    ):
        value = value.args[0]
    return value


def _value_of(value: Any, tree: ast.AST) -> Any:
    """Returns what a name was assigned, or the value itself."""
    if isinstance(value, ast.Name):
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == value.id:
                return node.value
    return value


def _first_parts(value: Any, tree: ast.AST, wholes: set[str]) -> list[str]:
    """Returns the first parts of a tuple, as they are written."""
    value = _inner(value)
    if isinstance(value, (ast.Tuple, ast.List)):
        parts = []
        for part in value.elts:
            if isinstance(part, ast.Starred) and _is_of(part.value, wholes):
                parts += _first_parts(part.value, tree, wholes)
            else:
                parts.append(ast.unparse(part))
        return parts
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        left = _first_parts(value.left, tree, wholes)
        return left + _first_parts(value.right, tree, wholes)
    if isinstance(value, ast.Name) and value.id in wholes:
        return [f"{value.id}[{i}]" for i in range(5)]
    if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Slice):
        whole, at = ast.unparse(value.value), value.slice
        bounds: list[Any] = [
            part.value if isinstance(part, ast.Constant) else None for part in (at.lower, at.upper)
        ]
        if whole in wholes and at.step is None:
            return [f"{whole}[{i}]" for i in range(5)][bounds[0] : bounds[1]]
    known = _value_of(value, tree)
    return ["?"] if known is value else _first_parts(known, tree, wholes)


def _is_of(value: ast.expr, wholes: set[str]) -> bool:
    return isinstance(value, ast.Subscript) and ast.unparse(value.value) in wholes
