"""Seeded damage to the bytes of a file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_START, _END = 64, 24


def _cut(content: bytearray, random: np.random.Generator) -> bytearray:
    return content[: random.integers(1, len(content))]


def _empty(content: bytearray, random: np.random.Generator) -> bytearray:
    return bytearray()


def _cut_near_end(content: bytearray, random: np.random.Generator) -> bytearray:
    return content[: -int(random.integers(1, min(40, len(content))))]


def _flip(first: int, end: int) -> Callable[[bytearray, np.random.Generator], bytearray]:
    """One to four bits between two places, counted from the end where negative."""

    def flip(content: bytearray, random: np.random.Generator) -> bytearray:
        low = first if first >= 0 else max(0, len(content) + first)
        high = min(len(content), end) if end > 0 else max(low + 1, len(content) + end)
        for _ in range(random.integers(1, 5)):
            content[random.integers(min(low, high - 1), high)] ^= 1 << int(random.integers(8))
        return content

    return flip


def _zeros(content: bytearray, random: np.random.Generator) -> bytearray:
    length = int(random.integers(4, max(5, min(512, len(content)))))
    start = int(random.integers(0, max(1, len(content) - length)))
    content[start : start + length] = bytes(len(content[start : start + length]))
    return content


def _garbage(content: bytearray, random: np.random.Generator) -> bytearray:
    return content + random.bytes(int(random.integers(1, 300)))


#: kind: function of content and random generator
DAMAGES: dict[str, Callable[[bytearray, np.random.Generator], bytearray]] = {
    "cut": _cut,
    "empty": _empty,
    "cut near the end": _cut_near_end,
    "flipped bits at the start": _flip(0, _START),
    "flipped bits": _flip(0, 1 << 40),
    "flipped bits at the end": _flip(-_END, 1 << 40),
    "block of zeros": _zeros,
    "garbage behind": _garbage,
}


def damaged(content: bytes, kind: str, seed: int) -> bytes:
    """``content`` with damage of a kind; the same for the same seed."""
    return bytes(DAMAGES[kind](bytearray(content), np.random.default_rng(seed)))
