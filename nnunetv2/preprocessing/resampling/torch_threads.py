"""Borrowing torch's thread count: changed for a while, then put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def borrowed_torch_threads(count: int | None) -> Iterator[None]:
    """Let torch use ``count`` CPU threads inside the block; None leaves the setting alone."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count is not None:
            torch.set_num_threads(before)
