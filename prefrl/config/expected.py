"""Says what a setting may be, in words of our own; pydantic's never reach anybody."""

import re

from pydantic_core import ErrorDetails

from prefrl.errors import choices, shown

_KINDS = {
    "bool": "true or false",
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "dict": "a mapping",
    "dataclass": "a mapping",
    "model": "a mapping",
    "list": "a list",
    "tuple": "a list",
}
"""Beginning of the name of pydantic's errors -> what is expected."""


def expected(problem: ErrorDetails) -> str:
    """Says what is expected in place of a value: "expected 1 or more", "choose from ppo, sac"."""
    name, context = problem["type"], problem.get("ctx", {})
    if name == "value_error":
        return problem["msg"].removeprefix("Value error, ")
    if name == "greater_than":
        return f"expected more than {context['gt']:,}"
    if name == "greater_than_equal":
        return f"expected {context['ge']:,} or more"
    if name == "less_than":
        return f"expected less than {context['lt']:,}"
    if name == "less_than_equal":
        return f"expected at most {context['le']:,}"
    if name == "finite_number":
        return "expected a finite number"
    if name == "literal_error":
        valid = re.findall(r"'([^']*)'", context["expected"])
        given = problem["input"]
        if len(valid) == 1:
            return f"expected {valid[0]!r}"
        return choices(given if isinstance(given, str) else shown(given), valid)
    for kind, words in _KINDS.items():
        if name.startswith(f"{kind}_"):
            return f"expected {words}"
    return re.sub("^Input should be ", "expected ", problem["msg"])
