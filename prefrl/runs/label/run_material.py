"""Finished runs as material: their newest episodes, asked about by their reward model."""

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefrl.config import LabelConfig, ResolvedRun, SessionSettings
from prefrl.config.labelling import REPEAT_SHARE
from prefrl.envs.opening import close_envs
from prefrl.errors import ConfigError, StorageError, option
from prefrl.feedback.dataset import PreferenceDataset
from prefrl.own_modules import check_is_elsewhere
from prefrl.records import run_folder
from prefrl.records.episodes import load_episodes
from prefrl.rewards import EnhancedRewardModel, RewardTrainer, build_model
from prefrl.runs.finished import Found
from prefrl.runs.label.material import Material, chooser_of, decided, pairs_in
from prefrl.runs.own_parts import recorded_parts
from prefrl.runs.people import scene_of
from prefrl.runs.resolve import make_configured_env, plan
from prefrl.runs.restoring import check_dims, from_file
from prefrl.seeding import REWARD_WEIGHTS, Streams
from prefrl.segments import EpisodeStore

if TYPE_CHECKING:
    from prefrl.labelling.clips import ClipMaker


def run_material(
    folder: Path, config: ResolvedRun, found: Found, settings: LabelConfig
) -> Material:
    """Returns what there is to ask about a finished run.

    Args:
        folder: of the run.
        config: its settings.
        found: the state of its end.
        settings: what is asked, and how much.

    Raises:
        PrefrlError: it keeps no episodes that can be shown; or a file is missing or damaged.
    """
    if config.objectives:
        raise ConfigError(
            f"{option('objectives')} of {folder} is {config.objectives}, but people are asked "
            "about one thing"
        )
    path = folder / run_folder.EPISODES
    episodes = load_episodes(path)
    num_pairs = pairs_in(episodes, config.segment_length, str(path))
    streams = Streams(config.seed if settings.seed is None else settings.seed)
    learner = _learner(folder, config, found, episodes, streams)
    maker, among = _shown(folder, config, episodes)
    if among is not None:
        still = f"what {folder / run_folder.SHOWN} still has of {path}"
        num_pairs = pairs_in(episodes, config.segment_length, still, among)
    queries = replace(config.queries, repeat_share=REPEAT_SHARE)
    usual = SessionSettings(segment_length=config.segment_length, **vars(queries))
    sessions = decided(settings, usual)
    strategy = settings.strategy or config.strategy
    return Material(
        env_id=config.env,
        chooser=chooser_of(episodes, learner, sessions, streams, strategy, among),
        spec=lambda segment: maker.specs(segment, episodes)[0],
        num_pairs=num_pairs,
        overlap=sessions.overlap,
        repeat_share=sessions.repeat_share or 0.0,
        dataset=_answers(folder, config),
        learner=learner,
        is_fitted=config.reward == "learned",
        step=found.step,
        first_session=len(plan(config)),
        is_rendered=maker.source.kind != "pictures",
    )


def _shown(
    folder: Path, config: ResolvedRun, episodes: EpisodeStore
) -> tuple["ClipMaker", Collection[int] | None]:
    """Returns who describes clips, and the numbers of the episodes that can be shown; None: all."""
    from prefrl.labelling.clips import ClipMaker, NamedEnv
    from prefrl.labelling.clips.source_file import read_source

    shown = folder / run_folder.SHOWN
    source = read_source(shown)
    if source is None:
        return _maker_of_states(folder, config, episodes), None
    if isinstance(source.scene, NamedEnv):
        check_is_elsewhere(source.scene.env_id, folder)
    maker, first = ClipMaker(source), episodes.num_dropped
    assert maker.beside is not None
    maker.beside.take_up(shown, first=first, stop=first + len(episodes))
    return maker, maker.beside.numbers


def _maker_of_states(folder: Path, config: ResolvedRun, episodes: EpisodeStore) -> "ClipMaker":
    """Returns who describes clips of the episodes, whose states are the environment's."""
    from prefrl.labelling.clips import ClipMaker, choose_source
    from prefrl.labelling.clips.checking import check_states

    if own := (recorded_parts(folder) or {}).get("make_env"):
        raise ConfigError(
            f"the run in {folder} was made with make_env {own}, which prefrl label cannot call: "
            f"its episodes can be shown only by what a run with {option('teacher')} human keeps in "
            f"{run_folder.SHOWN}/, and there is none"
        )
    path, newest = folder / run_folder.EPISODES, episodes.episodes[-1]
    source = choose_source(partial(make_configured_env, config), scene_of(config))
    if source.kind != "states":
        by = "pictures taken of them" if source.kind == "pictures" else "how they began"
        raise StorageError(
            f"episodes of {config.env} can be shown only by {by} while they happen, and {folder} "
            f"has no {run_folder.SHOWN}/: only a run with {option('teacher')} human keeps it, so "
            "start one; or label recorded steps with `frames` by prefrl label --data FILE"
        )
    if not newest.sim_states.shape[1]:
        raise StorageError(f"{path} has no simulator states, so that no clip can be made of it")
    env = make_configured_env(config)
    try:
        env.reset(seed=0)
        check_states(
            env,
            config.env,
            states=newest.sim_states,
            actions=newest.actions,
            following=newest.observations[1:],
            place=f"{path}: sim_states",
        )
    finally:
        close_envs([env])
    return ClipMaker(source)


def _learner(
    folder: Path, config: ResolvedRun, found: Found, episodes: EpisodeStore, streams: Streams
) -> RewardTrainer:
    """Returns the run's reward model, or a new one of a run that has learned none."""
    dims = episodes.episodes[0].observations.shape[1], episodes.episodes[0].actions.shape[1]
    if config.reward != "learned":
        model = build_model(
            sum(dims),
            config.reward_model,
            segment_length=config.segment_length,
            generator=streams.torch_generator(REWARD_WEIGHTS),
            observation_dim=dims[0],
            env_id=config.env,
        )
        return RewardTrainer(model, config.reward_model, streams=streams)
    model = EnhancedRewardModel.load(folder / run_folder.REWARD_MODEL)
    num_observations = model.config.observation_dim or dims[0]
    own = num_observations, model.config.input_dim - num_observations
    check_dims(folder / run_folder.EPISODES, "episodes", dims, own)
    trainer = RewardTrainer(model, config.reward_model, streams=streams)
    with from_file(folder, found):
        # The model itself may have been fitted anew since the run has ended.
        kept: Any = {**found.state["learner"], "model": model.state_dict()}
        trainer.restore(kept)
    return trainer


def _answers(folder: Path, config: ResolvedRun) -> PreferenceDataset:
    path, share = folder / run_folder.COMPARISONS, config.queries.validation_fraction
    if path.exists():
        return PreferenceDataset.load(path, validation_fraction=share)
    return PreferenceDataset(share, env_id=config.env)
