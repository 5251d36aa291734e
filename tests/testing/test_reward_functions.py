"""A reward function that breaks a clause of its contract is found out, in one line."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from prefrl.errors import ContractError
from prefrl.testing import check_reward_function
from tests.testing.broken import broken


def fair(obs, action, next_obs, done):
    return (obs[:, 0] - action[:, 0]).astype(np.float32)


BROKEN: dict[str, tuple[str, Callable[..., Any]]] = {}
breaks = broken(BROKEN)
_calls = itertools.count()
_answer = np.zeros(20_000, dtype=np.float32)
_seen: list[bytes] = []


@breaks("returned shape (0, 1) for 0 transitions; expected an array of shape (0,)")
def a_column(obs, action, next_obs, done):
    return fair(obs, action, next_obs, done)[:, None]


@breaks("returned a Tensor for 0 transitions")
def a_tensor(obs, action, next_obs, done):
    return torch.from_numpy(fair(obs, action, next_obs, done))


@breaks("returned float64; expected float32")
def doubles(obs, action, next_obs, done):
    return fair(obs, action, next_obs, done).astype(np.float64)


@breaks("a reward that is not finite")
def a_logarithm(obs, action, next_obs, done):
    with np.errstate(invalid="ignore"):
        return np.log(fair(obs, action, next_obs, done))


@breaks("given 0 transitions, raised ValueError")
def relative_to_the_best(obs, action, next_obs, done):
    rewards = fair(obs, action, next_obs, done)
    return rewards - rewards.max()


@breaks("gives a transition another reward alone than among others")
def relative_to_the_mean(obs, action, next_obs, done):
    rewards = fair(obs, action, next_obs, done)
    return rewards - rewards.sum() / max(len(rewards), 1)


@breaks("says another thing of arrays that lie column by column")
def reads_memory_as_it_lies(obs, action, next_obs, done):
    return obs.ravel(order="K")[:: obs.shape[1]].copy()


@breaks("given arrays that cannot be written to, raised ValueError")
def puts_back_what_it_wrote(obs, action, next_obs, done):
    obs += 0
    return fair(obs, action, next_obs, done)


@breaks("writes to obs, which is not its own")
def writes(obs, action, next_obs, done):
    obs += 1
    return fair(obs, action, next_obs, done)


@breaks("writes its next answer over the last")
def one_buffer(obs, action, next_obs, done):
    answer = _answer[: len(obs)]
    answer[:] = fair(obs, action, next_obs, done)
    return answer


@breaks("draws from the global generator['torch']")
def draws_globally(obs, action, next_obs, done):
    torch.rand(1)
    return fair(obs, action, next_obs, done)


@breaks("of the same transitions when asked again")
def grows_tired(obs, action, next_obs, done):
    _seen.append(obs.tobytes())
    is_late = _seen.count(_seen[-1]) > 1
    return fair(obs, action, next_obs, done) - np.float32(is_late)


@pytest.mark.parametrize(("said", "reward_function"), BROKEN.values(), ids=BROKEN)
def test_a_broken_reward_function_is_found_out(said: str, reward_function: Any) -> None:
    with pytest.raises(ContractError) as caught:
        check_reward_function(reward_function, observation_dim=3, action_dim=1)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fair_one_passes() -> None:
    check_reward_function(fair, observation_dim=3, action_dim=1)
