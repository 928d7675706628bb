"""Examining a raw data set: every check there is, and the report."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from os.path import join
from typing import Any

from nnunetv2.errors import CaseFailures, ClassNotFoundError
from nnunetv2.experiment_planning.doctor.case_comparison import compare_cases
from nnunetv2.experiment_planning.doctor.case_examination import CaseFacts, examine_case
from nnunetv2.experiment_planning.doctor.names_examination import left_right_pairs, names_and_files
from nnunetv2.experiment_planning.doctor.report import Report
from nnunetv2.experiment_planning.doctor.resources import estimate, shortages
from nnunetv2.experiment_planning.integrity_of_folder import RawFolder, inspect_folder
from nnunetv2.experiment_planning.verify_dataset_integrity import choose_reader, not_checked
from nnunetv2.imageio.builtin_readers import BUILTIN_READERS
from nnunetv2.imageio.reader_writer_registry import recursive_find_reader_writer_by_name
from nnunetv2.records.files import PathLike
from nnunetv2.records.findings import DatasetFinding, did_you_mean, sort_key, value_text
from nnunetv2.records.layout import DATASET_JSON
from nnunetv2.utilities.executors import map_cases

logger = logging.getLogger(__name__)


def examine(
    folder: PathLike, num_processes: int = 1, sample: int | None = None, trainer: str = "nnUNetTrainer"
) -> Report:
    """Every finding about the raw data set in ``folder``, which is not changed.

    Parameters
    ----------
    num_processes : 0 or 1 works in this process.
    sample : look at the voxels of so many cases only, spread evenly; names and descriptions are checked for all.
    trainer : class name; mirroring is taken to be off for those with ``Mirror`` in their name.

    Problems of the data set are findings, not exceptions. The order of findings does not depend on ``num_processes``.
    """
    folder = os.fspath(folder)
    raw = inspect_folder(folder)
    findings = list(raw.findings)
    findings += _unknown_reader(raw.description, join(folder, DATASET_JSON))
    facts: list[CaseFacts] = []
    reader_class = (
        None if any(f.key == "overwrite_image_reader_writer" for f in findings) else _reader(raw, folder, findings)
    )
    if reader_class is not None:
        facts = _examine_cases(raw, reader_class, sample, num_processes, findings)
    findings += names_and_files(raw, folder)
    findings += left_right_pairs(raw, folder, trainer)
    findings += compare_cases(facts, raw, folder, complete=len(facts) == len(raw.cases))
    resources = estimate(facts, len(raw.cases))
    if resources is not None:
        findings += shortages(resources, folder)
    names, labels = raw.description.get("channel_names"), raw.description.get("labels")
    return Report(
        folder=folder,
        channel_names=tuple(map(str, names.values())) if isinstance(names, Mapping) else (),
        labels=dict(labels) if isinstance(labels, Mapping) else {},
        number_of_cases=len(raw.cases),
        examined=tuple(facts),
        resources=resources,
        findings=tuple(sorted(dict.fromkeys(findings), key=sort_key)),
    )


def _reader(raw: RawFolder, folder: str, findings: list[DatasetFinding]) -> Any:
    """The reader of the data set; its own complaints about an example are not wanted, every file is checked anyway."""
    registry = logging.getLogger("nnunetv2.imageio")
    level = registry.level
    registry.setLevel(logging.ERROR)
    try:
        return choose_reader(raw, folder, findings)
    finally:
        registry.setLevel(level)


def _unknown_reader(description: Mapping[str, Any], path: str) -> list[DatasetFinding]:
    name = description.get("overwrite_image_reader_writer")
    if name in (None, "None") or not isinstance(name, str):
        return []
    try:
        recursive_find_reader_writer_by_name(name)
    except ClassNotFoundError as error:
        near = did_you_mean(name, BUILTIN_READERS)
        remedy = f"did you mean {near}?" if near else f"choose one of {', '.join(BUILTIN_READERS)}, or remove the key"
        key = "overwrite_image_reader_writer"
        return [
            DatasetFinding(file=path, key=key, value=value_text(name), reason=str(error).rstrip("."), remedy=remedy)
        ]
    return []


def _examine_cases(
    raw: RawFolder, reader_class: Any, sample: int | None, num_processes: int, findings: list[DatasetFinding]
) -> list[CaseFacts]:
    names = list(raw.cases)
    if sample is not None and sample < len(names):
        names = [names[round(i * (len(names) - 1) / max(1, sample - 1))] for i in range(sample)]
    declared = raw.description.get("channel_names")
    channels = [str(name) for name in declared.values()] if isinstance(declared, Mapping) else []
    work = [(case, (case, *raw.cases[case], reader_class, raw.labels, channels)) for case in names]
    try:
        results = map_cases(examine_case, work, num_processes, what="examining the data set")
    except CaseFailures as failed:
        results = failed.results
        findings += [not_checked(raw, case, error) for case, error in failed.failures.items()]
    facts = [results[case] for case in names if case in results]
    findings += [finding for case in facts for finding in case.findings]
    return facts
