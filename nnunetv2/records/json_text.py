"""Adding an entry to a JSON text while every other byte of it stays as it is.

Files that people keep under version control, comment on and compare must not be laid out anew by a program that adds
one entry. The text is scanned just far enough to know where the values of the objects on the way begin and end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nnunetv2.errors import FileContentError

_DECODER = json.JSONDecoder()
_BLANKS = " \t\r\n"


@dataclass(frozen=True)
class Member:
    """One ``key: value`` of an object in a text; positions count characters, ends are excluded."""

    key: str
    key_start: int
    value_start: int
    value_end: int


def set_entry(text: str, path: Sequence[str], name: str, value: Any) -> str:
    """``text`` with ``name: value`` in the object that the keys ``path`` lead to: appended, or instead of an old value.

    Indentation and line ends follow the neighbours of the new entry. Raises FileContentError when ``path`` leads to no
    object.
    """
    start, members = _object_at(text, path)
    newline, indent, step = _layout(text, start, members, len(path) + 1)
    written = _as_text(value, newline, indent, step)
    old = next((member for member in members if member.key == name), None)
    if old is not None:
        return text[: old.value_start] + written + text[old.value_end :]
    entry = f"{json.dumps(name)}: {written}"
    if not members:
        closing = _skip_blanks(text, start + 1)
        inside = f"{newline}{indent}{entry}{newline}{indent[: len(indent) - len(step)]}" if newline else entry
        return text[: start + 1] + inside + text[closing:]
    end = members[-1].value_end
    separator = f",{newline}{indent}" if newline else ", "
    return text[:end] + separator + entry + text[end:]


def _object_at(text: str, path: Sequence[str]) -> tuple[int, list[Member]]:
    """Position of the opening brace of an object, and its members."""
    position = _skip_blanks(text, 0)
    for depth in range(len(path) + 1):
        if text[position : position + 1] != "{":
            raise FileContentError(f"the JSON text has no object {'.'.join(path[:depth]) or '(the whole)'}")
        members = _members(text, position)
        if depth == len(path):
            return position, members
        # As in reading, the last one counts where a key appears twice.
        found = [member for member in members if member.key == path[depth]]
        if not found:
            raise FileContentError(f"the JSON text has no entry {'.'.join(path[: depth + 1])}")
        position = found[-1].value_start
    raise AssertionError("unreachable")


def _members(text: str, start: int) -> list[Member]:
    """Members of the object whose brace is at ``start``."""
    members = []
    position = _skip_blanks(text, start + 1)
    while text[position] != "}":
        key, key_end = _DECODER.raw_decode(text, position)
        value_start = _skip_blanks(text, _skip_blanks(text, key_end) + 1)
        _, value_end = _DECODER.raw_decode(text, value_start)
        members.append(Member(key, position, value_start, value_end))
        position = _skip_blanks(text, value_end)
        if text[position] == ",":
            position = _skip_blanks(text, position + 1)
    return members


def _layout(text: str, start: int, members: Sequence[Member], depth: int) -> tuple[str, str, str]:
    """Line end, indentation of the members, and indentation per level; all empty for an object on one line."""
    newline = "\r\n" if "\r\n" in text else "\n"
    if members:
        before = text[start + 1 : members[0].key_start]
        if "\n" not in before:
            return "", "", ""
        indent = before[before.rindex("\n") + 1 :]
        line_start = text.rfind("\n", 0, start) + 1
        outer = text[line_start : line_start + len(text[line_start:]) - len(text[line_start:].lstrip(" \t"))]
        return newline, indent, indent.removeprefix(outer) or indent
    if "\n" not in text.strip():
        return "", "", ""
    step = _first_indent(text)
    return newline, step * depth, step


def _first_indent(text: str) -> str:
    """Indentation of the first member of the whole text."""
    after = text[text.index("\n") + 1 :]
    return after[: len(after) - len(after.lstrip(" \t"))] or "    "


def _as_text(value: Any, newline: str, indent: str, step: str) -> str:
    if not newline:
        return json.dumps(value)
    return json.dumps(value, indent=step).replace("\n", newline + indent)


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position] in _BLANKS:
        position += 1
    return position
