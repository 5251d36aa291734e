"""Runs the study of agents, sitting by sitting, and reports it.

    python scripts/benchmark_agents.py --jobs 2 --minutes 120
    python scripts/benchmark_agents.py --report

What is run is laid down in `docs/benchmarks/agents/study.json`; `--study` takes another plan. Each
cell is one `prefrl run` with one thread in a process and a folder of its own. When the minutes are
over, or on Ctrl-C, runs are stopped at once and keep their checkpoints: the next sitting goes on
with them. Finished cells are kept beside the plan, one JSON each, and are not run again; `--report`
makes tables and figures from these alone.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.command_line import OneLineParser, number_above_0

if TYPE_CHECKING:
    from lab.studies import Study

STUDY = Path(__file__).parents[1] / "docs/benchmarks/agents/study.json"


def main(words: Sequence[str] | None = None) -> int:
    """Runs what is missing of the study, or writes the report; returns the exit status."""
    parser = OneLineParser("benchmark_agents", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--study", type=Path, default=STUDY, help="the plan, a JSON file")
    parser.add_argument("--rows", nargs="+", help="names of rows; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", help="all by default")
    parser.add_argument("--runs", type=Path, default=Path("runs/agents"), help="run folders")
    parser.add_argument("--jobs", type=number_above_0, default=1, help="runs side by side")
    parser.add_argument("--minutes", type=number_above_0, help="stop after so many")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--list", action="store_true", help="only say what is missing")
    kind.add_argument("--report", action="store_true", help="only write tables and figures")
    arguments = parser.parse_args(words)

    from lab.run_cells import Job, run_missing
    from lab.studies import load_study
    from prefrl.errors import ConfigError, PrefrlError, unknown

    try:
        study = load_study(arguments.study)
        for row in arguments.rows or ():
            if row not in study.rows:
                raise ConfigError(unknown("row", row, study.rows))
        planned = {seed for row in study.rows.values() for seed in row.seeds}
        if unplanned := set(arguments.seeds or ()) - planned:
            raise ConfigError(f"--seeds {min(unplanned)} is in no row of {arguments.study}")
        if arguments.report:
            write_report(study)
            return 0
        cells = {
            Job(
                cell.name,
                arguments.runs / cell.name,
                tuple(study.words(cell)),
                study.result_path(cell),
            ): cell
            for cell in study.cells(arguments.rows, arguments.seeds)
        }
        missing = [job for job in cells if not job.result.exists()]
        hours = study.cpu_min([cells[job] for job in missing]) / 60
        print(f"{len(missing)} of {len(cells)} runs are missing, about {hours:.1f} hours of a core")
        if arguments.list:
            for job in missing:
                print(f"{job.name}: prefrl run {shlex.join(job.words)}")
            return 0

        from lab.study_results import result_of

        has_ended_well = run_missing(
            list(cells),
            keep=lambda job: result_of(study, cells[job], job),
            at_once=arguments.jobs,
            minutes=arguments.minutes,
        )
    except PrefrlError as error:
        print(f"benchmark_agents: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("benchmark_agents: stopped; the same command goes on", file=sys.stderr)
        return 130
    return int(not has_ended_well)


def write_report(study: "Study") -> None:
    """Writes the tables and figures of a study from the results beside its plan."""
    from lab.run_cells import write_between_markers
    from lab.study_figures import draw_figures
    from lab.study_report import report_lines
    from lab.study_results import Results

    results = Results(study)
    write_between_markers(study.page, report_lines(results, draw_figures(results)))
    print(f"wrote {study.page}")


if __name__ == "__main__":
    sys.exit(main())
