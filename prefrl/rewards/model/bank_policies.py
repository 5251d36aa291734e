"""Policies of a feature bank: which segments stay once it is full.

Axes: C capacity, M entries held, N segments offered.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Offer:
    """N segments that ask to be kept among M entries; on the CPU.

    Args:
        priority: (M + N,) of the entries, then of the offered.
        num_held: M.
        num_seen: how many were offered before.
        capacity: C, at least 1.
    """

    priority: Tensor
    num_held: int
    num_seen: int
    capacity: int

    @property
    def num_new(self) -> int:
        """Number of segments offered."""
        return len(self.priority) - self.num_held


def _fifo(offer: Offer, generator: torch.Generator) -> Tensor:
    """Keeps a ring: segment t stands in slot t mod C."""
    sources = torch.arange(min(len(offer.priority), offer.capacity))
    # Of more segments than there are slots only the last stay, so that no slot is written twice.
    new = torch.arange(max(0, offer.num_new - offer.capacity), offer.num_new)
    sources[(offer.num_seen + new) % offer.capacity] = offer.num_held + new
    return sources


def _reservoir(offer: Offer, generator: torch.Generator) -> Tensor:
    """Runs algorithm R of Vitter 1985: segment t draws one of {0, ..., t}; a slot lets it stay.

    The first C take their slots without a draw.
    """
    sources = torch.arange(min(len(offer.priority), offer.capacity))
    slots = offer.num_seen + torch.arange(offer.num_new)  # t, counted from 0
    is_late = slots >= offer.capacity
    # The remainder of 63 random bits: its bias is below t / 2**63.
    num_late = int(is_late.sum())
    bits = torch.randint(2**63 - 1, (num_late,), generator=generator)  # noqa: TID251 - a stream
    slots[is_late] = bits % (slots[is_late] + 1)
    new = (slots < offer.capacity).nonzero()[:, 0]
    # Writing to one index twice in one go is undefined in torch: only the last to draw it writes.
    new = new[_last_of_each(slots[new])]
    sources[slots[new]] = offer.num_held + new
    return sources


def _importance(offer: Offer, generator: torch.Generator) -> Tensor:
    """Keeps the C highest priorities, oldest first: slots are in order of age, for ties."""
    ranked = torch.argsort(offer.priority, descending=True, stable=True)
    return ranked[: offer.capacity].sort().values


def _last_of_each(slots: Tensor) -> Tensor:
    """Returns where each value of (n,) `slots` occurs for the last time."""
    order = torch.argsort(slots, stable=True)
    is_last = torch.ones_like(order, dtype=torch.bool)
    is_last[:-1] = slots[order[1:]] != slots[order[:-1]]
    return order[is_last]


# Each returns (M',) what each slot holds afterwards: an index into the entries, then the offered.
POLICIES: dict[str, Callable[[Offer, torch.Generator], Tensor]] = {
    "fifo": _fifo,
    "reservoir": _reservoir,
    "importance": _importance,
}
