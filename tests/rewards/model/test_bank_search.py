import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prefrl.errors import ConfigError, DataError
from prefrl.rewards.model import bank as bank_module
from prefrl.rewards.model.bank import FeatureBank
from tests.rewards.model.small_bank import (
    NAN,
    SEED,
    compass,
    filled,
    normal,
    offer,
    offered,
    state_of,
    stream,
)
from tests.rewards.small_model import assert_same


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
