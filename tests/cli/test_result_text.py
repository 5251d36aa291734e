import shlex
from pathlib import Path

import pytest

from prefrl.cli.result_text import result_text
from tests.command_line import prefrl
from tests.tiny_runs import POINT_MASS

LEARNED = {
    "reward": "learned",
    "steps": 1_500,
    "num_answers": 20,
    "wall_s": 109.2,
    "final_true_return_mean": -1573.2,
    "final_true_return_std": 62.1,
    "final_learned_return_mean": 119.9,
    "final_success_rate": None,
    "eval_episodes": 10,
    "reward_holdout_accuracy": 2 / 3,
    "reward_holdout_answers": 3,
}
TRUE = {
    **dict.fromkeys(LEARNED),
    **{name: LEARNED[name] for name in ("steps", "wall_s", "eval_episodes")},
    "reward": "true",
    "num_answers": 0,
    "final_true_return_mean": -5.0,
    "final_true_return_std": 1.0,
}


def test_both_returns_are_named_and_the_accuracy_says_of_how_many_answers():
    text = result_text(Path("runs/a"), LEARNED)
    assert "true return -1,573 (std 62.1) over 10 episodes of the final policy" in text
    assert "learned return 120: the reward model's own units" in text
    assert "reward accuracy 67%, on 3 answers held out of fitting; so few say little" in text
    assert "success" not in text
    assert "success in 40% of them" in result_text(
        Path("a"), {**LEARNED, "final_success_rate": 0.4}
    )


def test_a_run_on_the_true_reward_has_no_learned_return_and_nothing_to_compare_with():
    text = result_text(Path("runs/a"), TRUE)
    assert "learned" not in text
    assert "accuracy" not in text
    assert "--reward true" not in text


@pytest.mark.parametrize(
    "missing", [name for name in LEARNED if "_" in name[1:5] or "final" in name]
)
def test_a_summary_of_before_says_less(missing):
    older = {name: value for name, value in LEARNED.items() if name != missing}
    if missing in ("num_answers", "wall_s"):
        older[missing] = 0
    assert "next:" in result_text(Path("a"), older)


def test_a_folder_with_blanks_can_be_pasted_into_a_shell():
    text = result_text(Path("my runs/a"), LEARNED)
    line = next(line for line in text.splitlines() if "go on with it" in line)
    words = shlex.split(line.split(":", 1)[1])
    assert words == ["prefrl", "run", "--resume", "my runs/a", "--steps", "3000"]


def test_what_the_end_says_to_type_next_works(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    words = "--agent sac --steps 220 --explore-steps 200 --budget 4 --segment-length 10 --out a"
    words += " --reward-model.max-updates 4"
    small = "{batch_size: 8, policy_kwargs: {net_arch: [8]}}"
    own = ("--env", POINT_MASS, "--agent-settings", small, "--eval-episodes", 1)
    done = prefrl(home, "run", *words.split(), *own)
    assert done.status == 0, done.err
    commands = {
        name.strip(): shlex.split(command)
        for name, _, command in (line.partition(":") for line in done.out.splitlines())
        if line_is_next(name)
    }
    assert set(commands) == {"compare with the true reward", "go on with it"}
    for name in commands:
        again = prefrl(home, *commands[name][1:])
        assert again.status == 0, again.err
    assert "is a run, not a benchmark; prefrl eval a evaluates it" in (
        prefrl(home, "report", "a").complaint
    )


def line_is_next(name: str) -> bool:
    """Picks those that need no camera and no browser."""
    return name.strip() in ("compare with the true reward", "go on with it")
