"""The processes behind a folder that people label are there, or it is said why not."""

import json
import socket
from pathlib import Path

import pytest

from prefrl import ServingConfig
from prefrl.errors import ConfigError
from prefrl.feedback.protocols import Answer
from tests.session.stores import put

pytest.importorskip("fastapi", reason="the extra human is missing")

from prefrl.runs.processes import Processes
from prefrl.runs.serving import claimed_store


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PREFRL_DATABASE", raising=False)
    return tmp_path


def test_a_port_in_use_is_a_line_and_nothing_is_lost(folder):
    with socket.socket() as taken, claimed_store(folder, ServingConfig()) as (store, kept):
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        put(store, 1)
        store.answer([Answer(0, 1.0)])
        said = f"could not be started: port {port} is in use; choose another --port, or 0"
        with pytest.raises(ConfigError, match=said):
            Processes(store, folder, kept, port=port)
        assert store.counts().spent == 1


def test_the_page_has_the_links_of_its_file(folder):
    with (
        claimed_store(folder, ServingConfig()) as (store, kept),
        Processes(store, folder, kept, port=0, is_runs=False) as processes,
    ):
        written = json.loads((folder / "labelling.json").read_text())
        assert processes.links.token == written["token"]
        assert not processes.is_replaced
