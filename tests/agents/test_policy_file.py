import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl.agents.factory import load_policy, load_weights, make_agent, make_model
from prefrl.agents.normalization import NormalizedObservations
from prefrl.agents.policy_file import _Spaces, agent_of, copy_policy, weights_path, write_policy
from prefrl.envs import make_vec_env
from prefrl.errors import StorageError
from prefrl.records import files
from prefrl.segments import EpisodeStore
from tests.own_envs import PointMass
from tests.tiny_runs import PPO_SETTINGS, SAC_SETTINGS

ACTIONS = {
    "bounded": spaces.Box(np.array([-2, 0], np.float32), np.array([1, 3], np.float32)),
    "discrete": spaces.Discrete(3),
    "several": spaces.MultiDiscrete([2, 3]),
    "binary": spaces.MultiBinary(2),
}
AGENTS = {
    "ppo": ("ppo", PPO_SETTINGS),
    "normalized": ("ppo", {**PPO_SETTINGS, "normalize_observations": True}),
    "sac": ("sac", SAC_SETTINGS),
}


class Other(PointMass):
    def __init__(self, action_space):
        super().__init__()
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = action_space


def saved(path, name, own, action="bounded"):
    """Writes a policy, and returns what it does in many places."""
    venv = make_vec_env(lambda: Other(ACTIONS[action]), 1, EpisodeStore(10))
    agent = make_agent(make_model(name, venv, own, seed=3, device="cpu"), total_steps=256)
    agent.name = name
    if own.get("normalize_observations"):
        seen = np.random.default_rng(1).normal(3, 2, (50, 2)).astype(np.float32)
        for module in agent.model.policy.modules():
            if isinstance(module, NormalizedObservations):
                module.update(torch.from_numpy(seen))
    agent.save_policy(path)
    rows = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    return rows, agent.predict(rows)


@pytest.mark.parametrize(
    ("agent", "action"),
    [*((agent, "bounded") for agent in AGENTS), *(("normalized", one) for one in ACTIONS)],
)
def test_weights_act_to_the_bit_as_the_archive_does(tmp_path, agent, action):
    name, own = AGENTS[agent]
    rows, expected = saved(tmp_path / "policy.zip", name, own, action)
    np.testing.assert_array_equal(load_policy(name, tmp_path / "policy.zip")(rows), expected)
    (tmp_path / "policy.zip").unlink()
    np.testing.assert_array_equal(load_weights(tmp_path / "policy.zip", own)(rows), expected)


def test_a_policy_is_copied_with_its_weights_however_large_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_MOST_BYTES", 10)
    saved(tmp_path / "policy.zip", "ppo", PPO_SETTINGS)
    copy_policy(tmp_path / "policy.zip", tmp_path / "best.zip")
    for file in (tmp_path / "best.zip", weights_path(tmp_path / "best.zip")):
        assert file.read_bytes() == file.with_stem("policy").read_bytes()
    with pytest.raises(StorageError, match="there is no policy"):
        copy_policy(tmp_path / "gone.zip", tmp_path / "best.zip")


def test_weights_of_another_policy_than_the_settings_say_are_refused(tmp_path):
    saved(tmp_path / "policy.zip", "ppo", PPO_SETTINGS)
    own = {**PPO_SETTINGS, "policy_kwargs": {"net_arch": [17]}}
    with pytest.raises(StorageError, match=r"policy\.safetensors is of another policy than the"):
        load_weights(tmp_path / "policy.zip", own)


def test_a_model_of_ones_own_is_known_by_no_name(tmp_path):
    venv = _Spaces(spaces.Box(-1, 1, (2,), np.float32), ACTIONS["bounded"])
    write_policy(
        tmp_path / "p.zip", make_model("ppo", venv, PPO_SETTINGS, seed=0, device="cpu"), agent=""
    )
    assert agent_of(tmp_path / "p.zip") == ""
    assert agent_of(tmp_path / "q.zip") is None


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_damage_anywhere_is_one_line_or_harmless(tmp_path_factory, changes):
    path = tmp_path_factory.mktemp("policy") / "policy.zip"
    rows, expected = saved(path, "ppo", PPO_SETTINGS)
    file = weights_path(path)
    content = bytearray(file.read_bytes())
    for position, value in changes:
        content[position % len(content)] = value
    file.write_bytes(content)
    try:
        actions = load_weights(path, PPO_SETTINGS)(rows)
    except StorageError as error:
        said = str(error)
    else:
        np.testing.assert_array_equal(actions, expected)
        return
    assert str(file) in said
    assert "\n" not in said
