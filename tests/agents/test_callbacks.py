"""SB3 callbacks of one's own see a run as one call of `learn`."""

import io
from copy import deepcopy
from typing import Any

import pytest
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    EveryNTimesteps,
    ProgressBarCallback,
)

from prefrl import Parts
from prefrl.agents.callbacks import RunCallbacks
from prefrl.agents.factory import make_agent
from prefrl.errors import ConfigError
from tests.agents.stacks import SMALL_PPO, SMALL_SAC, constant, stack


class Diary(BaseCallback):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.steps: list[int] = []

    def _init_callback(self) -> None:
        self.told.append("init")

    def _on_training_start(self) -> None:
        self.told.append("start")

    def _on_rollout_start(self) -> None:
        self.told.append("rollout")

    def _on_step(self) -> bool:
        assert "rewards" in self.locals, "the variables of the present call of learn"
        self.steps.append(self.num_timesteps)
        return True

    def _on_training_end(self) -> None:
        self.told.append("end")


MODELS: dict[str, Any] = {
    "ppo": lambda venv: PPO("MlpPolicy", venv, **deepcopy(SMALL_PPO)),
    "sac": lambda venv: SAC("MlpPolicy", venv, learning_starts=0, **deepcopy(SMALL_SAC)),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_many_calls_of_learn_are_told_as_one_and_exploring_is_not_told(make):
    diary = Diary()
    agent = make_agent(make(stack(2)), callbacks=RunCallbacks([diary]))
    agent.begin_phase(0)
    agent.explore(40)
    agent.set_reward(constant(1.0))
    agent.relabel(constant(1.0))
    assert diary.steps == []
    agent.begin_phase(1)
    agent.train(96)
    agent.begin_phase(2)
    agent.train(20)
    assert agent.callbacks is not None
    agent.callbacks.end()
    assert [diary.told.count(what) for what in ("init", "start", "end")] == [1, 1, 1]
    assert diary.told[:3] == ["init", "start", "rollout"]
    assert diary.told[-1] == "end"
    assert diary.steps == list(range(42, 157, 2)), "exploration counts in num_timesteps"
    assert diary.n_calls == 58


def test_those_that_are_told_by_another_one_know_the_present_variables_too():
    diary = Diary()
    agent = make_agent(
        MODELS["ppo"](stack(2)), callbacks=RunCallbacks([EveryNTimesteps(40, diary)])
    )
    for phase in range(2):
        agent.begin_phase(phase)
        agent.train(64)
    assert diary.steps == [40, 80, 120]


def test_a_callback_may_save_the_model_in_the_middle_of_a_call():
    class Saving(Diary):
        def _on_step(self) -> bool:
            self.archive = io.BytesIO()
            self.model.save(self.archive)
            return True

    saving = Saving()
    agent = make_agent(MODELS["ppo"](stack(2)), callbacks=RunCallbacks([saving]))
    agent.begin_phase(0)
    agent.train(64)
    assert len(saving.archive.getvalue()) < 100_000, "nothing of the run is in it"
    saving.archive.seek(0)
    PPO.load(saving.archive, env=stack(2)).learn(64)


def test_a_function_makes_them_anew_for_every_start():
    assert RunCallbacks(lambda: [Diary()]).callbacks != RunCallbacks(lambda: [Diary()]).callbacks


@pytest.mark.parametrize(
    ("callbacks", "said"),
    [
        ([Diary(), print], r"callbacks\[1\] is a builtin_function_or_method; expected a BaseCall"),
        (
            [ProgressBarCallback],
            r"callbacks\[0\] is the class ProgressBarCallback; expected a Base",
        ),
        ("diary", r"callbacks is a str .* expected a BaseCallback, a list"),
        (lambda: 5, r"callbacks is an int; expected a BaseCallback, a list"),
    ],
)
def test_what_is_no_callback_is_refused_in_one_line(callbacks, said):
    with pytest.raises(ConfigError, match=said):
        RunCallbacks(callbacks)


def test_a_callback_that_stops_the_training_is_named():
    class Enough(Diary):
        def _on_step(self) -> bool:
            return self.num_timesteps < 10

    agent = make_agent(MODELS["ppo"](stack(2)), callbacks=RunCallbacks([Enough()]))
    agent.begin_phase(0)
    with pytest.raises(ConfigError, match="Enough stopped the training at step 10, but a run"):
        agent.train(64)


@pytest.mark.parametrize("given", [lambda d: d, lambda d: CallbackList([d]), lambda d: [d]])
@pytest.mark.parametrize("is_made", [False, True])
def test_one_callback_and_a_callback_list_are_taken_as_a_list_of_them_is(given, is_made):
    diary = Diary()
    callbacks = given(diary)
    parts = Parts(callbacks=(lambda: callbacks) if is_made else callbacks)
    assert RunCallbacks(parts.callbacks).callbacks == [diary]
