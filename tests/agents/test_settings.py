import inspect
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl.agents import AGENTS, make_agent, make_model
from prefrl.agents.schedules import LinearSchedule
from prefrl.agents.settings import check_rollouts, checked_settings, fit_minibatches
from prefrl.config import RunConfig
from prefrl.errors import ConfigError
from prefrl.runs.resolve import resolve
from tests.agents.stacks import SMALL_PPO, SMALL_SAC, constant, stack

SMALL = {"ppo": SMALL_PPO, "sac": SMALL_SAC, "crossq": SMALL_SAC}
PARAMETERS = {
    name: [p for p in inspect.signature(kind.algorithm.__init__).parameters if p != "self"]
    for name, kind in AGENTS.items()
}
POLICY = {
    name: [
        p
        for p in inspect.signature(kind.algorithm.policy_aliases["MlpPolicy"].__init__).parameters
        if p != "self"
    ]
    for name, kind in AGENTS.items()
}
ODD = st.sampled_from(
    [
        *(None, True, False, 0, 1, 2, -1, -7, 10**6, 10**12, 10**300, 0.0, 0.5, 1.0, 2.5, -0.5),
        *(1e-12, 1e12, 1e300, math.nan, math.inf, -math.inf),
        *("", "1", "high", "auto", "auto_0.1", "auto_nan", "auto_-1", "auto_", "lin_3e-4"),
        *("lin_", "lin_x", "lin_nan", "lin_-1", "dict(net_arch=[64])", "nn.ReLU", "functional"),
        *([], [8], [4, "step"], [1, "episode"], [0, "step"], [-8], [1e3], ["8"], [10**9, 10**9]),
        *({}, {"pi": [8], "vf": [8]}, {"pi": "8"}, {"a": 1}, [[8]], {"handle": False}),
        *("ReLU", "Module", "MlpPolicy", "cpu"),
    ]
)


def tried(name: str, given: dict[str, Any]) -> None:
    """Trains an agent with these settings for a few steps."""
    agent_settings = {**SMALL[name], **given}
    resolve(RunConfig(env="Pendulum-v1", agent=name, num_envs=1, agent_settings=agent_settings))
    agent = make_agent(
        make_model(name, stack(1), agent_settings, seed=0, device="cpu"), total_steps=10_000
    )
    agent.begin_phase(0)
    agent.set_reward(constant(1.0))
    agent.train(agent.stride * min(8, 64 // agent.stride) if agent.stride <= 64 else 0)


def complaint(name: str, given: dict[str, Any]) -> str | None:
    """The error of settings that are refused; None where an agent learned with them."""
    try:
        tried(name, given)
    except ConfigError as error:
        return str(error)
    return None


def is_one_line_about(said: str | None, key: str) -> bool:
    return said is None or ("\n" not in said and key in said and not said.rstrip().endswith(":"))


@settings(max_examples=40)
@given(data=st.data())
def test_any_value_of_any_setting_is_taken_or_refused_by_its_name(data):
    name = data.draw(st.sampled_from(list(AGENTS)))
    key = data.draw(st.sampled_from(PARAMETERS[name]))
    assert is_one_line_about(complaint(name, {key: data.draw(ODD)}), key)


@settings(max_examples=25)
@given(data=st.data())
def test_any_value_of_any_setting_of_a_policy_is_taken_or_refused_by_its_name(data):
    name = data.draw(st.sampled_from(list(AGENTS)))
    key = data.draw(st.sampled_from(POLICY[name]))
    policy = {"net_arch": [8], key: data.draw(ODD)}
    assert is_one_line_about(complaint(name, {"policy_kwargs": policy}), "agent_settings")


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("ppo", {"learning_rate": "high"}, "learning_rate is 'high'; expected a number .*lin_3e-4"),
        ("ppo", {"learning_rate": 0}, "learning_rate is 0; expected a number above 0"),
        ("ppo", {"batch_size": "64"}, "batch_size is '64'; expected a whole number"),
        ("ppo", {"n_epochs": 2.5}, "n_epochs is 2.5; expected a whole number from 1"),
        ("ppo", {"gamma": math.nan}, "gamma is nan; expected a number from 0 to 1"),
        ("ppo", {"use_sde": "no"}, "use_sde is 'no'; expected true or false"),
        ("ppo", {"clip_range": "lin_0"}, "clip_range is 'lin_0'; expected"),
        ("sac", {"buffer_size": 10**12}, "buffer_size is 10{12}; expected a whole number"),
        ("sac", {"train_freq": [1, "episode"]}, "train_freq is .*counted in steps, not episodes"),
        ("sac", {"replay_buffer_class": "HerReplayBuffer"}, "expected null, .*hindsight"),
        ("sac", {"noise_type": "normal"}, r"agent_settings.noise_type was given, but .*make_model"),
        ("ppo", {"seed": 3}, "agent_settings.seed was given, but say it of the run: seed"),
        ("ppo", {"tensorboard_log": "x"}, "tensorboard_log was given, but a run writes"),
        ("ppo", {"n_timesteps": 1e6}, "n_timesteps was given, but say it of the run: steps"),
        ("ppo", {"policy_kwargs": "dict(net_arch=[8])"}, "expected a mapping such as .net_arch"),
        ("ppo", {"policy_kwargs": {"net_arch": "big"}}, r"policy_kwargs.net_arch is 'big'"),
        (
            "ppo",
            {"policy_kwargs": {"optimizer_class": "Adam"}},
            "optimizer_class was given, but a model of",
        ),
        (
            "ppo",
            {"sde_sample_freq": 4},
            "sde_sample_freq was given, but .* or choose .*use_sde",
        ),
        ("sac", {"use_sde_at_warmup": True}, "use_sde_at_warmup was given, but"),
        ("ppo", {"policy_kwargs": {"full_std": False}}, "policy_kwargs.full_std was given, but"),
        ("ppo", {"policy_kwargs": {"squash_output": True}}, "squash_output was given, but"),
        ("sac", {"policy_kwargs": {"log_std_init": -2.0}}, "log_std_init was given, but"),
        ("sac", {"stats_window_size": 5}, "stats_window_size was given, but a run logs its own"),
        ("ppo", {"policy_kwargs": {"normalize_images": False}}, "given, but .* rows, not images"),
        ("sac", {"policy_kwargs": {"share_features_extractor": True}}, "is nothing to share"),
        ("ppo", {"policy_kwargs": {"share_features_extractor": False}}, "is nothing to share"),
        ("sac", {"policy_kwargs": {"ortho": 1}}, "unknown setting 'agent_settings.policy_kw.*ort"),
    ],
)
def test_a_value_that_is_wrong_is_refused_with_what_it_may_be(name, given, said):
    with pytest.raises(ConfigError, match=said):
        checked_settings(name, AGENTS[name], given)


def test_what_is_of_state_dependent_exploration_goes_with_it_or_with_its_usual_value():
    for taken in (
        {"use_sde": True, "sde_sample_freq": 4, "policy_kwargs": {"full_std": False}},
        {"use_sde": False, "sde_sample_freq": -1, "policy_kwargs": {"full_std": True}},
        {"policy_kwargs": {"log_std_init": -2.0}},  # where it is PPO's, it always counts
    ):
        assert checked_settings("ppo", AGENTS["ppo"], taken) == taken


def test_settings_may_be_numpys_and_written_as_rl_zoo_writes_them():
    found = checked_settings(
        "ppo",
        AGENTS["ppo"],
        {
            "policy": "MlpPolicy",
            "learning_rate": "lin_3e-4",
            "clip_range": "lin_0.2",
            "gamma": np.float64(0.5),
            "n_epochs": np.int64(3),
        },
    )
    assert found == {
        "learning_rate": LinearSchedule(3e-4),
        "clip_range": LinearSchedule(0.2),
        "gamma": 0.5,
        "n_epochs": 3,
        "policy_kwargs": {},
    }
    assert checked_settings("sac", AGENTS["sac"], {"train_freq": [4, "step"]})["train_freq"] == (
        4,
        "step",
    )


def test_a_schedule_falls_with_the_run():
    model = make_model(
        "ppo", stack(1), {**SMALL_PPO, "learning_rate": "lin_1e-3"}, seed=0, device="cpu"
    )
    agent = make_agent(model, total_steps=128)
    agent.begin_phase(0)
    agent.set_reward(constant(1.0))
    agent.train(96)
    assert model.policy.optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 * 0.25)


def test_minibatches_larger_than_a_rollout_are_refused_and_the_presets_own_made_smaller():
    given = {"n_steps": 64, "batch_size": 256}
    with pytest.raises(
        ConfigError, match=r"batch_size is 256; expected at most 128, .*2 environments"
    ):
        check_rollouts(given, 2)
    check_rollouts(given, 4)
    with pytest.raises(ConfigError, match="n_steps is 1; expected 2 or more where num_envs is 1"):
        check_rollouts({"n_steps": 1, "batch_size": 64}, 1)
    fit_minibatches(given, 2)
    assert given["batch_size"] == 128
    check_rollouts({"n_steps": 3, "buffer_size": 10, "batch_size": 256}, 1)  # SAC's n_steps
    own = RunConfig(env="Pendulum-v1", num_envs=1, agent_settings={"n_steps": 64})
    assert resolve(own).agent_settings["batch_size"] == 64
