"""The settings of the query benchmark: what is compared, on which pool, asked when."""

from pathlib import Path
from typing import Annotated, Literal

from prefrl.config.checking import settings
from prefrl.config.ranges import InOrder, PositiveFloat, PositiveInt, SeedInt
from prefrl.errors import ConfigError, option

Mode = Literal["reward", "rl"]

# What a benchmark and its parts have in common.
_STEPS = 300_000
_CANDIDATES = 1_000
_SPREAD_FACTOR = 1


@settings()
class BenchmarkConfig:
    """A comparison of query strategies: everything that is common to its cells.

    Args:
        envs: environments, by Gymnasium id.
        strategies: acquisitions, acquisition+selector, or module:name of your own.
        teachers: oracle, noisy, mistake, skip, equal or myopic, with a number as in mistake:0.2.
        seeds: how many, counted from 0.
        budgets: answers at which models are measured; in mode rl each is that of a run by itself.
        mode: reward fits models to a fixed pool of segments; rl makes whole runs, beside the same
            agent on the true reward.
        steps: of an agent: the one whose training the pool is drawn from, or each run's.
        candidates: segments that each session chooses from, in mode reward.
        spread_factor: so many times the candidates are drawn from the pool, in mode reward, and
            those are kept that lie farthest apart, as sessions of a run do with 3; 1 draws them
            plainly.
        segment_length: steps of a segment; None: 50 in mode reward, the environment's own in rl.
        eval_every: steps between evaluations of a run's policy, in mode rl, of which curves are
            then; None evaluates final policies only, and curves are of training episodes.
    """

    envs: Annotated[tuple[str, ...], InOrder] = ("HalfCheetah-v4",)
    strategies: Annotated[tuple[str, ...], InOrder] = ("uniform", "disagreement")
    teachers: Annotated[tuple[str, ...], InOrder] = ("oracle",)
    seeds: PositiveInt = 5
    budgets: Annotated[tuple[PositiveInt, ...], InOrder] = (100, 300, 700)
    mode: Mode = "reward"
    steps: PositiveInt = _STEPS
    candidates: PositiveInt = _CANDIDATES
    spread_factor: PositiveInt = _SPREAD_FACTOR
    segment_length: PositiveInt | None = None
    eval_every: PositiveInt | None = None


@settings("pool")
class PoolSettings:
    """The settings that a pool is made by.

    Args:
        env: the environment.
        steps: of the agent's training, all of which the pool is drawn from.
        segment_length: T.
        num_candidates: segments to ask about.
        num_test: segments to test on.
        seed: of the agent, and of what is drawn.
    """

    env: str
    steps: PositiveInt = _STEPS
    segment_length: PositiveInt = 50
    num_candidates: PositiveInt = 4_000
    num_test: PositiveInt = 2_000
    seed: SeedInt = 0

    @property
    def name(self) -> str:
        """Names the pool's file and says what it is of."""
        env = self.env.replace("/", "_").replace(":", "_")
        sizes = (self.steps, self.segment_length, self.num_candidates, self.num_test, self.seed)
        return "-".join([env, *map(str, sizes)])

    def path(self, folder: Path) -> Path:
        """Returns the pool's file."""
        return folder / f"{self.name}.npz"


@settings()
class Schedule:
    """When a strategy asks, and when the model is measured.

    Args:
        budgets: answers at which it is measured, ascending.
        first: answers of the first, uniform session.
        growth: a session has so large a share of the answers before it, at least.
        num_candidates: segments that queries are chosen from, in each session.
        spread_factor: so many times the candidates are drawn from the pool, and those are kept that
            lie farthest apart, as in a run's sessions; where the pool is smaller, all of it is
            drawn. 1 draws them plainly.
    """

    budgets: tuple[PositiveInt, ...]
    first: PositiveInt = 50
    growth: PositiveFloat = 0.5
    num_candidates: PositiveInt = _CANDIDATES
    spread_factor: PositiveInt = _SPREAD_FACTOR

    def __post_init__(self) -> None:
        if not self.budgets:
            raise ConfigError(f"{option('budgets')} is empty; expected at least one")
        if list(self.budgets) != sorted(set(self.budgets)):
            raise ConfigError(
                f"{option('budgets')} is {list(self.budgets)}; expected them ascending"
            )

    def totals(self) -> list[int]:
        """Returns the number of answers after each session: every budget is among them."""
        totals = [min(self.first, self.budgets[0])]
        for budget in self.budgets:
            # Equal sessions between two budgets, none much larger than `growth` allows.
            start = totals[-1]
            num, reached = 0, float(start)
            while reached < budget:
                reached *= 1 + self.growth
                num += 1
            totals += [start + round((budget - start) * (i + 1) / num) for i in range(num)]
        return totals
