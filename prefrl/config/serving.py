"""The settings of the page on which people label: where it is served, and where answers are kept.

They are no part of a run's config.yaml: what is learned does not depend on them, and a database's
URL may have a password in it.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

from prefrl.config.checking import settings
from prefrl.config.ranges import InOrder, PortInt


@settings()
class ServingConfig:
    """The page on which people label.

    Its folder keeps all of these but passwords, the port and `open_page`: what is left out when a
    run is gone on with is as it was.

    Args:
        host: address that the page is served at. By default 127.0.0.1, which only this machine can
            reach; 0.0.0.0 lets every other one in that has a link.
        port: 0 takes any that is free. By default the last one of the folder, so that pages which
            are open go on.
        public_url: address under which others reach the page, as that of a reverse proxy; the
            links have it.
        allowed_hosts: further names that the page goes by; addresses in numbers need none.
        trusted_proxies: addresses of reverse proxies, whose word is taken for who is asking.
        instructions: what to look for, for those who label: a Markdown file.
        database: sqlite:///FILE or postgresql://USER@HOST/NAME, where questions, answers and clips
            are kept; by default labels.sqlite in the folder. One with a password goes into the
            environment variable PREFRL_DATABASE instead, as others can read command lines. No
            password is written down: the next time it has to be given again.
        open_page: open the page in a browser, where this machine has a screen.

    Example:
        >>> from prefrl import ServingConfig
        >>> ServingConfig(port=8080, public_url="https://label.example.org").port
        8080
    """

    host: str | None = None
    port: PortInt | None = None
    public_url: str | None = None
    allowed_hosts: Annotated[tuple[str, ...], InOrder] = ()
    trusted_proxies: Annotated[tuple[str, ...], InOrder] = ()
    instructions: Path | None = None
    database: str | None = dataclasses.field(default=None, repr=False)
    open_page: bool = True
