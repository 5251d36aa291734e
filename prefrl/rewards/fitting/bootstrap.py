"""Each head's sample of the answers (Christiano et al. 2017, section 2.2.1)."""

import numpy as np
import torch
from torch import Tensor


def bootstrap_counts(num_answers: int, num_heads: int, *, rng: np.random.Generator) -> Tensor:
    """Draws how often each head's bootstrap sample holds each answer.

    Returns:
        (B, K) counts, from Poisson(1). From the same stream, the first rows are the same however
        many follow, and every head holds something; a single head holds every answer once.
    """
    if num_heads == 1:
        return torch.ones(num_answers, 1)
    counts = rng.poisson(1.0, size=(num_answers, num_heads)).astype(np.float32)
    counts[:, counts.sum(0) == 0] = 1.0  # A head left empty-handed by few answers sees them all.
    return torch.from_numpy(counts)
