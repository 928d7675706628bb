"""Hypothesis strategies for content that gets past the first checks: bytes, compressed members, JSON documents."""

from __future__ import annotations

import copy
import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

_BYTES = st.one_of(
    st.sampled_from(
        [b"\0", b"\xff", b"\x7f\xff", b"\x80\0", b"\xff\x7f", b"\xff" * 4, b"\xff" * 8, b"\0" * 8, b"\0\0\xc0\x7f"]
    ),
    st.binary(min_size=1, max_size=8),
    st.integers(-(2**31), 2**31 - 1).map(lambda n: struct.pack("<i", n)),
    st.floats(width=32).map(lambda x: struct.pack("<f", x)),
)
_ANYWHERE = st.floats(0, 1, exclude_max=True)
# The start of a file, where sizes are stated, is worth more attention than what follows.
_AT_START = st.floats(0, 1, exclude_max=True).map(lambda x: x**4)


@st.composite
def edited_bytes(draw: Callable, content: bytes) -> bytes:
    """``content`` with some bytes replaced, left out or put in, and perhaps cut."""
    changed = bytearray(content)
    for where, new, how in draw(
        st.lists(st.tuples(_ANYWHERE | _AT_START, _BYTES, st.sampled_from("rrrrid")), min_size=1, max_size=6)
    ):
        at = int(where * len(changed))
        if how == "r":
            changed[at : at + len(new)] = new
        elif how == "i":
            changed[at:at] = new
        else:
            del changed[at : at + len(new)]
    if draw(st.integers(0, 9)) == 0:
        del changed[int(draw(_ANYWHERE) * len(changed)) :]
    return bytes(changed)


@st.composite
def repacked_gzip(draw: Callable, content: bytes) -> bytes:
    """A gzip file whose uncompressed content is edited: the checksum is right."""
    return gzip.compress(draw(edited_bytes(gzip.decompress(content))), 1)


@st.composite
def repacked_zip(draw: Callable, content: bytes) -> bytes:
    """A zip file of which one member is edited: the checksums are right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info: archive.read(info) for info in archive.infolist()}
    chosen = draw(st.sampled_from(sorted(info.filename for info in members)))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for info, data in members.items():
            new = draw(edited_bytes(data)) if info.filename == chosen and data else data
            archive.writestr(info.filename, new, info.compress_type)
    return stream.getvalue()


@st.composite
def repacked_png(draw: Callable, content: bytes) -> bytes:
    """A PNG file of which one chunk is edited: the checksums are right."""
    chunks, position = [], 8
    while position < len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        chunks.append((kind, content[position + 8 : position + 8 + length]))
        position += 12 + length
    chosen = draw(st.integers(0, len(chunks) - 2))
    result = content[:8]
    for number, (kind, data) in enumerate(chunks):
        new = draw(edited_bytes(data)) if number == chosen and data else data
        result += struct.pack(">I", len(new)) + kind + new + struct.pack(">I", zlib.crc32(kind + new))
    return result


_NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 2, 3, 255, 65536, 2**31, 2**63, -(2**63), 10**30, 0.0, 0.5, -1.5, 1e308]),
    st.sampled_from([float("nan"), float("inf"), -float("inf")]),
    st.integers(-10, 10),
    st.floats(),
)
_TEXTS = st.one_of(
    st.sampled_from(
        ["", "3d_fullres", "0", "None", "true", "../x", "/etc/passwd", "a.b.c", "torch.nn.LeakyReLU", "os.system", "\0"]
    ),
    st.text(max_size=12),
)
_PLAIN = st.none() | st.booleans() | _NUMBERS | _TEXTS
ANY_JSON = st.recursive(
    _PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4), max_leaves=8
)


def _places(node: Any, path: tuple = ()) -> Iterator[tuple]:
    yield path
    if isinstance(node, dict):
        for key in node:
            yield from _places(node[key], (*path, key))
    elif isinstance(node, list):
        for index, entry in enumerate(node):
            yield from _places(entry, (*path, index))


@st.composite
def edited_document(draw: Callable, document: Any) -> Any:
    """``document`` with one to four entries removed, replaced, renamed, repeated, put into lists or moved elsewhere."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 4))):
        places = list(_places(changed))
        path = draw(st.sampled_from(places))
        if not path:
            if draw(st.integers(0, 19)) == 0:
                changed = draw(ANY_JSON)
            continue
        parent = changed
        for key in path[:-1]:
            parent = parent[key]
        _edit(draw, parent, path[-1], changed, places)
    return changed


def _edit(draw: Callable, parent: Any, key: Any, document: Any, places: list[tuple]) -> None:
    how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "rename", "wrap", "move", "repeat"]))
    if how == "replace":
        parent[key] = draw(_NUMBERS if isinstance(parent[key], (int, float)) and draw(st.booleans()) else ANY_JSON)
    elif how == "remove":
        del parent[key]
    elif how == "rename" and isinstance(parent, dict):
        parent[draw(_TEXTS)] = parent.pop(key)
    elif how == "wrap":
        parent[key] = [parent[key]]
    elif how == "move":
        found = document
        for step in draw(st.sampled_from(places)):
            found = found[step]
        parent[key] = copy.deepcopy(found)
    elif how == "repeat" and isinstance(parent, list):
        parent.extend(copy.deepcopy(parent[:3]))


def as_text(document: Any) -> bytes:
    """JSON of a document, NaN and infinity as Python writes them."""
    return json.dumps(document).encode()


ANY_TEXT = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda t: t.encode("utf-8", "surrogatepass")),
    ANY_JSON.map(as_text),
)
