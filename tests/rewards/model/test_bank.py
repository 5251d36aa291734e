import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from prefrl.errors import ConfigError, DataError
from prefrl.rewards.model.bank import FeatureBank
from prefrl.rewards.model.bank_policies import POLICIES
from tests.rewards.model.small_bank import (
    INF,
    NAN,
    POLICY,
    SEED,
    filled,
    normal,
    offer,
    offered,
    state_of,
    stream,
)
from tests.rewards.small_model import assert_same


class TestConstruction:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"capacity": -1}, "capacity is -1; expected 0 or more"),
            ({"num_features": 0}, "num_features is 0; expected 1 or more"),
            ({"policy": "lru"}, "policy is 'lru'; expected one of fifo, reservoir, importance"),
        ],
    )
    def test_wrong_arguments_are_named_with_what_was_expected(self, arguments, said):
        with pytest.raises(ConfigError, match=said):
            FeatureBank(**{"capacity": 3, "num_features": 2, **arguments})

    def test_it_starts_empty_and_its_state_has_the_shapes_of_a_full_one(self):
        bank = FeatureBank(4, 3)
        assert len(bank) == bank.num_seen == 0
        assert bank.is_empty
        shapes = {name: (tuple(t.shape), t.dtype) for name, t in bank.state_dict().items()}
        assert shapes == {
            "embeddings": ((4, 3), torch.float32),
            "values": ((4,), torch.float32),
            "priority": ((4,), torch.float32),
            "keys": ((4,), torch.int64),
            "counts": ((3,), torch.int64),
        }
        full = filled(9, capacity=4)
        assert shapes == {name: (tuple(t.shape), t.dtype) for name, t in full.state_dict().items()}

    def test_nothing_of_it_is_trained(self):
        assert list(filled(3).parameters()) == []


class TestAdd:
    def test_embeddings_are_stored_at_unit_length_beside_what_came_with_them(self):
        bank = FeatureBank(3, 2)
        bank.add(
            torch.tensor([[3.0, 4.0], [0.0, -2.0]]),
            torch.tensor([0.5, -1.5]),
            keys=torch.tensor([11, 5]),
            version=6,
            priority=torch.tensor([0.25, 2.0]),
            generator=stream(),
        )
        torch.testing.assert_close(
            bank.embeddings, torch.tensor([[0.6, 0.8], [0.0, -1.0], [0.0, 0.0]])
        )
        assert bank.values.tolist() == [0.5, -1.5, 0.0]
        assert bank.keys.tolist() == [11, 5, 0]
        assert bank.priority.tolist() == [0.25, 2.0, 0.0]
        assert bank.counts.tolist() == [2, 2, 6]
        assert (len(bank), bank.num_seen, bank.version) == (2, 2, 6)
        assert not bank.is_empty
        assert bank.keys_of_entries().tolist() == [11, 5]
        assert torch.equal(bank.embeddings_of_entries(), bank.embeddings[:2])

    @pytest.mark.parametrize("size", [1e-38, 1e-20, 1.0, 1e20, 3e38])
    def test_huge_and_tiny_embeddings_neither_overflow_nor_turn_to_nan(self, size):
        bank = FeatureBank(1, 2)
        offer(bank, {**offered(1), "embeddings": torch.tensor([[size, size]])}, stream())
        expected = math.sqrt(0.5) if size > 1e-12 else 0.0
        torch.testing.assert_close(bank.embeddings, torch.full((1, 2), expected))

    def test_gradients_end_at_the_bank(self):
        bank, segments = FeatureBank(2, 3), offered(2)
        for name in ("embeddings", "values", "priority"):
            segments[name].requires_grad_()
        offer(bank, segments, stream())
        assert not any(buffer.requires_grad for buffer in bank.buffers())

    def test_what_inference_mode_gave_is_taken(self):
        bank = FeatureBank(2, 3)
        with torch.inference_mode():
            segments = offered(3)
        offer(bank, segments, stream())
        assert bank.keys.tolist() == [2, 1]

    def test_other_dtypes_are_taken_for_what_they_mean(self):
        bank = FeatureBank(1, 2)
        bank.add(
            torch.tensor([[0, 5]]),
            torch.tensor([2], dtype=torch.float64),
            keys=torch.tensor([3], dtype=torch.int32),
            version=0,
            generator=stream(),
        )
        assert bank.embeddings.tolist() == [[0.0, 1.0]]
        assert (bank.values.tolist(), bank.keys.tolist()) == ([2.0], [3])

    def test_offering_nothing_changes_nothing(self):
        bank = filled(3)
        before = state_of(bank)
        offer(bank, offered(0), stream())
        assert_same(before, state_of(bank))

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (
                {"embeddings": torch.zeros(2, 4)},
                r"embeddings has shape \(2, 4\); expected \(2, 3\)",
            ),
            ({"embeddings": torch.zeros(2)}, r"embeddings has shape \(2,\); expected \(2, 3\)"),
            ({"embeddings": torch.tensor(1.0)}, r"embeddings has shape \(\); expected \(0, 3\)"),
            ({"values": torch.zeros(3)}, r"values has shape \(3,\); expected \(2,\)"),
            ({"values": torch.zeros(2, 1)}, r"values has shape \(2, 1\); expected \(2,\)"),
            ({"priority": torch.zeros(1)}, r"priority has shape \(1,\); expected \(2,\)"),
            ({"keys": torch.zeros(3, dtype=torch.int64)}, r"keys has shape \(3,\) .* \(2,\) whole"),
            ({"keys": torch.zeros(2)}, r"keys .* dtype torch.float32; expected \(2,\) whole"),
            ({"embeddings": torch.tensor([[1.0, 2, 3], [1, NAN, 1]])}, "embeddings .* not finite"),
            ({"values": torch.tensor([INF, 0.0])}, "values holds numbers that are not finite"),
            ({"values": torch.tensor([1e300, 0.0], dtype=torch.float64)}, "values .* not finite"),
            ({"priority": torch.tensor([0.0, NAN])}, "priority .* not finite"),
            ({"version": 2}, "of weights version 1, these are of version 2: refresh first"),
        ],
    )
    @pytest.mark.parametrize("policy", sorted(POLICIES))
    def test_what_does_not_fit_is_named_and_changes_nothing(self, policy, change, said):
        bank = filled(3, capacity=4, policy=policy)
        before = state_of(bank)
        with pytest.raises(DataError, match=said):
            offer(bank, {**offered(2), **change}, stream())
        assert_same(before, state_of(bank))

    def test_importance_asks_for_a_priority_and_the_others_do_not(self):
        segments = {name: t for name, t in offered(2).items() if name != "priority"}
        with pytest.raises(DataError, match="policy is importance, but no priority was given"):
            offer(FeatureBank(1, 3, policy="importance"), segments, stream())
        for policy in ("fifo", "reservoir"):
            bank = FeatureBank(2, 3, policy=policy)
            offer(bank, segments, stream())
            assert bank.priority.tolist() == [0.0, 0.0]

    def test_an_empty_bank_takes_the_version_of_what_comes(self):
        bank = FeatureBank(2, 3)
        offer(bank, offered(1), stream(), version=4)
        bank.clear()
        offer(bank, offered(1), stream(), version=3)
        assert bank.version == 3


class TestCapacityZero:
    @pytest.mark.parametrize("policy", sorted(POLICIES))
    def test_it_stores_nothing_and_changes_no_prediction(self, policy):
        bank = FeatureBank(0, 3, policy=policy)
        offer(bank, offered(5), stream())
        assert bank.is_empty
        assert bank.num_seen == 0
        assert bank.embeddings_of_entries().shape == (0, 3)
        assert [tuple(found.shape) for found in bank.search(normal(2, 3), 4)] == [(2, 0), (2, 0)]
        assert bank.novelty(normal(2, 3)).tolist() == [1.0, 1.0]
        predicted = normal(2)
        assert bank.adjusted(predicted, normal(2, 3), alpha=0.5, k=2) is predicted
        bank.clear()


class TestRefresh:
    def test_every_entry_is_embedded_anew_by_its_key_in_one_call(self):
        bank = filled(5, capacity=4)
        priority, asked = bank.priority.clone(), list[list[int]]()

        def encode(keys: Tensor) -> tuple[Tensor, Tensor]:
            asked.append(keys.tolist())
            angle = keys.float().requires_grad_()
            return torch.stack([angle.cos(), angle.sin(), 0 * angle], dim=1) * 5, angle * 10

        bank.refresh(encode, version=2)
        assert asked == [[4, 1, 2, 3]]
        assert bank.version == 2
        assert (len(bank), bank.num_seen) == (4, 5)
        angle = torch.tensor([4.0, 1.0, 2.0, 3.0])
        expected = torch.stack([angle.cos(), angle.sin(), 0 * angle], dim=1)
        torch.testing.assert_close(bank.embeddings, expected)
        assert bank.values.tolist() == [40.0, 10.0, 20.0, 30.0]
        assert torch.equal(bank.priority, priority)
        assert not any(buffer.requires_grad for buffer in bank.buffers())

    def test_old_and_new_embeddings_are_never_mixed(self):
        bank = filled(3)
        with pytest.raises(DataError, match="refresh first"):
            offer(bank, offered(2), stream(), version=2)
        bank.refresh(lambda keys: (torch.ones(3, 3), torch.zeros(3)), version=2)
        with pytest.raises(DataError, match="refresh first"):
            offer(bank, offered(2), stream(), version=1)
        offer(bank, offered(2), stream(), version=2)
        assert len(bank) == 5
        assert bank.version == 2

    @pytest.mark.parametrize(
        ("embeddings", "values", "said"),
        [
            (torch.ones(2, 3), torch.zeros(3), r"embeddings has shape \(2, 3\); expected \(3, 3\)"),
            (torch.ones(3, 4), torch.zeros(3), r"embeddings has shape \(3, 4\); expected \(3, 3\)"),
            (torch.ones(3, 3), torch.zeros(3, 1), r"values has shape \(3, 1\); expected \(3,\)"),
            (torch.ones(3, 3) * NAN, torch.zeros(3), "embeddings .* not finite"),
            (torch.ones(3, 3), torch.ones(3) * INF, "values .* not finite"),
        ],
    )
    def test_a_wrong_encoder_is_refused_and_changes_nothing(self, embeddings, values, said):
        bank = filled(3)
        before = state_of(bank)
        with pytest.raises(DataError, match=said):
            bank.refresh(lambda keys: (embeddings, values), version=2)
        assert_same(before, state_of(bank))

    def test_an_encoder_that_fails_or_writes_to_its_keys_changes_nothing(self):
        bank = filled(3)
        before = state_of(bank)

        def encode(keys: Tensor) -> tuple[Tensor, Tensor]:
            keys.zero_()
            raise RuntimeError("no such segment")

        with pytest.raises(RuntimeError, match="no such segment"):
            bank.refresh(encode, version=2)
        assert_same(before, state_of(bank))

    @pytest.mark.parametrize("capacity", [0, 3])
    def test_an_empty_bank_has_nothing_to_embed(self, capacity):
        bank = FeatureBank(capacity, 3)
        bank.refresh(lambda keys: pytest.fail("was asked"), version=5)
        assert bank.is_empty
        assert bank.version == 5


class TestClear:
    @pytest.mark.parametrize("policy", sorted(POLICIES))
    def test_a_cleared_bank_is_as_new_and_fills_as_a_new_one(self, policy):
        bank = filled(9, capacity=4, policy=policy)
        bank.clear()
        assert_same(state_of(bank), state_of(FeatureBank(4, 3)))
        offer(bank, offered(9), stream())
        assert_same(state_of(bank), state_of(filled(9, capacity=4, policy=policy)))


class TestState:
    @pytest.mark.parametrize("policy", sorted(POLICIES))
    @pytest.mark.parametrize(("capacity", "num"), [(0, 3), (4, 0), (4, 2), (4, 9)])
    def test_a_bank_comes_back_from_disk_and_goes_on_as_if_never_gone(
        self, tmp_path, policy, capacity, num
    ):
        bank = filled(num, capacity=capacity, policy=policy)
        save_file(bank.state_dict(), tmp_path / "bank.safetensors")
        again = FeatureBank(capacity, 3, policy=policy)
        again.load_state_dict(load_file(tmp_path / "bank.safetensors"))
        assert_same(state_of(bank), state_of(again))
        for one in (bank, again):
            offer(one, offered(7, seed=5), stream(6))
        assert_same(state_of(bank), state_of(again))
        queries = normal(4, 3)
        assert torch.equal(bank.novelty(queries), again.novelty(queries))

    @given(policy=POLICY, num=st.integers(0, 20), seed=SEED)
    def test_it_is_finite_everywhere(self, policy, num, seed):
        state = filled(num, capacity=6, policy=policy, seed=seed).state_dict()
        assert all(bool(tensor.isfinite().all()) for tensor in state.values())
