"""A study laid down before its first run: rows, arms, seeds, and what is read out of them.

A study is a JSON file. A row is a task with an agent and a number of steps; an arm is the way a
run comes by its reward; a cell is one run of a row: an arm with a seed. Results lie beside the
file, one JSON a cell, so that studies may share a folder as long as their rows have other names.
"""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from prefrl.errors import ConfigError, unknown
from prefrl.records.json_file import read_json_object

Options = Mapping[str, Any]
"""Settings of `prefrl run` by their names in config.yaml: `queries.num_sessions`."""

TRUE = "true"
"""The arm on the environment's own reward, beside which the others stand."""

_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class Titled:
    """An agent, or an arm.

    Args:
        title: for people.
        options: what it adds to a run's settings.
    """

    title: str
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """Runs that differ in reward and seed alone.

    Args:
        name: begins the names of its files.
        env: the task.
        agent: a key of the study's agents.
        steps: environment steps of each run.
        arms: keys of the study's arms.
        seeds: of every arm.
        cpu_min: arm -> minutes of one core that a run is expected to take, evaluations included.
        eval_every: steps between evaluations.
        options: further settings of every arm.
        learned_options: further settings of arms whose reward is learned.
        equal_cpu_to: the row whose computing time is this one's limit: it is read out where it has
            computed for as long as that row's runs of the same arm took on average.
        pool: areas of the rows with the same word here are averaged, too; "" averages none.
        note: what a reader should know of it.
    """

    name: str
    env: str
    agent: str
    steps: int
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    cpu_min: Mapping[str, float]
    eval_every: int
    options: Options = field(default_factory=dict)
    learned_options: Options = field(default_factory=dict)
    equal_cpu_to: str | None = None
    pool: str = ""
    note: str = ""


@dataclass(frozen=True)
class Target:
    """A number that was aimed at.

    Args:
        row: whose runs are read.
        arm: likewise.
        measure: return, of the final evaluation; share_of_true, the mean return over the true
            arm's; overhead, the computing time beyond the true arm's as a share of it; or
            over_row, the mean return less that of `other` at equal computing time.
        statistic: of the returns over seeds: mean, iqm, or seeds, the share of them that reach
            `height`.
        at_least: what it should be.
        at_most: likewise.
        stretch: what would be better still.
        height: of a return, for the share of seeds.
        within_s: computing seconds by which a seed must have reached that height.
        other: a row at equal computing time.
        source: where the number is from.
    """

    row: str
    arm: str
    measure: str = "return"
    statistic: str = "mean"
    at_least: float | None = None
    at_most: float | None = None
    stretch: float | None = None
    height: float | None = None
    within_s: float | None = None
    other: str | None = None
    source: str = ""

    def __post_init__(self) -> None:
        for name, valid in (("measure", MEASURES), ("statistic", STATISTICS)):
            if getattr(self, name) not in valid:
                raise ConfigError(unknown(name, getattr(self, name), valid))
        if (self.at_least is None) == (self.at_most is None):
            raise ConfigError(f"a target of {self.row} needs one of at_least and at_most")
        if (self.statistic == "seeds") != (self.height is not None):
            raise ConfigError(f"a target of {self.row} needs height for the statistic seeds alone")
        if (self.measure == "over_row") != (self.other is not None):
            raise ConfigError(f"a target of {self.row} needs other for the measure over_row alone")


MEASURES = ("return", "share_of_true", "overhead", "over_row")
STATISTICS = ("mean", "iqm", "seeds")


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Args:
        row: its row's name.
        arm: its arm's.
        seed: the run's.
    """

    row: str
    arm: str
    seed: int

    @property
    def name(self) -> str:
        """Names the cell's files."""
        return f"{self.row}-{self.arm}-seed{self.seed}"


@dataclass(frozen=True)
class Study:
    """Everything that is settled before the first run.

    Args:
        folder: where results and figures go.
        page: the Markdown file that has the tables.
        eval_episodes: of each evaluation.
        agents: by name.
        arms: by name.
        rows: by name, in the order in which they are run.
        targets: what was aimed at.
        read_out: measure -> how it is taken from the runs, in words.
    """

    folder: Path
    page: Path
    eval_episodes: int
    agents: Mapping[str, Titled]
    arms: Mapping[str, Titled]
    rows: Mapping[str, Row]
    targets: tuple[Target, ...]
    read_out: Mapping[str, str]

    def cells(
        self, rows: Sequence[str] | None = None, seeds: Sequence[int] | None = None
    ) -> Iterator[Cell]:
        """Lists cells, the first seed of every row before the second of any.

        So an interrupted study is still balanced.

        Args:
            rows: the ones asked for; None takes all.
            seeds: likewise.
        """
        asked = [row for name, row in self.rows.items() if rows is None or name in rows]
        for index in range(max((len(row.seeds) for row in asked), default=0)):
            for row in asked:
                for seed in row.seeds[index : index + 1]:
                    if seeds is None or seed in seeds:
                        yield from (Cell(row.name, arm, seed) for arm in row.arms)

    def words(self, cell: Cell) -> list[str]:
        """Returns the settings of a cell's run, as `prefrl run` takes them."""
        row, arm = self.rows[cell.row], self.arms[cell.arm]
        of_learned = row.learned_options if self.is_learned(cell.arm) else {}
        options: dict[str, Any] = {
            "env": row.env,
            "steps": row.steps,
            "seed": cell.seed,
            "eval_every": row.eval_every,
            "eval_episodes": self.eval_episodes,
            **self.agents[row.agent].options,
            **row.options,
            **of_learned,
            **arm.options,
        }
        return [word for name, value in options.items() for word in option_words(name, value)]

    def is_learned(self, arm: str) -> bool:
        """Says whether an arm learns its reward from answers."""
        return bool(self.arms[arm].options.get("reward", "learned") != "true")

    def result_path(self, cell: Cell) -> Path:
        """Returns where a finished cell's result lies."""
        return self.folder / f"{cell.name}.json"

    def cpu_min(self, cells: Sequence[Cell]) -> float:
        """Returns the minutes of one core that cells are expected to take."""
        return sum(self.rows[cell.row].cpu_min[cell.arm] for cell in cells)


def option_words(name: str, value: Any) -> list[str]:
    """Writes a setting as words of the command line.

    Args:
        name: as config.yaml has it, sections before a point.
        value: plain JSON; a mapping becomes one word.
    """
    typed = name.replace("_", "-")
    if isinstance(value, bool):
        section, _, last = typed.rpartition(".")
        negated = f"{section}.no-{last}".lstrip(".")
        return [f"--{typed if value else negated}"]
    if isinstance(value, list):
        return [f"--{typed}", *map(str, value)]
    return [f"--{typed}", json.dumps(value) if isinstance(value, dict) else str(value)]


def load_study(path: Path) -> Study:
    """Reads a study.

    Raises:
        StorageError: the file cannot be read, or is no JSON.
        ConfigError: something in it is missing, unknown, or does not fit the rest; it is named.
    """
    tree = read_json_object(path)
    try:
        return _study(tree, path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _study(tree: dict[str, Any], folder: Path) -> Study:
    usual: dict[str, Any] = {n: tree.pop(n) for n in ("seeds", "eval_every") if n in tree}
    rows = [
        _made(Row, {**usual, **row}, where=f"row {number}")
        for number, row in enumerate(_listed(tree, "rows"), start=1)
    ]
    targets = [
        _made(Target, target, where=f"target {number}")
        for number, target in enumerate(_listed(tree, "targets"), start=1)
    ]
    named = {
        kind: {
            name: _made(Titled, entry, where=f"{kind}.{name}")
            for name, entry in tree.get(kind, {}).items()
        }
        for kind in ("agents", "arms")
    }
    page = Path(os.path.normpath(folder / tree.get("page", f"{folder.name}.md")))
    found = {**tree, **named, "folder": folder, "page": page, "targets": tuple(targets)}
    study = _made(Study, {**found, "rows": {row.name: row for row in rows}}, where="the study")
    if len(study.rows) < len(rows):
        raise ConfigError("two rows have the same name")
    for row in rows:
        _check_row(study, row)
    for target in targets:
        _check_target(study, target)
    return study


def _listed(tree: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = tree.get(name, [])
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ConfigError(f"{name} must be a list of mappings")
    return found


def _made(kind: type[_Kind], entry: Mapping[str, Any], *, where: str) -> _Kind:
    fields = {one.name: one for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in entry:
        if name not in fields:
            raise ConfigError(f"{where}: {unknown('entry', name, fields)}")
    for name, one in fields.items():
        has_default = (one.default, one.default_factory) != (dataclasses.MISSING,) * 2
        if name not in entry and not has_default:
            raise ConfigError(f"{where}: {name} is missing")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()})


def _check_row(study: Study, row: Row) -> None:
    if row.agent not in study.agents:
        raise ConfigError(f"row {row.name}: {unknown('agent', row.agent, study.agents)}")
    for arm in row.arms:
        if arm not in study.arms:
            raise ConfigError(f"row {row.name}: {unknown('arm', arm, study.arms)}")
    if set(row.cpu_min) != set(row.arms):
        raise ConfigError(f"row {row.name}: cpu_min must name its arms, {', '.join(row.arms)}")
    if row.equal_cpu_to is not None and row.equal_cpu_to not in study.rows:
        raise ConfigError(f"row {row.name}: {unknown('row', row.equal_cpu_to, study.rows)}")


def _check_target(study: Study, target: Target) -> None:
    for name in (target.row, target.other):
        if name is not None and name not in study.rows:
            raise ConfigError(f"a target: {unknown('row', name, study.rows)}")
    if target.arm not in study.rows[target.row].arms:
        raise ConfigError(
            f"a target of {target.row}: {unknown('arm', target.arm, study.rows[target.row].arms)}"
        )
    if target.other is not None and study.rows[target.other].equal_cpu_to != target.row:
        raise ConfigError(f"a target of {target.row}: {target.other} is not equal_cpu_to it")
