from collections.abc import Callable

import pytest

from prefrl.queries import ACQUISITIONS, ALIASES, SELECTORS, STRATEGIES, make_strategy
from prefrl.queries.predictor import QueryStrategy
from tests.contracts.strategy_contract import StrategyContract

NAMES = sorted(
    {
        *STRATEGIES,
        *ALIASES,
        *(f"{name}+{selector}" for name in ACQUISITIONS for selector in SELECTORS),
    }
)


class TestEveryRegisteredStrategy(StrategyContract):
    @pytest.fixture(params=NAMES)
    def make_strategy(self, request: pytest.FixtureRequest) -> Callable[[], QueryStrategy]:
        return lambda: make_strategy(request.param)
