"""Settings of the service."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from prefrl.errors import ConfigError, option

INSTRUCTIONS = (
    "Which clip shows more of what you want to see? Say **left** or **right**. "
    "About the same: **tie**. You cannot tell: **skip** it.\n"
)
LONGEST_INSTRUCTIONS = 20_000
# As browsers send it: letters that are not ASCII's are written as xn--.
_NAME = re.compile(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+")


@dataclass(frozen=True)
class ServiceSettings:
    """Settings of a service: its words for those who label, and the hosts it goes by.

    Args:
        instructions: what to look for, in Markdown.
        allowed_hosts: names under which browsers may reach it, beside `localhost` and addresses in
            numbers: that of a reverse proxy, or of this machine.
        public_url: the address under which others reach it, with the path that a reverse proxy
            takes off, if any; "" the one it listens on.
        max_body_bytes: of a request; more is refused.
        failed_per_minute: wrong tokens from one address before it is told to wait.

    Raises:
        ConfigError: the instructions are too long, or a number is too small, or a name or
            an address is none.
    """

    instructions: str = INSTRUCTIONS
    allowed_hosts: tuple[str, ...] = ()
    public_url: str = ""
    max_body_bytes: int = 16 * 1024
    failed_per_minute: int = 10

    def __post_init__(self) -> None:
        if len(self.instructions) > LONGEST_INSTRUCTIONS:
            raise ConfigError(
                f"the instructions have {len(self.instructions):,} characters; expected at most "
                f"{LONGEST_INSTRUCTIONS:,}"
            )
        for name in ("max_body_bytes", "failed_per_minute"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected 1 or more")
        for host in self.allowed_hosts:
            if not is_host_name(host):
                raise ConfigError(
                    f"{option('allowed_hosts')} is {host!r}; expected names such as "
                    "lab.example.org, without http:// and without a port"
                )
        if self.public_url and not _is_address(self.public_url):
            raise ConfigError(
                f"{option('public_url')} is {self.public_url!r}; expected an address such as "
                "https://label.example.org or https://lab.example.org/prefrl"
            )


def is_host_name(host: str) -> bool:
    """Tells whether a browser may send it as the name of where it asks, the port apart."""
    return _NAME.fullmatch(host) is not None


def _is_address(url: str) -> bool:
    """Tells whether a link may begin with it: a scheme, a host, and at most a port and a path."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # is a number, or raises
    except ValueError:
        return False
    is_plain = url.isascii() and url.isprintable() and not set(url) & set(' ?#@\\"<>')
    return is_plain and parts.scheme in ("http", "https") and bool(parts.hostname)
