import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prefrl.rewards.model.bank import FeatureBank
from tests.rewards.model.small_bank import CAPACITY, POLICY, SEED, filled, offer, offered, stream

BATCHES = st.lists(st.integers(0, 12), max_size=6)


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
