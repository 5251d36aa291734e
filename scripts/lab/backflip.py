"""Teaches a Hopper a backflip, for which nobody wrote a reward: a labeller that is a script.

    cd scripts
    prefrl run --env Hopper-v5 --agent crossq --teacher human --out ../runs/backflip ... &
    python -m lab.backflip label ../runs/backflip    answers over HTTP until the run has ended
    python -m lab.backflip count ../runs/backflip    turns and landings of the policy, as JSON

The labeller sees of each side what a person sees in the clips, the robot's pose at every step, and
prefers the side that shows more of a backflip (`shows`). `count` plays whole episodes of the final
policy and counts what it was taught, which is no sum of rewards.

Axes: B questions, T steps of a segment, E episodes.
"""

import contextlib
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lab.command_line import OneLineParser, number_above_0
from lab.hopper_pose import Pose, pose_of
from lab.label_client import AwayError, LabelClient
from prefrl.types import Float64Array

HIGH_M, LOW_SHARE = 0.3, 0.3
"""So high above the floor turning counts in full, and on it this share of it."""
HEIGHT_RAD_PER_M, LYING_RAD = 2.5, 2.5
"""So much turning is worth a metre of mean height, and is lost by lying all the time."""
ALIKE_RAD = 0.05
"""Sides that differ by less are a tie."""
CLEAR_M = 0.005
"""What is closer to the floor touches it; solid bodies sink into each other a little."""
UPRIGHT_RAD = np.pi / 4
FULL_TURN_RAD = 2 * np.pi

# So long the labeller waits for a service that is not there yet, or has nothing to ask.
PATIENCE_S = 0.2


def shows(observations: Float64Array) -> Float64Array:
    """Returns how much of a backflip segments show, in radians.

    That is how far the torso turns backwards, the more the higher the whole robot is meanwhile;
    how high it is; and less what lying costs, which is to touch the ground with more than the
    foot. Turning forwards counts against it wherever that happens, so rocking to and fro does, too.

    Args:
        observations: (B, T, O) of Hopper-v5.

    Returns:
        (B,).
    """
    pose = pose_of(observations)
    height_m = np.clip(np.minimum(pose.foot_m, pose.rest_m), 0.0, None)
    turned_rad = np.diff(pose.turned_rad, axis=-1)
    weight = LOW_SHARE + (1 - LOW_SHARE) * np.clip(height_m[..., 1:] / HIGH_M, 0.0, 1.0)
    turned_rad = np.where(turned_rad > 0, weight * turned_rad, turned_rad).sum(axis=-1)
    lying_share = np.mean(pose.rest_m < CLEAR_M, axis=-1)
    shown: Float64Array = (
        turned_rad + HEIGHT_RAD_PER_M * height_m.mean(axis=-1) - LYING_RAD * lying_share
    )
    return shown


def preferences(left: Float64Array, right: Float64Array) -> Float64Array:
    """Returns (B,) 1 where the left side shows more of a backflip, 0 the right one, 0.5 a tie.

    Args:
        left: (B, T, O) observations.
        right: likewise.
    """
    more = shows(left) - shows(right)
    return np.where(np.abs(more) < ALIKE_RAD, 0.5, np.where(more > 0, 1.0, 0.0))


def answer(sides: Mapping[str, Any]) -> str:
    """Returns left, right or tie for a question as `questions/{id}/segments` describes it."""
    left, right = (np.array(sides[side]["observations"])[None] for side in ("left", "right"))
    return {1.0: "left", 0.0: "right", 0.5: "tie"}[float(preferences(left, right)[0])]


class Labeller:
    """Answers a run's questions over HTTP as fast as they come.

    It takes those that are open, not the next one that a page would show: it sees numbers, so it
    need not wait until clips are rendered.

    Args:
        folder: of the run, which may not have begun.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._client = LabelClient(folder)
        self.num_given = 0

    def label(self) -> None:
        """Answers question after question until the run has ended."""
        while not (self._folder / "summary.json").exists():
            with contextlib.suppress(AwayError):
                if self._answer_what_is_open():
                    continue
            time.sleep(PATIENCE_S)

    def _answer_what_is_open(self) -> bool:
        found = self._client.ask("GET", "questions?state=open", as_owner=True)["questions"]
        for number in sorted(row["id"] for row in found):
            sides = self._client.ask("GET", f"questions/{number}/segments", as_owner=True)
            self._client.ask("PUT", f"questions/{number}/answer", {"answer": answer(sides)})
            self.num_given += 1
        return bool(found)


@dataclass(frozen=True)
class Flips:
    """The backflips of an episode.

    Args:
        turns: full turns backwards, of the torso.
        clear_turns: those in which nothing but the foot touched the ground.
        upright_landings: turns after which it stood: the torso within 45 degrees of upright, the
            foot on the ground, and nothing else.
        lying_share: share of the steps with more than the foot on the ground.
    """

    turns: float
    clear_turns: float
    upright_landings: float
    lying_share: float


def count(observations: Float64Array) -> Flips:
    """Counts the backflips of an episode.

    Args:
        observations: (T, O) of Hopper-v5, from its reset on.
    """
    pose: Pose = pose_of(observations)
    turned_rad = pose.turned_rad - pose.turned_rad[0]
    is_clear = pose.rest_m >= CLEAR_M
    stands = is_clear & (pose.foot_m < CLEAR_M)
    turns = int(max(turned_rad.max(), 0.0) // FULL_TURN_RAD)
    ends = [int(np.argmax(turned_rad >= turn * FULL_TURN_RAD)) for turn in range(turns + 1)]
    landings = [
        np.any(stands & (np.abs(turned_rad - turn * FULL_TURN_RAD) < UPRIGHT_RAD))
        for turn in range(1, turns + 1)
    ]
    clear = [is_clear[begin:end].all() for begin, end in itertools.pairwise(ends)]
    return Flips(turns, int(sum(clear)), int(sum(landings)), float(np.mean(~is_clear)))


def played(folder: Path, num_episodes: int) -> list[Float64Array]:
    """Plays a finished run's policy, and returns (E,) the observations of each episode (T, O)."""
    import gymnasium as gym

    from prefrl.agents.factory import load_weights
    from prefrl.envs.opening import open_envs
    from prefrl.envs.vec_env import side_by_side
    from prefrl.records import run_folder
    from prefrl.runs.resolve import make_configured_env, settings_of
    from prefrl.runs.rollouts import play
    from prefrl.segments import EpisodeStore

    config = settings_of(folder)
    policy = load_weights(folder / run_folder.POLICY, config.agent_settings)

    def make() -> gym.Env[Any, Any]:
        return make_configured_env(config)

    envs, _ = open_envs(make, num_episodes)
    venv = side_by_side(envs, EpisodeStore(1))
    try:
        rollouts = play(policy, venv, num_episodes=num_episodes, seed=0)
    finally:
        venv.close()
    ends = np.flatnonzero(np.diff(rollouts.episode)) + 1
    before, _, after, _ = rollouts.transitions
    return [
        np.concatenate([each, last[-1:]])
        for each, last in zip(np.split(before, ends), np.split(after, ends), strict=True)
    ]


def result_of(folder: Path, num_episodes: int) -> dict[str, Any]:
    """Returns what a run's policy shows, on average over episodes, and what it took."""
    summary = json.loads((folder / "summary.json").read_text())
    flips = [asdict(count(each)) for each in played(folder, num_episodes)]
    kept = ("seed", "steps", "num_answers", "cpu_s", "wall_s")
    return {
        "run": folder.name,
        **{name: summary[name] for name in kept},
        "num_episodes": num_episodes,
        **{name: round(float(np.mean([each[name] for each in flips])), 3) for name in flips[0]},
        "least_upright_landings": min(each["upright_landings"] for each in flips),
    }


def main(words: Sequence[str] | None = None) -> None:
    """Reads the options and does what they say."""
    parser = OneLineParser(prog="python -m lab.backflip", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("label", "count"))
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path, help="of a run")
    parser.add_argument("--episodes", type=number_above_0, default=10)
    options = parser.parse_args(words)
    if options.what == "count":
        results = [result_of(folder, options.episodes) for folder in options.folders]
        print(json.dumps(results, indent=2))
        return
    for folder in options.folders:
        labeller = Labeller(folder)
        labeller.label()
        print(f"{labeller.num_given:,} answers in {folder}", flush=True)


if __name__ == "__main__":
    main()
