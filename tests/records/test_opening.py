"""Pipes and devices are not waited for, whatever reads them."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from prefrl import EnhancedRewardModel, load_comparisons, load_episodes
from prefrl.agents.factory import load_policy
from prefrl.benchmark.grid.results import read_results
from prefrl.errors import PrefrlError
from prefrl.records.checkpoint import load_state
from prefrl.records.files import content_of, opened
from prefrl.records.json_file import read_json
from prefrl.records.metrics import JsonLinesSink, check_lines, read_metrics
from prefrl.records.weights import read_weights
from prefrl.runs.own_parts import recorded_parts


def a_pipe(path):
    os.mkfifo(path)


def a_device(path):
    path.symlink_to("/dev/zero")


def a_socket(path):
    one = socket.socket(socket.AF_UNIX)
    folder = Path.cwd()
    os.chdir(path.parent)  # A socket's path may have a hundred letters.
    try:
        one.bind(path.name)
    finally:
        os.chdir(folder)
        one.close()


def a_folder(path):
    path.mkdir()


def a_huge_file(path):
    path.touch()
    os.truncate(path, 2**35)  # It takes no room on the disk.


OTHERS = (a_pipe, a_device, a_socket, a_folder)

READERS: dict[str, Callable[[Path], object]] = {
    "answers.npz": load_comparisons,
    "episodes.npz": load_episodes,
    "state.npz": load_state,
    "any.json": read_json,
    "policy.safetensors": read_weights,
    "metrics.jsonl": read_metrics,
    "metrics.jsonl of a run": lambda path: check_lines(path, {"position": 2**34}),
    "metrics.jsonl to write": JsonLinesSink,
    "policy.zip": lambda path: load_policy("ppo", path),
    "parts.json": lambda path: recorded_parts(path.parent),
    "results.parquet": lambda path: read_results(path.parent),
    "config.json": lambda path: EnhancedRewardModel.load(path.parent),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("make", OTHERS, ids=lambda make: make.__name__)
def test_readers_say_that_it_is_no_file(tmp_path, name, make):
    path = tmp_path / name.split()[0]
    make(path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(PrefrlError, match=path.name):
        READERS[name](path)


@pytest.mark.parametrize("name", [name for name in READERS if "write" not in name])
def test_readers_take_no_memory_for_what_a_file_merely_declares(tmp_path, name):
    path = tmp_path / name.split()[0]
    a_huge_file(path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(PrefrlError, match=path.name):
        READERS[name](path)


def test_a_file_is_read_through_a_link(tmp_path):
    (tmp_path / "file").write_bytes(b"hello")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert content_of(tmp_path / "link") == b"hello"
    with opened(tmp_path / "link") as file:
        assert file.read(2) == b"he"
