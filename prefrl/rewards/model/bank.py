"""A memory of segments: their embeddings and rewards, found again by likeness.

Axes: C capacity, M entries held, N segments offered, F features, Q queries, k neighbours.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prefrl.errors import ConfigError, DataError, at_least
from prefrl.rewards.model.bank_policies import POLICIES, Offer

# Embeddings with no component of this size have no direction, and so are like nothing.
MIN_COMPONENT = 1e-12
# Float32 gives orthogonal embeddings a similarity of this order; it is rounding, not likeness.
MIN_SIMILARITY = 1e-6
# Similarities computed in one product (64 MiB of them); more queries are taken in turns.
MAX_SIMILARITIES = 2**24

WHOLE_NUMBERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]
"""(M,) keys -> (M, F) embeddings and (M,) values of the segments the keys stand for."""


class FeatureBank(nn.Module):
    """Segments the reward model has seen: where their embeddings point, and what they were worth.

    The content lives in buffers of fixed shape and so is saved with the model: `embeddings` (C, F)
    of unit length (or zero), `values` (C,) reward per step, `priority` (C,), `keys` (C,) the
    caller's index of each segment, `counts` (3,) entries held, segments ever offered and the
    version of the weights behind the embeddings. Slots beyond the entries hold zeros.

    Args:
        capacity: C; with 0 the bank stores nothing and costs nothing.
        num_features: F.
        policy: which segments stay once the bank is full. "fifo": the newest. "reservoir": each
            ever offered with equal probability (Vitter 1985, algorithm R). "importance": those of
            the highest priority, of equal ones the older.

    Raises:
        ConfigError: an argument is out of range.
    """

    embeddings: Tensor
    values: Tensor
    priority: Tensor
    keys: Tensor
    counts: Tensor

    def __init__(self, capacity: int, num_features: int, *, policy: str = "fifo") -> None:
        super().__init__()
        if capacity < 0:
            raise ConfigError(at_least("capacity", capacity, 0))
        if num_features < 1:
            raise ConfigError(at_least("num_features", num_features, 1))
        if policy not in POLICIES:
            raise ConfigError(f"policy is {policy!r}; expected one of {', '.join(POLICIES)}")
        self.capacity = capacity
        self.num_features = num_features
        self.policy = policy
        self.register_buffer("embeddings", torch.zeros(capacity, num_features))
        self.register_buffer("values", torch.zeros(capacity))
        self.register_buffer("priority", torch.zeros(capacity))
        self.register_buffer("keys", torch.zeros(capacity, dtype=torch.int64))
        self.register_buffer("counts", torch.zeros(3, dtype=torch.int64))

    def __len__(self) -> int:
        return int(self.counts[0])

    @property
    def is_empty(self) -> bool:
        """It holds no entry."""
        return len(self) == 0

    @property
    def num_seen(self) -> int:
        """Number of segments offered since the bank was made or cleared."""
        return int(self.counts[1])

    @property
    def version(self) -> int:
        """Version of the weights behind the embeddings; of no meaning while the bank is empty."""
        return int(self.counts[2])

    def embeddings_of_entries(self) -> Tensor:
        """Returns (M, F) embeddings of unit length, a view: it changes with the bank."""
        return self.embeddings[: len(self)]

    def keys_of_entries(self) -> Tensor:
        """Returns (M,) the caller's index of each entry, a view: it changes with the bank."""
        return self.keys[: len(self)]

    @torch.no_grad()
    def add(
        self,
        embeddings: Tensor,
        values: Tensor,
        *,
        keys: Tensor,
        version: int,
        priority: Tensor | None = None,
        generator: torch.Generator,
    ) -> None:
        """Offers segments to the bank, as if one at a time in the order given.

        A bank of capacity 0 looks at nothing. Where this raises, the bank is as it was.

        Args:
            embeddings: (N, F) of any length; only their direction is kept.
            values: (N,) reward per step of each segment.
            keys: (N,) whole numbers by which `refresh` asks for the segments again.
            version: of the weights behind the embeddings.
            priority: (N,) higher stays longer: the ensemble's uncertainty, or novelty. The policy
                "importance" asks for it; elsewhere it is kept if given, or 0.
            generator: a CPU one, wherever the bank is; only "reservoir" draws from it, once for
                each segment offered after the first C, however they are batched.

        Raises:
            DataError: a shape does not fit, a number is not finite, the priority is missing, or
                the bank holds embeddings of another version, which new ones cannot be compared to.
        """
        if self.capacity == 0:
            return
        num_new, num_held = _num_rows(embeddings), len(self)
        directions, values = self._checked_entries(embeddings, values, num_new)
        if keys.shape != (num_new,) or keys.dtype not in WHOLE_NUMBERS:
            raise DataError(
                f"keys has shape {tuple(keys.shape)} and dtype {keys.dtype}; "
                f"expected ({num_new},) whole numbers"
            )
        if priority is None:
            if self.policy == "importance":
                raise DataError("the bank's policy is importance, but no priority was given")
            priority = torch.zeros(num_new)
        priority = self._checked("priority", priority, (num_new,))
        if num_held and version != self.version:
            raise DataError(
                f"the bank holds embeddings of weights version {self.version}, "
                f"these are of version {version}: refresh first"
            )
        if num_new == 0:
            return
        offer = Offer(
            torch.cat([self.priority[:num_held], priority]).cpu(),
            num_held,
            self.num_seen,
            self.capacity,
        )
        sources = POLICIES[self.policy](offer, generator)
        counts = torch.tensor([len(sources), self.num_seen + num_new, version])
        slots = torch.arange(len(sources))
        is_written = (slots >= num_held) | (sources != slots)
        slots, sources = (t[is_written].to(self.keys.device) for t in (slots, sources))
        is_held = sources < num_held
        for buffer, offered in (
            (self.embeddings, directions),
            (self.values, values),
            (self.priority, priority),
            (self.keys, keys.to(self.keys)),
        ):
            content = buffer.new_empty((len(slots), *buffer.shape[1:]))
            content[is_held] = buffer[sources[is_held]]
            content[~is_held] = offered[sources[~is_held] - num_held]
            buffer[slots] = content
        self.counts.copy_(counts)

    @torch.no_grad()
    def refresh(self, encode: Encode, *, version: int) -> None:
        """Embeds every entry anew, so that old and new embeddings are never mixed.

        Priorities stay as they were given. An empty bank only takes the version.

        Args:
            encode: called once, with the keys of all entries.
            version: of the weights that `encode` uses.

        Raises:
            DataError: what `encode` returned has the wrong shape or is not finite; the bank is as
                it was.
        """
        if not self.is_empty:
            embeddings, values = encode(self.keys_of_entries().clone())
            directions, values = self._checked_entries(embeddings, values, len(self))
            self.embeddings[: len(self)] = directions
            self.values[: len(self)] = values
        self.counts[2] = version

    @torch.no_grad()
    def clear(self) -> None:
        """Forgets everything, how many segments were offered and the version included."""
        for buffer in self.buffers():
            buffer.zero_()

    @torch.no_grad()
    def search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Finds the entries that point most nearly where each query points.

        One matrix product for all queries, or as few as `MAX_SIMILARITIES` allows.

        Args:
            queries: (Q, F) embeddings of any length.
            k: how many entries are asked for; there may be fewer.

        Returns:
            (Q, k') cosine similarities in [-1, 1], highest first, and (Q, k') the entries' slots
            until the next `add`; k' = min(k, M). A query or an entry of length zero has
            similarity 0.

        Raises:
            ConfigError: k is less than 1.
            DataError: queries have another width than the bank, or are not finite.
        """
        if k < 1:
            raise ConfigError(at_least("k", k, 1))
        shape = (_num_rows(queries), self.num_features)
        queries = _directions(self._checked("queries", queries, shape))
        if self.is_empty:
            empty = queries.new_empty(len(queries), 0)
            return empty, empty.to(torch.int64)
        entries = self.embeddings_of_entries()
        chunks = queries.split(max(1, MAX_SIMILARITIES // len(entries)))
        nearest = [(chunk @ entries.T).topk(min(k, len(entries))) for chunk in chunks]
        similarity = torch.cat([found.values for found in nearest])
        # Rounding takes the product of two unit vectors past 1.
        return similarity.clamp(-1.0, 1.0), torch.cat([found.indices for found in nearest])

    @torch.no_grad()
    def values_near(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Averages what the entries most like each query were worth.

        Args:
            queries: (Q, F).
            k: entries to ask.

        Returns:
            (Q,) mean reward per step of the k nearest entries, weighted by similarity (negative
            ones count 0), and (Q,) the sum of those weights before they are normalised, in [0, k].
            Both are 0 where nothing is similar.

        Raises:
            ConfigError, DataError: as `search`.
        """
        similarity, index = self.search(queries, k)
        weights = similarity.where(similarity > MIN_SIMILARITY, torch.zeros_like(similarity))
        total = weights.sum(-1)
        mean = (weights * self.values[index]).sum(-1) / total.clamp(min=MIN_SIMILARITY)
        return mean, total

    def adjusted(self, predicted: Tensor, queries: Tensor, *, alpha: float, k: int) -> Tensor:
        """Draws predictions towards what like segments were worth.

        r_adjusted = r_predicted + alpha * sum_i w_i (r_i - r_predicted), over the k nearest
        entries, with w_i the similarities at or above 0, normalised to sum to 1. Gradients reach
        `predicted` only.

        Args:
            predicted: (Q,) reward per step.
            queries: (Q, F) embeddings of the segments predicted for.
            alpha: 0 trusts the prediction alone, 1 the neighbours alone.
            k: neighbours to ask.

        Returns:
            (Q,) adjusted rewards per step; a prediction stays as it is where nothing is similar,
            and `predicted` itself comes back if alpha is 0 or the bank is empty.

        Raises:
            ConfigError, DataError: as `search`; DataError also where there is not one prediction to
                a query.
        """
        if alpha == 0 or self.is_empty:
            return predicted
        near, total = self.values_near(queries, k)
        if predicted.shape != near.shape:
            raise DataError(
                f"predicted has shape {tuple(predicted.shape)}; expected {tuple(near.shape)}"
            )
        pull = torch.where(total.to(predicted) > 0, near.to(predicted) - predicted, 0.0)
        return predicted + alpha * pull

    def novelty(self, queries: Tensor) -> Tensor:
        """Measures how unlike every entry each query is.

        Args:
            queries: (Q, F).

        Returns:
            (Q,) 1 minus the largest similarity, in [0, 2]. Our choice: 1, "like nothing", from an
            empty bank and for a query of length zero.

        Raises:
            DataError: as `search`.
        """
        similarity, _ = self.search(queries, 1)
        return 1.0 - similarity.sum(-1)  # the sum of the one there is, or of none

    def _checked(self, name: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Returns `tensor` as the bank stores it, detached."""
        if tuple(tensor.shape) != shape:
            raise DataError(f"{name} has shape {tuple(tensor.shape)}; expected {shape}")
        tensor = tensor.detach().to(self.embeddings)  # its device and dtype
        if not bool(tensor.isfinite().all()):
            raise DataError(f"{name} holds numbers that are not finite")
        return tensor

    def _checked_entries(
        self, embeddings: Tensor, values: Tensor, num: int
    ) -> tuple[Tensor, Tensor]:
        embeddings = self._checked("embeddings", embeddings, (num, self.num_features))
        return _directions(embeddings), self._checked("values", values, (num,))


def _num_rows(tensor: Tensor) -> int:
    return len(tensor) if tensor.ndim else 0


def _directions(rows: Tensor) -> Tensor:
    """Returns (n, F) rows at unit length; zeros where there is no direction."""
    # By the largest component first: squares of the quotients neither overflow nor vanish.
    largest = rows.abs().amax(-1, keepdim=True)
    scaled = F.normalize(rows / largest.clamp(min=MIN_COMPONENT), dim=-1)
    return scaled.where(largest >= MIN_COMPONENT, torch.zeros_like(scaled))
