"""What an engine is, and which names and precisions a user can ask for.

Shapes: tiles (B, C, *patch), logits (B, K, *patch), float32 on the CPU unless said otherwise. An engine serves one call
at a time; who shares it among threads takes a lock.
"""

from __future__ import annotations

from math import prod
from typing import Protocol

import torch

from nnunetv2.errors import UsageError
from nnunetv2.utilities.cpu_features import this_cpu_prefers_bf16

ENGINES = ("auto", "torch", "openvino")
PRECISIONS = ("f32", "bf16", "fp16")

# Voxels of a batch from which on more tiles in it gain nothing: every layer has work for all threads then. Large 3D
# patches (96 x 128 x 128) run one by one, which also keeps memory as it is; slices of 256 x 256 run in sixteens.
VOXELS_PER_BATCH = 2**20


class EngineError(RuntimeError):
    """This engine cannot run this network; the reason is its text."""


class Engine(Protocol):
    """Logits of tiles with the weights of one fold. Weights of all folds stay in memory."""

    name: str
    """``torch`` or ``openvino``."""
    precision: str
    """One of PRECISIONS: in which products are computed. Sums inside a product are float32 always."""
    voxels_per_batch: int
    """Voxels of a batch from which on more tiles in it gain nothing; 0 when only one tile can be given at once."""

    def prepare(self, fold: int, shape: tuple[int, ...]) -> None:
        """Do now what the first tile (B, C, *patch) of this fold would have to wait for."""

    def select(self, fold: int) -> None:
        """Make the weights of this fold (an index) the ones in use, even if they seem to be."""

    def predict(self, fold: int, tiles: torch.Tensor, precision: str | None = None) -> torch.Tensor:
        """Logits (B, K, *patch) of tiles (B, C, *patch) in memory of their own.

        ``precision`` replaces the engine's own for this call.
        """


def tiles_per_batch(patch_size: tuple[int, ...], voxels_per_batch: int = VOXELS_PER_BATCH) -> int:
    """How many tiles of this size are worth computing at once: a power of two, as are mirror images; at least 1."""
    fitting = voxels_per_batch // prod(patch_size)
    return 1 << (fitting.bit_length() - 1) if fitting else 1


def resolve_precision(requested: str | None, device: torch.device) -> str:
    """The precision products will have on this device.

    None is the device's default: float16 autocast on CUDA, as in nnU-Net v2; float32 elsewhere. ``bf16`` on a CPU means
    that bfloat16 is allowed: where it is slower than float32, which is more accurate, float32 is what runs.

    Raises UsageError for what the device cannot do.
    """
    if requested is None:
        return "fp16" if device.type == "cuda" else "f32"
    if requested not in PRECISIONS:
        raise UsageError(f"precision is {requested!r}; it must be one of {', '.join(PRECISIONS)}")
    possible = {"cpu": ("f32", "bf16"), "cuda": PRECISIONS}.get(device.type, ("f32",))
    if requested not in possible:
        raise UsageError(
            f"precision {requested} is not available on {device.type}. Use --precision {' or '.join(possible)}"
        )
    if requested == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise UsageError("this GPU has no bfloat16. Use --precision fp16 or f32")
    if requested == "bf16" and device.type == "cpu" and not this_cpu_prefers_bf16():
        return "f32"
    return requested
