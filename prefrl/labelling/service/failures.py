"""Counts wrong tokens by the address that they come from."""

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

# Of so many addresses it is known; whoever was not heard of longest is forgotten first.
_MOST_ADDRESSES = 10_000
_MINUTE_S = 60.0


class FailedTokens:
    """Allows so many wrong tokens a minute from one address, safe from several threads.

    Args:
        per_minute: after so many at once it is one every 60 / per_minute seconds.
        clock: seconds, never running back.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tries left, and when
        self._lock = threading.Lock()

    def note(self, address: str) -> int:
        """Counts a wrong token.

        Args:
            address: of whoever sent it.

        Returns:
            0 where that may happen, else the seconds until it may happen again.
        """
        name, now_s = _network(address), self._clock()
        rate = self._per_minute / _MINUTE_S
        with self._lock:
            left, before_s = self._left.pop(name, (float(self._per_minute), now_s))
            left = min(left + (now_s - before_s) * rate, self._per_minute)
            is_allowed = left >= 1
            self._left[name] = (left - 1 if is_allowed else left, now_s)
            if len(self._left) > _MOST_ADDRESSES:
                self._left.popitem(last=False)
        return 0 if is_allowed else math.ceil((1 - left) / rate)


def _network(address: str) -> str:
    """Returns the address; of IPv6 the network, of which one machine has all addresses."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))
