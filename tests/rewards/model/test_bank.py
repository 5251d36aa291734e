import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from prefrl.errors import ConfigError, DataError
from prefrl.rewards.model import bank as bank_module
from prefrl.rewards.model.bank import FeatureBank
from prefrl.rewards.model.bank_policies import POLICIES
from tests.rewards.small_model import assert_same

NAN, INF = float("nan"), float("inf")
POLICY = st.sampled_from(sorted(POLICIES))
CAPACITY = st.integers(1, 7)
SEED = st.integers(0, 999)
BATCHES = st.lists(st.integers(0, 12), max_size=6)


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


def one_by_one(policy: str, capacity: int, priority: list[float], seed: int) -> list[int]:
    """Returns the segments in the slots, by the textbook, each looked at alone."""
    generator, slots = stream(seed), list[int]()
    for t in range(len(priority)):
        if len(slots) < capacity:
            slots.append(t)
        elif policy == "fifo":
            slots[t % capacity] = t
        elif policy == "reservoir":
            draw = int(torch.randint(2**63 - 1, (1,), generator=generator)) % (t + 1)
            if draw < capacity:
                slots[draw] = t
        else:
            lowest = min(priority[s] for s in slots)
            if priority[t] > lowest:
                slots.remove(max(s for s in slots if priority[s] == lowest))
                slots.append(t)
    return slots


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


class TestPolicies:
    @given(policy=POLICY, capacity=CAPACITY, batches=BATCHES, seed=SEED)
    def test_batches_leave_what_offering_one_at_a_time_leaves(
        self, policy, capacity, batches, seed
    ):
        segments = offered(sum(batches), seed=seed)
        bank, generator = FeatureBank(capacity, 3, policy=policy), stream(seed)
        start = 0
        for size in batches:
            part = {name: t[start : start + size] for name, t in segments.items()}
            offer(bank, part, generator)
            start += size
        slots = one_by_one(policy, capacity, segments["priority"].tolist(), seed)
        assert len(bank) == len(slots) == min(capacity, sum(batches))
        assert bank.num_seen == sum(batches)
        assert bank.keys_of_entries().tolist() == slots
        assert torch.equal(bank.values[: len(slots)], segments["values"][slots])
        assert torch.equal(bank.priority[: len(slots)], segments["priority"][slots])
        directions = torch.nn.functional.normalize(segments["embeddings"][slots], dim=-1)
        torch.testing.assert_close(bank.embeddings_of_entries(), directions)
        for buffer in (bank.embeddings, bank.values, bank.priority, bank.keys):
            assert (buffer[len(slots) :] == 0).all()

    @given(capacity=CAPACITY, num=st.integers(0, 30), seed=SEED)
    def test_fifo_keeps_the_newest(self, capacity, num, seed):
        bank = filled(num, capacity=capacity, seed=seed)
        assert sorted(bank.keys_of_entries().tolist()) == list(range(num))[-capacity:]

    @given(capacity=CAPACITY, num=st.integers(0, 30), seed=SEED)
    def test_importance_keeps_the_top_priorities(self, capacity, num, seed):
        bank = filled(num, capacity=capacity, policy="importance", seed=seed)
        priority = offered(num, seed=seed)["priority"].tolist()
        kept = bank.priority[: len(bank)].tolist()
        assert sorted(kept, reverse=True) == sorted(priority, reverse=True)[:capacity]

    def test_of_equal_priorities_the_older_stay(self):
        bank = FeatureBank(2, 3, policy="importance")
        for keys, priority in (([0, 1], [1.0, 1.0]), ([2], [1.0]), ([3, 4], [5.0, 1.0])):
            segments = {**offered(len(keys)), "keys": torch.tensor(keys)}
            offer(bank, {**segments, "priority": torch.tensor(priority)}, stream())
        assert bank.keys.tolist() == [0, 3]

    def test_of_two_that_draw_one_slot_the_later_stays(self):
        # One slot: segment t stays with probability 1 / (t + 1), so that several of 50 draw it.
        for seed in range(20):
            bank = filled(50, capacity=1, policy="reservoir", seed=seed)
            draws = torch.randint(2**63 - 1, (49,), generator=stream(seed))
            hits = [t for t, draw in enumerate(draws.tolist(), start=1) if draw % (t + 1) == 0]
            assert bank.keys.tolist() == [max([0, *hits])]

    def test_a_reservoir_holds_each_segment_ever_offered_with_equal_probability(self):
        num, capacity, num_trials, generator = 400, 100, 400, stream(3)
        held, segments = torch.zeros(num), offered(num)
        batches = [{name: t[i : i + 160] for name, t in segments.items()} for i in (0, 160, 320)]
        for _ in range(num_trials):
            bank = FeatureBank(capacity, 3, policy="reservoir")
            for batch in batches:
                offer(bank, batch, generator)
            held[bank.keys] += 1
        mean, variance = num_trials / 4, num_trials * 3 / 16
        # Mean square of 400 standard scores: 1, give or take sqrt(2 / 400).
        assert ((held - mean) ** 2 / variance).mean().item() == pytest.approx(1.0, abs=0.3)
        # Neither early nor late ones are preferred: four standard errors of a mean over 100.
        for quarter in held.split(100):
            assert quarter.mean().item() == pytest.approx(mean, abs=4 * math.sqrt(variance / 100))

    def test_only_the_reservoir_draws_and_only_once_it_is_full(self):
        for policy, num, is_drawn in (
            ("fifo", 9, False),
            ("importance", 9, False),
            ("reservoir", 4, False),
            ("reservoir", 5, True),
        ):
            generator, untouched = stream(), stream()
            offer(FeatureBank(4, 3, policy=policy), offered(num), generator)
            assert torch.equal(generator.get_state(), untouched.get_state()) != is_drawn


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


class TestSearch:
    def test_the_nearest_come_first_with_their_cosines(self):
        similarity, index = compass().search(torch.tensor([[3.0, 4.0], [-1.0, 0.0]]), 2)
        torch.testing.assert_close(similarity[0], torch.tensor([0.8, 0.6]))
        assert index[0].tolist() == [1, 0]
        assert similarity[1, 0].item() == 1.0
        assert index[1, 0].item() == 2

    def test_fewer_entries_than_asked_for_are_all_returned(self):
        similarity, index = compass().search(torch.tensor([[3.0, 4.0]]), 9)
        assert similarity.shape == (1, 4)
        torch.testing.assert_close(similarity[0], torch.tensor([0.8, 0.6, 0.0, -0.6]))
        assert index.tolist() == [[1, 0, 3, 2]]

    @given(num=st.integers(0, 15), num_queries=st.integers(0, 5), k=st.integers(1, 20), seed=SEED)
    def test_it_is_a_sorted_list_of_all_cosines_cut_at_k(self, num, num_queries, k, seed):
        bank, queries = filled(num, seed=seed), normal(num_queries, 3, seed=seed + 1000)
        similarity, index = bank.search(queries, k)
        assert similarity.shape == index.shape == (num_queries, min(k, num, 10))
        assert index.dtype == torch.int64
        entries = bank.embeddings_of_entries()
        cosines = torch.cosine_similarity(queries[:, None], entries[None], dim=-1)
        expected = cosines.sort(-1, descending=True).values[:, :k]
        torch.testing.assert_close(similarity, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(cosines.gather(1, index), expected, atol=1e-5, rtol=0)
        assert (similarity.abs() <= 1).all()

    def test_many_queries_take_turns_and_find_the_same(self, monkeypatch):
        bank, queries = filled(10), normal(23, 3)
        at_once = bank.search(queries, 4)
        for limit in (1, 35, 40):
            monkeypatch.setattr(bank_module, "MAX_SIMILARITIES", limit)
            for left, right in zip(at_once, bank.search(queries, 4), strict=True):
                torch.testing.assert_close(left, right)

    def test_a_thousand_queries_of_ten_thousand_entries_are_one_product(self):
        assert bank_module.MAX_SIMILARITIES >= 1_000 * 10_000

    def test_what_has_no_direction_is_like_nothing(self):
        similarity, _ = compass().search(torch.zeros(1, 2), 4)
        assert similarity.tolist() == [[0.0] * 4]
        similarity, index = compass().search(torch.tensor([[1.0, 1.0]]), 4)
        assert similarity[0, index[0] == 3].tolist() == [0.0]

    def test_searching_takes_no_gradient_and_changes_nothing(self):
        bank = filled(5)
        before = state_of(bank)
        similarity, _ = bank.search(normal(2, 3).requires_grad_(), 2)
        assert not similarity.requires_grad
        assert_same(before, state_of(bank))

    @pytest.mark.parametrize("bank", [FeatureBank(3, 2), compass()])
    def test_wrong_questions_are_refused_whatever_the_bank_holds(self, bank):
        with pytest.raises(ConfigError, match="k is 0; expected 1 or more"):
            bank.search(torch.ones(1, 2), 0)
        for wrong, said in (
            (torch.ones(4, 3), r"queries has shape \(4, 3\); expected \(4, 2\)"),
            (torch.ones(2), r"queries has shape \(2,\); expected \(2, 2\)"),
            (torch.tensor([[NAN, 0.0]]), "queries holds numbers that are not finite"),
        ):
            with pytest.raises(DataError, match=said):
                bank.search(wrong, 1)


class TestValuesNear:
    def test_the_mean_is_weighted_by_similarity(self):
        mean, total = compass().values_near(torch.tensor([[3.0, 4.0]]), 2)
        assert total.tolist() == pytest.approx([1.4])
        assert mean.tolist() == pytest.approx([(0.8 * 3 + 0.6 * 1) / 1.4])

    def test_what_points_away_or_nowhere_counts_nothing(self):
        bank, query = compass(), torch.tensor([[3.0, 4.0]])
        for few, all_four in zip(
            bank.values_near(query, 2), bank.values_near(query, 4), strict=True
        ):
            torch.testing.assert_close(few, all_four)

    def test_a_single_neighbour_answers_alone(self):
        mean, total = compass().values_near(torch.tensor([[3.0, 4.0]]), 1)
        assert mean.tolist() == pytest.approx([3.0])
        assert total.tolist() == pytest.approx([0.8])

    @pytest.mark.parametrize("query", [[0.0, -1.0], [0.0, 0.0], [-1e-8, -1.0], [1e-8, -1.0]])
    def test_where_nothing_is_similar_both_are_zero(self, query):
        mean, total = compass().values_near(torch.tensor([query]), 4)
        assert (mean.tolist(), total.tolist()) == ([0.0], [0.0])

    def test_an_empty_bank_has_nothing_similar(self):
        mean, total = FeatureBank(3, 2).values_near(torch.ones(2, 2), 4)
        assert (mean.tolist(), total.tolist()) == ([0.0, 0.0], [0.0, 0.0])


class TestAdjusted:
    def test_a_prediction_moves_by_alpha_towards_its_neighbours(self):
        query, predicted = torch.tensor([[3.0, 4.0]]), torch.tensor([10.0])
        near = (0.8 * 3 + 0.6 * 1) / 1.4
        for alpha in (0.25, 1.0):
            adjusted = compass().adjusted(predicted, query, alpha=alpha, k=2)
            assert adjusted.tolist() == pytest.approx([10 + alpha * (near - 10)])

    def test_alpha_0_gives_the_prediction_itself_without_a_search(self):
        predicted = torch.tensor([1.0])
        assert compass().adjusted(predicted, torch.tensor([[NAN]]), alpha=0.0, k=1) is predicted

    def test_an_empty_bank_gives_the_prediction_itself(self):
        predicted = torch.tensor([1.0])
        assert FeatureBank(3, 2).adjusted(predicted, torch.ones(1, 2), alpha=1, k=1) is predicted

    def test_where_nothing_is_similar_a_prediction_stays_as_it_is(self):
        queries = torch.tensor([[0.0, -1.0], [0.0, 0.0], [0.0, 1.0]])
        adjusted = compass().adjusted(torch.full((3,), 0.1), queries, alpha=1.0, k=1)
        assert torch.equal(adjusted, torch.tensor([0.1, 0.1, 3.0]))

    @given(
        alpha=st.floats(0, 1), k=st.integers(1, 12), num=st.integers(0, 12), seed=st.integers(0, 99)
    )
    def test_it_lies_between_the_prediction_and_the_neighbours(self, alpha, k, num, seed):
        bank, queries, predicted = filled(num, seed=seed), normal(6, 3), normal(6) * 3
        adjusted = bank.adjusted(predicted, queries, alpha=alpha, k=k)
        _, index = bank.search(queries, k)
        among = torch.cat([predicted[:, None], bank.values[index]], dim=1)
        assert (adjusted >= among.amin(1) - 1e-5).all()
        assert (adjusted <= among.amax(1) + 1e-5).all()

    def test_gradients_reach_the_prediction_and_nothing_else(self):
        predicted = torch.tensor([10.0, 10.0], requires_grad=True)
        queries = torch.tensor([[3.0, 4.0], [0.0, -1.0]], requires_grad=True)
        compass().adjusted(predicted, queries, alpha=0.25, k=2).sum().backward()
        assert predicted.grad is not None
        assert predicted.grad.tolist() == [0.75, 1.0]
        assert queries.grad is None

    @pytest.mark.parametrize("shape", [(), (1,), (3, 1)])
    def test_there_is_one_prediction_to_a_query(self, shape):
        with pytest.raises(DataError, match=r"predicted has shape .*; expected \(3,\)"):
            compass().adjusted(torch.zeros(shape), torch.ones(3, 2), alpha=0.5, k=2)


class TestNovelty:
    def test_it_is_0_for_what_is_known_1_for_what_is_unlike_and_2_for_the_opposite(self):
        bank = FeatureBank(2, 2)
        offer(bank, {**offered(1), "embeddings": torch.tensor([[0.0, 3.0]])}, stream())
        queries = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, -2.0], [0.0, 0.0], [3.0, 4.0]])
        assert bank.novelty(queries).tolist() == pytest.approx([0.0, 1.0, 2.0, 1.0, 0.2])

    def test_everything_is_new_to_an_empty_bank(self):
        assert FeatureBank(2, 2).novelty(torch.ones(3, 2)).tolist() == [1.0, 1.0, 1.0]

    @given(num=st.integers(1, 12), seed=SEED)
    def test_it_stays_in_range_and_is_0_for_the_entries_themselves(self, num, seed):
        bank = filled(num, seed=seed)
        novelty = bank.novelty(normal(8, 3, seed=seed + 1000))
        assert ((novelty >= 0) & (novelty <= 2)).all()
        known = bank.novelty(bank.embeddings_of_entries())
        torch.testing.assert_close(known, torch.zeros(len(bank)), atol=1e-5, rtol=0)


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
