"""Random streams of augmentation workers, so that no two workers draw the same numbers."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_batch(number: int, seed: int) -> None:
    """Seed the same generators for one batch, so that it follows from the pair ``(seed, number)`` alone.

    Of torch only the generator of the CPU: loaders use no other.
    """
    sequence = np.random.SeedSequence([seed, number])
    for_torch, for_random, *for_numpy = sequence.generate_state(6, dtype=np.uint32).tolist()
    torch.default_generator.manual_seed(for_torch)
    random.seed(for_random)
    np.random.seed(for_numpy)


def seed_worker(worker: int, seed: int | None = None) -> None:
    """Seed the global generators of ``torch``, ``numpy.random`` and ``random`` in this process.

    Without ``seed`` the entropy comes from the operating system; with it the streams follow from the pair
    ``(seed, worker)``. A forked worker inherits the torch state of its parent, so without this every worker would
    apply the same transforms in the same order.
    """
    sequence = np.random.SeedSequence(None if seed is None else [seed, worker])
    for_torch, for_random, *for_numpy = sequence.generate_state(6, dtype=np.uint32).tolist()
    torch.manual_seed(for_torch)
    random.seed(for_random)
    np.random.seed(for_numpy)
