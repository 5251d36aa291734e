import numpy as np
import pytest

from prefrl.agents.exploration import MAX_REFERENCE, StateEntropyReward, no_reward
from prefrl.errors import DataError


def rewards_of(reward: StateEntropyReward, states: object) -> np.ndarray:
    rows = np.asarray(states, dtype=np.float32)
    empty = np.zeros((len(rows), 0), dtype=np.float32)
    return reward(rows * np.nan, empty, rows, np.zeros(len(rows), dtype=bool))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_state_earns_its_distance_to_the_kth_nearest_in_mean_distances():
    visited = np.array([[0.0], [1.0], [3.0], [7.0]], dtype=np.float32)
    reward = StateEntropyReward(visited, k=2, rng=rng())
    # The second nearest of the others lies 3, 2, 3 and 6 away: 3.5 on average.
    rewards = rewards_of(reward, [[3.0], [-10.0], [103.0], [2.0]])
    # 3.0 was visited itself, and then comes 1.0; 2.0 lies between 1.0 and 3.0.
    np.testing.assert_allclose(rewards * 3.5, [2.0, 11.0, 100.0, 1.0], rtol=1e-5)
    assert rewards.dtype == np.float32


def test_no_unit_of_measurement_outweighs_another():
    draw = np.random.default_rng(1)
    visited, states = draw.normal(size=(200, 3)), draw.normal(size=(20, 3))
    units = np.array([1.0, 1e-3, 1e4])
    same = [
        rewards_of(StateEntropyReward((visited * u).astype(np.float32), rng=rng()), states * u)
        for u in (np.ones(3), units)
    ]
    np.testing.assert_allclose(same[0], same[1], rtol=1e-3)


def test_rewards_are_those_of_a_search_through_all_pairs():
    draw = np.random.default_rng(2)
    visited = draw.normal(size=(300, 4)).astype(np.float32)
    states = 2 * draw.normal(size=(3_000, 4)).astype(np.float32)
    rewards = rewards_of(StateEntropyReward(visited, k=5, rng=rng()), states)
    scale = visited.std(axis=0, dtype=np.float64)

    def kth(rows: np.ndarray, k: int) -> np.ndarray:
        pairs = np.linalg.norm((rows[:, None] - visited[None]) / scale, axis=2)
        return np.sort(pairs, axis=1)[:, k - 1]

    # Visited states stand at distance 0 from themselves.
    np.testing.assert_allclose(rewards, kth(states, 5) / kth(visited, 6).mean(), rtol=1e-3)


def test_a_dimension_that_never_changed_counts_in_its_own_unit():
    visited = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]], dtype=np.float32)
    rewards = rewards_of(StateEntropyReward(visited, k=1, rng=rng()), [[1.0, 5.0], [1.0, 6.0]])
    assert rewards[0] == pytest.approx(0.0, abs=1e-3)
    assert np.isfinite(rewards).all()
    assert rewards[1] > rewards[0]


def test_many_visited_states_are_represented_by_a_draw_of_them():
    visited = np.random.default_rng(3).normal(size=(MAX_REFERENCE + 500, 2)).astype(np.float32)
    states = visited[:50]
    one, same, other = (
        rewards_of(StateEntropyReward(visited, rng=np.random.default_rng(seed)), states)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert np.corrcoef(one, other)[0, 1] > 0.8


def test_fewer_states_than_neighbours_are_enough_but_not_fewer_than_two():
    visited = np.array([[0.0], [2.0], [4.0]], dtype=np.float32)
    assert StateEntropyReward(visited, k=5, rng=rng()).k == 2
    for num in (0, 1):
        with pytest.raises(DataError, match=f"^{num} visited states; state entropy needs 2"):
            StateEntropyReward(visited[:num], rng=rng())


def test_states_that_are_all_the_same_give_finite_rewards():
    rewards = rewards_of(StateEntropyReward(np.ones((10, 2), "f"), rng=rng()), [[1, 1], [1, 2]])
    assert np.isfinite(rewards).all()


def test_without_a_goal_nothing_is_earned():
    obs, action, done = np.ones((3, 2), "f"), np.ones((3, 1), "f"), np.ones(3, dtype=bool)
    rewards = no_reward(obs, action, obs, done)
    assert rewards.tolist() == [0.0, 0.0, 0.0]
    assert rewards.dtype == np.float32
