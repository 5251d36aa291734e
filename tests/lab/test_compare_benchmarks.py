"""Two benchmarks are compared over the cells that both have."""

from pathlib import Path

import compare_benchmarks
import pytest

from prefrl.benchmark.grid.results import write_results


def results(folder: Path, accuracies: dict[tuple[str, int], float]) -> Path:
    rows = [
        {
            "cell": f"{strategy}-{seed}",
            "mode": "reward",
            "env": "Pendulum-v1",
            "strategy": strategy,
            "teacher": "oracle",
            "seed": seed,
            "budget": 700,
            "accuracy": accuracy,
        }
        for (strategy, seed), accuracy in accuracies.items()
    ]
    write_results(rows, folder)
    return folder


def test_differences_are_means_over_the_cells_that_both_have(tmp_path, capsys):
    first = results(tmp_path / "a", {("uniform", 0): 0.5, ("uniform", 1): 0.6, ("regret", 0): 0.9})
    second = results(tmp_path / "b", {("uniform", 0): 0.6, ("uniform", 1): 0.9, ("uniform", 2): 0})
    assert compare_benchmarks.main([str(first), str(second)]) == 0
    _, _, *rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 1
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert cells[:3] == ["`uniform`", "0.550", "0.750"]
    assert cells[3] == "+0.2000 (+0.1000 to +0.3000)"
    assert cells[4:] == ["2 of 2", "0.5", "+0.2000"]


@pytest.mark.parametrize("words", [["--budget", "100"], []])
def test_benchmarks_without_a_common_cell_are_refused_in_a_line(tmp_path, capsys, words):
    first = results(tmp_path / "a", {("uniform", 0): 0.5})
    second = results(tmp_path / "b", {("regret", 0): 0.5})
    assert compare_benchmarks.main([str(first), str(second), *words]) == 2
    said = capsys.readouterr().err
    assert said == (
        "compare_benchmarks.py: the two benchmarks have no cell in common at this budget\n"
    )


def test_results_that_know_nothing_of_the_measure_have_no_common_cell(tmp_path, capsys):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    first = results(tmp_path / "a", {("uniform", 0): 0.5})
    path = first / "results.parquet"
    table = parquet.read_table(path).drop_columns(["nll"]).replace_schema_metadata(None)
    parquet.write_table(table, path)
    assert compare_benchmarks.main([str(first), str(first), "--measure", "nll"]) == 2
    assert "no cell in common" in capsys.readouterr().err
    twice = table.set_column(0, "cell", pyarrow.array(["another"]))
    parquet.write_table(pyarrow.concat_tables([table, twice]), path)
    assert compare_benchmarks.main([str(first), str(first)]) == 2
    assert "cells uniform-0 and another have the same strategy" in capsys.readouterr().err
