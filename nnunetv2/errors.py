"""What can go wrong, by what it concerns.

Every class also extends the built-in exceptions that callers of nnU-Net v2 already catch at that place, so existing
``except`` clauses go on working. Messages name the file or case, the key, the value and the way out.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

E = TypeVar("E", bound=BaseException)


class NNUNetError(Exception):
    """Base of all errors a user can cause and repair. Commands print its message and exit with status 1."""


class EnvironmentVariableError(NNUNetError, RuntimeError):
    """A folder variable such as ``nnUNet_raw`` is needed and not set."""


class FileContentError(NNUNetError, ValueError, RuntimeError):
    """A file exists but cannot be read, or holds something else than expected."""


class DatasetError(NNUNetError, RuntimeError, ValueError, AssertionError):
    """dataset.json, the raw folder or the cases in it are not usable as they are."""


class IntegrityError(DatasetError):
    """A raw data set has problems; ``problems`` holds the sentence for each of them."""

    def __init__(self, where: str, problems: Sequence[str]):
        self.where, self.problems = where, tuple(problems)
        count = f"{len(self.problems)} problem{'' if len(self.problems) == 1 else 's'}"
        super().__init__(f"{where} has {count}:\n" + "\n".join(f"  - {problem}" for problem in self.problems))

    def __reduce__(self):
        return type(self), (self.where, self.problems)


class LabelsError(DatasetError):
    """The label definition in dataset.json contradicts itself."""


class MissingFileError(DatasetError, FileNotFoundError):
    """A file that must exist does not."""


class ImageError(NNUNetError, RuntimeError, ValueError):
    """An image or segmentation cannot be read, written or combined with the others of its case."""


class MissingImageError(ImageError, FileNotFoundError):
    """An image or segmentation file does not exist."""


class PlansError(NNUNetError, ValueError, RuntimeError):
    """A plans file contradicts itself, or asks for something that does not exist."""


class PlanningError(NNUNetError, RuntimeError, ValueError):
    """No plan can be made from this data set with these settings."""


class ClassNotFoundError(NNUNetError, RuntimeError):
    """No class or function of that name and kind was found in the folders searched."""


class CheckpointError(NNUNetError, RuntimeError):
    """A checkpoint is missing, unreadable, unsafe, or belongs to another network."""


class NonFiniteError(NNUNetError, FloatingPointError):
    """A loss or a gradient is not a finite number any more."""


class UsageError(NNUNetError, RuntimeError, ValueError, AssertionError):
    """Arguments that do not go together."""


class MemoryLimitError(NNUNetError, MemoryError):
    """A case needs more memory than the limit that was given, even at the smallest settings."""


#: Numbers by which the system says that there is no room for more, in words.
NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    getattr(errno, "EDQUOT", errno.ENOSPC): "the disk quota is used up",
    errno.EFBIG: "files may not grow further (ulimit -f, or a limit of the file system)",
}


class DiskFullError(NNUNetError, OSError):
    """There is no room for a file, or not enough for what a stage is going to write."""

    def __init__(self, message: str):
        super().__init__(message)
        self.errno = errno.ENOSPC  # what handlers of OSError look at


class WorkerError(NNUNetError, RuntimeError):
    """Work handed to another process or thread failed there."""


class CaseError(WorkerError):
    """Work on one case failed; ``case`` is its id."""

    def __init__(self, case: str, message: str):
        self.case = case
        super().__init__(message)

    def __reduce__(self):
        return type(self), (self.case, str(self))


class CaseFailures(WorkerError):
    """Some cases of a batch failed; the others were finished.

    ``failures`` maps the case id to the exception that ended it, ``results`` the finished cases to their results.
    ``listed_in`` is the file that lists the failures for programs, if there is one.
    """

    def __init__(
        self,
        what: str,
        failures: Mapping[str, BaseException],
        total: int,
        results: Mapping[str, Any] | None = None,
        listed_in: str | None = None,
    ):
        self.what, self.total, self.listed_in = what, total, listed_in
        self.failures = dict(failures)
        self.results = dict(results or {})
        lines = [f"  {_line(case, error)}" for case, error in self.failures.items()]
        if listed_in is not None:
            lines.append(f"With their tracebacks they are listed in {listed_in}")
        super().__init__(
            f"{what}: {len(self.failures)} of {total} cases failed, the others are done.\n" + "\n".join(lines)
        )

    def __reduce__(self):
        return type(self), (self.what, self.failures, self.total, self.results, self.listed_in)


def _line(case: str, error: BaseException) -> str:
    return str(error) if isinstance(error, CaseError) else f"{case}: {type(error).__name__}: {error}"


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what it was raised from."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def without_locals(error: E) -> E:
    """``error``, whose traceback no longer keeps the arrays alive that its functions worked on."""
    for part in chain_of(error):
        traceback.clear_frames(part.__traceback__)
    return error
