"""A real service on a port of this machine, and a client of it."""

import contextlib
import http.client
import json
import shutil
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.service import ServiceSettings, make_app
from prefrl.labelling.store import LabelStore
from tests.session.stores import put
from tests.waiting import PATIENCE_S, wait_until

API = "/api/v1"
FILM = bytes(range(256)) * 4
META = {"fps": 20.0, "num_frames": 50, "counts": [10, 40]}


@dataclass
class Answered:
    status: int
    headers: http.client.HTTPMessage
    content: bytes

    @property
    def json(self):
        return json.loads(self.content)


class Client:
    """Asks a service; paths without a slash are those of the API."""

    def __init__(self, url, token=None):
        self.url, self.token = url, token
        self.address = url.removeprefix("http://")

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE_S)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path if path[0] == "/" else f"{API}/{path}", body, sent)
            response = connection.getresponse()
            return Answered(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def put(self, path, body=None, **headers):
        return self.ask("PUT", path, body, **headers)

    def post(self, path, body=None, **headers):
        return self.ask("POST", path, body, **headers)

    def delete(self, path, **headers):
        return self.ask("DELETE", path, **headers)

    def answer(self, question, said, **more):
        return self.put(f"questions/{question}/answer", {"answer": said, **more})


class Server:
    """Serves one application after the other on one port, as starting a server takes a while."""

    def __init__(self):
        self.app: Any = None
        self._listening = socket.socket()
        self._listening.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

        async def app(scope, receive, send):
            await self.app(scope, receive, send)

        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            ws="none",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listening]}
        )
        self._thread.start()
        wait_until(lambda: self._server.started)

    def close(self):
        self._server.should_exit = True
        self._thread.join()
        self._listening.close()


@dataclass
class Template:
    """A database with an owner and two annotators, and their tokens; making one takes a while."""

    path: Path
    tokens: dict[str, str]

    @classmethod
    def made(cls, path):
        store = LabelStore(path)
        tokens = {"owner": store.set_owner_token()}
        tokens |= {name: store.add_annotator(name) for name in ("ann", "bob")}
        store.close()
        return cls(path, tokens)


@dataclass
class Service:
    """A service of a store with an owner and two annotators."""

    store: LabelStore
    path: Path
    url: str
    owner: Client
    ann: Client
    bob: Client

    @property
    def nobody(self):
        return Client(self.url)

    def ask_about(self, num=3, film=FILM, **options):
        """Opens questions whose clips are there, and returns their ids."""
        questions = put(self.store, num, **options)
        for one in questions:
            self.store.add_clips(one.id, *[f"{side} of {one.id}".encode() for side in "lr"])
        while job := self.store.next_clip_job("test"):
            self.store.put_clip(job.key, film, META)
        return [one.id for one in questions]


@contextlib.contextmanager
def service_of(template, server, path, settings=None, **rules):
    """Serves a copy of the template's database at that path."""
    store = LabelStore(Path(shutil.copy(template.path, path)))
    if rules:
        store.set_settings(StoreSettings(**rules))
    server.app = make_app(store, settings or ServiceSettings())
    clients = {name: Client(server.url, token) for name, token in template.tokens.items()}
    yield Service(store, Path(path), server.url, **clients)
    server.app = None
    store.close()
