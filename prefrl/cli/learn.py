"""`prefrl learn`: fit a reward model to answers that are there."""

from dataclasses import dataclass, field
from pathlib import Path

from prefrl.cli.parsing import parse
from prefrl.config import RewardConfig
from prefrl.config.ranges import LARGEST_SEED
from prefrl.errors import ConfigError, at_least, at_most


@dataclass(frozen=True)
class LearnCommand:
    """Fit a reward model to recorded answers, or a run's anew; no environment is needed.

    Args:
        data: a file of answers in the interchange format, as comparisons.npz of a run. What its
            split calls test is held out and measured on; else whole groups; else a random part.
        out: a new folder for the model, the report and the reliability plot.
        run: in place of both: a run whose comparisons.npz was corrected. Its reward_model is fitted
            again, with the run's own settings.
        seed: draws everything that is random.
        reward_model: the reward model and its fitting.
    """

    data: Path | None = None
    out: Path | None = None
    run: Path | None = None
    seed: int = 0
    reward_model: RewardConfig = field(default_factory=RewardConfig)

    def __post_init__(self) -> None:
        if (self.data is None) == (self.run is None):
            raise ConfigError("give either --data FILE with --out FOLDER, or --run FOLDER")
        if self.data is not None and self.out is None:
            raise ConfigError("--data FILE needs --out FOLDER, where the model is put")
        has_settings = self.out is not None or self.seed or self.reward_model != RewardConfig()
        if self.run is not None and has_settings:
            raise ConfigError("--run fits with the run's own settings; give it alone")
        if self.seed < 0:
            raise ConfigError(at_least("seed", self.seed, 0))
        if self.seed > LARGEST_SEED:
            raise ConfigError(at_most("seed", self.seed, LARGEST_SEED))


def learn_command(words: list[str]) -> None:
    """Runs `prefrl learn`."""
    command = parse(LearnCommand, words, prog="prefrl learn")
    from prefrl.records.run_folder import REWARD_MODEL
    from prefrl.runs.learn import learn_again, learn_from_file, summary_line

    if command.run is not None:
        report, folder = learn_again(command.run), command.run
        print("the policy stays as it is: it was trained on the model before")
    else:
        assert command.data is not None and command.out is not None
        report = learn_from_file(
            command.data, command.out, config=command.reward_model, seed=command.seed
        )
        folder = command.out
    print(f"{summary_line(report)}; the model is {folder / REWARD_MODEL}")
