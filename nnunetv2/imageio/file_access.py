"""Opening image files so that every failure names the file and says what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nnunetv2.errors import ImageError, MemoryLimitError, MissingImageError
from nnunetv2.records.files import PathLike, atomic_path

_COPY_AGAIN = "The file is damaged or incomplete, or not of the format its name says. Copy or make it again"


@contextmanager
def reading(path: PathLike, hint: str = _COPY_AGAIN) -> Iterator[str]:
    """Yield ``path`` as text; whatever an image library raises inside becomes an ImageError naming it.

    A missing file gives MissingImageError (also a FileNotFoundError), an empty one ImageError, before any library
    looks at it. Lack of memory becomes MemoryLimitError (also a MemoryError).
    """
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise MissingImageError(f"{name} does not exist; check the name and the folder")
    if os.path.getsize(name) == 0:
        raise ImageError(f"{name} is empty (0 bytes). Copy or make it again")
    try:
        yield name
    except (ImageError, MemoryLimitError):
        raise
    except MemoryError as error:
        raise MemoryLimitError(
            f"{name} takes more memory to read than there is ({_reason(error)}). Use a machine with more memory, or "
            "fewer workers; if the image is not that large, its header is damaged: copy or make the file again"
        ) from error
    except Exception as error:  # the libraries raise whatever comes up in their depths
        raise ImageError(f"{name} cannot be read: {_reason(error)}. {hint}") from error


@contextmanager
def writing(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` on success; failures of the library become ImageError."""
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # disk full, no permission: it says so itself
            raise
        raise ImageError(
            f"{os.fspath(path)} cannot be written: {_reason(error)}. Check that the format can hold this label map"
        ) from error


def _reason(error: Exception) -> str:
    """The last non-empty line of the message, where image libraries put the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1].rstrip('.')}" if lines else type(error).__name__


def own_block(properties: dict, key: str, output_fname: str) -> dict:
    """Entry ``key`` of properties, which the same reader put there. Raises ImageError when it is absent."""
    if key not in properties:
        raise ImageError(
            f"{output_fname} was not written: its properties have no {key!r} but {sorted(properties)}. Write with the "
            "class that read the image"
        )
    return properties[key]
