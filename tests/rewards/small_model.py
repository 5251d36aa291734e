"""Small reward models to look at closely, and what is looked at."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from prefrl.rewards import EnhancedRewardModel

# Both trunks, with and without the norm, of one layer and of two; and one with a linear part.
SHAPES: list[dict[str, Any]] = [
    {"shared_trunk": True, "head_layer_norm": False, "num_layers": 1},
    {"shared_trunk": True, "head_layer_norm": True, "num_layers": 2},
    {"shared_trunk": False, "head_layer_norm": False, "num_layers": 2},
    {"shared_trunk": False, "head_layer_norm": True, "num_layers": 1},
    {"shared_trunk": True, "linear_part": True, "num_layers": 1},
    {"shared_trunk": False, "linear_part": True, "head_layer_norm": True, "num_layers": 1},
]


def make_model(seed: int = 0, **settings: Any) -> EnhancedRewardModel:
    """A small model with statistics unlike those it starts with."""
    generator = torch.Generator().manual_seed(seed)
    usual = {"hidden_dim": 8, "num_layers": 2, "num_reward_heads": 3, "bank_size": 0}
    model = EnhancedRewardModel(5, generator=generator, **{**usual, **settings})
    rows = torch.randn(200, 5, generator=generator) * 3 + 1
    if model.config.linear_part:
        model.linear.copy_(torch.randn(model.linear.shape, generator=generator))
    model.set_input_statistics(rows)
    model.set_reward_statistics(rows)
    return model


def rows(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, 5, generator=torch.Generator().manual_seed(seed))


def weights_of(model: EnhancedRewardModel) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype
        assert torch.equal(left[name], right[name]), name
