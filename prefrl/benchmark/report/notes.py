"""Notes above a report's results: how large a study is, and what limits how it may be read."""

from collections import defaultdict

from prefrl.benchmark.grid.cells import TRAINING_RETURN, TRUE_REWARD
from prefrl.benchmark.report.curves import UNIFORM, Stratum
from prefrl.benchmark.report.study import Study


def extent(study: Study) -> str:
    """Returns how large a study is, in words."""
    curves = study.curves
    parts = []
    if curves:
        parts = [
            _counted(len(curves), "run"),
            _counted(len(study.strategies), "strategy", "strategies"),
            _counted(len({env for env, _ in study.strata}), "environment"),
            _counted(len({teacher for _, teacher in study.strata}), "teacher"),
            _counted(len({curve.seed for curve in curves}), "seed"),
            f"up to {max(study.budgets.values()):,.0f} answers",
        ]
    if study.reference:
        parts.append(f"{_counted(len(study.reference), 'run')} on the true reward")
    return ", ".join(parts) + "."


def notes(study: Study) -> list[str]:
    """Returns what a reader must know before the results."""
    if not study.curves:
        return ["There are no runs of a query strategy yet."]
    found = []
    if UNIFORM not in study.strategies:
        found.append(f"There is no strategy {UNIFORM!r}, so nothing is compared with it.")
    num_open = sum(not study.is_finished(curve) for curve in study.curves)
    if num_open:
        found.append(
            f"{_counted(num_open, 'run')} of {len(study.curves):,} "
            f"{'has' if num_open == 1 else 'have'} no {study.mode.label} at the end, or fewer "
            "answers than others: left out of everything but the curves."
        )
    if len({curve.seed for curve in study.curves}) == 1:
        found.append("There is one seed: no interval can be given for a single environment.")
    return found + _missing_runs(study) + _scale_notes(study) + _policy_notes(study)


def _missing_runs(study: Study) -> list[str]:
    finals = {name: study.finals(name) for name in study.strategies}
    seeds: dict[Stratum, set[int]] = defaultdict(set)
    for scores in finals.values():
        for stratum, by_seed in scores.items():
            seeds[stratum] |= by_seed.keys()
    missing = {
        name: sum(len(seeds[one] - scores.get(one, {}).keys()) for one in seeds)
        for name, scores in finals.items()
    }
    if not any(missing.values()):
        return []
    named = ", ".join(f"{name} {number}" for name, number in missing.items() if number)
    return [
        "Numbers over all runs are of other runs than those of the rest where a strategy lacks "
        f"some that others have ({named}), such as failed or waiting ones; what is supported "
        "rests on the runs that both have."
    ]


def _scale_notes(study: Study) -> list[str]:
    reference = study.scale.reference
    if study.mode.name != "rl" or not reference:
        return []
    left_out = sorted({env for env, _ in study.strata if not study.scale.covers(env)})
    if len(left_out) == len({env for env, _ in study.strata}):
        return [
            f"Neither {TRUE_REWARD!r} nor {UNIFORM!r} has finished in any environment, so returns "
            "cannot be put on one scale: only the learning curves are shown."
        ]
    found = [
        f"But for the curves of single environments, returns are shares of {reference}'s mean "
        "final return: 1 is as good. That mean is taken as known exactly."
    ]
    if left_out:
        found.append(
            f"Without a return of {reference}, and so left out of all but their own curves: "
            f"{', '.join(left_out)}."
        )
    return found


def _policy_notes(study: Study) -> list[str]:
    if study.mode.name != "rl":
        return []
    accuracy = (
        "Accuracy is on answers held out of a run's own, so that whoever asks harder questions "
        "gets a lower one."
    )
    are_evaluated = [len(curve.known(TRAINING_RETURN)[0]) > 0 for curve in study.curves]
    if are_evaluated and all(are_evaluated):
        return [
            "Curves and scores at the end are of the deterministic policy in evaluation, in whole "
            f"episodes; the scores are of other ones than the curves. {accuracy}"
        ]
    return [
        "Curves show the returns of training episodes, in which actions are drawn by chance and "
        "which may be short at first (--train-episode-steps). Scores at the end are of the final "
        f"policy in evaluation, often higher than where its curve ends. {accuracy}"
    ]


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
