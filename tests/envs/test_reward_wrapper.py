import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from prefrl import EnhancedRewardModel, RewardWrapper
from prefrl.envs import make_env
from prefrl.errors import SpaceError
from tests.envs.tasks import Camera, Counting, Pieces, looking_ahead, pickled

# What Gymnasium's checker says of the environments themselves, or of any wrapper.
CHECKER_REMARKS = (
    "ignore:.*is different from the unwrapped version",
    "ignore:.*recommend using a symmetric and normalized space",
    "ignore:.*A Box observation space m.*imum value is -?infinity",
    "ignore:.*env.seed to get variables from other wrappers is deprecated",
)


def model_of(env: gym.Env[Any, Any], **settings: Any) -> EnhancedRewardModel:
    """A reward model with random weights that fits the environment."""
    observations = gym.spaces.utils.flatdim(env.observation_space)
    actions = gym.spaces.utils.flatdim(env.action_space)
    return EnhancedRewardModel(
        observations + actions,
        hidden_dim=16,
        observation_dim=observations,
        env_id=env.spec.id if env.spec else None,
        generator=torch.Generator().manual_seed(3),
        **settings,
    )


@pytest.mark.filterwarnings(*CHECKER_REMARKS)
@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "Pendulum-v1", "CartPole-v1"])
def test_a_wrapped_environment_passes_gymnasiums_own_check(env_id):
    env = RewardWrapper(gym.make(env_id), looking_ahead)
    check_env(env, skip_render_check=True)  # There is no screen to render on.
    sb3_check_env(env, warn=False, skip_render_check=True)
    env.close()


@pytest.mark.filterwarnings(*CHECKER_REMARKS)
def test_a_wrapped_environment_of_dictionaries_passes_gymnasiums_own_check():
    check_env(RewardWrapper(Pieces(), looking_ahead), skip_render_check=True)


def test_the_reward_is_that_of_the_step_that_was_taken_and_the_true_one_is_kept():
    env = RewardWrapper(Counting(which=7, lengths=(3,)), looking_ahead)
    obs, _ = env.reset()
    for step in range(3):
        action = np.array([0.5, step], dtype=np.float32)
        next_obs, reward, terminated, truncated, info = env.step(action)
        assert terminated is (step == 2)
        assert not truncated
        expected = looking_ahead(obs[None], action[None], next_obs[None], np.array([terminated]))
        assert reward == expected[0]
        assert type(reward) is float
        assert info["true_reward"] == step + action.sum()
        assert "reward_uncertainty" not in info
        obs = next_obs


def test_a_cut_off_episode_is_not_done_for_the_reward_and_stays_cut_off_for_the_agent():
    env = RewardWrapper(Counting(lengths=(1,), is_truncated=True), looking_ahead)
    env.reset()
    _, reward, terminated, truncated, _ = env.step(np.zeros(2, dtype=np.float32))
    assert (terminated, truncated) == (False, True)
    assert reward == 1


def test_an_environment_that_overwrites_its_arrays_is_rewarded_for_what_it_was():
    rewards = []
    for reuses_array in (False, True):
        env = RewardWrapper(Counting(lengths=(4,), reuses_array=reuses_array), looking_ahead)
        env.reset()
        rewards.append([env.step(np.array([1.0, 2.0], "f"))[1] for _ in range(4)])
    assert rewards[0] == rewards[1]


def test_an_environment_that_overwrites_its_actions_is_rewarded_for_what_it_was_given():
    class Clipping(Counting):
        def step(self, action: Any):
            action *= 0
            return super().step(action)

    env = RewardWrapper(Clipping(), lambda obs, action, next_obs, done: action.sum(axis=1))
    env.reset()
    assert env.step(np.array([1.0, 2.0], dtype=np.float32))[1] == 3.0


@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "CartPole-v1"])
def test_an_ensemble_says_beside_the_reward_how_unsure_it_is(env_id):
    inner = gym.make(env_id)
    model = model_of(inner, num_reward_heads=4)
    env = RewardWrapper(inner, model)
    obs, _ = env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(5):
        action = env.action_space.sample()
        row = np.concatenate([obs, gym.spaces.utils.flatten(env.action_space, action)])
        obs, reward, *_, info = env.step(action)
        output = model(torch.from_numpy(row.astype(np.float32))[None])
        assert reward == pytest.approx(output["rewards"].item(), abs=1e-5)
        assert info["reward_uncertainty"] == pytest.approx(output["uncertainty"].item(), abs=1e-5)
        assert info["reward_uncertainty"] > 0
        assert np.isfinite(info["true_reward"])
    env.close()


def test_dictionaries_and_discrete_actions_reach_the_reward_as_one_row():
    rows: list[np.ndarray] = []

    def remember(obs, action, next_obs, done):
        rows.append(np.concatenate([obs[0], action[0], next_obs[0]]))
        return np.ones(1, dtype=np.float32)

    env = RewardWrapper(Pieces(), remember)
    obs, _ = env.reset(seed=0)
    next_obs, *_ = env.step(3)
    flatten, space = gym.spaces.utils.flatten, env.observation_space
    expected: list[Any] = [flatten(space, obs), [0, 1, 0, 0, 0], flatten(space, next_obs)]
    np.testing.assert_array_equal(rows[0], np.concatenate(expected).astype(np.float32))
    assert rows[0].dtype == np.float32


def test_later_fitting_does_not_reach_into_a_wrapped_environment():
    inner = gym.make("Pendulum-v1")
    model = model_of(inner)
    env = RewardWrapper(inner, model)
    env.reset(seed=0)
    before = env.step(np.zeros(1, dtype=np.float32))[1]
    with torch.no_grad():
        model.head_bias.add_(100.0)
    env.reset(seed=0)
    assert env.step(np.zeros(1, dtype=np.float32))[1] == before


def test_a_step_before_the_first_reset_is_refused():
    env = RewardWrapper(Counting(), looking_ahead)
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.step(np.zeros(2, dtype=np.float32))


def test_a_model_of_an_environment_with_other_spaces_is_refused_with_both_named():
    model = model_of(gym.make("HalfCheetah-v4"))
    with pytest.raises(SpaceError) as error:
        RewardWrapper(gym.make("Pendulum-v1"), model)
    assert str(error.value) == (
        "Pendulum-v1 has 3 observation and 1 action dims; "
        "the reward model was trained on HalfCheetah-v4 with 17 and 6"
    )


def test_a_model_of_another_environment_with_spaces_of_the_same_sizes_is_refused_by_name():
    walker = gym.make("Walker2d-v4")
    model = model_of(gym.make("HalfCheetah-v4"))
    with pytest.raises(SpaceError, match=r"trained on HalfCheetah-v4, this is Walker2d-v4"):
        RewardWrapper(walker, model)
    RewardWrapper(walker, model, check_env_id=False)
    # The frozen reward of a model is checked like the model.
    with pytest.raises(SpaceError, match=r"trained on HalfCheetah-v4, this is Walker2d-v4"):
        RewardWrapper(walker, model.reward_function())


def test_a_model_that_knows_no_spaces_is_checked_by_the_length_of_its_rows():
    env = gym.make("Pendulum-v1")
    RewardWrapper(env, EnhancedRewardModel(4, hidden_dim=8))
    with pytest.raises(SpaceError, match=r"Pendulum-v1 has 3 .* and 1 .*takes rows of 23"):
        RewardWrapper(env, EnhancedRewardModel(23, hidden_dim=8))


def test_a_saved_model_still_knows_its_environment(tmp_path):
    model_of(gym.make("HalfCheetah-v4")).save(tmp_path)
    with pytest.raises(SpaceError, match="HalfCheetah-v4"):
        RewardWrapper(gym.make("Walker2d-v4"), EnhancedRewardModel.load(tmp_path))


def test_an_environment_without_an_id_is_taken_at_its_sizes():
    model = EnhancedRewardModel(5, hidden_dim=8, observation_dim=3, env_id="HalfCheetah-v4")
    RewardWrapper(Counting(), model)


def test_what_is_no_reward_is_refused():
    with pytest.raises(
        TypeError, match=r"reward is an? int; expected a reward function, a reward "
    ):
        RewardWrapper(Counting(), 3)  # type: ignore[arg-type]


def test_images_are_refused_with_the_environment_named():
    with pytest.raises(SpaceError, match="Camera: observation is an image"):
        RewardWrapper(Camera(), looking_ahead)


def test_gymnasium_can_make_a_wrapped_environment_again_from_its_spec():
    env = RewardWrapper(gym.make("Pendulum-v1"), looking_ahead)
    assert env.spec is not None
    again = gym.make(env.spec)
    rewards = []
    for made in (env, again):
        made.reset(seed=4)
        rewards.append(made.step(np.ones(1, dtype=np.float32))[1])
    assert isinstance(again, RewardWrapper)
    assert rewards[0] == rewards[1]


def test_plain_sb3_learns_in_a_wrapped_environment():
    inner = make_env("HalfCheetah-v4")
    env = RewardWrapper(inner, model_of(inner))
    agent = PPO("MlpPolicy", env, n_steps=64, batch_size=32, n_epochs=1, seed=0, device="cpu")
    before = agent.policy.state_dict()["action_net.weight"].clone()
    agent.learn(128)
    assert not torch.equal(before, agent.policy.state_dict()["action_net.weight"])
    env.close()


def test_weights_choose_among_the_objectives_of_a_model():
    env = gym.make("Pendulum-v1")
    model = model_of(env, num_objectives=2)
    rewards = {}
    for weights in ((1.0, 0.0), (0.0, 1.0), (1.0, 2.0)):
        wrapped = RewardWrapper(env, model, objective_weights=weights)
        wrapped.reset(seed=0)
        rewards[weights] = float(wrapped.step(np.array([0.5], np.float32))[1])
    assert rewards[1.0, 0.0] != rewards[0.0, 1.0]
    weighed = rewards[1.0, 0.0] + 2 * rewards[0.0, 1.0]
    assert rewards[1.0, 2.0] == pytest.approx(weighed, rel=1e-5)
    env.close()


def test_weights_are_for_a_model_not_for_a_function():
    with pytest.raises(TypeError, match="objective_weights are for a reward model; a function has"):
        RewardWrapper(gym.make("Pendulum-v1"), looking_ahead, objective_weights=(1.0,))


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copy_goes_on_as_the_wrapped_environment_itself_does(copied):
    inner = gym.make("Pendulum-v1")
    env = RewardWrapper(inner, model_of(inner))
    env.reset(seed=3)
    again = copied(env)
    for _ in range(3):
        ours, theirs = env.step(np.ones(1, "f")), again.step(np.ones(1, "f"))
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[1:] == theirs[1:]


@pytest.mark.skipif(not hasattr(gym.wrappers, "Autoreset"), reason="of Gymnasium 1.0")
def test_a_step_that_only_resets_is_rewarded_with_nothing():
    env = RewardWrapper(gym.wrappers.Autoreset(Counting(lengths=(2,))), looking_ahead)
    env.reset()
    steps = [env.step(np.ones(2, np.float32)) for _ in range(4)]
    assert [step[4]["true_reward"] for step in steps] == [2.0, 3.0, 0.0, 102.0]
    assert steps[2][1] == 0.0
    first, second = steps[2][0], steps[3][0]  # of the next episode
    expected = looking_ahead(first[None], np.ones((1, 2)), second[None], np.array([False]))
    assert steps[3][1] == expected[0]


class ResetsAtOnce(gym.Wrapper[Any, Any, Any, Any]):
    """Resets in the step that ends an episode, as Gymnasium's own wrapper did before 1.0."""

    def __init__(self, env: gym.Env[Any, Any], key: str) -> None:
        super().__init__(env)
        self.key = key

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            last = obs
            obs, info = self.env.reset()
            info[self.key] = last
        return obs, reward, terminated, truncated, info


@pytest.mark.parametrize("key", ["final_observation", "final_obs"])
def test_a_step_that_also_resets_is_rewarded_for_what_it_led_to(key):
    rewards: list[list[float]] = []
    for resets in (True, False):
        env: Any = Counting(lengths=(2, 3))
        env = RewardWrapper(ResetsAtOnce(env, key) if resets else env, looking_ahead)
        env.reset()
        rewards.append([])
        for _ in range(5):
            _, reward, terminated, truncated, _ = env.step(np.zeros(env.action_space.shape, "f"))
            rewards[-1].append(float(reward))
            if (terminated or truncated) and not resets:
                env.reset()
    assert rewards[0] == rewards[1]


def test_anything_else_under_the_name_of_a_last_observation_is_left_alone():
    class Says(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> Any:
            obs, reward, _, truncated, info = self.env.step(action)
            return obs, reward, True, truncated, {**info, "final_observation": "seen"}

    env = RewardWrapper(Says(gym.make("Pendulum-v1")), looking_ahead)
    env.reset(seed=0)
    assert env.step(np.zeros(1, "f"))[4]["final_observation"] == "seen"
