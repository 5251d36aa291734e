"""The query benchmark's cells on a small pool, the whole of it once through the command line."""

import dataclasses
import hashlib
import io
import json
import os
import re
import shutil
from contextlib import redirect_stdout
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from prefrl.benchmark.grid.cells import TRUE_REWARD, Cell
from prefrl.benchmark.grid.executors import LocalExecutor
from prefrl.benchmark.grid.results import read_results
from prefrl.benchmark.queries.benchmark import QueryBenchmark, run_benchmark
from prefrl.benchmark.queries.pool import Pool, cached
from prefrl.benchmark.queries.reward_cell import (
    canonical_teacher,
    run_reward_cell,
    teacher_config,
)
from prefrl.benchmark.queries.rl_cell import config_of, curve_rows, run_rl_cell
from prefrl.cli.main import main
from prefrl.config import PoolSettings, RewardConfig, RunConfig
from prefrl.errors import ConfigError, DataError, StorageError
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.queries import STRATEGIES, Uniform, standardised
from prefrl.runs.start import run
from prefrl.segments import observation_embeddings
from tests import linear_task

SMALL = PoolSettings("Pendulum-v1", 4_000, segment_length=20, num_candidates=300, num_test=200)
needs_pyarrow = pytest.mark.skipif(
    find_spec("pyarrow") is None, reason="pyarrow is missing (prefrl[bench])"
)
BENCH = ["bench", "--envs", "Pendulum-v1", "--steps", "4000", "--seeds", "1"]
BENCH += ["--budgets", "10", "15"]
OPTIONS = {k: v for k, v in dataclasses.asdict(SMALL).items() if k != "env"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with the small pool in it."""
    folder = tmp_path_factory.mktemp("inputs")
    cached(SMALL, folder)
    return folder


@pytest.fixture
def given(inputs, monkeypatch):
    monkeypatch.setenv("PREFRL_CELL_INPUTS", str(inputs))


def keep():
    """Nothing is kept here."""


def reward_cell(strategy="uniform", teacher="oracle", seed=0, **settings):
    known = {"budgets": [15, 40], "first": 10, "num_candidates": 100, "pool": OPTIONS, **settings}
    known.setdefault("reward_model", {"hidden_dim": 16, "max_updates": 60})
    return Cell("reward", "Pendulum-v1", strategy, teacher, seed, known)


def _killed(*_args, **_kwargs):
    raise KeyboardInterrupt


class TestPool:
    def test_it_is_collected_once_and_then_read(self, inputs):
        before = (inputs / f"{SMALL.name}.npz").stat().st_mtime_ns
        one, other = cached(SMALL, inputs), cached(SMALL, inputs)
        assert (inputs / f"{SMALL.name}.npz").stat().st_mtime_ns == before
        for part, size in (("candidates", 300), ("test", 200)):
            first, second = getattr(one, part), getattr(other, part)
            assert first.observations.shape == (size, 20, 3)
            np.testing.assert_array_equal(first.observations, second.observations)
            np.testing.assert_array_equal(first.true_rewards, second.true_rewards)
            assert first.sim_states.size == 0

    def test_a_pool_has_the_hash_that_published_pools_have(self):
        segments = linear_task.segments(3, rng=np.random.default_rng(0))
        found = hashlib.sha256()
        for part in ("candidates", "test"):
            for name in (
                *("observations", "actions", "true_rewards"),
                *("sim_states", "episode", "start"),
            ):
                array = getattr(segments, name)
                found.update(f"{part} {name} {array.dtype.str} {array.shape} ".encode())
                found.update(array.tobytes())
        assert Pool("Pendulum-v1", segments, segments).digest == found.hexdigest()

    def test_no_step_is_in_both_parts(self, inputs):
        pool = cached(SMALL, inputs)
        candidates, test = (
            {row.tobytes() for row in part.observations.reshape(-1, 3)}
            for part in (pool.candidates, pool.test)
        )
        assert not candidates & test

    def test_it_holds_more_than_one_behaviour(self, inputs):
        pool = cached(SMALL, inputs)
        assert len(np.unique(pool.candidates.episode)) > 10
        assert pool.candidates.true_returns.std() > 10

    def test_a_short_run_gives_each_window_once_however_many_are_drawn(self, tmp_path):
        few = dataclasses.replace(SMALL, steps=1_600, num_candidates=5_000, num_test=5_000)
        pool = cached(few, tmp_path)
        for part in (pool.candidates, pool.test):
            assert len(part) < 1_600
            windows = np.stack([part.episode, part.start], axis=1)
            assert len(np.unique(windows, axis=0)) == len(part)

    def test_a_killed_collection_goes_on_and_comes_out_the_same(
        self, tmp_path, inputs, monkeypatch
    ):
        with monkeypatch.context() as patched:
            patched.setattr(
                "prefrl.benchmark.queries.pool.run", partial(run, on_checkpoint=_killed)
            )
            with pytest.raises(KeyboardInterrupt, match="the same command goes on with the pool"):
                cached(SMALL, tmp_path)
        (config,) = tmp_path.glob(".*/run/config.yaml")
        config.with_name(".config.yaml.0123abcd.tmp").write_bytes(b"")
        with monkeypatch.context() as patched:
            patched.setattr("prefrl.benchmark.queries.pool.run", _killed)
            pool = cached(SMALL, tmp_path)
        whole = cached(SMALL, inputs)
        np.testing.assert_array_equal(pool.candidates.observations, whole.candidates.observations)
        assert [path.name for path in tmp_path.iterdir()] == [f"{SMALL.name}.npz"]

    def test_a_collection_killed_before_it_began_is_no_obstacle(self, tmp_path):
        few = dataclasses.replace(SMALL, steps=1_600)
        (tmp_path / f".{few.name}" / "run").mkdir(parents=True)
        (tmp_path / f".{few.name}" / "run" / ".config.yaml.0123abcd.tmp").write_bytes(b"")
        assert len(cached(few, tmp_path).test) == 200

    def test_a_damaged_file_is_named(self, tmp_path):
        path = SMALL.path(tmp_path)
        path.write_bytes(b"no pool")
        with pytest.raises(StorageError, match=path.name):
            cached(SMALL, tmp_path)


@pytest.mark.usefixtures("given")
class TestRewardCells:
    def test_a_row_a_budget_tells_how_well_the_model_predicts_other_episodes(self, tmp_path):
        rows = run_reward_cell(reward_cell(), tmp_path, keep)
        assert [row["budget"] for row in rows] == [15, 40]
        assert all(row["num_queries"] == row["budget"] for row in rows)
        assert rows[-1]["accuracy"] > 0.75
        assert rows[-1]["correlation"] > 0.5
        assert rows[-1]["fit_s"] > rows[0]["fit_s"] > 0

    def test_the_same_cell_comes_out_the_same_and_another_seed_does_not(self, tmp_path):
        def figures(seed):
            rows = run_reward_cell(reward_cell("disagreement", seed=seed), tmp_path, keep)
            return [(row["accuracy"], row["nll"]) for row in rows]

        assert figures(0) == figures(0) != figures(1)

    def test_strategies_of_a_seed_begin_with_the_same_answers(self, tmp_path):
        rows = {
            name: run_reward_cell(reward_cell(name, budgets=[10, 20]), tmp_path, keep)
            for name in ("uniform", "entropy")
        }
        first, last = zip(
            *((each[0]["nll"], each[1]["nll"]) for each in rows.values()), strict=True
        )
        assert first[0] == first[1]
        assert last[0] != last[1]

    @pytest.mark.parametrize("strategy", ["disagreement", "on_policy", "uniform+kcenter"])
    def test_no_pair_is_asked_twice(self, tmp_path, monkeypatch, strategy):
        asked: list[frozenset[int]] = []
        real_add = PreferenceDataset.add

        def add(dataset, left, right, *rest, **options):
            windows = [(part.start + 1_000 * part.episode).tolist() for part in (left, right)]
            asked.extend(frozenset(pair) for pair in zip(*windows, strict=True))
            real_add(dataset, left, right, *rest, **options)

        monkeypatch.setattr(PreferenceDataset, "add", add)
        pool = {**OPTIONS, "num_candidates": 14}
        run_reward_cell(reward_cell(strategy, budgets=[91], pool=pool), tmp_path, keep)
        assert len(asked) == len(set(asked)) == 91  # every pair that 14 segments make
        assert all(len(pair) == 2 for pair in asked)

    def test_a_strategy_that_pairs_each_segment_once_is_not_asked_for_more(
        self, tmp_path, monkeypatch
    ):
        class Favourites(Uniform):
            """The first with the last, and so on: as many pairs as half of the segments."""

            def select(self, pool, num_queries, predictor, *, rng):
                places = (pool.episode * 1_000 + pool.start).argsort()
                return np.stack([places[:num_queries], places[::-1][:num_queries]], axis=1)

        monkeypatch.setitem(STRATEGIES, "favourites", Favourites)
        pool = {**OPTIONS, "num_candidates": 50}
        cell = reward_cell("favourites", budgets=[10, 60], num_candidates=30, pool=pool)
        (_, last) = run_reward_cell(cell, tmp_path, keep)
        assert last["budget"] == 60

    @pytest.mark.filterwarnings("ignore:every pair of the 14 segments")
    def test_a_pool_in_which_every_pair_was_asked_about_says_so(self, tmp_path):
        pool = {**OPTIONS, "num_candidates": 14}
        cell = reward_cell(teacher="skip:1.2", budgets=[91], pool=pool)
        with pytest.raises(DataError, match="the pool's 14 segments make 91 pairs"):
            run_reward_cell(cell, tmp_path, keep)

    def test_a_budget_beyond_the_pairs_of_the_pool_is_refused_before_anything_is_fitted(
        self, tmp_path
    ):
        cell = reward_cell(budgets=[5, 92], pool={**OPTIONS, "num_candidates": 14})
        with pytest.raises(ConfigError, match="budgets holds 92, but the pool's 14 segments make"):
            run_reward_cell(cell, tmp_path, keep)

    def test_spreading_draws_three_times_the_candidates_and_keeps_the_farthest(
        self, tmp_path, monkeypatch
    ):
        pools = []

        class Looking(Uniform):
            def select(self, pool, num_queries, predictor, *, rng):
                pools.append(pool)
                return super().select(pool, num_queries, predictor, rng=rng)

        monkeypatch.setitem(STRATEGIES, "looking", Looking)
        plain = run_reward_cell(reward_cell("looking", num_candidates=50), tmp_path, keep)
        spread, again = (
            run_reward_cell(
                reward_cell("looking", num_candidates=50, spread_factor=3), tmp_path, keep
            )
            for _ in range(2)
        )
        assert [row["nll"] for row in spread] == [row["nll"] for row in again]
        assert [row["nll"] for row in spread] != [row["nll"] for row in plain]
        gaps = []
        for pool in (pools[0], pools[len(pools) // 3]):
            points = standardised(observation_embeddings(pool.observations))
            distances = np.linalg.norm(points[:, None] - points[None, :], axis=-1)
            np.fill_diagonal(distances, np.inf)
            gaps.append(distances.min(axis=1).mean())
        assert [len(pool) for pool in pools] == [50] * len(pools)
        assert gaps[1] > 1.2 * gaps[0]

    def test_where_the_pool_is_smaller_than_what_is_drawn_all_of_it_is(self, tmp_path):
        pool = {**OPTIONS, "num_candidates": 60}
        cells = [
            reward_cell(num_candidates=50, spread_factor=factor, pool=pool) for factor in (2, 9)
        ]
        few, many = (run_reward_cell(cell, tmp_path, keep) for cell in cells)
        assert [row["nll"] for row in few] == [row["nll"] for row in many]

    @pytest.mark.parametrize("strategy", ["uniform", "on_policy", "duo", "disagreement+kcenter"])
    def test_strategies_ask_a_real_reward_model(self, tmp_path, strategy):
        rows = run_reward_cell(reward_cell(strategy, budgets=[12, 18]), tmp_path, keep)
        assert [row["budget"] for row in rows] == [12, 18]

    @pytest.mark.filterwarnings("ignore:every answer is")
    @pytest.mark.parametrize("teacher", ["mistake:0.2", "skip:1.2", "noisy"])
    def test_budgets_are_answers_whatever_the_teacher(self, tmp_path, teacher):
        rows = run_reward_cell(reward_cell(teacher=teacher), tmp_path, keep)
        assert [row["budget"] for row in rows] == [15, 40]
        skips = rows[-1]["num_queries"] - 40
        assert (skips > 0) == teacher.startswith("skip")


class TestTeachers:
    def test_a_number_sets_the_failing_that_the_name_is_about(self):
        assert teacher_config("oracle").p_mistake is None
        assert teacher_config("mistake:0.2").p_mistake == 0.2
        assert teacher_config("noisy:3").beta == 3.0

    @pytest.mark.parametrize(
        ("given", "one"),
        [
            ("oracle", "oracle"),
            ("mistake", "mistake"),
            ("mistake:.10", "mistake"),
            ("mistake:.2", "mistake:0.2"),
            ("noisy:2.0", "noisy:2"),
            ("mistake:0.1234567", "mistake:0.1234567"),
        ],
    )
    def test_a_teacher_of_several_names_has_one(self, given, one):
        assert canonical_teacher(given) == one
        assert canonical_teacher(one) == one

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("oracle:1", "takes no number; noisy, myopic, mistake, skip, equal do"),
            ("mistake:much", "'much' is no number"),
            ("mistake:2", "p_mistake is 2.0"),
            ("wise", "'wise'"),
        ],
    )
    def test_what_is_none_is_refused(self, name, said):
        with pytest.raises(ConfigError, match=said):
            teacher_config(name)


def rl_cell(strategy):
    settings = {
        "steps": 1_200,
        "budget": 12,
        "segment_length": 10,
        "num_envs": 2,
        "checkpoint_every": 400,
        "eval_episodes": 2,
        "max_episode_steps": 50,
        "queries": {"num_sessions": 2},
        "reward_model": {"hidden_dim": 16, "max_updates": 20},
        "agent_settings": {"n_steps": 128},
    }
    return Cell("rl", "Pendulum-v1", strategy, "mistake:0.2", 3, settings)


class TestRunCells:
    @pytest.mark.parametrize("strategy", ["disagreement", TRUE_REWARD])
    def test_a_whole_run_gives_a_curve_and_a_last_row_and_keeps_every_checkpoint(
        self, tmp_path, strategy
    ):
        kept = []
        rows = run_rl_cell(rl_cell(strategy), tmp_path, lambda: kept.append(1))
        assert len(kept) >= 3
        assert rows[-1]["step"] == 1_200
        assert rows[-1]["budget"] == (0 if strategy == TRUE_REWARD else 12)
        assert np.isfinite(rows[-1]["true_return"])
        steps = [row["step"] for row in rows]
        assert steps == sorted(steps)
        assert len(steps) > 3

    def test_the_curve_of_a_run_that_is_evaluated_is_of_its_evaluations(self):
        nan = float("nan")
        rows = curve_rows(
            [
                {"step": 10, "eval_true_return": 1.0, "eval_learned_return": nan},
                {"step": 20, "true_return": 2.0, "learned_return": 0.2, "num_answers": 0},
                {"step": 20, "reward_holdout_accuracy": 0.9, "num_answers": 5},
                {"step": 30, "eval_true_return": 3.0, "eval_learned_return": 0.3},
                {"step": 40, "true_return": 4.0, "learned_return": 0.4, "num_answers": 5},
                {"step": 40, "eval_true_return": 9.0, "eval_learned_return": 0.9},
            ]
        )
        training = ("training_true_return", "training_learned_return")
        assert [(row["step"], row["budget"]) for row in rows] == [
            (10, 0),
            (20, 0),
            (20, 5),
            (30, 5),
            (40, 5),
        ]
        assert [row.get("true_return") for row in rows] == [1.0, None, None, 3.0, None]
        assert [row[name] for name in training for row in rows if name in row] == [2, 4, 0.2, 0.4]
        assert rows[2] == {"step": 20, "budget": 5, "accuracy": 0.9}

    def test_the_curve_of_another_run_is_of_its_training_episodes(self):
        lines = [{"step": 20, "true_return": 2.0, "learned_return": 0.2, "num_answers": 0}]
        row = {"step": 20, "budget": 0, "true_return": 2.0, "learned_return": 0.2}
        assert curve_rows(lines) == [row]

    def test_it_goes_on_from_what_was_kept(self, tmp_path):
        class Killed(Exception):
            pass

        calls = []

        def dies_at_the_second():
            calls.append(1)
            if len(calls) == 2:
                raise Killed

        with pytest.raises(Killed):
            run_rl_cell(rl_cell("disagreement"), tmp_path / "a", dies_at_the_second)
        (tmp_path / "b").mkdir()
        resumed = run_rl_cell(rl_cell("disagreement"), tmp_path / "a", keep)
        whole = run_rl_cell(rl_cell("disagreement"), tmp_path / "b", keep)
        assert [row.get("true_return") for row in resumed] == [
            row.get("true_return") for row in whole
        ]

    def test_settings_are_those_of_a_run(self):
        config = config_of(rl_cell("entropy+kcenter"))
        assert (config.strategy, config.reward, config.seed) == ("entropy+kcenter", "learned", 3)
        assert config.teacher.p_mistake == 0.2
        assert config.queries.num_sessions == 2
        assert config_of(rl_cell(TRUE_REWARD)).reward == "true"


class TestBenchmark:
    def test_cells_come_seed_by_seed_and_rl_has_the_true_reward_beside(self):
        benchmark = QueryBenchmark(
            strategies=("uniform", "entropy"), seeds=2, budgets=(300,), mode="rl"
        )
        cells = [(cell.seed, cell.strategy) for cell in benchmark.cells()]
        arms = [TRUE_REWARD, "uniform", "entropy"]
        assert cells == [(seed, arm) for seed in range(2) for arm in arms]

    def test_each_budget_is_a_run_beside_one_on_the_true_reward(self):
        few, many = (
            QueryBenchmark(strategies=("uniform",), seeds=1, budgets=budgets, mode="rl")
            for budgets in ((300,), (100, 300))
        )
        assert set(few.cells()) < set(many.cells())
        assert few.settings() == many.settings()
        true, *learned = map(config_of, many.cells())
        assert true.reward == "true"
        assert [config.budget for config in learned] == [100, 300]

    def test_segments_may_have_another_length(self):
        benchmark = QueryBenchmark(segment_length=20)
        assert benchmark.pool_settings("Pendulum-v1").segment_length == 20
        assert benchmark.settings()["pool"]["segment_length"] == 20
        assert QueryBenchmark().settings()["pool"]["segment_length"] == 50
        (true, _, _) = QueryBenchmark(mode="rl", budgets=(30,), seeds=1, segment_length=20).cells()
        assert config_of(true).segment_length == 20
        assert config_of(next(iter(QueryBenchmark(mode="rl", budgets=(30,)).cells()))) == (
            RunConfig(env="HalfCheetah-v4", steps=300_000, reward="true", threads=1, seed=0)
        )

    def test_more_strategies_and_seeds_leave_cells_what_they_were(self):
        few = QueryBenchmark(strategies=("uniform",), seeds=1)
        many = QueryBenchmark(strategies=("entropy", "uniform"), seeds=3)
        assert {cell.id for cell in few.cells()} <= {cell.id for cell in many.cells()}
        assert few.settings() == many.settings()

    def test_candidates_that_are_drawn_plainly_are_those_of_published_benchmarks(self):
        published = json.loads(Path("docs/benchmarks/queries/reward/grid.json").read_text())
        settings = QueryBenchmark(spread_factor=1).settings()
        assert settings == {name: published["common"][name] for name in settings}
        assert "spread_factor" not in published["common"]
        spread = QueryBenchmark(spread_factor=3).settings()
        assert spread == {**settings, "spread_factor": 3}

    def test_a_strategy_is_the_same_cell_whatever_it_is_called(self):
        plain = QueryBenchmark(strategies=("uniform", "disagreement"))
        spelled = QueryBenchmark(strategies=("uniform+greedy", "disagreement+greedy"))
        assert list(plain.cells()) == list(spelled.cells())

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"strategies": ("unifrm",)}, "unknown strategy 'unifrm'.*did you mean uniform"),
            ({"strategies": ()}, "strategies is empty"),
            ({"strategies": ("uniform", "uniform")}, "strategies names one twice"),
            (
                {"strategies": ("uniform", "random")},
                "strategies names one twice: uniform, random are uniform, uniform",
            ),
            ({"envs": ("HalfCheeta-v4",)}, "HalfCheetah-v4"),
            ({"teachers": ("angel",)}, "'angel'"),
            ({"teachers": ("mistake:0.2", "mistake:.20")}, "teachers names one twice"),
            ({"teachers": ("mistake", "mistake:0.1")}, "are mistake, mistake"),
            ({"seeds": 0}, "seeds is 0; expected 1 or more"),
            ({"budgets": (300, 100)}, "budgets is .* ascending"),
            ({"spread_factor": 0}, "spread_factor is 0; expected 1 or more"),
            ({"spread_factor": 3, "mode": "rl"}, "spread_factor is 3, but that is of mode reward"),
            ({"segment_length": 0}, "segment_length is 0; expected 1 or more"),
            ({"eval_every": 500}, "eval_every is 500, but that is of mode rl"),
            ({"eval_every": 0, "mode": "rl"}, "eval_every is 0; expected 1 or more"),
            ({"candidates": 10}, "candidates is 10, which makes 45 pairs, but a session asks"),
        ],
    )
    def test_bad_input_is_refused_before_anything_runs(self, wrong, said):
        with pytest.raises(ConfigError, match=said):
            QueryBenchmark(**wrong)


def test_a_place_where_cells_cannot_run_is_known_before_anything_is_collected(tmp_path):
    class Nowhere(LocalExecutor):
        def check(self):
            raise ConfigError("there is no such place")

    with pytest.raises(ConfigError, match="there is no such place"):
        run_benchmark(QueryBenchmark(("Pendulum-v1",), steps=4_000), tmp_path, executor=Nowhere())
    assert not any(tmp_path.parent.glob(f"{tmp_path.name}/*"))


def test_other_defaults_of_the_reward_model_are_other_settings(tmp_path, monkeypatch):
    benchmark = QueryBenchmark(("Pendulum-v1",), steps=4_000)
    cell = next(iter(benchmark.cells()))

    class Here(LocalExecutor):
        def run(self, cells, function, ledger, on_done):
            ledger.folder(cell).begin(cell)

    pool = SimpleNamespace(digest="0123")
    monkeypatch.setattr("prefrl.benchmark.queries.benchmark.cached", lambda *_: pool)
    run_benchmark(benchmark, tmp_path, executor=Here())
    monkeypatch.setattr(
        "prefrl.benchmark.queries.benchmark.RewardConfig", lambda: RewardConfig(hidden_dim=32)
    )
    with pytest.raises(StorageError, match=r"reward_model\.hidden_dim is 64, not 32"):
        run_benchmark(benchmark, tmp_path, executor=Here())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a benchmark of one strategy, made by the command."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as said:
        patch.chdir(folder)
        assert main([*BENCH, "--strategies", "uniform", "--out", "out"]) == 0
    assert "1 cells are finished; the report is out/report.html" in said.getvalue()
    return folder / "out"


@needs_pyarrow
def test_the_command_runs_what_is_missing_and_refuses_a_folder_of_other_settings(
    finished, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished, "out")
    words = [*BENCH, "--out", "out"]
    (one,) = (tmp_path / "out/cells").glob("*/result.json")
    before = one.stat().st_mtime_ns
    assert main([*words, "--strategies", "uniform", "regret"]) == 0
    assert one.stat().st_mtime_ns == before
    rows = [json.loads(p.read_text())["rows"] for p in (tmp_path / "out/cells").glob("*/r*.json")]
    assert [[row["budget"] for row in each] for each in rows] == [[10, 15], [10, 15]]
    page = (tmp_path / "out/report.html").read_bytes()
    (tmp_path / "out/report.html").unlink()
    capsys.readouterr()
    assert main(["report", "out"]) == 0
    assert capsys.readouterr().out.strip() == "out/report.html"
    assert (tmp_path / "out/report.html").read_bytes() == page
    # As after a kill: with nothing gathered, or before another cell was finished.
    for gathered in (None, 0):
        if gathered is None:
            (tmp_path / "out/results.parquet").unlink()
        else:
            os.utime(tmp_path / "out/results.parquet", (gathered, gathered))
        assert main(["report", "out"]) == 0
        assert (tmp_path / "out/report.html").read_bytes() == page
        assert (tmp_path / "out/results.parquet").stat().st_mtime > 0
    assert main(["bench", "--envs", "Pendulum-v1", "--steps", "5000", "--out", "out"]) == 2
    said = capsys.readouterr().err
    assert "other settings" in said
    assert "4000, not 5000" in said
    assert len(said.splitlines()) == 1


@needs_pyarrow
def test_a_published_benchmark_takes_more_strategies_without_running_its_own_again(
    finished, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished, "theirs")
    words = [*BENCH, "--strategies", "uniform"]
    (tmp_path / "ours").mkdir()
    for name in ("grid.json", "results.parquet"):
        shutil.copy(tmp_path / "theirs" / name, tmp_path / "ours")
    capsys.readouterr()
    assert main([*words, "regret", "--out", "ours"]) == 2
    assert "has results of Pendulum-v1, but neither the pool" in capsys.readouterr().err
    shutil.copy(tmp_path / "theirs" / "pools.json", tmp_path / "ours")
    assert main([*words, "regret", "--out", "ours"]) == 0
    (cell,) = (tmp_path / "ours/cells").iterdir()
    assert "regret" in cell.name
    assert main([*words, "regret", "--out", "theirs"]) == 0
    ours_before = read_results(tmp_path / "ours")
    ours, theirs = (
        [{k: v for k, v in row.items() if k not in ("select_s", "fit_s")} for row in rows]
        for rows in (ours_before, read_results(tmp_path / "theirs"))
    )
    assert {row["strategy"] for row in ours} == {"uniform", "regret"}
    np.testing.assert_equal(sorted(ours, key=place_of), sorted(theirs, key=place_of))

    path = tmp_path / "ours/pools.json"
    path.write_text(re.sub('"[0-9a-f]{64}"', '"0123"', path.read_text()))
    assert main([*words, "regret", "entropy", "--out", "ours"]) == 2
    assert "the pool of Pendulum-v1 is not the one" in capsys.readouterr().err
    np.testing.assert_equal(read_results(tmp_path / "ours"), ours_before)


def place_of(row):
    return row["cell"], row["budget"]


def test_a_pool_can_be_made_by_hand():
    """So that other material than an agent's training can be chosen from."""
    assert {field.name for field in dataclasses.fields(Pool)} == {"env", "candidates", "test"}


def test_runs_that_no_cell_could_make_are_refused_before_the_first(tmp_path):
    impossible = QueryBenchmark(
        envs=("Pendulum-v1",), strategies=("uniform",), seeds=1, budgets=(30,), mode="rl", steps=10
    )
    with pytest.raises(ConfigError, match=r"^steps is 10, but they are taken 8 at a time"):
        run_benchmark(impossible, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
