"""Checking a raw data set before work starts: every problem in one report."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from nnunetv2.errors import CaseFailures, ImageError, IntegrityError
from nnunetv2.experiment_planning.integrity_of_cases import check_case
from nnunetv2.experiment_planning.integrity_of_folder import RawFolder, inspect_folder
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from nnunetv2.records.files import PathLike
from nnunetv2.records.findings import DatasetFinding
from nnunetv2.records.layout import DATASET_JSON
from nnunetv2.utilities.executors import map_cases

logger = logging.getLogger(__name__)

# Starting a worker takes about as long as checking this many bytes of image files in one process.
_BYTES_WORTH_A_POOL = 100_000_000
_SHOWN_PER_WARNING = 10


def verify_dataset_integrity(folder: PathLike, num_processes: int = 8) -> None:
    """Check the description, the file lists and every training image and label map of a raw data set.

    Small data sets are checked in this process, larger ones in ``num_processes`` worker processes. Things that are
    allowed but worth a look (label maps without foreground, different origins or directions, channel names out of
    order, files not used) are logged as warnings.

    Raises IntegrityError (a RuntimeError and AssertionError) with all problems at once; ``problems`` holds them.
    """
    folder = os.fspath(folder)
    raw = inspect_folder(folder)
    findings = list(raw.findings)
    reader_class = choose_reader(raw, folder, findings)
    if reader_class is not None:
        findings += _check_all_cases(raw, reader_class, num_processes)
    _log_warnings(finding for finding in findings if finding.severity == "warning")
    problems = [str(finding) for finding in findings if finding.is_error]
    if problems:
        raise IntegrityError(folder, problems)
    logger.info(
        "%s: %d cases with %d channel(s) checked, no problems found",
        os.path.basename(os.path.abspath(folder)),
        len(raw.cases),
        raw.num_channels,
    )


def choose_reader(raw: RawFolder, folder: str, findings: list[DatasetFinding]) -> type[BaseReaderWriter] | None:
    """The reader of the data set; None, and a finding, when there is none."""
    if not raw.cases or "file_ending" not in raw.description:
        return None
    example = next((case.images[0] for case in raw.cases.values() if case.images), None)
    try:
        return determine_reader_writer_from_dataset_json(raw.description, example, verbose=False)
    except ImageError:
        pass  # the example may be damaged; then the case it belongs to will say so
    try:
        return determine_reader_writer_from_dataset_json(raw.description, verbose=False)
    except ImageError as error:
        path, ending = os.path.join(folder, DATASET_JSON), raw.description["file_ending"]
        remedy = "correct file_ending, or convert the images"
        findings.append(
            DatasetFinding(file=path, key="file_ending", value=str(ending), reason=str(error), remedy=remedy)
        )
        return None


def _check_all_cases(raw: RawFolder, reader_class: type[BaseReaderWriter], num_processes: int) -> list[DatasetFinding]:
    work = [
        (case, (case, files.images, files.label, reader_class, raw.labels, raw.num_channels))
        for case, files in raw.cases.items()
    ]
    files = [file for case in raw.cases.values() for file in (*case.images, case.label) if file]
    workers = num_processes if sum(map(os.path.getsize, files)) > _BYTES_WORTH_A_POOL else 1
    try:
        results = map_cases(check_case, work, workers, what="checking the data set")
    except CaseFailures as failed:
        results = failed.results | {case: [not_checked(raw, case, error)] for case, error in failed.failures.items()}
    return [finding for case in raw.cases for finding in results[case]]


def not_checked(raw: RawFolder, case: str, error: BaseException) -> DatasetFinding:
    """The finding for a case whose worker failed."""
    files = raw.cases[case]
    return DatasetFinding(
        case=case,
        file=(files.images or [files.label or case])[0],
        key="check",
        value="not done",
        reason=f"could not be checked: {error}",
        remedy="run the check again with fewer processes",
    )


def _log_warnings(findings: Iterable[DatasetFinding]) -> None:
    """One message per kind, so that a sloppy header in 5000 cases does not fill the screen."""
    kinds: dict[str, list[str]] = {}
    for finding in findings:
        kinds.setdefault(finding.kind, []).append(str(finding))
    for kind, texts in kinds.items():
        more = len(texts) - _SHOWN_PER_WARNING
        shown = texts[:_SHOWN_PER_WARNING] + ([f"... and {more} more"] if more > 0 else [])
        logger.warning("%s (%d):\n%s", kind, len(texts), "\n".join(f"  - {text}" for text in shown))
