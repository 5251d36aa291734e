import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prefrl.envs import make_env, make_vec_env
from prefrl.envs.beginnings import Beginnings, NotedResets, begin_again
from prefrl.envs.films import Films
from prefrl.envs.probing import action_of
from prefrl.errors import DataError, EnvironmentFault
from prefrl.segments import EpisodeStore
from tests.envs.tasks import Counting


class Painting(Counting):
    """Renders pictures as bright as its step number says; its episodes have `lengths` steps."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, lengths: tuple[int, ...] = (5, 3, 4)) -> None:
        super().__init__(lengths=lengths)
        self.render_mode = "rgb_array"

    def render(self) -> Any:
        return np.full((24, 32, 3), 20 * int(self._obs[2]), dtype=np.uint8)


def recorded(make: Any, steps: int, beside: Any, *, num_envs: int = 2, bound: int = 10**6) -> Any:
    store = EpisodeStore(bound)
    venv = make_vec_env(make, num_envs, store, beside=beside)
    venv.seed(7)
    venv.reset()
    for _ in range(steps):
        venv.step(np.array([venv.action_space.sample() for _ in range(num_envs)]))
    return venv, store


def test_every_step_of_every_episode_has_its_picture():
    films = Films(32)
    venv, store = recorded(Painting, 13, films)
    venv.reset()  # Unfinished ones go to the store, too.
    venv.step(np.array([venv.action_space.sample() for _ in range(2)]))
    assert len(store) >= 6
    for number, episode in enumerate(store.episodes):
        pictures = films.pictures(number, np.arange(len(episode)))
        brightness = [picture.mean() for picture in pictures]
        np.testing.assert_allclose(brightness, 20 * episode.observations[:-1, 2], atol=1)
        assert pictures[0].shape == (24, 32, 3)
    venv.close()


def test_pictures_take_no_more_memory_than_they_may_and_the_oldest_go_first():
    films = Films(32, max_bytes=6000)
    venv, store = recorded(partial(Painting, (5,)), 60, films)
    assert films.num_bytes <= 6000
    newest = store.num_dropped + len(store)
    assert sorted(films._episodes) == list(range(min(films._episodes), newest))
    with pytest.raises(DataError, match="there are no pictures of episode 0: it was filmed too lo"):
        films.pictures(0, np.arange(2))
    venv.close()


def test_pictures_of_episodes_that_the_store_has_dropped_are_dropped():
    films = Films(32)
    venv, store = recorded(partial(Painting, (5,)), 60, films, bound=20)
    kept = range(store.num_dropped, store.num_dropped + len(store))
    assert set(films._episodes) == set(kept)
    venv.close()


def taken_up(beside: Any, folder: Path, store: EpisodeStore) -> Any:
    first = store.num_dropped
    beside.keep_in(folder, first=first, stop=first + len(store))
    return beside


def test_a_run_that_goes_on_has_the_pictures_of_its_episodes(tmp_path):
    films = Films(32, max_bytes=6000)
    films.keep_in(tmp_path / "shown", first=0, stop=0)
    venv, store = recorded(partial(Painting, (5,)), 60, films)
    venv.close()
    again = taken_up(Films(32, max_bytes=6000), tmp_path / "shown", store)
    assert again._episodes == films._episodes
    assert again.num_bytes == films.num_bytes <= 6000
    kept = sum(path.stat().st_size for path in (tmp_path / "shown").iterdir())
    assert kept < 7000, "files are bounded as memory is"
    smaller = taken_up(Films(32, max_bytes=3500), tmp_path / "shown", store)
    assert smaller.num_bytes <= 3500
    assert len(list((tmp_path / "shown").iterdir())) == len(smaller._episodes)


@pytest.mark.parametrize(("make", "beside"), [(Painting, Films), (None, Beginnings)])
def test_what_came_after_a_checkpoint_or_is_damaged_is_not_taken_up(tmp_path, make, beside):
    make = make or (lambda: NotedResets(make_env("CartPole-v1", max_episode_steps=5)))
    kept = beside()
    kept.keep_in(tmp_path / "shown", first=0, stop=0)
    venv, store = recorded(make, 30, kept)
    venv.close()
    files = sorted((tmp_path / "shown").iterdir())
    assert len(files) == len(store) > 4
    files[1].write_bytes(b"[1e999, null]\n")
    files[2].write_bytes(files[2].read_bytes()[:-1])
    again = beside()
    again.keep_in(tmp_path / "shown", first=1, stop=5)
    assert set(again._episodes) == {3, 4}
    assert [int(path.stem) for path in sorted((tmp_path / "shown").iterdir())] == [3, 4]
    assert all(again._episodes[number] == kept._episodes[number] for number in (3, 4))


@pytest.mark.parametrize(("make", "beside"), [(Painting, Films), (None, Beginnings)])
def test_whoever_only_looks_leaves_what_is_kept_as_it_is(tmp_path, make, beside):
    make = make or (lambda: NotedResets(make_env("CartPole-v1", max_episode_steps=5)))
    kept, folder = beside(), tmp_path / "shown"
    assert beside().take_up(folder, first=0, stop=9) == []
    kept.keep_in(folder, first=0, stop=0)
    venv, store = recorded(make, 30, kept)
    venv.close()
    assert kept.numbers == frozenset(range(len(store)))
    (folder / "000000001.episode").unlink()
    (folder / "000000002.episode").write_bytes(b"{")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = beside()
    assert again.take_up(folder, first=0, stop=5) == [2]
    assert again.numbers == {0, 3, 4}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("size", "mode", "kind"),
    [((32, 24), "RGB", "PNG"), ((33, 24), "RGB", "JPEG"), ((32, 24), "L", "JPEG")],
)
def test_pictures_of_somebody_elses_that_none_of_ours_can_be_are_damaged(size, mode, kind):
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind)
    films = Films(32)
    films._episodes[0] = [file.getvalue()]
    with pytest.raises(DataError, match="the pictures of episode 0 are damaged"):
        films.pictures(0, np.arange(1))


@pytest.mark.parametrize(
    ("frame", "said"),
    [(None, "rendered no picture: it is of shape"), (np.zeros((4, 4)), r"of shape \(4, 4\)")],
)
def test_an_environment_that_renders_something_else_is_named(frame, said):
    class Blind(Painting):
        def render(self) -> Any:
            return frame

    with pytest.raises(EnvironmentFault, match=f"^Blind .*{said}"):
        recorded(Blind, 1, Films(32))


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "HalfCheetah-v4"])
def test_every_episode_can_be_begun_again(env_id):
    beginnings = Beginnings()
    make = partial(make_env, env_id, max_episode_steps=12)
    venv, store = recorded(lambda: NotedResets(make()), 30, beginnings)
    venv.reset()
    venv.close()
    env = make()
    for number, episode in enumerate(store.episodes):
        seen = begin_again(env, beginnings.of(number))
        np.testing.assert_allclose(seen, episode.observations[0], atol=1e-6)
        for row, after in zip(episode.actions, episode.observations[1:], strict=True):
            seen = env.step(action_of(env.action_space, row))[0]
            np.testing.assert_allclose(seen, after, atol=1e-4)
    assert len(store) >= 6
    env.close()


def test_how_an_episode_began_is_not_known_for_ever():
    beginnings = Beginnings()
    make = partial(make_env, "CartPole-v1", max_episode_steps=5)
    venv, store = recorded(lambda: NotedResets(make()), 60, beginnings, bound=20)
    assert len(beginnings._episodes) == len(store)
    with pytest.raises(DataError, match="it is not known how episode 0 began"):
        beginnings.of(0)
    venv.close()


def test_recording_beside_changes_nothing_of_the_episodes():
    def steps(beside: Any, wrap: Any) -> Any:
        make = partial(make_env, "CartPole-v1", max_episode_steps=9)
        venv, store = recorded(lambda: wrap(make()), 0, beside)
        venv.action_space.seed(3)
        for _ in range(40):
            venv.step(np.array([venv.action_space.sample() for _ in range(2)]))
        venv.close()
        return store.state()["observations"]

    plain = steps(None, lambda env: env)
    np.testing.assert_array_equal(steps(Beginnings(), NotedResets), plain)
