from typing import Any

from prefrl.config import RewardConfig
from prefrl.rewards import RewardTrainer, build_model
from prefrl.seeding import REWARD_WEIGHTS, Streams
from tests import linear_task


def make_trainer(seed: int = 0, **settings: Any) -> RewardTrainer:
    """A small ensemble that has seen nothing; `settings` are those of `RewardConfig`."""
    streams, config = (
        Streams(seed),
        RewardConfig(**{"hidden_dim": 32, **settings}),
    )
    model = build_model(
        linear_task.INPUT_DIM,
        config,
        segment_length=1,
        generator=streams.torch_generator(REWARD_WEIGHTS),
        observation_dim=linear_task.OBSERVATION_DIM,
    )
    return RewardTrainer(model, config, streams=streams)
