"""The quick CrossQ computes what the paper says, and what sb3-contrib's computes."""

import copy
import itertools
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sb3_contrib import CrossQ
from sb3_contrib.common.torch_layers import BatchRenorm1d
from stable_baselines3.common.logger import Logger
from torch import Tensor

from prefrl.agents.fused_crossq import FusedBatchRenorm, FusedCrossQ
from tests.agents.stacks import SMALL, stack

EPS = 0.001


def layer(num_features: int, *, warmup_steps: int = 0, seed: int = 0) -> FusedBatchRenorm:
    """A layer that has learned something."""
    made = FusedBatchRenorm(num_features, warmup_steps=warmup_steps)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in ("scale", "ra_mean", "bias"):
            getattr(made, name).normal_(generator=rng)
        made.ra_var.uniform_(0.5, 2.0, generator=rng)
    return made


def by_the_paper(of: Any, x: Tensor) -> Tensor:
    """Ioffe 2017, algorithm 1: normalised by the batch, corrected by r and d without gradient."""
    mean, std = x.mean(0), (x.var(0, correction=0) + EPS).sqrt()
    running = (of.ra_var + EPS).sqrt()
    r = (std / running).clamp(1 / 3, 3).detach()
    d = ((mean - of.ra_mean) / running).clamp(-5, 5).detach()
    return of.scale * ((x - mean) / std * r + d) + of.bias


@given(
    seed=st.integers(0, 10_000),
    num_rows=st.integers(2, 20),
    shift=st.sampled_from([0.0, 3.0, -30.0]),
    scale=st.sampled_from([0.01, 1.0, 50.0]),
)
@settings(max_examples=40, deadline=None)
def test_after_its_warm_up_a_batch_is_corrected_towards_the_running_statistics_as_in_the_paper(
    seed, num_rows, shift, scale
):
    rng = torch.Generator().manual_seed(seed)
    rows = torch.randn(num_rows, 3, generator=rng) * scale + shift
    weight = torch.randn(num_rows, 3, generator=rng)
    fused, plain = layer(3, seed=seed), layer(3, seed=seed)
    fused.steps += 1  # past a warm-up of none
    x, y = rows.clone().requires_grad_(), rows.clone().requires_grad_()
    expected = by_the_paper(plain, y)
    result = fused(x)
    torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-3)
    (result * weight).sum().backward()
    (expected * weight).sum().backward()
    by_own = (x.grad, fused.scale.grad, fused.bias.grad)
    by_paper = (y.grad, plain.scale.grad, plain.bias.grad)
    for own, its in zip(by_own, by_paper, strict=True):
        assert own is not None
        assert its is not None
        torch.testing.assert_close(own, its, rtol=1e-2, atol=1e-3 * float(its.abs().max()) + 1e-5)
    assert int(fused.steps) == 2


def test_in_its_warm_up_a_batch_is_normalised_by_itself_alone():
    fused = layer(2, warmup_steps=1)
    rows = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    for _ in range(2):
        expected = fused.scale * (rows - rows.mean(0)) / (rows.var(0, correction=0) + EPS).sqrt()
        torch.testing.assert_close(fused(rows), expected + fused.bias)
    assert not torch.allclose(fused(rows), expected + fused.bias)


def test_running_statistics_follow_while_training_and_stay_otherwise():
    fused = FusedBatchRenorm(1)
    rows = torch.tensor([[1.0], [3.0]])
    fused(rows)
    assert fused.ra_mean.item() == pytest.approx(0.01 * 2)
    assert fused.ra_var.item() == pytest.approx(0.99 + 0.01 * 2)  # unbiased, as sb3-contrib's is
    fused.eval()
    before = copy.deepcopy(fused.state_dict())
    result = fused(rows)
    torch.testing.assert_close(result, (rows - 0.02) / np.sqrt(1.01 + EPS), rtol=1e-5, atol=0)
    assert all(torch.equal(value, before[name]) for name, value in fused.state_dict().items())


def test_it_says_what_sb3_contribs_layer_says_but_for_the_bias_of_the_variance():
    rows = torch.randn(512, 4, generator=torch.Generator().manual_seed(0)) * 2 + 1
    fused = layer(4, warmup_steps=2)
    plain = BatchRenorm1d(4, warmup_steps=2)
    plain.load_state_dict(fused.state_dict())
    for step in range(5):  # two regimes
        torch.testing.assert_close(fused(rows), plain(rows), rtol=5e-3, atol=5e-3)
        torch.testing.assert_close(fused.state_dict(), plain.state_dict())
        assert int(fused.steps) == step + 1


def test_what_was_reset_is_as_new():
    fused = layer(3)
    fused(torch.randn(5, 3))
    fused.reset_parameters()
    torch.testing.assert_close(fused.state_dict(), FusedBatchRenorm(3).state_dict())


def made(kind: type[CrossQ]) -> Any:
    model = kind("MlpPolicy", stack(1), policy_kwargs={**SMALL}, seed=0, device="cpu")
    buffer, rng = model.replay_buffer, np.random.default_rng(0)
    assert buffer is not None
    for _ in range(300):
        row = rng.normal(size=(2, 1, 3)).astype(np.float32)
        action = rng.uniform(-1, 1, size=(1, 1)).astype(np.float32)
        buffer.add(row[0], row[1], action, rng.normal(size=1), np.zeros(1), [{}])
    return model


def test_every_layer_of_the_model_is_quick_and_learns_what_sb3_contribs_model_learns():
    quick, plain = made(FusedCrossQ), made(CrossQ)
    layers = [m for m in quick.policy.modules() if isinstance(m, BatchRenorm1d)]
    assert len(layers) == 2 + 2 * 2
    assert {type(module) for module in layers} == {FusedBatchRenorm}
    plain.policy.load_state_dict(quick.policy.state_dict())
    for model in (quick, plain):
        model._logger = Logger(folder=None, output_formats=[])
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - SB3's buffers draw from it
        model.train(gradient_steps=6, batch_size=256)
    for name, value in quick.policy.state_dict().items():
        torch.testing.assert_close(
            value, plain.policy.state_dict()[name], rtol=0.02, atol=0.003, msg=name
        )


@pytest.mark.parametrize("of", ["policy", "actor", "critic"])
def test_its_modes_are_those_of_sb3_contribs_model_whatever_was_set_before(of):
    quick, plain = made(FusedCrossQ), made(CrossQ)
    for mode, next_mode in itertools.product((True, False), repeat=2):
        for model in (quick, plain):
            model.policy.set_training_mode(mode)
            model.actor.set_bn_training_mode(next_mode)
            getattr(model, of).set_training_mode(next_mode)
            model.critic.set_bn_training_mode(mode)
        own, its = ([m.training for m in model.policy.modules()] for model in (quick, plain))
        assert own == its


def test_a_copy_of_its_policy_has_modes_of_its_own():
    policy = made(FusedCrossQ).policy
    policy.set_training_mode(True)
    pickled = pickle.loads(pickle.dumps(policy))  # noqa: S301 - our own
    for copied in (copy.deepcopy(policy), pickled):
        copied.set_training_mode(False)
        assert not any(part.training for part in copied.modules())
    assert all(part.training for part in policy.modules())


def test_its_archive_is_read_by_sb3_contribs_class(tmp_path):
    quick = made(FusedCrossQ)
    quick.save(tmp_path / "policy.zip")
    plain = CrossQ.load(tmp_path / "policy.zip", device="cpu")
    rows = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    own, its = (model.predict(rows, deterministic=True)[0] for model in (quick, plain))
    np.testing.assert_allclose(own, its, rtol=1e-5, atol=1e-6)
