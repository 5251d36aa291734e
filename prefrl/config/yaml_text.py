"""The YAML of settings: numbers are as YAML 1.2 has them, 1e6 is one, and no key is given twice."""

import re
from typing import Any

import yaml

from prefrl.errors import one_line, shown, text_of

LARGEST_TEXT = 200_000  # characters; a run's config.yaml has some 3,000
MOST_VALUES = 100_000
DEEPEST = 50
LONGEST_NUMBER = 400  # digits


class Loader(yaml.SafeLoader):
    """YAML in which 1e6 is a whole number, and in which keys are text, each given once.

    Numbers are those of YAML 1.2, where PyYAML knows those of 1.1 only: 012 is twelve, 1:30 is text
    and not ninety. What settings have no use for, such as dates and sets, is text or refused. A few
    lines of YAML may stand for millions of values, by aliases of aliases, or for endlessly
    many; more than `MOST_VALUES` are refused before any is made.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._num_values = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Composes a part of the text, and counts what it stands for."""
        is_alias = self.check_event(yaml.AliasEvent)
        mark, before = self.peek_event().start_mark, self._num_values  # type: ignore[no-untyped-call]
        self._depth += 1
        if self._depth > DEEPEST:
            raise _refusal(f"it is nested more than {DEEPEST} deep", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if is_alias and id(node) not in self._sizes:
            raise _refusal("a value holds itself", mark)
        self._num_values += self._sizes[id(node)] if is_alias else 1
        if self._num_values > MOST_VALUES:
            raise _refusal(f"it stands for more than {MOST_VALUES:,} values", mark)
        self._sizes.setdefault(id(node), self._num_values - before)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuses a key that is given twice, or is no text."""
        seen = set()
        for key, _ in node.value:
            if key.tag not in _KEYS:
                said = shown(key.value) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                raise _refusal(f"keys are text, and {said} is none", key.start_mark)
            if key.value in seen:
                raise _refusal(f"the key {shown(key.value)} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class Dumper(yaml.SafeDumper):
    """Writes what `Loader` reads: the text "1e6" gets quotation marks."""


def read_yaml(text: str) -> Any:
    """Reads a text.

    Raises:
        ValueError: it is not YAML, or stands for too much; one short line.
    """
    if len(text) > LARGEST_TEXT:
        raise ValueError(f"it has {len(text):,} characters; expected {LARGEST_TEXT:,} at most")
    try:
        return yaml.load(text, Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        said = ", ".join(filter(None, [error.context, error.problem]))
        if "'\\t'" in said:
            said = "a tab is where only blanks may be"
        raise ValueError(f"{one_line(said)}{where}") from None
    except yaml.YAMLError as error:
        raise ValueError(text_of(error)) from None
    except Exception as error:  # noqa: BLE001 - each type of YAML's fails in a way of its own
        said = f"a value is not of the type it is said to be: {text_of(error)}"
        raise ValueError(said) from None


def _refusal(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, mark)


def _whole(loader: Loader, node: yaml.ScalarNode) -> int:
    digits, _, exponent = str(node.value).replace("_", "").lower().partition("e")
    if len(digits) + int(exponent[:9]) > LONGEST_NUMBER:
        raise _refusal(f"a number has more than {LONGEST_NUMBER} digits", node.start_mark)
    whole: int = int(digits) * 10 ** int(exponent)
    return whole


def _int(loader: Loader, node: yaml.ScalarNode) -> int:
    digits = str(node.value).replace("_", "").lower()
    based = re.fullmatch("[-+]?(0[box])[0-9a-f]+", digits)
    return int(digits, {"0b": 2, "0o": 8, "0x": 16}[based[1]] if based else 10)


_WHOLE = "tag:prefrl,whole"
_YAMLS = "tag:yaml.org,2002:"
_INT, _FLOAT, _STR, _MERGE = (_YAMLS + name for name in ("int", "float", "str", "merge"))
_KEYS = (_STR, _MERGE)
_DIGITS = list("-+0123456789")
_WITH_EXPONENT = (
    (_WHOLE, r"[-+]?[0-9][0-9_]*[eE]\+?[0-9]+"),
    (_FLOAT, r"[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9_]+)[eE][-+]?[0-9]+"),
)
_OTHERS = (
    (_INT, r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)"),
    (_FLOAT, r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|\.(inf|Inf|INF))|\.(nan|NaN|NAN)"),
)
_KEPT = tuple(_YAMLS + name for name in ("bool", "null", "merge"))
_MADE = (*_KEPT, _STR, _FLOAT, *(_YAMLS + name for name in ("seq", "map")))
Loader.yaml_implicit_resolvers = {
    first: [rule for rule in rules if rule[0] in _KEPT]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag in _MADE
}
Loader.add_constructor(_INT, _int)
Loader.add_constructor(_WHOLE, _whole)
# Beside these the dumper keeps the rules of 1.1: what other readers take for a number, it quotes.
for _form in (Loader, Dumper):
    for _tag, _pattern in (*_WITH_EXPONENT, *_OTHERS):
        _form.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), [*_DIGITS, "."])
