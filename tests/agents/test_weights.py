import pytest

from prefrl.agents import make_agent, make_model
from prefrl.errors import DataError
from tests.agents.stacks import SMALL_PPO, stack


def test_the_state_of_a_model_of_another_library_is_refused_in_one_line():
    agent = make_agent(make_model("ppo", stack(1), SMALL_PPO, seed=0, device="cpu"))
    said = "^its agent was saved by a model of jax, this run's is one of torch; go on with the mod"
    with pytest.raises(DataError, match=said):
        agent.restore({"backend": "jax", "counters": {"num_timesteps": 7}})
    assert agent.num_steps == 0
