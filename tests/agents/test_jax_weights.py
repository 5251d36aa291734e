import threading
from typing import Any

import numpy as np
import pytest

from prefrl.agents import make_agent, make_model, off_policy
from prefrl.agents.policy_file import agent_of
from prefrl.errors import ConfigError, DataError, Diverged, StorageError
from prefrl.records.weights import read_weights
from tests.agents.jax_models import made, sbx_or_skip
from tests.agents.stacks import SMALL_SAC, constant, stack

sbx: Any = sbx_or_skip()
OBSERVATIONS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)


@pytest.fixture(autouse=True)
def short_exploration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exploration that is random, then seeks novelty, within 40 steps."""
    monkeypatch.setattr(off_policy, "RANDOM_STEPS", 15)
    monkeypatch.setattr(off_policy, "REFERENCE_EVERY", 20)
    monkeypatch.setattr(off_policy, "CATCH_UP_UPDATES", 1)


def explored(**settings: Any) -> Any:
    """An agent of CrossQ that has learned to explore."""
    agent = make_agent(made("CrossQ", **settings))
    agent.begin_phase(0)
    agent.explore(20)
    return agent


def leaves(agent: Any, kind: str = "parameters") -> dict[str, Any]:
    return {name: np.array(leaf) for name, leaf in agent.state()[kind].items()}


def test_the_weights_of_a_policy_lie_beside_its_archive_and_are_lent_and_given_back(tmp_path):
    agent, path = explored(), tmp_path / "policy.zip"
    agent.save_policy(path)
    tensors, _ = read_weights(tmp_path / "policy.safetensors")
    assert agent_of(path) == ""
    assert "policy.actor_state.params.Dense_0.kernel" in tensors
    assert "policy.actor_state.batch_stats.BatchRenorm_0.mean" in tensors
    assert not [name for name in tensors if "opt_state" in name]
    saved = agent.predict(OBSERVATIONS)

    agent.begin_phase(1)
    agent.train(10)
    before, actions = leaves(agent), agent.predict(OBSERVATIONS)
    assert not np.array_equal(actions, saved)
    with agent.weights_of(path):
        np.testing.assert_array_equal(agent.predict(OBSERVATIONS), saved)
    np.testing.assert_array_equal(agent.predict(OBSERVATIONS), actions)
    assert all(np.array_equal(leaf, before[name]) for name, leaf in leaves(agent).items())

    loaded = sbx.CrossQ.load(path)
    np.testing.assert_array_equal(loaded.predict(OBSERVATIONS, deterministic=True)[0], saved)


def test_weights_of_another_policy_or_an_archive_alone_are_refused_and_the_own_ones_kept(tmp_path):
    agent, path = explored(), tmp_path / "policy.zip"
    actions = agent.predict(OBSERVATIONS)
    make_agent(made("SAC")).save_policy(path)
    with (
        pytest.raises(StorageError, match=r"BatchRenorm_0\.bias is missing"),
        agent.weights_of(path),
    ):
        pass
    (tmp_path / "policy.safetensors").unlink()
    with pytest.raises(StorageError, match="without running code"), agent.weights_of(path):
        pass
    np.testing.assert_array_equal(agent.predict(OBSERVATIONS), actions)


def test_a_policy_that_cannot_be_pickled_is_warned_of_and_its_weights_are_written(tmp_path):
    model = made("SAC")
    agent = make_agent(model)
    model.opened = threading.Lock()  # No lock can be pickled.
    with pytest.warns(UserWarning, match=r"SAC cannot be saved: .*; its weights are in "):
        agent.save_policy(tmp_path / "policy.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["policy.safetensors"]


def test_states_of_the_other_library_are_refused_both_ways_in_one_line():
    agents = {
        "torch": make_agent(make_model("sac", stack(1), SMALL_SAC, seed=0, device="cpu")),
        "jax": make_agent(made("SAC")),
    }
    for own, other in (("torch", "jax"), ("jax", "torch")):
        said = f"saved by a model of {other}, this run's is one of {own}"
        with pytest.raises(DataError, match=said):
            agents[own].restore(agents[other].state())


def test_the_first_leaf_that_does_not_fit_is_named_and_nothing_is_put_back():
    agent, wider = explored(), make_agent(made("CrossQ", policy_kwargs={"net_arch": [9]}))
    before, name = leaves(agent), r"policy\.actor_state\.params\.BatchRenorm_1\.bias"
    with pytest.raises(
        DataError, match=rf"^{name} is float32 of shape \(9,\); expected float32 of shape \(8,\)$"
    ):
        agent.restore(wider.state())
    state = agent.state()
    lacking = {n: leaf for n, leaf in state["parameters"].items() if "var" not in n}
    with pytest.raises(DataError, match=r"BatchRenorm_0\.var is missing"):
        agent.restore({**state, "parameters": lacking})
    infinite = {n: leaf * np.inf if n.endswith(".var") else leaf for n, leaf in before.items()}
    with pytest.raises(DataError, match=r"_0\.var holds numbers that are not finite"):
        agent.restore({**state, "parameters": infinite})
    assert all(np.array_equal(leaf, before[n]) for n, leaf in leaves(agent).items())


def test_the_critic_that_learned_to_explore_is_replaced_with_its_statistics_and_the_actor_kept():
    agent = explored()
    agent.model.train = lambda **_: None  # It would catch up at once.
    before, policy = leaves(agent), agent.model.policy
    functions = (policy.qf_state.apply_fn, policy.qf_state.tx)
    agent.relabel(constant(1.0))
    assert (policy.qf_state.apply_fn, policy.qf_state.tx) == functions
    for name, leaf in leaves(agent).items():
        is_critics = name.startswith("policy.qf_state.")
        assert is_critics or np.array_equal(leaf, before[name]), name
        if is_critics and name.endswith(("kernel", ".mean", ".count", ".steps")):
            assert not np.array_equal(leaf, before[name]), name
            assert ".params." in name or not leaf.any(), name


def test_a_phase_seeds_the_keys_of_the_model_and_of_its_policy():
    agent = explored()
    drawn: dict[int, Any] = {}
    for seed in (3, 4, 3):
        agent.begin_phase(seed)
        keys = leaves(agent, "variables")
        assert set(keys) == {"model.key", "policy.key", "policy.noise_key"}
        assert len({tuple(key) for key in keys.values()}) == 3
        drawn.setdefault(seed, []).append(np.stack(list(keys.values())))
    assert np.array_equal(*drawn[3])
    assert not np.array_equal(drawn[3][0], drawn[4][0])


def test_weights_that_are_not_finite_are_named_divergence():
    agent = explored()
    policy = agent.model.policy
    params = {**policy.qf_state.params}
    params["VmapCritic_0"] = {
        **params["VmapCritic_0"],
        "Dense_1": {k: v * np.nan for k, v in params["VmapCritic_0"]["Dense_1"].items()},
    }
    policy.qf_state = policy.qf_state.replace(params=params)
    with pytest.raises(Diverged, match="CrossQ has diverged by step 22: its weights are no longer"):
        agent.train(2)


def test_what_its_own_settings_change_is_part_of_its_state():
    resetting = make_agent(made("SAC", param_resets=[30, 1_000]))
    resetting.begin_phase(0)
    resetting.explore(40)
    assert resetting.state()["counters"]["reset_idx"] == 1

    agent: Any = make_agent(made("PPO", target_kl=1.0))
    agent.begin_phase(0)
    agent.train(32)
    adapted = agent.model.adaptive_lr.current_adaptive_lr
    assert adapted > 3e-4
    again: Any = make_agent(made("PPO", target_kl=1.0))
    again.restore(agent.state())
    assert again.model.adaptive_lr.current_adaptive_lr == adapted


def test_a_class_that_gathers_steps_in_a_way_of_its_own_is_refused():
    class Own(sbx.PPO):
        def collect_rollouts(self, *args, **kwargs):
            return True

    model = Own("MlpPolicy", stack(1), n_steps=32, batch_size=16, policy_kwargs={"net_arch": [8]})
    with pytest.raises(ConfigError, match="cannot train a Own: it gathers steps in a way of its"):
        make_agent(model)
