"""Environments write again to what they hand out, share it and delay it; no record may notice."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecMonitor

from prefrl import RewardVecEnv, RewardWrapper
from prefrl.agents.relabel_buffer import relabel
from prefrl.envs import make_vec_env, step_blocks
from prefrl.envs.encoding import FlatObservation
from prefrl.envs.fixed_horizon import CutEpisodes
from prefrl.envs.recorder import Recorder
from prefrl.envs.vec_env import SameProcessVecEnv
from prefrl.segments import EpisodeStore
from tests.agents.stacks import SMALL_SAC
from tests.envs.tasks import looking_ahead, pickled

Manners = Literal["good", "overwrites at once", "overwrites at the next call", "swaps"]
MANNERS: tuple[Manners, ...] = ("overwrites at once", "overwrites at the next call", "swaps")


def spoil(value: Any) -> None:
    """Writes nonsense into every array and dict."""
    if isinstance(value, np.ndarray):
        value[...] = -77
    elif isinstance(value, dict):
        for part in value.values():
            spoil(part)
        value["spoilt"] = True
    elif isinstance(value, (list, tuple)):
        for part in value:
            spoil(part)


class Mannered(gym.Env[Any, Any]):
    """Observes (number, episode, step), as a Box, a Dict or a Tuple, and hands out shared buffers.

    Args:
        number: its own.
        kind: of observations.
        manners: what it does to what it handed out, and to the actions it was given.
        lengths: of the episodes, over and over.
    """

    def __init__(
        self, number: int, kind: str, manners: Manners, lengths: tuple[int, ...] = (3, 1, 4)
    ) -> None:
        vector: Any = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        parts = {"a": vector, "b": spaces.Box(-np.inf, np.inf, (1,), np.float32)}
        self.observation_space = {
            "box": vector,
            "dict": spaces.Dict(parts),
            "tuple": spaces.Tuple(list(parts.values())),
        }[kind]
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.kind, self.manners, self.lengths = kind, manners, lengths
        self.number, self.episode, self.at = number, -1, 0
        self._buffers = [self._new_buffer(), self._new_buffer()]
        self._handed: list[Any] = []

    def _new_buffer(self) -> dict[str, Any]:
        return {
            "a": np.zeros(3, "f"),
            "b": np.zeros(1, "f"),
            "reward": np.zeros(()),
            "info": {"nested": [np.zeros(2)], "n": 0},
        }

    def _outcome(self, reward: float) -> tuple[Any, Any, dict[str, Any]]:
        buffer = self._new_buffer()
        if self.manners != "good":
            if self.manners == "swaps":
                self._buffers.reverse()
            buffer = self._buffers[0]
        buffer["info"].pop("spoilt", None)
        buffer["a"][:] = self.number, self.episode, self.at
        buffer["b"][:] = 10 * self.at
        buffer["reward"][...] = reward
        buffer["info"]["nested"][0][:] = self.at
        buffer["info"]["n"] = self.at
        observation = {
            "box": buffer["a"],
            "dict": {"a": buffer["a"], "b": buffer["b"]},
            "tuple": (buffer["a"], buffer["b"]),
        }[self.kind]
        self._handed = [observation, buffer["reward"], buffer["info"]]
        return observation, buffer["reward"], buffer["info"]

    def _overwrite(self) -> None:
        if self.manners == "overwrites at the next call":
            spoil(self._handed)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._overwrite()
        self.episode, self.at = self.episode + 1, 0
        observation, _, info = self._outcome(0.0)
        return observation, info

    def step(self, action: Any) -> Any:
        self._overwrite()
        self.at += 1
        outcome = self._outcome(float(100 * self.episode + self.at + action.sum()))
        if self.manners != "good":
            action[...] = -55
        is_over = self.at >= self.lengths[self.episode % len(self.lengths)]
        observation, reward, info = outcome
        return observation, reward, is_over and self.episode % 2 == 0, is_over, info


class Native(VecEnv):
    """A simulator with a vector environment of its own, in whose buffers it goes on computing.

    Args:
        manners: "good" hands out copies.
    """

    def __init__(self, manners: Manners, num_envs: int = 2) -> None:
        self._made = [Mannered(i, "box", "good") for i in range(num_envs)]
        super().__init__(num_envs, self._made[0].observation_space, self._made[0].action_space)
        self.manners = manners
        self._obs = np.zeros((num_envs, 3), "f")
        self._rewards = np.zeros(num_envs, "f")
        self._dones: Any = np.zeros(num_envs, bool)
        self._infos: list[dict[str, Any]] = [{"last": np.zeros(3, "f")} for _ in range(num_envs)]

    def _out(self, value: Any) -> Any:
        return value.copy() if self.manners == "good" else value

    def reset(self) -> Any:
        for i, env in enumerate(self._made):
            self._obs[i] = env.reset()[0]
        return self._out(self._obs)

    def step_async(self, actions: Any) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        infos = []
        for i, env in enumerate(self._made):
            obs, reward, terminated, truncated, _ = env.step(self._actions[i].copy())
            info: dict[str, Any] = (
                {"last": np.zeros(3, "f")} if self.manners == "good" else self._infos[i]
            )
            info["TimeLimit.truncated"] = truncated and not terminated
            info["last"][:] = obs
            info.pop("terminal_observation", None)
            is_over = bool(terminated or truncated)
            self._dones[i] = is_over
            if is_over:
                info["terminal_observation"] = info["last"]
                obs, _ = env.reset()
            self._obs[i], self._rewards[i] = obs, reward
            infos.append(info)
        if self.manners != "good":
            self._actions[...] = -55
        out = self._out
        return out(self._obs), out(self._rewards), out(self._dones), tuple(infos)

    def close(self) -> None: ...

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        if attr_name == "render_mode":  # SB3 asks for it itself
            return [None] * self.num_envs
        raise AttributeError(attr_name)

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None: ...

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kw: Any) -> list[Any]:
        raise AttributeError(method_name)

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


class OneOfTheirOwn(DummyVecEnv):
    """A subclass, as users make them."""


class Meddling:
    """A reward function that writes to its arguments, and returns the same array again."""

    def __init__(self, manners: Manners) -> None:
        self.manners = manners
        self._own: dict[int, Any] = {}

    def __call__(self, obs: Any, action: Any, next_obs: Any, done: Any) -> Any:
        rewards = looking_ahead(obs, action, next_obs, done)
        if self.manners == "good":
            return rewards
        own = self._own.setdefault(len(rewards), np.zeros(len(rewards), "f"))
        own[:] = rewards
        spoil([obs, action, next_obs])
        done[:] = ~done
        return own


def bare(envs: list[Any], kind: type[DummyVecEnv] = DummyVecEnv) -> DummyVecEnv:
    makers = iter(envs)
    return kind([lambda: next(makers)] * len(envs))


def _same(env: Any) -> Any:
    return env


def recorder(venv: VecEnv, store: EpisodeStore) -> Recorder:
    return Recorder(venv, store, env_id="Mannered")


STACKS: dict[str, Callable[[list[Any], Any, EpisodeStore], VecEnv]] = {
    "sb3's": lambda envs, reward, _: RewardVecEnv(bare(envs), reward),
    "a subclass of sb3's": lambda envs, reward, _: RewardVecEnv(bare(envs, OneOfTheirOwn), reward),
    "sb3's, monitored": lambda envs, reward, _: RewardVecEnv(VecMonitor(bare(envs)), reward),
    "recorded": lambda envs, reward, store: RewardVecEnv(recorder(bare(envs), store), reward),
    "ours": lambda envs, reward, store: RewardVecEnv(
        recorder(SameProcessVecEnv([partial(_same, env) for env in envs]), store), reward
    ),
    "flat and cut": lambda envs, reward, store: RewardVecEnv(
        recorder(bare([CutEpisodes(FlatObservation(env), 2) for env in envs]), store), reward
    ),
}


def played(venv: VecEnv, num_steps: int, *, is_good: bool) -> list[Any]:
    """Keeps what the environments hand out, and looks at it when all is over."""
    kept: list[Any] = [venv.reset()]
    actions = np.zeros((venv.num_envs, 2), "f")
    for step in range(num_steps):
        actions[...] = 0.125 * np.arange(actions.size).reshape(actions.shape) + step % 3
        own = actions.copy() if is_good else actions
        venv.step_async(own)
        assert (own == actions).all(), "the agent's array"
        own[...] = own if is_good else -33
        kept.append(venv.step_wait())
        kept.append(list(venv.unwrapped.reset_infos))
        if step == 5:
            kept.append(venv.reset())
    kept.append(venv.reset())
    return kept


def recorded(store: EpisodeStore) -> list[Any]:
    return [vars(episode) for episode in store.episodes]


@given(
    stack=st.sampled_from(sorted(STACKS)),
    kind=st.sampled_from(["box", "dict", "tuple"]),
    manners=st.sampled_from(MANNERS),
    reward=st.sampled_from(["none", *MANNERS]),
    num_steps=st.integers(0, 14),
)
def test_nothing_that_an_environment_writes_to_reaches_what_was_kept(
    stack, kind, manners, reward, num_steps
):
    outcomes = []
    for is_good in (True, False):
        store = EpisodeStore()
        envs = [Mannered(i, kind, "good" if is_good else manners) for i in range(2)]
        own: Any = None if reward == "none" else Meddling("good" if is_good else reward)
        venv = STACKS[stack](envs, own, store)
        kept = played(venv, num_steps, is_good=is_good)
        for infos in (step[3] for step in kept if isinstance(step, tuple) and len(step) == 4):
            for info in infos:
                info.get("episode", {}).pop("t", None)  # VecMonitor's clock
        outcomes.append([kept, recorded(store)])
    np.testing.assert_equal(outcomes[1], outcomes[0])


@given(manners=st.sampled_from(MANNERS), num_steps=st.integers(0, 14), is_recorded=st.booleans())
def test_a_simulators_own_vector_environment_goes_on_in_its_buffers(
    manners, num_steps, is_recorded
):
    outcomes = []
    for is_good in (True, False):
        store = EpisodeStore()
        venv: VecEnv = Native("good" if is_good else manners)
        if is_recorded:
            venv = recorder(venv, store)
        rewarded = RewardVecEnv(venv, Meddling("good" if is_good else manners))
        outcomes.append([played(rewarded, num_steps, is_good=is_good), recorded(store)])
        assert len(rewarded.pop_finished()) == sum(
            int(step[2].sum()) for step in outcomes[-1][0] if isinstance(step, tuple)
        )
    np.testing.assert_equal(outcomes[1], outcomes[0])


@given(
    kind=st.sampled_from(["box", "dict", "tuple"]),
    manners=st.sampled_from(MANNERS),
    num_steps=st.integers(0, 12),
    wrap=st.sampled_from([_same, getattr(gym.wrappers, "Autoreset", _same)]),
)
def test_nor_what_the_wrapper_of_one_environment_hands_out(kind, manners, num_steps, wrap):
    outcomes = []
    for is_good in (True, False):
        inner = wrap(Mannered(0, kind, "good" if is_good else manners))
        env = RewardWrapper(inner, Meddling("good" if is_good else manners))
        kept: list[Any] = [env.reset()]
        action = np.zeros(2, "f")
        for _ in range(num_steps):
            action[:] = 0.25, 0.5
            kept.append(env.step(action))
            assert action.tolist() == [0.25, 0.5]
            if (kept[-1][2] or kept[-1][3]) and wrap is _same:
                kept.append(env.reset())
        outcomes.append(kept)
    np.testing.assert_equal(outcomes[1], outcomes[0])


def test_experience_stays_as_it_is_when_it_is_rewarded_anew():
    from prefrl.agents import make_agent, make_model

    columns = []
    for manners in ("good", "swaps"):
        venv = make_vec_env(lambda: Mannered(0, "box", "good"), 1, EpisodeStore())
        model: Any = make_model("sac", venv, SMALL_SAC, seed=0, device="cpu")
        agent = make_agent(model)
        agent.begin_phase(0)
        agent.explore(20)
        relabel(model.replay_buffer, Meddling(manners), venv)
        names = ("observations", "next_observations", "actions", "rewards", "dones")
        columns.append([getattr(model.replay_buffer, name)[:20] for name in names])
    np.testing.assert_equal(columns[1], columns[0])


@pytest.mark.parametrize("wrap", [_same, partial(gym.wrappers.TimeLimit, max_episode_steps=9)])
def test_ends_of_episodes_in_other_processes_are_those_that_were(wrap):
    played_out = []
    kinds: list[tuple[Any, Manners]] = [
        (DummyVecEnv, "good"),
        (SubprocVecEnv, "overwrites at the next call"),
    ]
    for make, manners in kinds:
        env = partial(Mannered, 0, "box", manners)
        venv = RewardVecEnv(make([partial(wrap, env())]), looking_ahead)
        kept: list[Any] = [venv.reset()]
        for _ in range(9):
            _, rewards, dones, (info,) = venv.step(np.full((1, 2), 0.25, "f"))
            kept.append([rewards, dones, info.get("terminal_observation"), info["nested"]])
        venv.close()
        played_out.append(kept)
    np.testing.assert_equal(played_out[1], played_out[0])


def test_a_vector_environment_of_somebodys_stays_what_it_was():
    theirs = bare([Mannered(0, "box", "swaps")])
    venv = RewardVecEnv(theirs, looking_ahead)
    venv.reset()
    venv.close()
    assert type(theirs) is DummyVecEnv
    again: Any = pickled(theirs).reset()
    assert again.shape == (1, 3), "closed by one, and used again"


class NewData(gym.Env[Any, Any]):
    """A slide whose simulation is made anew.

    Args:
        when: in "init" only, at each "reset", at each "step", or "late": at resets only.
    """

    observation_space: Any = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space: Any = spaces.Box(-1.0, 1.0, (1,), np.float32)
    XML = """<mujoco><worldbody><body><joint name="x" type="slide"/><geom size=".1"/></body>
    </worldbody><actuator><motor joint="x"/></actuator></mujoco>"""

    def __init__(self, when: str) -> None:
        self.when = when
        self.model = mujoco.MjModel.from_xml_string(self.XML)
        self.data: Any = None if when == "late" else mujoco.MjData(self.model)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        if self.when == "init":
            mujoco.mj_resetData(self.model, self.data)
        else:
            self.model = mujoco.MjModel.from_xml_string(self.XML)
            self.data = mujoco.MjData(self.model)
        self.data.qpos[:] = self.np_random.uniform()
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        if self.when == "step":
            before, self.data = self.data, mujoco.MjData(self.model)
            self.data.qpos[:], self.data.qvel[:] = before.qpos, before.qvel
        self.data.ctrl[:] = action
        mujoco.mj_step(self.model, self.data, 5)
        return self._seen(), 0.0, False, bool(self.np_random.uniform() < 0.2), {}

    def _seen(self) -> Any:
        return np.concatenate([self.data.qpos, self.data.qvel])


@pytest.mark.parametrize("when", ["init", "reset", "step", "late"])
def test_states_are_those_of_the_simulation_that_there_is(when, monkeypatch):
    monkeypatch.setattr(step_blocks, "NUM_ROWS", 8)  # so that they move, and grow
    store = EpisodeStore()
    venv = make_vec_env(lambda: NewData(when), 2, store)
    venv.seed(3)
    venv.reset()
    for _ in range(40):
        venv.step(np.ones((2, 1)))
    venv.reset()
    assert store.num_transitions == 80
    for episode in store.episodes:
        states = episode.sim_states.astype(np.float32)
        np.testing.assert_array_equal(states, episode.observations[:-1])


class Held(NewData):
    """Shows its simulation as an object of its own, whose arrays are others at each step."""

    def __init__(self) -> None:
        super().__init__("reset")
        self.simulation, self.data = self.data, SimpleNamespace()
        self._fill()

    def _fill(self) -> None:
        for name in ("qpos", "qvel", "act", "mocap_pos", "mocap_quat"):
            setattr(self.data, name, getattr(self.simulation, name).copy())

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        gym.Env.reset(self, seed=seed)
        mujoco.mj_resetData(self.model, self.simulation)
        self.simulation.qpos[:] = self.np_random.uniform()
        self._fill()
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        mujoco.mj_step(self.model, self.simulation, 5)
        self._fill()
        return self._seen(), 0.0, False, bool(self.np_random.uniform() < 0.2), {}


class Lists(NewData):
    """Keeps a state of the same names that is no arrays."""

    def __init__(self) -> None:
        super().__init__("reset")

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        outcome = super().reset(seed=seed)
        self.model, self.data = None, SimpleNamespace(qpos=[0.0], qvel=[0.0], act=None)
        self.data.mocap_pos = self.data.mocap_quat = []
        return outcome


def test_states_of_somebodys_own_object_are_looked_up_at_each_step():
    store = EpisodeStore()
    venv = make_vec_env(Held, 2, store)
    venv.reset()
    for _ in range(40):
        venv.step(np.ones((2, 1)))
    venv.reset()
    for episode in store.episodes:
        states = episode.sim_states.astype(np.float32)
        np.testing.assert_array_equal(states, episode.observations[:-1])


def test_a_state_that_is_no_arrays_is_none():
    store = EpisodeStore()
    venv = make_vec_env(Lists, 1, store)
    assert len(venv.reset()) == 1
