"""The plan of a study is read, refused by name, and laid out as commands in a balanced order."""

from pathlib import Path
from typing import Any

import pytest

from lab.studies import Cell, Study, load_study, option_words
from prefrl.cli.run import _parsed
from prefrl.errors import ConfigError
from prefrl.plan import plan_run
from tests.lab.made_up_study import plan, written

PUBLISHED = Path(__file__).parents[2] / "docs/benchmarks/agents/study.json"


@pytest.fixture
def published() -> Study:
    return load_study(PUBLISHED)


def test_the_first_seed_of_every_row_comes_before_the_second_of_any(tmp_path):
    study = load_study(written(tmp_path, plan()))
    assert [cell.name for cell in study.cells()] == [
        *("quick-true-seed5", "quick-8-seed5", "beside-true-seed5", "beside-8-seed5"),
        *("quick-true-seed6", "quick-8-seed6"),
    ]
    assert [cell.name for cell in study.cells(["quick"], [6])] == [
        *("quick-true-seed6", "quick-8-seed6"),
    ]
    assert study.cpu_min(list(study.cells())) == 3 * (1 + 2)


def test_what_only_a_learned_reward_has_use_for_is_left_out_of_the_true_arm(tmp_path):
    study = load_study(written(tmp_path, plan()))
    learned, true = (study.words(Cell("quick", arm, 5)) for arm in ("8", "true"))
    assert "--explore-steps" in learned
    assert "--explore-steps" not in true


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("queries.num_sessions", 3, ["--queries.num-sessions", "3"]),
        ("agent_settings", {"gamma": 0.9}, ["--agent-settings", '{"gamma": 0.9}']),
        ("reward_model.independent", True, ["--reward-model.independent"]),
        ("reward_model.independent", False, ["--reward-model.no-independent"]),
        ("fixed_horizon", False, ["--no-fixed-horizon"]),
        ("objectives", ["a", "b"], ["--objectives", "a", "b"]),
    ],
)
def test_settings_are_typed_as_the_command_line_takes_them(name, value, words):
    assert option_words(name, value) == words
    if name == "fixed_horizon":
        assert _parsed(words).settings.fixed_horizon is False


def changed(part: str, **changes: Any) -> dict[str, Any]:
    tree = plan()
    tree[part][0] = {**tree[part][0], **changes}
    return tree


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (changed("rows", agent="td3"), "row quick: unknown agent 'td3'"),
        (changed("rows", arms=["true", "9"]), "row quick: unknown arm '9'"),
        (changed("rows", cpu_min={"8": 1}), "row quick: cpu_min must name its arms, true, 8"),
        (changed("rows", equal_cpu_to="none"), "row quick: unknown row 'none'"),
        (changed("rows", name="beside"), "two rows have the same name"),
        (changed("rows", step=1), "row 1: unknown entry 'step'"),
        (changed("targets", arm="9"), "a target of quick: unknown arm '9'"),
        (changed("targets", at_most=1), "a target of quick needs one of at_least and at_most"),
        (changed("targets", measure="speed"), "unknown measure 'speed'"),
        (changed("targets", statistic="seeds"), "needs height for the statistic seeds alone"),
        (plan(rows={}), "rows must be a list of mappings"),
        ({k: v for k, v in plan().items() if k != "arms"}, "unknown arm 'true'"),
        ({k: v for k, v in plan().items() if k != "read_out"}, "the study: read_out is missing"),
    ],
)
def test_a_plan_that_does_not_fit_itself_is_refused_by_name(tmp_path, tree, said):
    path = written(tmp_path, tree)
    with pytest.raises(ConfigError) as refused:
        load_study(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert said in str(refused.value)


class TestThePublishedStudy:
    def test_it_has_the_rows_arms_and_seeds_that_were_promised(self, published):
        ten, five = tuple(range(20, 30)), tuple(range(20, 25))
        laid_out = {
            (row.env, row.agent, row.steps): (row.arms, row.seeds)
            for row in published.rows.values()
        }
        for env in ("HalfCheetah-v4", "Hopper-v4", "Walker2d-v4"):
            assert laid_out[env, "crossq", 100_000] == (("true", "100", "700"), ten)
        assert laid_out["HalfCheetah-v4", "crossq", 40_000] == (("100", "700"), ten)
        walker = "dm_control/walker-walk-v0"
        assert laid_out[walker, "crossq", 500_000] == (("100",), five)
        assert laid_out[walker, "crossq", 100_000] == (("true", "100"), five)
        beside = [row for row in published.rows.values() if row.equal_cpu_to is not None]
        assert {(row.env, row.agent) for row in beside} == {
            (env, agent) for env in ("HalfCheetah-v4", "Hopper-v4") for agent in ("sac", "ppo")
        }
        assert all(row.seeds == five and row.arms == ("true", "700") for row in beside)

    def test_the_command_line_understands_every_arm_of_every_row(self, published):
        understood = set()
        for row in published.rows.values():
            for arm in row.arms:
                words = published.words(Cell(row.name, arm, row.seeds[0]))
                options = (row.agent, *(word for word in words if word.startswith("--")))
                if (
                    options in understood
                ):  # With other numbers: to parse it takes a tenth of a second.
                    continue
                understood.add(options)
                settings = _parsed(words).settings
                assert (settings.env, settings.agent) == (row.env, row.agent)
                assert (settings.steps, settings.seed) == (row.steps, row.seeds[0])
                assert (settings.eval_every, settings.eval_episodes) == (row.eval_every, 20)
                assert settings.reward == ("true" if arm == "true" else "learned")
                assert settings.budget == (700 if arm == "true" else int(arm))
        assert len(understood) == 7

    def test_evaluations_come_every_5000_steps_and_at_the_end(self, published):
        for row in published.rows.values():
            assert row.eval_every == (100_000 if row.agent == "ppo" else 5_000)
            assert row.steps % row.eval_every == 0

    def test_walker_walks_sessions_are_those_of_the_published_protocol(self, published):
        settings = _parsed(published.words(Cell("crossq-walker-walk", "100", 20))).settings
        assert settings.segment_length == 50
        assert settings.explore_steps is not None
        phases = plan_run(
            steps=500_000,
            explore_steps=settings.explore_steps,
            budget=settings.budget,
            queries=settings.queries,
            checkpoint_every=10_000,
            multiple=1,
        )
        sessions = [(phase.start_step, phase.num_queries) for phase in phases if phase.num_queries]
        assert sessions == [(10_000 + 20_000 * session, 10) for session in range(10)]

    def test_every_row_says_how_long_it_takes(self, published):
        assert all(
            minutes > 0 for row in published.rows.values() for minutes in row.cpu_min.values()
        )
        assert 30 < published.cpu_min(list(published.cells())) / 60 < 80  # of two cores, 40
