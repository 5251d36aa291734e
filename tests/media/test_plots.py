import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from matplotlib import image

from prefrl.errors import StorageError
from prefrl.media.plots import plot_arms, plot_learning_curve, plot_reliability
from prefrl.rewards.calibration.probabilities import ReliabilityBins, reliability_bins
from tests.waiting import PATIENCE_S


def run(num_phases=50, *, learned=True, height=4_000.0):
    """Rows of a run: phases of 20,000 steps, and a session at the end of every second one."""
    rows = []
    for phase in range(1, num_phases + 1):
        progress = 1 - math.exp(-phase / 16)
        row = {"step": 20_000 * phase, "true_return": height * progress}
        row["true_return_std"] = 0.1 * height * progress
        if learned:
            row |= {"learned_return": 200 * progress, "num_answers": 28 * ((phase - 1) // 2)}
        rows.append(row)
        if learned and phase % 2 == 0:
            rows.append({"step": 20_000 * phase, "num_answers": 14 * phase, "reward_accuracy": 0.9})
    return rows


def pixels(path):
    """(H, W, 3) what a viewer sees."""
    return image.imread(path)[..., :3]


def shares_of_colour(path, colour):
    """Returns the percentage of the left and of the right of a picture that has a colour."""
    near = np.abs(pixels(path) - np.array(colour) / 255).max(axis=-1) < 0.05
    border = int(0.6 * near.shape[1])
    return 100 * near[:, :border].mean(), 100 * near[:, border:].mean()


TRUE_BLUE, LEARNED_ORANGE = (0x0B, 0x66, 0xB0), (0xC8, 0x55, 0x1B)


def test_the_learned_return_stands_beside_the_true_one(tmp_path):
    plot_learning_curve(run(), tmp_path / "x.png", title="a run")
    assert pixels(tmp_path / "x.png").shape == (500, 1200, 3)
    blue_left, blue_right = shares_of_colour(tmp_path / "x.png", TRUE_BLUE)
    orange_left, orange_right = shares_of_colour(tmp_path / "x.png", LEARNED_ORANGE)
    assert blue_left > 0.2 > blue_right
    assert orange_right > 0.2 > orange_left


def evaluated(rows, every=5):
    """The same run with an evaluation after each fifth row that has a return."""
    added = []
    for number, row in enumerate(row for row in rows if "true_return" in row):
        added.append(row)
        if number % every == every - 1:
            result = {f"eval_{key}": 2 * row[key] for key in row.keys() & {"learned_return"}}
            result |= {"eval_true_return": 2 * row["true_return"], "eval_true_return_std": 1.0}
            added.append({"step": row["step"], **result})
    return added


def curve_drawn(rows, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(
        "prefrl.media.learning_curve.save", lambda figure, path: figures.append(figure)
    )
    plot_learning_curve(rows, tmp_path / "x.png", title="")
    return figures[0].axes


def test_evaluations_stand_in_front_of_training_and_the_legend_tells_them_apart(
    tmp_path, monkeypatch
):
    true, learned = curve_drawn(evaluated(run(50)), tmp_path, monkeypatch)
    for axes, of_evaluation, of_training in (
        (
            true,
            "evaluation (deterministic policy, whole episodes)",
            "training episodes (exploring; may be cut short)",
        ),
        (learned, "evaluation", "training episodes"),
    ):
        behind, front = axes.lines[:2]
        assert (len(behind.get_xdata()), len(front.get_xdata())) == (50, 10)
        assert behind.get_alpha() < 0.5
        assert front.get_linewidth() > behind.get_linewidth()
        legend = axes.get_legend()
        assert [text.get_text() for text in legend.get_texts()] == [of_evaluation, of_training]
        styles = [line.get_alpha() for line in legend.get_lines()]
        assert styles == [front.get_alpha(), behind.get_alpha()]
    assert true.texts[0].get_text() == f"{2 * run(50)[-2]['true_return']:,.0f}"


def test_without_evaluations_there_is_one_line_and_no_legend(tmp_path, monkeypatch):
    (axes,) = curve_drawn(run(5, learned=False), tmp_path, monkeypatch)
    assert len(axes.lines) == 1
    assert axes.get_legend() is None


def test_evaluations_alone_are_drawn_as_evaluations(tmp_path, monkeypatch):
    rows = [{"step": step, "eval_true_return": float(step)} for step in (10, 20)]
    (axes,) = curve_drawn(rows, tmp_path, monkeypatch)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["evaluation (deterministic policy, whole episodes)"]


def test_a_run_on_the_true_reward_is_one_panel(tmp_path):
    plot_learning_curve(run(learned=False), tmp_path / "x.png", title="a run")
    assert min(shares_of_colour(tmp_path / "x.png", TRUE_BLUE)) > 0.1
    assert shares_of_colour(tmp_path / "x.png", LEARNED_ORANGE) == (0, 0)


ODD_RUNS = {
    "no rows": [],
    "one row": run(1),
    "no episode ended": [{"step": 10, "true_return": None, "num_answers": 3}],
    "NaN for null": [{"step": 10, "true_return": math.nan}, *run(2)[1:]],
    "without a deviation": [
        {"step": 10, "true_return": 1.0},
        {"step": 20, "true_return": 2.0},
    ],
    "all the same": [{"step": step, "true_return": 0.0} for step in (1, 2, 3)],
    "a session a step": [{"step": s, "true_return": s, "num_answers": s} for s in range(200)],
}


@pytest.mark.parametrize("rows", ODD_RUNS.values(), ids=ODD_RUNS.keys())
def test_odd_runs_are_drawn_too_and_titles_are_taken_literally(tmp_path, rows):
    plot_learning_curve(rows, tmp_path / "x.png", title="$no_math \\here$")
    assert pixels(tmp_path / "x.png").shape == (500, 1200, 3)


def answers_shown(rows, tmp_path, monkeypatch):
    """(text, left, right) of every count of answers above the axes, in pixels, from the left."""
    figures = []
    monkeypatch.setattr(
        "prefrl.media.learning_curve.save", lambda figure, path: figures.append(figure)
    )
    plot_learning_curve(rows, tmp_path / "x.png", title="")
    (figure,) = figures
    figure.draw_without_rendering()
    (above,) = figure.axes[0].child_axes
    boxes = [(label.get_text(), label.get_window_extent()) for label in above.get_xticklabels()]
    return [(text, box.x0, box.x1) for text, box in boxes], above


def test_sessions_are_marked_where_there_are_more_answers_than_before(tmp_path, monkeypatch):
    answers = [(100, 0), (100, 30), (200, 30), (200, math.nan), (300, 30), (300, 50), (400, 50)]
    rows = [{"step": step, "true_return": 0.0, "num_answers": n} for step, n in answers]
    shown, above = answers_shown(rows, tmp_path, monkeypatch)
    assert [text for text, _, _ in shown] == ["30", "50"]
    assert above.get_xticks().tolist() == [100, 300]


@pytest.mark.parametrize("num_answers", [28, 5_000])
def test_counts_of_answers_never_overlap_and_the_last_is_shown(tmp_path, monkeypatch, num_answers):
    rows = [row | {"num_answers": num_answers * i} for i, row in enumerate(run(60, learned=False))]
    shown, above = answers_shown(rows, tmp_path, monkeypatch)
    assert shown[-1][0] == f"{num_answers * 59:,}"
    assert all(left[2] + 3 < right[1] for left, right in itertools.pairwise(shown))
    assert len(shown) >= 5
    ticks = {*above.get_xticks(), *above.get_xticks(minor=True)}
    assert len(ticks) == 59


def test_arms_are_drawn_with_a_band_over_seeds_of_different_lengths(tmp_path):
    arms = {
        "uniform": [run(50), run(40, height=3_000)],
        "one $seed": [run(50, height=2_000)],
        "nothing yet": [[]],
        "one point": [run(1), run(1)],
    }
    plot_arms(arms, tmp_path / "x.png", title="arms", ylabel="true return")
    assert pixels(tmp_path / "x.png").shape == (500, 1200, 3)


def test_more_arms_than_colours_and_none_at_all_are_drawn(tmp_path):
    arms = {f"arm {i}": [run(5, height=100.0 * i)] for i in range(20)}
    plot_arms(arms, tmp_path / "x.png", title="arms", ylabel="true return")
    plot_arms({}, tmp_path / "y.png", title="none", ylabel="true return")
    assert (tmp_path / "y.png").exists()


def test_the_band_goes_from_the_lowest_to_the_highest_seed(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("prefrl.media.arms.save", lambda figure, path: figures.append(figure))
    seeds = [[{"step": s, "true_return": v * s} for s in (0, 10, 20)] for v in (1.0, 2.0, 6.0)]
    plot_arms({"a": seeds}, tmp_path / "x.png", title="", ylabel="")
    axes = figures[0].axes[0]
    assert axes.lines[0].get_ydata()[-1] == pytest.approx(60.0)  # 20 * (1 + 2 + 6) / 3
    at_the_end = [y for x, y in axes.collections[0].get_paths()[0].vertices if x == 20]
    assert (min(at_the_end), max(at_the_end)) == (20.0, 120.0)


def bins_of(*rows):
    """One (mean predicted, mean observed, count) each."""
    predicted, observed, counts = np.array(rows).reshape(-1, 3).T
    return ReliabilityBins(predicted, observed, counts.astype(np.int64))


def drawn_reliability(bins, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(
        "prefrl.media.reliability.save", lambda figure, path: figures.append(figure)
    )
    plot_reliability(bins, tmp_path / "x.png", title="")
    (axes,) = figures[0].axes
    return axes


def test_reliability_is_a_dot_a_bin_between_diagonal_and_interval(tmp_path, monkeypatch):
    bins = bins_of((0.1, 0.0, 40), (0.5, 0.5, 10), (0.9, 1.0, 20))
    axes = drawn_reliability(bins, tmp_path, monkeypatch)
    bars, dots = axes.collections
    assert dots.get_offsets().tolist() == [[0.1, 0.0], [0.5, 0.5], [0.9, 1.0]]
    assert dots.get_sizes() == pytest.approx(dots.get_sizes()[0] * np.array([1, 0.25, 0.5]))
    ends = [path.vertices[:, 1].tolist() for path in bars.get_paths()]
    # Wilson's interval of 0 in 40 goes up to z^2 / (n + z^2), that of 5 in 10 from 0.24 to 0.76.
    assert ends[0] == pytest.approx([0.0, 1.96**2 / (40 + 1.96**2)], abs=1e-9)
    assert ends[1] == pytest.approx([0.2366, 0.7634], abs=1e-4)
    assert axes.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 1), (0, 1))
    assert axes.get_xlabel() == "predicted probability that left is better"
    assert axes.get_ylabel() == "share of answers that said left"
    assert axes.get_title(loc="left").startswith("70 answers, 10 to 40 a dot;")


def test_a_bin_with_next_to_no_answers_is_still_seen(tmp_path, monkeypatch):
    bins = bins_of((0.1, 0.0, 1), (0.5, 0.5, 100_000))
    _, dots = drawn_reliability(bins, tmp_path, monkeypatch).collections
    assert dots.get_sizes().min() > 20


@pytest.mark.parametrize("num", [0, 1, 2, 500])
def test_reliability_of_any_number_of_answers_is_a_square_picture(tmp_path, num):
    p = np.linspace(0, 1, num)
    bins = reliability_bins(p, (p > 0.5).astype(float))
    plot_reliability(bins, tmp_path / "x.png", title="$no_math \\here$: ECE 0.03")
    assert pixels(tmp_path / "x.png").shape == (750, 750, 3)


def test_reliability_says_where_there_are_no_answers(tmp_path, monkeypatch):
    axes = drawn_reliability(bins_of(), tmp_path, monkeypatch)
    assert axes.get_title(loc="left") == "no answers yet"


def test_a_picture_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"could not write .*x.png: No such file"):
        plot_learning_curve(run(), tmp_path / "gone" / "x.png", title="a run")


def test_plotting_leaves_pyplot_alone_and_importing_leaves_matplotlib_alone(tmp_path):
    script = """
import sys
import prefrl.media.plots
assert "matplotlib" not in sys.modules
prefrl.media.plots.plot_learning_curve([{"step": 1, "true_return": 1.0}], sys.argv[1], title="")
assert "matplotlib.pyplot" not in sys.modules
"""
    command = [sys.executable, "-c", script, str(tmp_path / "x.png")]
    subprocess.run(command, check=True, timeout=PATIENCE_S)


def drawn_axes(tmp_path, monkeypatch, rows):
    """Axes of a learning curve, the true return's first."""
    figures = []
    monkeypatch.setattr(
        "prefrl.media.learning_curve.save", lambda figure, path: figures.append(figure)
    )
    plot_learning_curve(rows, tmp_path / "x.png", title="a run")
    return {axes.get_ylabel().split("\n")[0].split(" (")[0]: axes for axes in figures[0].axes}


def test_the_final_policy_is_a_point_where_nothing_else_was_evaluated(tmp_path, monkeypatch):
    final = {"step": 3_000, "final_true_return": -5.0, "final_true_return_std": 2.0}
    axes = drawn_axes(tmp_path, monkeypatch, [{"step": 3_000, "num_answers": 4}, final])
    drawn = [line.get_xydata().tolist() for line in axes["true return"].get_lines()]
    assert [[3_000.0, -5.0]] in drawn
    rows = [{"step": 3_000, "eval_true_return": -6.0}, final]
    axes = drawn_axes(tmp_path, monkeypatch, rows)
    assert [line.get_xydata().tolist() for line in axes["true return"].get_lines()] == [
        [[3_000.0, -6.0]]
    ]


@pytest.mark.parametrize("std", [2.0, 6.0, 8.4, 40.0, 900.0])
def test_ticks_say_where_they_stand(tmp_path, monkeypatch, std):
    final = {"step": 20_480, "final_true_return": -13.3, "final_true_return_std": std}
    axes = drawn_axes(tmp_path, monkeypatch, [{"step": 3_000, "num_answers": 4}, final])[
        "true return"
    ]
    axes.figure.canvas.draw()
    said = [label.get_text() for label in axes.get_yticklabels()]
    said = [float(text.replace(",", "").replace("\N{MINUS SIGN}", "-")) for text in said]
    assert said == pytest.approx(axes.get_yticks().tolist())


@pytest.mark.parametrize("learned", [True, False])
def test_success_has_a_panel_from_none_to_all_where_it_is_reported(tmp_path, monkeypatch, learned):
    rows = run(learned=learned)
    assert "share of episodes" not in drawn_axes(tmp_path, monkeypatch, rows)
    axes = drawn_axes(tmp_path, monkeypatch, [{**row, "success_rate": 0.25} for row in rows])
    assert axes["share of episodes"].get_ylim() == pytest.approx((-0.04, 1.04))
    assert ("learned return" in axes) == learned
