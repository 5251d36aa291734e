from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO, SAC

from prefrl.agents import OffPolicyAgent, OnPolicyAgent, make_agent, make_model
from prefrl.agents.factory import load_policy, tensorboard_logger
from prefrl.agents.normalization import NormalizedObservations
from prefrl.errors import ConfigError, StorageError
from tests.agents.stacks import SMALL_PPO, SMALL_SAC, stack, stack_of
from tests.envs.tasks import Pieces


def make(name: str, settings: dict[str, Any], env_id: str = "Pendulum-v1") -> Any:
    return make_model(name, stack(1, env_id), settings, seed=4, device="cpu")


def test_each_name_stands_for_its_model_and_each_model_for_its_agent():
    ppo, sac = make("ppo", SMALL_PPO), make("sac", SMALL_SAC)
    assert (type(ppo), type(sac)) == (PPO, SAC)
    assert isinstance(make_agent(ppo), OnPolicyAgent)
    assert isinstance(make_agent(sac), OffPolicyAgent)


def test_settings_stay_as_they_were_given():
    settings = {
        **SMALL_PPO,
        "normalize_observations": True,
        "normalize_reward": True,
        "policy_kwargs": {"net_arch": [8], "activation_fn": "Tanh"},
    }
    before = {**settings, "policy_kwargs": dict(settings["policy_kwargs"])}
    make("ppo", settings)
    assert settings == before


def test_an_activation_goes_by_its_name_in_torch():
    model = make("ppo", {**SMALL_PPO, "policy_kwargs": {"net_arch": [8], "activation_fn": "ELU"}})
    assert any(isinstance(module, torch.nn.ELU) for module in model.policy.modules())


def test_normalisations_are_asked_for_one_by_one():
    plain = make("ppo", SMALL_PPO)
    assert plain.get_vec_normalize_env() is None
    both = make(
        "ppo", {**SMALL_PPO, "normalize_observations": True, "normalize_reward": True, "gamma": 0.9}
    )
    scaling = both.get_vec_normalize_env()
    assert (scaling.norm_obs, scaling.norm_reward, scaling.gamma) == (False, True, 0.9)
    assert isinstance(both.policy.features_extractor, NormalizedObservations)


def test_initial_weights_follow_from_the_seed_alone():
    def weights(seed: int) -> torch.Tensor:
        model = make_model("ppo", stack(1), SMALL_PPO, seed=seed, device="cpu")
        return model.policy.state_dict()["action_net.weight"]

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("td7", {}, "unknown agent 'td7'; choose from ppo, sac, crossq"),
        (
            "ppo",
            {"learning_rat": 1e-3},
            r"unknown setting 'agent_settings.learning_rat' of ppo; .*did you mean learning_rate\?",
        ),
        ("ppo", {"n_steps": 1}, "agent_settings do not fit ppo: .*n_steps"),
        ("sac", {"ent_coef": "auto_high"}, "agent_settings.ent_coef is 'auto_high'; .*auto_0.1"),
        ("sac", {"normalize_reward": True}, "normalize_reward is for on-policy agents"),
        ("ppo", {"policy_kwargs": {"activation_fn": "Relu"}}, "activation_fn is 'Relu'.*ReLU"),
        ("sac", {"normalize_observations": True}, "normalize_observations is for ppo"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_one_line(name, settings, said):
    with pytest.raises(ConfigError, match=said) as error:
        make(name, settings)
    assert "\n" not in str(error.value)


def test_sac_is_refused_discrete_actions_with_what_to_do():
    with pytest.raises(
        ConfigError, match=r"sac needs continuous actions, CartPole-v1 .*agent='ppo'"
    ):
        make("sac", SMALL_SAC, "CartPole-v1")


def test_observations_that_are_no_vector_are_refused_with_what_to_do():
    venv = stack_of(lambda: Pieces(first=0))
    assert isinstance(venv.observation_space, spaces.Dict)
    with pytest.raises(
        ConfigError, match=r"ppo takes observations that are one vector.*FlatObservation"
    ):
        make_model("ppo", venv, SMALL_PPO, seed=0, device="cpu")


def test_what_is_no_model_is_refused():
    with pytest.raises(ConfigError, match="cannot train a str"):
        make_agent("ppo")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_a_saved_policy_acts_as_the_agent_did(name, tmp_path):
    model = make(name, SMALL_PPO if name == "ppo" else SMALL_SAC)
    make_agent(model).save_policy(tmp_path / "policy.zip")
    rows = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    actions = load_policy(name, tmp_path / "policy.zip")(rows)
    np.testing.assert_array_equal(actions, model.predict(rows, deterministic=True)[0])


def test_a_policy_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"no policy .*policy\.zip; has the run ended"):
        load_policy("ppo", tmp_path / "policy.zip")


@pytest.mark.filterwarnings("ignore")  # SB3 warns of some damage before it fails.
def test_a_damaged_policy_or_one_of_another_agent_is_refused_in_one_line(tmp_path):
    path = tmp_path / "policy.zip"
    make_agent(make("sac", SMALL_SAC)).save_policy(path)
    whole = path.read_bytes()
    refused = [("ppo", whole)]
    refused += [("sac", whole[:size]) for size in (0, 10, len(whole) // 2, len(whole) - 1)]
    flipped = bytearray(whole)
    for place in range(0, len(flipped) - 200, 997):
        flipped[place] ^= 0xFF
    refused.append(("sac", bytes(flipped)))
    for name, content in refused:
        path.write_bytes(content)
        with pytest.raises(StorageError, match=r"policy\.zip is damaged or no") as error:
            load_policy(name, path)
        assert "\n" not in str(error.value)


def test_figures_of_sb3_go_to_tensorboard(tmp_path):
    logger = tensorboard_logger(tmp_path)
    logger.record("train/loss", 1.0)
    logger.dump(3)
    logger.close()
    assert [path.name.split(".")[0] for path in tmp_path.iterdir()] == ["events"]
