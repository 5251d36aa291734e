"""Every acquisition and every selector keeps to the contract of strategies, in one composition."""

import numpy as np
import pytest

from prefrl.errors import ConfigError, DataError
from prefrl.queries import ACQUISITIONS, ALIASES, SELECTORS, STRATEGIES, make_strategy, with_ease
from prefrl.queries.strategies import canonical_name
from prefrl.testing import check_strategy
from prefrl.testing.made_up import LinearPredictor, segments

_ACQUISITIONS, _SELECTORS = list(ACQUISITIONS), list(SELECTORS)
COMPOSITIONS = [
    f"{_ACQUISITIONS[i % len(_ACQUISITIONS)]}+{_SELECTORS[i % len(_SELECTORS)]}"
    for i in range(max(len(_ACQUISITIONS), len(_SELECTORS)))
]
NAMES = [*COMPOSITIONS, *STRATEGIES, "uniform"]


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_to_the_contract(name: str) -> None:
    check_strategy(make_strategy(name))


@pytest.mark.parametrize("name", [*COMPOSITIONS, "uniform"])
def test_it_keeps_to_the_contract_when_worth_is_weighed_by_ease(name: str) -> None:
    check_strategy(with_ease(make_strategy(name)))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_pool_cannot_give_is_refused(name: str) -> None:
    strategy, predictor = make_strategy(name), LinearPredictor()
    for num_segments, num_queries in [
        (0, 1),
        (1, 1),
        (2, 2),
        (5, 11),
        (40, 781),
        (40, 0),
    ]:
        pool = segments(num_segments, rng=np.random.default_rng(0))
        said = f"a pool of {num_segments} segments offers .* {num_queries} queries were asked for"
        with pytest.raises(DataError, match=said):
            strategy.select(pool, num_queries, predictor, rng=np.random.default_rng(0))
    with pytest.raises(ConfigError, match=r"^num_queries is -1; expected 0 or more$"):
        strategy.select(pool, -1, predictor, rng=np.random.default_rng(0))


@pytest.mark.parametrize("alias", ALIASES)
def test_another_projects_name_stands_for_a_composition(alias: str) -> None:
    assert canonical_name(alias) == canonical_name(ALIASES[alias])
    one, other = make_strategy(alias), make_strategy(ALIASES[alias])
    assert type(one) is type(other)
    assert vars(one) == vars(other)
