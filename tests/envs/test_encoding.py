from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from prefrl.envs.encoding import (
    ActionsFromZero,
    FlatObservation,
    action_dim,
    action_encoder,
    batch_of_one,
    check_observation_space,
    observation_dim,
    observation_encoder,
)
from prefrl.errors import SpaceError
from tests.envs.tasks import Pieces

SHAPES = st.lists(st.integers(1, 3), max_size=3).map(tuple)
BOXES = st.builds(
    lambda shape, dtype: spaces.Box(-7, 9, shape, dtype),
    SHAPES,
    st.sampled_from([np.float32, np.float64, np.int16]),
)
DISCRETE = st.builds(
    lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 5), st.integers(-3, 3)
)
MULTI_DISCRETE = st.lists(
    st.tuples(st.integers(1, 4), st.integers(-3, 3)), min_size=1, max_size=3
).map(lambda parts: spaces.MultiDiscrete([n for n, _ in parts], start=[s for _, s in parts]))
SWITCHES = st.one_of(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3))).map(
    spaces.MultiBinary
)
LEAVES = st.one_of(BOXES, DISCRETE, MULTI_DISCRETE, SWITCHES)
SPACES = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.dictionaries(st.sampled_from("zyxabc"), parts, min_size=1, max_size=3).map(spaces.Dict),
        st.lists(parts, min_size=1, max_size=3).map(spaces.Tuple),
    ),
    max_leaves=5,
)


def stacked(space: spaces.Space[Any], samples: list[Any]) -> Any:
    """Samples as SB3's vector environments give them: arrays with N first, in dicts and tuples."""
    if isinstance(space, spaces.Dict):
        return {k: stacked(part, [s[k] for s in samples]) for k, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(stacked(part, [s[i] for s in samples]) for i, part in enumerate(space.spaces))
    return np.stack([np.asarray(sample) for sample in samples])


def flattened(space: spaces.Space[Any], samples: list[Any]) -> np.ndarray:
    rows: list[Any] = [spaces.utils.flatten(space, sample) for sample in samples]
    return np.stack(rows)


def samples_of(space: spaces.Space[Any], seed: int, num: int = 4) -> list[Any]:
    space.seed(seed)
    return [space.sample() for _ in range(num)]


@given(space=SPACES, seed=st.integers(0, 1000))
def test_a_batch_of_observations_becomes_what_gymnasium_flattens_each_to(space, seed):
    samples = samples_of(space, seed)
    rows = observation_encoder(space, "Task-v0")(stacked(space, samples))
    expected = flattened(space, samples)
    assert rows.dtype == np.float32
    assert rows.shape == (4, observation_dim(space))
    np.testing.assert_array_equal(rows, expected.astype(np.float32))


@given(space=SPACES, seed=st.integers(0, 1000))
def test_one_observation_becomes_the_row_it_has_in_a_batch(space, seed):
    samples = samples_of(space, seed)
    encode = observation_encoder(space, "Task-v0")
    rows = encode(stacked(space, samples))
    for sample, row in zip(samples, rows, strict=True):
        np.testing.assert_array_equal(encode(batch_of_one(space, sample)), row[None])


@given(space=LEAVES, seed=st.integers(0, 1000))
def test_a_batch_of_actions_becomes_what_gymnasium_flattens_each_to(space, seed):
    samples = samples_of(space, seed)
    rows = action_encoder(space, "Task-v0")(stacked(space, samples))
    expected = flattened(space, samples)
    assert rows.shape == (4, action_dim(space))
    np.testing.assert_array_equal(rows, expected.astype(np.float32))


def test_discrete_actions_become_one_hot_whatever_they_start_at():
    encode = action_encoder(spaces.Discrete(3, start=-1), "Task-v0")
    np.testing.assert_array_equal(encode(np.array([-1, 1, 0])), [[1, 0, 0], [0, 0, 1], [0, 1, 0]])
    # SB3's replay buffers keep them as a column.
    np.testing.assert_array_equal(encode(np.array([[1], [-1]])), [[0, 0, 1], [1, 0, 0]])


def test_every_part_of_a_multidiscrete_action_has_its_own_one_hot():
    encode = action_encoder(spaces.MultiDiscrete([2, 3], start=[0, 5]), "Task-v0")
    np.testing.assert_array_equal(
        encode(np.array([[1, 5], [0, 7]])), [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]
    )


def test_dictionaries_are_flattened_in_gymnasiums_order_of_keys_however_they_are_given():
    box = spaces.Box(-9, 9, (1,), np.float32)
    space = spaces.Dict({"b": box, "a": spaces.Dict({"d": box, "c": box})})
    batch = {"b": [[4.0]], "a": {"d": [[3.0]], "c": [[2.0]]}}
    np.testing.assert_array_equal(observation_encoder(space, "Task-v0")(batch), [[2, 3, 4]])


def test_bytes_in_a_row_are_numbers_like_any_other():
    space = spaces.Box(0, 255, (128,), np.uint8)
    check_observation_space(space, "Task-v0")
    assert observation_dim(space) == 128


@pytest.mark.parametrize(
    ("space", "part"),
    [
        (spaces.Box(0, 255, (84, 84, 3), np.uint8), "observation is an image of shape (84, 84, 3)"),
        (spaces.Text(5), "observation is a Text space"),
        (spaces.Sequence(spaces.Discrete(2)), "observation is a Sequence space"),
        (
            spaces.Graph(spaces.Discrete(2), spaces.Discrete(2)),
            "observation is a Graph space",
        ),
        (
            spaces.Dict(
                {
                    "arm": spaces.Box(0, 1, (2,)),
                    "eyes": spaces.Tuple(
                        [spaces.Discrete(2), spaces.Box(0, 255, (8, 8, 3), np.uint8)]
                    ),
                }
            ),
            "observation['eyes'][1] is an image of shape (8, 8, 3)",
        ),
    ],
)
def test_what_does_not_flatten_is_refused_with_the_part_named(space, part):
    with pytest.raises(SpaceError) as error:
        observation_encoder(space, "Task-v0")
    assert str(error.value).startswith(f"Task-v0: {part}, which does not flatten")


@pytest.mark.parametrize("space", [spaces.Text(5), spaces.Dict({"a": spaces.Discrete(2)})])
def test_actions_that_are_no_vector_of_numbers_are_refused_by_name(space):
    with pytest.raises(SpaceError, match=f"^Task-v0: actions are a {type(space).__name__} space"):
        action_encoder(space, "Task-v0")


@pytest.mark.parametrize(
    ("space", "own"),
    [
        (spaces.Discrete(5, start=2), [(0, 2), (4, 6)]),
        (spaces.MultiDiscrete([2, 3], start=[-1, 4]), [([0, 0], [-1, 4]), ([1, 2], [0, 6])]),
    ],
)
def test_agents_number_actions_from_zero_and_the_environment_as_it_likes(space, own):
    class Echo(gym.Env[Any, Any]):
        observation_space = spaces.Discrete(1)
        action_space = space

        def step(self, action: Any):
            assert self.action_space.contains(action)
            return 0, 0.0, False, False, {"action": action}

    env = ActionsFromZero(Echo())
    for action, expected in own:
        action = np.array(action, dtype=np.int64)
        assert env.action_space.contains(action)
        np.testing.assert_array_equal(env.step(action)[4]["action"], expected)


def test_only_discrete_actions_are_numbered():
    with pytest.raises(TypeError, match="got a Box space"):
        ActionsFromZero(gym.make("Pendulum-v1"))


def test_a_flat_observation_holds_what_gymnasium_flattens_it_to():
    env = FlatObservation(Pieces())
    assert env.observation_space == spaces.Box(-np.inf, np.inf, (7,), np.float32)
    inner = Pieces()
    flat, _ = env.reset(seed=3)
    raw, _ = inner.reset(seed=3)
    for action in (2, 6, 4):
        np.testing.assert_array_equal(flat, spaces.utils.flatten(inner.observation_space, raw))
        assert flat.dtype == np.float32
        flat, raw = env.step(action)[0], inner.step(action)[0]


def test_a_flat_observation_is_not_the_array_that_the_environment_goes_on_writing_to():
    class Grid(gym.Env[Any, Any]):
        observation_space = spaces.Box(-9, 9, (2, 2), np.float32)
        action_space = spaces.Discrete(2)
        board = np.zeros((2, 2), dtype=np.float32)

        def reset(self, **_: Any):
            return self.board, {}

        def step(self, action: Any):
            self.board += 1
            return self.board, 0.0, False, False, {}

    env = FlatObservation(Grid())
    first, _ = env.reset()
    env.step(0)
    np.testing.assert_array_equal(first, np.zeros(4))


@pytest.mark.parametrize("value", [3, 7, -1, 0.5, float("nan"), "a", None])
def test_what_a_discrete_space_has_not_is_refused_in_one_line(value):
    encode = action_encoder(spaces.Discrete(3), "a")
    with pytest.raises(SpaceError, match="expected a whole number from 0 to 2"):
        encode(np.array([1, value]))
    encode = action_encoder(spaces.MultiDiscrete([3, 9]), "a")
    with pytest.raises(SpaceError, match="expected a whole number from 0 to 2"):
        encode(np.array([[1, 8], [value, 2]]))


def test_whole_numbers_are_encoded_alike_however_they_are_held():
    encode = action_encoder(spaces.Discrete(3, start=-1), "a")
    for dtype in (np.int64, np.int8, np.float32):
        assert encode(np.array([-1, 1], dtype)).tolist() == [[1, 0, 0], [0, 0, 1]]
