from collections.abc import Callable

import pytest

from prefrl.queries import STRATEGIES
from prefrl.types import QueryStrategy
from tests.contracts.strategy_contract import StrategyContract


class TestEveryRegisteredStrategy(StrategyContract):
    @pytest.fixture(params=sorted(STRATEGIES))
    def make_strategy(self, request: pytest.FixtureRequest) -> Callable[[], QueryStrategy]:
        return STRATEGIES[request.param]
