import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.benchmark.grid.cells import Cell, plain, plain_rows
from prefrl.errors import ConfigError, DataError

ROOT = Path(__file__).parents[3]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text(min_size=1)
CELLS = st.builds(
    Cell,
    mode=NAMES,
    env=NAMES,
    strategy=NAMES,
    teacher=NAMES,
    seed=st.integers(0, 10**6),
    settings=st.dictionaries(st.text(), VALUES, max_size=4),
)


def turned_round(value):
    """The same tree with every mapping's keys in the opposite order."""
    if isinstance(value, dict):
        return {key: turned_round(value[key]) for key in reversed(value)}
    return [turned_round(one) for one in value] if isinstance(value, list) else value


@given(CELLS)
def test_an_id_names_a_folder_on_any_file_system(cell):
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", cell.id)
    assert len(cell.id) < 255


@given(CELLS)
def test_an_id_does_not_depend_on_the_order_of_keys(cell):
    same = Cell(**cell.fields() | {"settings": turned_round(cell.settings)})
    assert same.id == cell.id
    assert same == cell
    assert hash(same) == hash(cell)


@given(CELLS)
def test_a_cell_that_went_through_json_is_the_same_cell(cell):
    assert Cell(**json.loads(json.dumps(cell.fields()))) == cell


@given(CELLS, CELLS)
def test_cells_of_one_id_are_equal_in_every_part(one, other):
    if one.id == other.id:
        assert one.fields() == other.fields()


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "pool"},
        {"env": "Hopper-v5"},
        {"strategy": "disagreement-k_center"},
        {"teacher": "mistake"},
        {"seed": 1},
        {"settings": {"budget": 101}},
        {"settings": {"budget": True}},
    ],
)
def test_every_part_of_a_cell_counts(change):
    fields = Cell("run", "Hopper-v4", "disagreement+k_center", "oracle", 0, {"budget": 1}).fields()
    assert Cell(**fields | change) != Cell(**fields)


def test_an_id_is_the_same_today_as_it_was_when_folders_were_named_after_it():
    cell = Cell("run", "tests.own:Deadly-v0", "a+b", "mistake", 7, {"steps": 10, "lr": [0.1, None]})
    assert cell.id == "run-tests-own-Deadly-v0-a-b-mistake-s7-8ff9c5bf9664"


def test_an_id_is_the_same_in_another_process():
    code = (
        "from prefrl.benchmark.grid.cells import Cell;"
        "print(Cell('m', 'e', 's', 't', 1, {'b': {'x', 'y'} and 1, 'a': 0.1}).id)"
    )
    ids = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert ids == {Cell("m", "e", "s", "t", 1, {"a": 0.1, "b": 1}).id}


def test_a_whole_number_is_the_same_with_and_without_a_point():
    cells = [Cell("m", "e", "s", "t", 0, {"x": [number]}) for number in (1000, 1e3)]
    assert cells[0] == cells[1]


def test_a_cell_keeps_its_settings_when_the_caller_changes_theirs():
    settings = {"layers": [64]}
    cell = Cell("m", "e", "s", "t", 0, settings)
    settings["layers"].append(32)
    assert cell.settings == {"layers": [64]}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"env": ""}, "a cell's env is ''; expected its name"),
        ({"teacher": None}, "a cell's teacher is None; expected its name"),
        ({"seed": -1}, "a cell's seed is -1; expected a whole number, 0 or more"),
        ({"seed": True}, "a cell's seed is True"),
        ({"settings": [1]}, r"a cell's settings are \[1\]; expected them by name"),
        ({"settings": {"a": [{1}]}}, r"a cell's settings\['a'\]\[0\] is a set; expected a plain"),
        ({"settings": {"a": {1: 2}}}, r"settings\['a'\] has the key 1; expected a string"),
        ({"settings": {"a": float("nan")}}, r"settings\['a'\] is nan; expected a finite number"),
    ],
)
def test_what_is_no_cell_is_refused_with_its_place(change, complaint):
    fields = {"mode": "m", "env": "e", "strategy": "s", "teacher": "t", "seed": 0}
    with pytest.raises(ConfigError, match=complaint):
        Cell(**fields | change)


def test_numbers_of_numpy_become_pythons():
    found = plain({"a": np.float32(0.5), "b": (np.int64(2), np.bool_(True))}, "x")
    assert found == {"a": 0.5, "b": [2, True]}
    assert [type(found["a"]), *map(type, found["b"])] == [float, int, bool]


def test_what_a_row_does_not_know_is_null():
    assert plain_rows([{"loss": float("nan")}, {}]) == [{"loss": None}, {}]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (None, "the cell returned a NoneType; expected a list of mappings"),
        ({"a": 1}, "the cell returned a dict; expected a list of mappings"),
        ([{"loss": float("inf")}], r"rows\[0\]\['loss'\] is inf"),
        ([{"x": np.zeros(2)}], r"rows\[0\]\['x'\] is an ndarray"),
        ([{}, {"seed": 1}], r"rows\[1\] has the key 'seed', which says whose row it is"),
    ],
)
def test_what_are_no_rows_is_refused_with_its_place(rows, complaint):
    with pytest.raises(DataError, match=complaint):
        plain_rows(rows)
