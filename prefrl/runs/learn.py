"""Reward models of recorded answers on disk: of a file of them, or of a run's, fitted again."""

import json
from pathlib import Path

from prefrl.config import RewardConfig, RewardModelConfig, from_yaml
from prefrl.errors import ConfigError, option
from prefrl.feedback.interchange import load_comparisons
from prefrl.media.plots import plot_reliability
from prefrl.records import run_folder
from prefrl.records.files import claimed, is_there, write_text_atomically
from prefrl.records.new_folder import check_new_folder, new_folder
from prefrl.rewards.fitting.building import trained_in
from prefrl.rewards.learn import LearningReport, fit_reward_model, fit_to
from prefrl.rewards.model import EnhancedRewardModel
from prefrl.runs.resolve import check_is_run
from prefrl.runs.sizes import check_model_size


def learn_from_file(
    path: Path | str, out: Path | str, *, config: RewardConfig | None = None, seed: int = 0
) -> LearningReport:
    """Fits a reward model to a file of answers; no environment is needed.

    Args:
        path: answers in the interchange format.
        out: a new or empty folder, for `reward_model/`, `report.json` and `reliability.png`.
        config: the model's settings and how it is fitted; the measured defaults by default.
        seed: draws everything that is random in it.

    Returns:
        how the model does on answers held out, as `prefrl.fit_reward_model` says.

    Raises:
        PrefrlError: the file or the folder cannot be used.
    """
    out = Path(out)
    check_model_size(config or RewardConfig())
    instead = f"choose another {option('out')}"
    check_new_folder(out, instead=instead)
    comparisons = load_comparisons(path)
    model, report = fit_reward_model(comparisons, config=config, seed=seed)
    with new_folder(out, is_worth_keeping=lambda: False, instead=instead):
        _write(out, model, report, of=Path(path).name)
    return report


def learn_again(folder: Path | str) -> LearningReport:
    """Fits a run's reward model anew, to the answers that its file holds now.

    For answers that were corrected, added or taken out of `comparisons.npz` after the run. The
    settings and the seed are the run's own; its `reward_model/` is replaced. The policy stays as it
    is: it was trained on the model before.

    Args:
        folder: the run folder.

    Raises:
        PrefrlError: the folder holds no run on a learned reward, another process works in it, or a
            file in it is damaged; it is named.
    """
    folder = Path(folder)
    check_is_run(folder)
    with claimed(folder):
        config = from_yaml(folder / run_folder.CONFIG)
        if config.reward != "learned":
            raise ConfigError(f"the run in {folder} is on the true reward; it learned no other")
        comparisons = load_comparisons(folder / run_folder.COMPARISONS)
        before = _model_before(folder)
        comparisons.env_id = (before and before.env_id) or comparisons.env_id or config.env
        model, report = fit_to(
            comparisons,
            config.reward_model,
            seed=config.seed,
            num_objectives=max(1, len(config.objectives)),
        )
        if before is not None:  # Answers alone do not know what they were given in.
            trained_in(model, before.environment)
        _write(folder, model, report, of=config.env)
        return report


def summary_line(report: LearningReport) -> str:
    """Puts what matters of a report into a line."""
    by = {"split": "by the file's split", "group": "whole groups", "random": "a random part"}
    if not report.num_decisive:
        return f"{report.num_trained_on} answers trained on, none to measure on"
    return (
        f"accuracy {report.accuracy:.3f}, NLL {report.nll:.3f}, calibration error {report.ece:.3f} "
        f"(chance alone {report.chance_ece:.3f}) on {report.num_decisive} decisive answers held "
        f"out, {by[report.held_out_by]}; {report.num_trained_on} trained on, of which "
        f"{report.error_rate:.0%} seem random"
    )


def _model_before(folder: Path) -> RewardModelConfig | None:
    """Returns what the run's model is like, if there is a model yet."""
    if not is_there(folder / run_folder.REWARD_MODEL):
        return None
    return EnhancedRewardModel.load(folder / run_folder.REWARD_MODEL).config


def _write(folder: Path, model: EnhancedRewardModel, report: LearningReport, *, of: str) -> None:
    model.save(folder / run_folder.REWARD_MODEL)
    text = json.dumps(report.as_json(), indent=2)
    write_text_atomically(folder / run_folder.REPORT, text + "\n")
    plot_reliability(
        report.reliability, folder / run_folder.RELIABILITY, title=f"{of}, answers held out"
    )
