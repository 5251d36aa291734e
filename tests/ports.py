"""Ports for servers that bind them later, or once more."""

import contextlib
import secrets
import socket
from pathlib import Path


def free_port() -> int:
    """Returns a port of this machine at which nobody listens.

    It lies below those that outgoing connections are given, so that none takes it meanwhile.
    """
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = 10_000 + secrets.randbelow(max(first_outgoing, 20_000) - 10_000)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
