"""Gzip files as a whole: decompressing them, and finding damage by the checksums the image libraries never reach."""

from __future__ import annotations

import os
import struct
import zlib

import numpy as np

from nnunetv2.errors import ImageError
from nnunetv2.imageio.sizes import refuse_what_does_not_fit

LONGEST = 1 << 31
"""Bytes; the length at the end of a gzip file counts modulo 4 GiB, and some decoders stop at 2 GiB."""

_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20
# Deflate makes at most 258 bytes of two bits.
_LARGEST_RATIO = 1032
# So much behind the image is still looked at; more would be a file made to keep its readers busy.
_MOST_BEHIND = 1 << 28
# Up to this size a file is decompressed in one call, which is three times faster.
_LARGEST_IN_MEMORY = 1 << 30


def decompressed(compressed: bytes, size: int) -> np.ndarray | None:
    """All ``size`` bytes of a single member, their checksum verified; None when they are not there, or not intact."""
    from imagecodecs import DeflateError, gzip_decode

    plain = np.empty(size, dtype=np.uint8)
    try:
        decoded = gzip_decode(compressed, out=plain)
    except (DeflateError, ValueError):
        return None
    return plain if len(decoded) == size else None


def length_in_trailer(compressed: bytes) -> int:
    """Uncompressed length modulo 2**32 as stored in the last four bytes of a gzip file (RFC 1952, ISIZE)."""
    return struct.unpack("<I", compressed[-4:])[0]


def require_intact(path: str, needed: int, must_fit: bool = True) -> None:
    """Raise ImageError unless a gzip file holds ``needed`` bytes and its checksums agree with all that is in it.

    Several members are fine, and so are other bytes behind the last one. With ``must_fit`` a file whose bytes
    do not fit into memory is refused by MemoryLimitError before anything is decompressed.
    """
    size = os.path.getsize(path)
    if needed > size * _LARGEST_RATIO:
        raise truncated(path, f"its header asks for {needed:,} bytes, and {size:,} compressed ones cannot hold them")
    if must_fit:
        refuse_what_does_not_fit(path, needed)
    if 0 < needed < _LARGEST_IN_MEMORY:
        with open(path, "rb") as stream:
            compressed = stream.read()
        length = length_in_trailer(compressed)
        if length == needed and decompressed(compressed, needed) is not None:
            return
        del compressed
    try:
        found, complete = _read_to_the_end(path, needed + _MOST_BEHIND)
    except zlib.error as error:
        raise ImageError(f"{path} is damaged ({error}). Copy or make the file again") from error
    if found < needed or not complete:
        raise truncated(path, f"{found:,} of {needed:,} bytes are there, or the end behind them is missing")


def _read_to_the_end(path: str, most: int) -> tuple[int, bool]:
    """How many bytes are in all members, and whether the last one is complete; no further than ``most`` bytes."""
    count = 0
    with open(path, "rb") as stream:
        member, data = zlib.decompressobj(wbits=31), b""
        while count <= most:
            data = data or stream.read(_CHUNK)
            if not data:
                return count, False
            count += len(member.decompress(data, _CHUNK))
            data = member.unconsumed_tail
            if member.eof:
                data = member.unused_data + stream.read(_CHUNK)
                if not data.startswith(_MAGIC):
                    return count, True
                member = zlib.decompressobj(wbits=31)
    return count, True


def truncated(path: str, what: str) -> ImageError:
    """The error for a file that lacks its end."""
    return ImageError(f"{path} is truncated: {what}. Copy or make the file again")
