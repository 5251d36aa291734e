import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl.errors import StorageError
from prefrl.records.json_file import entry, parse_json, read_json, read_json_object

TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(tree=TREES)
def test_whatever_can_be_written_strictly_comes_back(tree):
    assert parse_json(json.dumps(tree, allow_nan=False)) == tree
    assert parse_json(json.dumps(tree, ensure_ascii=False).encode()) == tree


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Expecting value"),
        (b'{"a": NaN}', "it holds NaN, which is no JSON"),
        (b"[-Infinity]", "it holds -Infinity, which is no JSON"),
        (b"[1e999]", "it holds the number 1e999, which is too large"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' is given twice"),
        (b"9" * 5_000, "it holds a number of 5000 digits"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a":' * 100_000, "it is nested too deeply"),
        (b"[" * 151 + b"]" * 151, "it is nested too deeply"),
        (b'{"a":[' * 80 + b"1" + b"]}" * 80, "it is nested too deeply"),
        (b'"\xff"', "it holds text that is not Unicode"),
        (rb'["\ud800"]', "it holds text that is not Unicode"),
        ("[1]".encode("utf-16"), "it holds text that is not Unicode"),
    ],
)
def test_what_is_no_strict_json_is_one_line_that_names_the_file(tmp_path, content, said):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(StorageError) as refused:
        read_json(path)
    assert str(refused.value).startswith(f"{path} is damaged: {said}")
    assert "\n" not in str(refused.value)


def test_what_is_as_deep_as_it_may_be_is_read():
    assert parse_json(b"[" * 150 + b"]" * 150)
    assert parse_json(b"[" + b"[[[[]]]]," * 99 + b"0]")


def test_a_file_that_is_none_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"could not read .*a\.json: No such file"):
        read_json(tmp_path / "a.json")
    with pytest.raises(StorageError, match=r"could not read .*: embedded null byte"):
        read_json("a\0b")
    with pytest.raises(StorageError, match=r"could not read .*: Is a directory"):
        read_json(tmp_path)
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(StorageError, match=r"list\.json is damaged: expected a JSON object"):
        read_json_object(tmp_path / "list.json")


@given(content=st.binary(max_size=30) | st.text(max_size=30))
@settings(max_examples=100)
def test_any_content_is_json_or_one_line(content):
    try:
        parse_json(content)
    except ValueError as error:
        said = str(error)
    else:
        return
    assert said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({}, "it lacks 'step'"),
        ({"step": None}, "'step' is null, not a whole number"),
        ({"step": True}, "'step' is true or false, not a whole number"),
        ({"step": [1]}, "'step' is a list, not a whole number"),
    ],
)
def test_an_entry_of_another_kind_is_named(tree, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        entry(tree, "step", int)
