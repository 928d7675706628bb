"""Refusing images that cannot fit into memory by what their header says, before anything is allocated."""

from __future__ import annotations

from nnunetv2.utilities.available_memory import require_memory

# Smaller images are not worth asking the system for.
_WORTH_ASKING = 1 << 30


def refuse_what_does_not_fit(path: str, needed: int) -> None:
    """Raise MemoryLimitError (a MemoryError) with figures when ``needed`` bytes of an image exceed all memory."""
    if needed >= _WORTH_ASKING:
        require_memory(
            needed,
            f"{path}: what its header describes",
            "If the image is not that large, its header is damaged: copy or make the file again. Otherwise use a "
            "machine with more memory, or predict with --max-memory",
        )
