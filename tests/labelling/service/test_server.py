"""The process that serves: started, killed, started again."""

import asyncio
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.run_status import RunStatus, write_run_status
from prefrl.labelling.service.link_file import Links
from prefrl.labelling.service.one_at_a_time import LOCK, links_of_running, only_service
from prefrl.labelling.service.server import ServerOptions, _bind, _settings
from prefrl.labelling.store import LabelStore
from tests.labelling.service.serving import Client
from tests.ports import free_port
from tests.session.stores import put
from tests.waiting import PATIENCE_S


class Process:
    """A service of a folder's store, in a process of its own."""

    def __init__(self, folder, *options):
        self.folder = folder
        environment = {**os.environ, "PREFRL_DATABASE": f"sqlite:///{folder}/labels.sqlite"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "prefrl.labelling.serve", "--folder", str(folder), *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_reachable(self):
        out, errors = self.process.stdout, self.process.stderr
        assert out is not None
        assert errors is not None
        self.said = [out.readline() for _ in range(2)]
        assert self.said[0], errors.read()
        self.links = json.loads((self.folder / "labelling.json").read_text())
        self.ann = Client(self.links["url"], self.links["token"])
        self.owner = Client(self.links["url"], self.links["owner_token"])
        return self

    def end(self, number=signal.SIGTERM):
        """Sends a signal; returns the status and everything that it said."""
        self.process.send_signal(number)
        said, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said, errors


@pytest.fixture
def start(tmp_path):
    """Starts services of a run's folder; the first one finds 400 questions."""
    store = LabelStore(tmp_path / "labels.sqlite")
    store.set_settings(StoreSettings(needs_clips=False))
    put(store, 400)
    store.close()
    started = []

    def start_(*options):
        started.append(Process(tmp_path, *options))
        return started[-1]

    yield start_
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.fixture
def store(start, tmp_path):
    store = LabelStore(tmp_path / "labels.sqlite")
    yield store
    store.close()


def test_it_says_where_it_is_to_its_owner_alone(start, tmp_path):
    served = start().wait_until_reachable()
    path = tmp_path / "labelling.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(served.links) == {"url", "owner_token", "annotator", "token", "public_url"}
    assert served.links["url"].startswith("http://127.0.0.1:")
    assert served.said == [
        f"label:  {served.links['url']}/#token={served.links['token']}\n",
        f"owner:  {served.links['url']}/owner#token={served.links['owner_token']}\n",
    ]
    assert served.ann.get("annotators/me").json["name"] == "annotator 1"
    assert served.owner.get("overview").json["open"] == 400
    running = links_of_running(tmp_path)
    assert running is not None
    assert running.token == served.links["token"]
    status, said, errors = served.end()
    assert (status, said, errors) == (0, "", "")
    assert links_of_running(tmp_path) is None


def test_no_token_is_in_what_it_logs_whatever_is_asked(start):
    served = start().wait_until_reachable()
    tokens = [served.links["token"], served.links["owner_token"]]
    made = served.owner.post("annotators", {"name": "ann"}).json["token"]
    for token in (*tokens, made, "a-wrong-one"):
        client = Client(served.links["url"], token)
        client.get(f"progress?token={token}")
        client.get(f"/{token}")
        client.put(f"questions/{token}/answer", {"answer": token})
        client.get("progress", Host=token)
        client.get("progress", Origin=token)
    host, port = served.ann.address.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{tokens[0]} nonsense\r\n\r\n".encode())
        connection.recv(1000)
    _, said, errors = served.end()
    for token in (*tokens, made, "a-wrong-one"):
        assert token not in said + errors


def test_a_kill_loses_no_acknowledged_answer_and_doubles_none(start, store):
    acknowledged: dict[int, str] = {}
    links = set()
    port = free_port()  # Any other may be somebody else's before the next one begins.
    for turn in range(3):
        served = start(*(() if turn else ("--port", str(port)))).wait_until_reachable()
        links.add(json.dumps(served.links))
        num_before = len(acknowledged)
        # By another thread, so that it comes at whatever moment of an answer.
        killing = threading.Timer(0.02 * turn, served.process.kill)
        while True:
            try:
                question = served.ann.get("questions/next")
                if question.status == 204:
                    break
                number = question.json["id"]
                if served.ann.answer(number, "left").status == 204:
                    acknowledged[number] = "left"
            except (OSError, ValueError):
                break
            except Exception as error:  # noqa: BLE001 - whatever a cut connection is called
                assert "http.client" in type(error).__module__  # noqa: PT017
                break
            if len(acknowledged) == num_before + 3:
                killing.start()
        assert len(acknowledged) >= num_before + 3
        killing.join()
        served.process.wait()
    given = [(one.question, one.said) for one in store.answers()]
    assert len(given) == len(dict(given))
    assert acknowledged.items() <= dict(given).items()
    # Pages that are open go on with the next service: it has the same address and tokens.
    assert len(links) == 1


def test_a_port_in_use_is_one_line(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = start("--port", str(port)).process
        said, errors = refused.communicate(timeout=PATIENCE_S)
    assert (refused.returncode, said) == (2, "")
    assert errors == (
        f"prefrl: port {port} is in use; choose another --port, or 0 for any free one\n"
    )


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--port", "70000"), "port is 70000; expected 0 to 65,535"),
        (("--host", "203.0.113.7"), "host is '203.0.113.7', on which nothing can listen here"),
        (("--instructions", "/nowhere.md"), "could not read /nowhere.md"),
        (("--public-url", "label.example.org"), "expected an address such as https://"),
        (("--host", b"\xff"), "which is the name of no machine"),
        (("--allowed-host", "https://lab.example"), "expected names such as"),
        (("--database", "mysql://x"), "the database is of kind mysql"),
    ],
)
def test_what_cannot_be_served_is_one_line(start, options, line):
    refused = start(*options).process
    _, errors = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 2
    assert errors.startswith("prefrl: ")
    assert line in errors
    assert errors.count("\n") == 1


def test_a_folder_has_one_service_and_a_second_one_may_take_over(start, tmp_path):
    first = start("--port", str(free_port())).wait_until_reachable()
    refused = start().process
    _, errors = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 2
    assert f"has a labelling service already, at {first.links['url']}" in errors
    second = start("--takes-over").wait_until_reachable()
    assert first.process.wait(timeout=PATIENCE_S) == 0
    assert second.links == first.links
    assert second.ann.get("annotators/me").status == 200
    running = links_of_running(tmp_path)
    assert running is not None
    assert running.url == second.links["url"]


def test_who_takes_over_ends_nobody_whose_number_was_left_by_a_killed_service(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (tmp_path / LOCK).write_text(f"{socket.gethostname()} {other.pid}\n")
        looking = os.open(tmp_path / LOCK, os.O_RDONLY)
        fcntl.flock(looking, fcntl.LOCK_SH)  # as `links_of_running` does for a moment
        threading.Timer(0.5, os.close, [looking]).start()
        with only_service(tmp_path, takes_over=True):
            assert other.poll() is None
        other.communicate(b"\n")
        assert other.returncode == 0


def test_without_the_extra_it_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from prefrl.labelling.serve import main\n"
        f"sys.exit(main(['--folder', {str(tmp_path)!r}, '--database', 'x.sqlite']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "prefrl: uvicorn is not installed; pip install 'prefrl[human]'\n"


def test_it_ends_when_the_run_has_ended_and_says_so_to_open_pages_before(start, store):
    write_run_status(store, RunStatus(step=10))
    served = start("--ends-with-run").wait_until_reachable()
    assert served.ann.get("progress").json["has_ended"] is False
    write_run_status(store, RunStatus(step=20, has_ended=True))
    assert served.ann.get("progress").json["has_ended"] is True
    assert served.process.wait(timeout=PATIENCE_S) == 0


DAMAGED = (
    '{"url": ',
    *(
        json.dumps({"url": url, **dict.fromkeys(("owner_token", "annotator", "token"), "x")})
        for url in ("http://127.0.0.1:99999", "http://127.0.0.1:port", "http://[", "")
    ),
)


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_of_links_is_written_anew(start, tmp_path, content):
    (tmp_path / "labelling.json").write_text(content)
    served = start().wait_until_reachable()
    assert served.ann.get("annotators/me").status == 200


def test_the_database_may_be_named_by_the_path_of_its_file(start, tmp_path):
    served = start("--database", str(tmp_path / "labels.sqlite")).wait_until_reachable()
    assert served.owner.get("overview").json["open"] == 400


def test_other_machines_may_ask_where_that_is_wanted(start):
    served = start("--host", "0.0.0.0").wait_until_reachable()
    port = served.links["url"].rsplit(":", 1)[1]
    assert served.links["url"] == f"http://127.0.0.1:{port}"
    assert served.links["public_url"] == f"http://{socket.gethostname()}:{port}"
    # By the name in the link, as by the address.
    assert served.ann.get("annotators/me", Host=f"{socket.gethostname()}:{port}").status == 200
    assert Client(served.links["url"]).get("annotators/me").status == 401


def test_it_goes_by_the_name_in_its_own_link(tmp_path):
    links = Links("http://lab.example:8000", "owner", "ann", "token")
    settings = _settings(ServerOptions("x", tmp_path, "lab.example"), links)
    assert settings.allowed_hosts == ("lab.example",)


def test_the_end_of_a_response_does_not_wait_until_its_beginning_was_confirmed():
    async def delays_nothing():
        found = asyncio.get_running_loop().create_future()

        def note(_, writer):
            connection = writer.get_extra_info("socket")
            found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(note, sock=_bind("127.0.0.1", 0)) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            is_so = await found
            writer.close()
            await writer.wait_closed()
        return bool(is_so)

    assert asyncio.run(delays_nothing())
