from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3 import PPO

from prefrl.agents import make_agent, make_model
from prefrl.agents.base import SB3Agent
from prefrl.agents.factory import load_policy
from prefrl.agents.normalization import CLIP, NormalizedObservations
from prefrl.segments import EpisodeStore
from tests.agents.stacks import SMALL, SMALL_PPO, constant, stack


def normalizer(size: int = 3) -> NormalizedObservations:
    return NormalizedObservations(spaces.Box(-np.inf, np.inf, (size,)))


def trained(store: EpisodeStore, **policy_kwargs: Any) -> tuple[SB3Agent, np.ndarray]:
    """An agent that explored and trained, and the (N, O) observations it has seen."""
    settings = {
        **SMALL_PPO,
        "normalize_observations": True,
        "normalize_reward": True,
        "policy_kwargs": {**SMALL, **policy_kwargs},
    }
    agent = make_agent(make_model("ppo", stack(3, store=store), settings, seed=0, device="cpu"))
    agent.begin_phase(0)
    agent.explore(99)
    seen = np.asarray(agent.model._last_obs)
    for seed in (1, 2):
        agent.begin_phase(seed)
        agent.set_reward(constant(1.0))
        agent.train(150)
    agent.begin_phase(3)  # Hands over unfinished episodes.
    return agent, np.concatenate([*(e.observations[:-1] for e in store.episodes), seen])


def test_at_first_observations_pass_as_they_are():
    rows = torch.tensor([[1.0, -2.0, 3.0]])
    assert torch.equal(normalizer()(rows), rows)


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    seed=st.integers(0, 100),
    place=st.floats(-1e3, 1e3),
)
def test_statistics_are_those_of_everything_seen_however_it_was_cut(sizes, seed, place):
    rng = np.random.default_rng(seed)
    batches = [place + rng.normal(size=(n, 3)) * [1e-2, 1.0, 50.0] for n in sizes]
    module = normalizer()
    for batch in batches:
        module.update(torch.from_numpy(batch))
    seen = np.concatenate(batches)
    np.testing.assert_allclose(module.mean.numpy(), seen.mean(axis=0), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(module.var.numpy(), seen.var(axis=0), rtol=1e-6, atol=1e-9)
    assert module.count.item() == len(seen)


def test_observations_are_centred_scaled_and_clipped():
    module = normalizer(1)
    module.update(torch.tensor([[2.0], [4.0]]))
    result = module(torch.tensor([[3.0], [4.0], [1.0], [1e6], [-1e6]]))
    np.testing.assert_allclose(result[:, 0].numpy(), [0.0, 1.0, -2.0, CLIP, -CLIP], atol=1e-6)


def test_a_dimension_that_never_moves_stays_finite():
    module = normalizer(1)
    module.update(torch.full((5, 1), 7.0))
    assert module(torch.tensor([[7.0], [7.1]])).tolist() == [[0.0], [10.0]]


def test_statistics_change_only_when_told():
    module = normalizer()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.train()
    module(torch.randn(50, 3))
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])


def test_an_agents_statistics_are_those_of_all_it_has_observed():
    agent, seen = trained(EpisodeStore())
    (module,) = agent._normalizers  # type: ignore[attr-defined]
    # 33 steps and a first look of each of three environments, then 2 * 150 steps.
    assert module.count.item() == len(seen) == 99 + 3 + 300
    np.testing.assert_allclose(module.mean.numpy(), seen.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(module.var.numpy(), seen.var(axis=0), rtol=1e-4)


def test_actor_and_critic_with_features_of_their_own_are_both_normalised():
    agent, seen = trained(EpisodeStore(), share_features_extractor=False)
    modules = agent._normalizers  # type: ignore[attr-defined]
    assert len(modules) == 2
    for module in modules:
        np.testing.assert_allclose(module.mean.numpy(), seen.mean(axis=0), rtol=1e-4)


def test_the_saved_policy_takes_raw_observations(tmp_path):
    agent, seen = trained(EpisodeStore())
    agent.save_policy(tmp_path / "policy.zip")
    raw = seen[:64]
    expected = agent.predict(raw)
    plain = PPO.load(tmp_path / "policy.zip", device="cpu")
    np.testing.assert_array_equal(plain.predict(raw, deterministic=True)[0], expected)
    np.testing.assert_array_equal(load_policy("ppo", tmp_path / "policy.zip")(raw), expected)
    with torch.no_grad():
        plain.policy.get_submodule("features_extractor").get_buffer("shift").add_(5.0)
    assert (plain.predict(raw, deterministic=True)[0] != expected).any()


def test_a_reward_function_never_sees_what_the_policy_is_given():
    rows: list[np.ndarray] = []

    def remember(obs, action, next_obs, done):
        rows.append(obs)
        return np.ones(len(obs), dtype=np.float32)

    store = EpisodeStore()
    agent, _ = trained(store)
    agent.begin_phase(7)
    before = len(store)
    agent.set_reward(remember)
    agent.train(60)
    agent.begin_phase(8)
    recorded = np.concatenate([e.observations[:-1] for e in list(store.episodes)[before:]])
    seen = np.concatenate(rows)
    np.testing.assert_array_equal(np.sort(seen, axis=0), np.sort(recorded, axis=0))


def test_statistics_move_with_the_module():
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    module = normalizer().to("cuda")
    module.update(torch.randn(10, 3, dtype=torch.float64))
    assert module(torch.zeros(1, 3, device="cuda")).is_cuda
