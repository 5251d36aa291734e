"""The figures of a study are drawn of whatever runs there are."""

import pytest

from lab.studies import Cell
from lab.study_figures import draw_figures
from lab.study_results import Results
from tests.lab.made_up_study import finish, study


@pytest.mark.parametrize(
    ("cells", "drawn"),
    [
        ([], []),
        ([("quick", "true")], ["quick"]),
        ([("quick", "8")], ["quick"]),
        ([("quick", "true"), ("quick", "8"), ("beside", "8")], ["quick", "quick-agents"]),
    ],
)
def test_a_row_has_a_figure_and_so_have_agents_beside_it(tmp_path, cells, drawn):
    made_up = study(tmp_path)
    for row, arm in cells:
        finish(made_up, Cell(row, arm, 5), [10, 20, 15, 40])
    paths = draw_figures(Results(made_up))
    assert paths == [tmp_path / f"{name}.png" for name in drawn]
    assert all(path.stat().st_size > 10_000 for path in paths)
