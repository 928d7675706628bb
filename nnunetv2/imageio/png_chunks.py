"""The checksums of a PNG file, which picture libraries read over.

A PNG file is a signature and chunks: length of the data, type, data, CRC-32 over type and data (RFC 2083).
"""

from __future__ import annotations

import struct
import zlib

from nnunetv2.errors import ImageError
from nnunetv2.imageio.sizes import refuse_what_does_not_fit

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type in the header to number of samples per pixel."""


def require_intact_png(path: str) -> None:
    """Raise ImageError when a chunk is damaged or missing; other formats are left alone.

    A picture that cannot fit into memory raises MemoryLimitError.
    """
    with open(path, "rb") as stream:
        content = memoryview(stream.read())
    if content[: len(_SIGNATURE)] != _SIGNATURE:
        return
    position, has_pixels = len(_SIGNATURE), False
    while True:
        if position + 12 > len(content):
            if has_pixels:
                return  # the end marker is lost, or pixels that the library will miss
            raise _damaged(path, f"it ends at byte {len(content):,}, before its last chunk")
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 8 + length
        if end + 4 > len(content):
            raise _damaged(path, f"its chunk {_name(kind)} asks for {length:,} bytes and the file ends before")
        if zlib.crc32(content[position + 4 : end]) != struct.unpack_from(">I", content, end)[0]:
            raise _damaged(path, f"the checksum of its chunk {_name(kind)} at byte {position:,} is wrong")
        if kind == b"IHDR" and length == 13:
            width, height, depth, colours = struct.unpack_from(">IIBB", content, position + 8)
            refuse_what_does_not_fit(path, width * height * _CHANNELS.get(colours, 4) * max(1, depth // 8))
        if kind == b"IEND":
            return
        has_pixels = has_pixels or kind == b"IDAT"
        position = end + 4


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "replace")


def _damaged(path: str, what: str) -> ImageError:
    return ImageError(f"{path} is damaged: {what}. Copy or make the file again")
