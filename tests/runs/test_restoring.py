"""Checkpoints that decode, but hold something else than the run needs, are one line."""

import copy
import shutil

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from prefrl import resume
from prefrl.config import from_yaml
from prefrl.errors import StorageError
from prefrl.records.checkpoint import load_state, save_state
from tests import tiny_runs
from tests.runs.stopped import stopped_after

OTHERS = st.sampled_from(
    [
        *(None, [], {}, (), "x", -1, 2**80, float("nan"), True),
        *(np.zeros(()), np.zeros((2, 3)), np.array("text"), torch.zeros(7)),
    ]
)


@pytest.fixture(scope="module", params=["ppo", "sac"])
def in_flight(request, tmp_path_factory):
    config = getattr(tiny_runs, request.param)()
    return stopped_after(4, config, tmp_path_factory.mktemp("flight") / "run")


def places(tree, path=()):
    """Lists the ways to every node of a tree."""
    pairs = list(tree.items()) if isinstance(tree, dict) else []
    if isinstance(tree, list):
        pairs = list(enumerate(tree))
    for key, child in pairs:
        yield (*path, key)
        yield from places(child, (*path, key))


@given(data=st.data())
@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # Each is a run: none are shrunk.
)
def test_a_checkpoint_with_any_part_exchanged_is_gone_on_with_or_one_line(
    tmp_path_factory, in_flight, data
):
    folder = tmp_path_factory.mktemp("altered") / "run"
    shutil.copytree(in_flight, folder)
    path = max((folder / "checkpoints").iterdir())
    fingerprint = from_yaml(folder / "config.yaml").fingerprint()
    content = copy.deepcopy(load_state(path, fingerprint=fingerprint))
    *way, last = data.draw(st.sampled_from(list(places(content["state"]))))
    node = content["state"]
    for key in way:
        node = node[key]
    if data.draw(st.booleans()):
        del node[last]
    else:
        node[last] = data.draw(OTHERS)
    save_state(path, content, fingerprint=fingerprint)
    before = {one: one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    try:
        resume(folder, show_progress=False)
    except StorageError as error:
        said = str(error)
    else:
        return
    assert path.name in said
    assert "\n" not in said
    assert {one: one.read_bytes() for one in folder.rglob("*") if one.is_file()} == before
