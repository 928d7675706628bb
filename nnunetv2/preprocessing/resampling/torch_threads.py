"""Borrowing thread counts: changed for a while, then put back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def borrowed_torch_threads(count: int | None) -> Iterator[None]:
    """Let torch use ``count`` CPU threads inside the block; None leaves the setting alone."""
    import torch

    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count is not None:
            torch.set_num_threads(before)


@contextmanager
def borrowed_product_threads(count: int | None) -> Iterator[None]:
    """Let matrix products of numpy, and of torch where it is loaded, use ``count`` threads; None changes nothing."""
    with ExitStack() as stack:
        if count is not None:
            from threadpoolctl import threadpool_limits

            stack.enter_context(threadpool_limits(count, user_api="blas"))
            if "torch" in sys.modules:
                stack.enter_context(borrowed_torch_threads(count))
        yield
