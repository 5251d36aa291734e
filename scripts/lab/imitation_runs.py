"""Runs of imitation's preference comparisons and of prefrl, on the same task with the same PPO."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ENV = "HalfCheetah-v4"
NUM_ENVS = 8
SEGMENT_LENGTH = 50
EVAL_EPISODES = 10
# prefrl's random steps before its first session, on top of the PPO steps.
EXPLORE_STEPS = 16_000
# What an ensemble of imitation's gets; members and candidates as in Christiano et al. 2017.
NUM_MEMBERS = 3
WIDTH = 256
CANDIDATES = 10
# SB3's defaults. The environments share its rollout of 2,048 steps, as in imitation's example.
ROLLOUT = 2048
PPO: dict[str, Any] = {
    "learning_rate": 3e-4,
    "n_steps": ROLLOUT // NUM_ENVS,
    "batch_size": 64,
    "n_epochs": 10,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "ent_coef": 0.0,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
}
POLICY: dict[str, Any] = {
    "net_arch": [64, 64],
    "activation_fn": "Tanh",
    "log_std_init": 0.0,
    "ortho_init": True,
}


@dataclass(frozen=True)
class Job:
    """One arm, run in a process of its own.

    Args:
        arm: imitation, prefrl, or true for PPO on the true reward.
        seed: everything random follows from it.
        ppo_steps: environment steps that PPO learns from; further ones are counted apart.
        comparisons: answered queries.
        iterations: imitation's; it holds one session more than that.
        is_ensemble: imitation trains an ensemble and asks where it disagrees.
        has_its_networks: prefrl's ensemble is one of the networks that imitation's has.
    """

    arm: str
    seed: int
    ppo_steps: int
    comparisons: int
    iterations: int = 0
    is_ensemble: bool = False
    has_its_networks: bool = False


def fitting_steps(steps: int, iterations: int) -> int:
    """Returns the PPO steps next to `steps` that imitation takes in equal, whole rollouts."""
    sessions = iterations + 1
    return max(1, round(steps / sessions / ROLLOUT)) * ROLLOUT * sessions


def preference_parts(venv: Any, job: Job, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Makes a reward network, the trainer of it and the chooser of fragments."""
    from imitation.algorithms import preference_comparisons  # type: ignore[import-not-found]
    from imitation.rewards import reward_nets  # type: ignore[import-not-found]
    from imitation.util.networks import RunningNorm  # type: ignore[import-not-found]

    spaces = (venv.observation_space, venv.action_space)
    fragmenter = preference_comparisons.RandomFragmenter(warning_threshold=0, rng=rng)
    fitting = {"loss": preference_comparisons.CrossEntropyRewardLoss(), "epochs": 10, "rng": rng}
    if not job.is_ensemble:
        net = reward_nets.BasicRewardNet(*spaces, normalize_input_layer=RunningNorm)
        model = preference_comparisons.PreferenceModel(net)
        return net, preference_comparisons.BasicRewardTrainer(model, **fitting), fragmenter
    members = [
        reward_nets.NormalizedRewardNet(
            reward_nets.BasicRewardNet(
                *spaces, hid_sizes=(WIDTH, WIDTH), normalize_input_layer=RunningNorm
            ),
            RunningNorm,
        )
        for _ in range(NUM_MEMBERS)
    ]
    net = reward_nets.RewardEnsemble(*spaces, members)
    model = preference_comparisons.PreferenceModel(net)
    active = preference_comparisons.ActiveSelectionFragmenter(
        model, fragmenter, fragment_sample_factor=CANDIDATES, uncertainty_on="probability"
    )
    return net, preference_comparisons.EnsembleTrainer(model, **fitting), active


def run_imitation(job: Job) -> dict[str, Any]:
    """Runs preference comparisons as imitation's documentation does, on our task and PPO."""
    from imitation.algorithms import preference_comparisons
    from imitation.policies.base import (  # type: ignore[import-not-found]
        NormalizeFeaturesExtractor,
    )
    from imitation.util.networks import RunningNorm
    from imitation.util.util import make_vec_env  # type: ignore[import-not-found]

    from prefrl.agents.factory import make_model
    from prefrl.envs.registry import make_env
    from prefrl.runs.evaluation import evaluate

    stopwatch = Stopwatch()
    rng = np.random.default_rng(job.seed)
    venv = make_vec_env(ENV, rng=rng, n_envs=NUM_ENVS)
    extractor = {
        "features_extractor_class": NormalizeFeaturesExtractor,
        "features_extractor_kwargs": {"normalize_class": RunningNorm},
    }
    agent: Any = make_model(
        "ppo", venv, {**PPO, "policy_kwargs": {**POLICY, **extractor}}, seed=job.seed, device="cpu"
    )
    reward_net, reward_trainer, fragmenter = preference_parts(venv, job, rng)
    trainer = preference_comparisons.PreferenceComparisons(
        preference_comparisons.AgentTrainer(
            algorithm=agent, reward_fn=reward_net, venv=venv, exploration_frac=0.05, rng=rng
        ),
        reward_net,
        num_iterations=job.iterations,
        fragmenter=fragmenter,
        preference_gatherer=preference_comparisons.SyntheticGatherer(rng=rng),
        reward_trainer=reward_trainer,
        fragment_length=SEGMENT_LENGTH,
        initial_epoch_multiplier=4,
        initial_comparison_frac=0.1,
        query_schedule="hyperbolic",
    )
    # It trains the agent once more than it has iterations, before the first of them.
    total = job.ppo_steps * job.iterations // (job.iterations + 1)
    trainer.train(total_timesteps=total, total_comparisons=job.comparisons)
    results = stopwatch.read()
    steps = {"ppo_steps": agent.num_timesteps, "env_steps": sum(venv.get_attr("total_steps"))}
    result = evaluate(
        lambda observations: agent.predict(observations, deterministic=True)[0],
        lambda: make_env(ENV),
        num_episodes=EVAL_EPISODES,
        seed=job.seed,
    )
    return {
        **results,
        **steps,
        "comparisons": len(trainer.dataset),
        "sessions": job.iterations + 1,
        "true_return_mean": result.true_return_mean,
        "true_return_std": result.true_return_std,
    }


def run_prefrl(job: Job) -> dict[str, Any]:
    """Makes a whole run of prefrl: checkpoints, curve, evaluation and all are part of its time."""
    from prefrl import RewardConfig, RunConfig, run
    from prefrl.config.true_reward import of_true_reward

    # A trunk layer and a head's first layer: two hidden ones.
    networks: dict[str, Any] = {
        "num_reward_heads": NUM_MEMBERS,
        "hidden_dim": WIDTH,
        "shared_trunk": False,
    }
    explore = min(EXPLORE_STEPS, job.ppo_steps // 10) // NUM_ENVS * NUM_ENVS
    is_true = job.arm == "true"
    config = RunConfig(
        env=ENV,
        agent="ppo",
        steps=job.ppo_steps if is_true else job.ppo_steps + explore,
        explore_steps=explore,
        budget=job.comparisons,
        segment_length=SEGMENT_LENGTH,
        reward_model=RewardConfig(**networks if job.has_its_networks else {}),
        num_envs=NUM_ENVS,
        seed=job.seed,
        threads=1,
        eval_episodes=EVAL_EPISODES,
        agent_settings={
            **PPO,
            "normalize_observations": True,
            "normalize_reward": False,
            "policy_kwargs": POLICY,
        },
    )
    if is_true:
        config = of_true_reward(config)
    stopwatch = Stopwatch()
    summary = run(config, out=Path("run"), show_progress=False).summary
    return {
        **stopwatch.read(),
        "ppo_steps": summary["steps"] - (0 if is_true else explore),
        "env_steps": summary["steps"],
        "comparisons": summary["num_answers"],
        "wall_breakdown": summary["wall_breakdown"],
        "true_return_mean": summary["final_true_return_mean"],
        "true_return_std": summary["final_true_return_std"],
    }


class Stopwatch:
    """Seconds on the wall and of this process's own work, since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Returns what has passed so far."""
        return {
            "wall_s": round(time.perf_counter() - self._wall, 3),
            "cpu_s": round(time.process_time() - self._cpu, 3),
        }
