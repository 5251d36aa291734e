import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prefrl.benchmark.grid.results import read_results, write_results
from prefrl.errors import ConfigError, DataError, StorageError
from tests.benchmark.made_up import reward_rows, rl_rows

needs_pyarrow = pytest.mark.usefixtures("pyarrow")


@pytest.fixture
def pyarrow() -> Any:
    return pytest.importorskip("pyarrow", reason="results need the extra: prefrl[bench]")


def row(**changes: Any) -> dict[str, Any]:
    whole = {
        "cell": "a",
        "mode": "reward",
        "env": "Hopper-v4",
        "strategy": "uniform",
        "teacher": "oracle",
        "seed": 0,
        "budget": 50,
        "accuracy": 0.75,
    }
    return {**whole, **changes}


@needs_pyarrow
def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rows = reward_rows({"uniform": 0.0}, num_seeds=2) + rl_rows({"uniform": 0.0}, num_seeds=2)
    write_results(rows, tmp_path)
    found = read_results(tmp_path)
    assert len(found) == len(rows)
    for before, after in zip(rows, found, strict=True):
        assert {name: after[name] for name in before} == before
    assert found[0]["step"] is None
    assert math.isnan(found[0]["true_return"])


@needs_pyarrow
def test_columns_are_typed_also_where_nothing_is_known(tmp_path: Path, pyarrow: Any) -> None:
    from pyarrow import parquet

    write_results([row(ece=None, nll=np.float32(0.5), seed=np.int64(3))], tmp_path)
    schema = parquet.read_schema(tmp_path / "results.parquet")
    assert schema.field("strategy").type == pyarrow.string()
    assert schema.field("step").type == pyarrow.int64()
    assert schema.field("ece").type == pyarrow.float64()
    (found,) = read_results(tmp_path)
    assert (found["seed"], found["nll"]) == (3, 0.5)
    assert math.isnan(found["ece"])


@needs_pyarrow
def test_figures_of_ones_own_are_kept(tmp_path: Path) -> None:
    write_results([row(my_figure=3), row(cell="b")], tmp_path)
    found = read_results(tmp_path)
    assert found[0]["my_figure"] == 3
    assert math.isnan(found[1]["my_figure"])


@needs_pyarrow
def test_a_csv_for_people_stands_beside_it(tmp_path: Path) -> None:
    write_results([row(strategy='odd, "quoted"')], tmp_path)
    header, line = (tmp_path / "results.csv").read_text().splitlines()
    assert header.startswith('"cell","mode","env","strategy"')
    assert '"odd, ""quoted"""' in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.csv", "results.parquet"]


@needs_pyarrow
@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"mode": "robot"}, "mode 'robot'; it must be reward or rl"),
        ({"strategy": None}, "strategy None; it must be text"),
        ({"seed": 0.5}, "seed 0.5; it must be a whole number"),
        ({"seed": True}, "seed True; it must be a whole number"),
        ({"budget": -1}, "budget -1; it must be a whole number"),
        ({"seed": 2**63}, r"from 0 to 2\^63 - 1"),
        ({"budget": None}, "budget None; it must be a whole number"),
        ({"step": "many"}, "step 'many'; it must be a whole number"),
        ({"env": "x" * 1_001}, "expected 1000 bytes at most"),
        ({"accuracy": "good"}, "accuracy 'good'; it must be a number"),
        ({"accuracy": [1.0]}, r"accuracy \[1.0\]; it must be a number"),
    ],
)
def test_a_row_of_the_wrong_kind_is_named(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(DataError, match=f"row 1, of cell 'a', has .*{complaint}"):
        write_results([row(), row(**changes)], tmp_path)
    assert not list(tmp_path.iterdir())


@needs_pyarrow
def test_missing_results_are_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"could not read .*results\.parquet: No such file"):
        read_results(tmp_path)


@needs_pyarrow
@pytest.mark.parametrize("content", [b"", b"PAR1", b"cell,mode\na,reward\n" * 9])
def test_a_file_that_is_no_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "results.parquet").write_bytes(content)
    with pytest.raises(StorageError, match=r"results\.parquet is damaged, or no Parquet file") as e:
        read_results(tmp_path)
    assert "\n" not in str(e.value)


@needs_pyarrow
def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    path = write_results(reward_rows({"uniform": 0.0}), tmp_path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(StorageError, match="is damaged"):
        read_results(tmp_path)


@needs_pyarrow
def test_no_flipped_bit_becomes_a_figure(tmp_path: Path) -> None:
    rows = reward_rows({"uniform": 0.0}, num_seeds=2)
    path = write_results(rows, tmp_path)
    whole, good = path.read_bytes(), repr(read_results(tmp_path))
    num_found = 0
    for place in np.random.default_rng(0).integers(len(whole), size=150):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(place) % 8
        path.write_bytes(damaged)
        try:
            assert repr(read_results(tmp_path)) == good
        except StorageError:
            num_found += 1
    assert num_found > 50


@needs_pyarrow
def test_figures_changed_within_the_file_are_found_and_a_file_written_anew_is_read(
    tmp_path: Path, pyarrow: Any
) -> None:
    from pyarrow import parquet

    path = write_results([row(), row(cell="b")], tmp_path)
    table = parquet.read_table(path)
    parquet.write_table(table.slice(0, 1), path)
    with pytest.raises(StorageError, match=r"is damaged: .* drop prefrl_sha256 from the file's"):
        read_results(tmp_path)
    parquet.write_table(table.slice(0, 1).replace_schema_metadata(None), path)
    assert len(read_results(tmp_path)) == 1


@needs_pyarrow
def test_a_parquet_file_of_somebody_else_is_refused(tmp_path: Path, pyarrow: Any) -> None:
    from pyarrow import parquet

    table = pyarrow.table({"cell": ["a"], "env": ["Hopper-v4"]})
    parquet.write_table(table, tmp_path / "results.parquet")
    with pytest.raises(StorageError, match="no column mode, strategy, teacher, seed, budget"):
        read_results(tmp_path)


@needs_pyarrow
def test_columns_of_another_kind_are_refused(tmp_path: Path, pyarrow: Any) -> None:
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist([row(seed="first")])
    parquet.write_table(table, tmp_path / "results.parquet")
    with pytest.raises(StorageError, match=r"its column seed is of type string; expected numbers"):
        read_results(tmp_path)


@needs_pyarrow
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match=r"cannot use .*taken"):
        write_results([row()], tmp_path / "taken")


@pytest.mark.parametrize("call", [lambda f: write_results([row()], f), read_results])
def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Any
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"^pyarrow is not installed; .*'prefrl\[bench\]'$"):
        call(tmp_path)


def test_a_pyarrow_that_does_not_go_with_what_is_installed_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('pyarrow requires NumPy 2.0 or newer')")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"^pyarrow cannot be used: .* NumPy 2\.0 or newer$"):
        read_results(tmp_path)


@needs_pyarrow
@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("accuracy", [[0.5]], "its column accuracy is of type list.*; expected numbers"),
        ("mine", [{"a": 1}], "its column mine is of type struct.*; expected numbers"),
        ("mine", [True], "its column mine is of type bool; expected numbers"),
        ("env", [None], "its column env is of type null; expected text"),
        ("env", [3], "its column env is of type int64; expected text"),
        ("env", ["x" * 2_000], "a env has 2000 bytes; expected 1000 at most"),
    ],
)
def test_a_column_that_no_results_have_is_named(
    tmp_path: Path, pyarrow: Any, name: str, values: list[Any], said: str
) -> None:
    from pyarrow import parquet

    columns = {**{name: [value] for name, value in row().items()}, name: values}
    parquet.write_table(pyarrow.table(columns), tmp_path / "results.parquet")
    with pytest.raises(StorageError, match=rf"results\.parquet holds no results .*: {said}"):
        read_results(tmp_path)


@needs_pyarrow
def test_a_column_that_is_there_twice_is_named(tmp_path: Path, pyarrow: Any) -> None:
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist([row()])
    table = table.append_column("seed", pyarrow.array([1]))
    parquet.write_table(table, tmp_path / "results.parquet")
    with pytest.raises(StorageError, match="it has the column seed twice"):
        read_results(tmp_path)


@needs_pyarrow
@pytest.mark.parametrize(("num", "letters"), [(2_000_000, 9), (50_000, 50_000)])
def test_a_small_file_that_stands_for_more_than_memory_holds_is_refused_at_once(
    tmp_path: Path, pyarrow: Any, num: int, letters: int
) -> None:
    from pyarrow import parquet

    def repeated(value: Any) -> Any:
        long = value if isinstance(value, int | float) else value.ljust(letters, "x")
        none = pyarrow.array(np.zeros(num, np.int32))
        return pyarrow.DictionaryArray.from_arrays(none, [long])

    table = pyarrow.table({name: repeated(value) for name, value in row().items()})
    parquet.write_table(table, tmp_path / "results.parquet")
    assert (tmp_path / "results.parquet").stat().st_size < 2_000_000
    with pytest.raises(StorageError, match=r"it declares 2000000 rows|has 50000 bytes; expected"):
        read_results(tmp_path)


@needs_pyarrow
def test_names_kept_as_categories_are_read(tmp_path: Path, pyarrow: Any) -> None:
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist([row(), row(cell="b")])
    table = table.set_column(2, "env", table["env"].dictionary_encode())
    table = table.set_column(3, "strategy", table["strategy"].cast(pyarrow.large_string()))
    parquet.write_table(table, tmp_path / "results.parquet", row_group_size=1)
    found = read_results(tmp_path)
    assert [(one["env"], one["strategy"]) for one in found] == [("Hopper-v4", "uniform")] * 2
