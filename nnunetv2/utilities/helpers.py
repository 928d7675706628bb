"""Small torch helpers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def softmax_helper_dim0(x: torch.Tensor) -> torch.Tensor:
    """Softmax over axis 0: for one sample (C, ...)."""
    return x.softmax(0)


def softmax_helper_dim1(x: torch.Tensor) -> torch.Tensor:
    """Softmax over axis 1: for a batch (B, C, ...)."""
    return x.softmax(1)


def empty_cache(device: torch.device) -> None:
    """Give cached memory of ``device`` back to the system; nothing to do on the CPU."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


class dummy_context:
    """A context manager that does nothing; stands in for autocast where there is none."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *details: object) -> None:
        return None
