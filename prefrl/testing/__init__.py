"""The contracts that parts of a run keep to, as functions that check them.

Each takes a part of your own, tries it on made-up data, and raises a `ContractError` of one line
that says which clause is broken; it returns nothing where all is well. No test framework is needed.

Example:
    >>> import numpy as np
    >>> from prefrl.testing import check_strategy
    >>> class AnyPairs:
    ...     def select(self, pool, num_queries, predictor, *, rng):
    ...         left, right = np.triu_indices(len(pool), k=1)
    ...         chosen = rng.choice(len(left), size=num_queries, replace=False)
    ...         pairs = np.stack([left[chosen], right[chosen]], axis=1)
    ...         return rng.permuted(pairs, axis=1)
    >>> check_strategy(AnyPairs())
"""

from prefrl.errors import ContractError
from prefrl.testing.agents import check_agent
from prefrl.testing.learners import check_learner
from prefrl.testing.reward_functions import check_reward_function
from prefrl.testing.strategies import check_strategy
from prefrl.testing.teachers import check_teacher

__all__ = [
    "ContractError",
    "check_agent",
    "check_learner",
    "check_reward_function",
    "check_strategy",
    "check_teacher",
]
