"""Small feature banks, and segments to offer them."""

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from prefrl.rewards.model.bank import FeatureBank
from prefrl.rewards.model.bank_policies import POLICIES

NAN, INF = float("nan"), float("inf")
POLICY = st.sampled_from(sorted(POLICIES))
CAPACITY = st.integers(1, 7)
SEED = st.integers(0, 999)


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=stream(seed))


def state_of(bank: FeatureBank) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in bank.state_dict().items()}


def offered(num: int, *, seed: int = 0, dims: int = 3) -> dict[str, Tensor]:
    """Segments with keys 0, 1, ...; few different priorities, so that some are equal."""
    generator = stream(seed)
    return {
        "embeddings": torch.randn(num, dims, generator=generator),
        "values": torch.randn(num, generator=generator),
        "keys": torch.arange(num),
        "priority": torch.randint(4, (num,), generator=generator).float(),
    }


def offer(bank: FeatureBank, segments: dict[str, Tensor], generator: torch.Generator, **more: Any):
    bank.add(**{"version": 1, **segments, **more}, generator=generator)


def filled(num: int, *, capacity: int = 10, policy: str = "fifo", seed: int = 0) -> FeatureBank:
    bank = FeatureBank(capacity, 3, policy=policy)
    offer(bank, offered(num, seed=seed), stream(seed))
    return bank


def compass(**settings: Any) -> FeatureBank:
    """East is worth 1, north 3, west -2, and one segment that points nowhere 100."""
    bank = FeatureBank(6, 2, **settings)
    embeddings = torch.tensor([[2.0, 0.0], [0.0, 0.5], [-3.0, 0.0], [0.0, 0.0]])
    values, keys = torch.tensor([1.0, 3.0, -2.0, 100.0]), torch.tensor([7, 8, 9, 10])
    bank.add(embeddings, values, keys=keys, version=1, priority=torch.ones(4), generator=stream())
    return bank
