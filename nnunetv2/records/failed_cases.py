"""``failed_cases.json``: what a stage could not do, for programs that start it again or leave these cases out.

Content: ``{stage: {"total": number of cases, "failed": {case: {"error", "message", "traceback"}}}}``. It lies in the
output folder of the stage, and only as long as there are failures: the next run of the stage takes its entry out.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnunetv2.errors import CaseError, CaseFailures, NNUNetError
from nnunetv2.records.files import PathLike, read_json, write_json
from nnunetv2.records.layout import FAILED_CASES_JSON

logger = logging.getLogger(__name__)


@contextmanager
def failed_cases_listed(folder: PathLike | None, stage: str, part: tuple[int, int] | None = None) -> Iterator[None]:
    """List the cases that fail inside the block in ``folder``; without failures, remove those of an earlier run.

    ``part`` is ``(number, parts)`` for runs that share the cases of a folder; each has a file of its own then. None as
    ``folder`` lists nothing. CaseFailures of the block is raised again, and names the file.
    """
    if folder is None:
        yield
        return
    path = Path(folder) / failed_cases_name(part)
    try:
        yield
    except CaseFailures as failed:
        if not _write(path, stage, failed.failures, failed.total):
            raise
        raise CaseFailures(failed.what, failed.failures, failed.total, failed.results, str(path)) from failed.__cause__
    except CaseError as error:
        _write(path, stage, {error.case: error}, 1)
        raise
    else:
        _put(path, stage, None)


def failed_cases_name(part: tuple[int, int] | None = None) -> str:
    """Name of the file; of the part with this ``(number, parts)``, numbers counted from 0."""
    if part is None or part[1] == 1:
        return FAILED_CASES_JSON
    stem, _, ending = FAILED_CASES_JSON.rpartition(".")
    return f"{stem}_part_{part[0]}_of_{part[1]}.{ending}"


def _write(path: Path, stage: str, failures: Mapping[str, BaseException], total: int) -> bool:
    """Whether it could be written: a full disk, for one, must not hide what happened."""
    failed = {
        case: {
            "error": type(error).__name__,
            "message": str(error),
            "traceback": "".join(traceback.format_exception(error)),
        }
        for case, error in failures.items()
    }
    try:
        _put(path, stage, {"total": total, "failed": failed})
    except OSError as error:
        logger.warning("%s could not be written: %s", path, error)
        return False
    return True


def _put(path: Path, stage: str, entry: dict[str, Any] | None) -> None:
    """Replace the entry of a stage; a file without entries is removed."""
    if entry is None and not path.exists():
        return
    try:
        content = read_json(path)
    except (NNUNetError, OSError):
        content = {}
    content = dict(content) if isinstance(content, dict) else {}
    content.pop(stage, None)
    if entry is not None:
        content[stage] = entry
    if content:
        write_json(path, content)
    else:
        path.unlink(missing_ok=True)
