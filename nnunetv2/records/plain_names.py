"""Names in documents that become names of files and folders: they must not lead anywhere else."""

from __future__ import annotations

from typing import Any


def is_plain_name(value: Any) -> bool:
    """Whether ``value`` is text that names one file or folder: no separators, not ``.`` or ``..``, not empty."""
    return isinstance(value, str) and value not in ("", ".", "..") and not any(letter in value for letter in "/\\\0")
