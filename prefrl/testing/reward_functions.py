"""The contract of a reward function.

Axes: N transitions, O observation dims, A action dims.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from prefrl.arguments import function, whole_number
from prefrl.segments import FloatArray
from prefrl.testing.clauses import calling, leaving_alone, require
from prefrl.testing.made_up import Dims, Transitions, transitions
from prefrl.types import RewardFunction

SIZES = (0, 1, 2, 7, 1_500, 20_000)
NUM_ALONE = 50


def check_reward_function(
    reward_function: RewardFunction,
    *,
    observation_dim: int,
    action_dim: int,
    seed: int = 0,
) -> None:
    """Checks that a reward function keeps to its contract.

    Each transition gets one finite float32, the same alone and among others, however its arrays lie
    in memory; asking again gives the same, in an array that stays; and nothing is written to, and
    no global generator drawn from.

    Args:
        reward_function: (N, O), (N, A), (N, O), (N,) -> (N,).
        observation_dim: O.
        action_dim: A.
        seed: of the made-up transitions.

    Raises:
        ContractError: it does not; the line names the clause.

    Example:
        >>> import numpy as np
        >>> def forward_speed(obs, action, next_obs, done):
        ...     return (next_obs[:, 0] - obs[:, 0]).astype(np.float32)
        >>> check_reward_function(forward_speed, observation_dim=4, action_dim=2)
    """
    function("reward_function", reward_function, "a function of (obs, action, next_obs, done)")
    seed = whole_number("seed", seed)
    dims = Dims(observation_dim, action_dim).checked()
    rng = np.random.default_rng(seed)
    for size in SIZES:
        _rewards(reward_function, transitions(size, rng=rng, dims=dims))
    batch = transitions(300, rng=rng, dims=dims)
    _check_repeats(reward_function, batch, transitions(300, rng=rng, dims=dims))
    _check_alone(reward_function, batch)
    _check_memory(reward_function, batch)


def _rewards(reward_function: RewardFunction, batch: Transitions) -> FloatArray:
    """Returns (N,) the rewards, after the checks that hold for every batch."""
    num = len(batch[0])
    names = ("obs", "action", "next_obs", "done")
    given = dict(zip(names, batch, strict=True))
    with (
        leaving_alone("the reward function", **given),
        calling(f"the reward function, given {num} transitions,"),
    ):
        rewards = reward_function(*batch)
    require(
        isinstance(rewards, np.ndarray) and rewards.shape == (num,),
        f"the reward function returned {_form(rewards)} for {num} transitions; expected an array "
        f"of shape ({num},)",
    )
    require(
        rewards.dtype == np.float32,
        f"the reward function returned {rewards.dtype}; expected float32",
    )
    require(np.isfinite(rewards).all(), "the reward function returned a reward that is not finite")
    return rewards


def _form(thing: object) -> str:
    return f"shape {thing.shape}" if isinstance(thing, np.ndarray) else f"a {type(thing).__name__}"


def _check_alone(reward_function: RewardFunction, batch: Transitions) -> None:
    together = _rewards(reward_function, batch)[:NUM_ALONE]
    obs, action, next_obs, done = (part[:NUM_ALONE] for part in batch)
    one_by_one = [
        _rewards(reward_function, (o[None], a[None], n[None], d[None]))[0]
        for o, a, n, d in zip(obs, action, next_obs, done, strict=True)
    ]
    require(
        np.allclose(together, one_by_one, rtol=1e-3, atol=1e-4),
        "the reward function gives a transition another reward alone than among others",
    )


def _check_memory(reward_function: RewardFunction, batch: Transitions) -> None:
    expected = _rewards(reward_function, batch)
    obs, action, next_obs, done = batch

    def laid_out(lay: Callable[[Any], Any]) -> Transitions:
        return lay(obs), lay(action), lay(next_obs), lay(done)

    lying = {
        "arrays with gaps between rows": laid_out(lambda part: np.repeat(part, 2, axis=0)[::2]),
        "arrays that lie column by column": laid_out(np.asfortranarray),
    }
    for kind, strange in lying.items():
        require(
            np.allclose(_rewards(reward_function, strange), expected, rtol=1e-4, atol=1e-5),
            f"the reward function says another thing of {kind}",
        )
    locked = laid_out(np.copy)
    for part in locked:
        part.flags.writeable = False
    with calling("the reward function, given arrays that cannot be written to,"):
        reward_function(*locked)


def _check_repeats(
    reward_function: RewardFunction, batch: Transitions, next_one: Transitions
) -> None:
    first = _rewards(reward_function, batch)
    before = first.copy()
    _rewards(reward_function, next_one)
    require(
        np.array_equal(first, before),
        "the reward function writes its next answer over the last; return an array of its own",
    )
    require(
        np.array_equal(_rewards(reward_function, batch), before),
        "the reward function says another thing of the same transitions when asked again",
    )
