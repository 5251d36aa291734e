"""The server: it binds, says where it is, and ends when told or with its run."""

import contextlib
import errno
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from prefrl.errors import ConfigError, PrefrlError
from prefrl.labelling.run_status import read_run_status
from prefrl.labelling.service.app import make_app
from prefrl.labelling.service.link_file import Links, read_links, tokens_of, write_links
from prefrl.labelling.service.one_at_a_time import only_service
from prefrl.labelling.service.settings import ServiceSettings, is_host_name
from prefrl.labelling.store import LabelStore

LOG = logging.getLogger("prefrl.labelling.service")
LOOPBACK = "127.0.0.1"
_ANY = ("", "0.0.0.0", "::")
_WATCH_S = 1.0
# Open pages ask every 5 s how it stands, and should learn that it has ended.
_LINGER_S = 6.0
_GRACE_S = 3
# A thread that changes the database comes back to Python after each statement, and waits for so
# long (by default 5 ms) while others compute; all who want to change something wait with it.
_SWITCH_S = 0.0005
# Beyond so many at once a machine that labels is no longer in order.
_MOST_CONNECTIONS = 500


@dataclass(frozen=True)
class ServerOptions:
    """A store to serve, and the address to serve it at.

    Args:
        database: the store's URL, or the path of an SQLite file.
        folder: `labelling.json` is written there.
        host: address to listen on. Any other than 127.0.0.1 lets other machines in.
        port: 0 takes the one of the last service of the folder if it is free, else any.
        ends_with_run: it ends when the run says that it has ended.
        takes_over: a service that the folder has already is ended; else this one does not begin.
        trusted_proxies: addresses of reverse proxies, whose word is taken for who is asking.
        settings: of the service.
    """

    database: str | Path
    folder: Path
    host: str = LOOPBACK
    port: int = 0
    ends_with_run: bool = False
    takes_over: bool = False
    trusted_proxies: str = ""
    settings: ServiceSettings = field(default_factory=ServiceSettings)


def serve(options: ServerOptions) -> None:
    """Serves until it is told to end, or until the run has ended.

    Prints the links under which people label, and writes `labelling.json`, when it is reachable.

    Raises:
        ConfigError: the port is in use, or the address is none of this machine's.
        StorageError: the database or the folder cannot be used, or has a service already.
    """
    sys.setswitchinterval(_SWITCH_S)
    store = LabelStore(options.database, is_made=False)
    with only_service(options.folder, takes_over=options.takes_over):
        known = read_links(options.folder)
        with contextlib.closing(_bound(options, known)) as listening:
            links = _links(store, options, known, listening.getsockname()[1])
            app = make_app(store, _settings(options, links))
            server = _Server(options, app, lambda: _announce(options.folder, links))
            with _watching(store, server) if options.ends_with_run else contextlib.nullcontext():
                server.run(sockets=[listening])
    store.close()


class _Server(uvicorn.Server):
    """Uvicorn's server, which says when it is reachable and can be ended from any thread."""

    def __init__(self, options: ServerOptions, app: FastAPI, reachable: Callable[[], None]) -> None:
        proxies = options.trusted_proxies
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,  # addresses of people are nobody's business
                log_config=None,
                server_header=False,
                ws="none",
                lifespan="off",
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=_GRACE_S,
                proxy_headers=bool(proxies),
                forwarded_allow_ips=proxies or None,
            )
        )
        self._reachable = reachable

    def end(self) -> None:
        """Ends the server, as a signal would."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, and says so."""
        await super().startup(sockets)
        if self.started:
            self._reachable()


def _bound(options: ServerOptions, known: Links | None) -> socket.socket:
    """Returns a socket that is bound.

    Raises:
        ConfigError: it cannot be.
    """
    if not 0 <= options.port <= 65_535:
        raise ConfigError(f"port is {options.port}; expected 0 to 65,535, where 0 is any free one")
    last = _port_of(known)
    for port in (last, 0) if options.port == 0 and last else (options.port,):
        try:
            return _bind(options.host, port or 0)
        except (OSError, TypeError, ValueError) as error:  # a name may be none that can be sent
            if port == options.port:
                raise ConfigError(_why_not(options.host, port, error)) from None
    raise AssertionError("port 0 is any free one")


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio sends what is small at once (TCP_NODELAY); else the end of a
    # response waits for 40 ms until the client has confirmed its beginning.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # Elsewhere it would let two listen on one port.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(128)
    except BaseException:
        bound.close()
        raise
    return bound


def _port_of(known: Links | None) -> int | None:
    """Returns the port of the last service; None where that is not known, or damaged."""
    try:
        return urlsplit(known.url).port if known else None
    except ValueError:
        return None


def _why_not(host: str, port: int, error: Exception) -> str:
    if not isinstance(error, OSError):
        return f"host is {host!r}, which is the name of no machine"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use; choose another --port, or 0 for any free one"
    if error.errno == errno.EACCES:
        return f"port {port} may not be used by this user; choose one from 1024 on"
    return f"host is {host!r}, on which nothing can listen here: {error.strerror or error}"


def _links(store: LabelStore, options: ServerOptions, known: Links | None, port: int) -> Links:
    owner, annotator, token = tokens_of(store, known)
    own = LOOPBACK if options.host in ("", "0.0.0.0") else options.host
    own = "[::1]" if own == "::" else f"[{own}]" if ":" in own else own
    public = options.settings.public_url.rstrip("/")
    if not public and options.host in _ANY:
        public = f"http://{socket.gethostname()}:{port}"
    return Links(f"http://{own}:{port}", owner, annotator, token, public)


def _settings(options: ServerOptions, links: Links) -> ServiceSettings:
    """Returns the settings, by which the service goes by the names in its links, too."""
    names, own = options.settings.allowed_hosts, urlsplit(links.url).hostname or ""
    if is_host_name(own):
        names = (*names, own)
    return replace(options.settings, public_url=links.public_url, allowed_hosts=names)


def _announce(folder: Path, links: Links) -> None:
    write_links(folder, links)
    print(links.as_text(), flush=True)


@contextlib.contextmanager
def _watching(store: LabelStore, server: _Server) -> Iterator[None]:
    """Ends the server soon after the run has ended."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_WATCH_S):
            try:
                if read_run_status(store).has_ended:
                    is_over.wait(_LINGER_S)
                    server.end()
                    return
            except PrefrlError as error:  # It is asked again.
                LOG.warning("%s", error)

    thread = threading.Thread(target=watch, name="end-of-run", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
