"""What a preprocessed case was made from: a record beside the cases that lets preprocessing do only what is missing.

A record is one JSON file per case in ``<preprocessed>/<data set>/made_from/<data identifier>``, outside the folder of
the cases, in which other readers accept no further files. It is written last, so a case without one is not finished.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from os.path import basename, dirname, isdir, isfile, join, normpath
from typing import Any

from nnunetv2.errors import FileContentError
from nnunetv2.records.files import PathLike, read_json, write_json
from nnunetv2.records.labels import Labels
from nnunetv2.records.plans import PREPROCESSING_KEYS, resolve_configuration, upgrade_configuration

# Raise it when preprocessing gives other numbers than before, so that data made by the older one are made again.
PREPROCESSING_VERSION = 1

MADE_FROM = "made_from"
CASE_SUFFIXES = (".b2nd", "_seg.b2nd", ".npz", ".npy", "_seg.npy", ".pkl")
"""Every file of a preprocessed case is its name and one of these."""

_CT_PROPERTIES = ("mean", "std", "percentile_00_5", "percentile_99_5")
# What built-in schemes read of the foreground's intensity statistics. Schemes of others may read all of them.
_PROPERTIES_READ: dict[str, tuple[str, ...]] = {
    "CTNormalization": _CT_PROPERTIES,
    "ZScoreNormalization": (),
    "NoNormalization": (),
    "RescaleTo01Normalization": (),
    "RGBTo01Normalization": (),
}


def settings_of(plans: Mapping[str, Any], configuration: str, dataset_json: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of plans and dataset.json that preprocessed data depend on, as JSON has them; no others.

    Raises PlansError for an unknown configuration, LabelsError for labels that contradict themselves.
    """
    entries = upgrade_configuration(dict(resolve_configuration(plans, configuration)))
    labels = Labels.from_json(dataset_json["labels"], dataset_json.get("regions_class_order"))
    statistics = plans.get("foreground_intensity_properties_per_channel") or plans.get(
        "foreground_intensity_properties_by_modality", {}
    )
    used = {}
    for channel, scheme in enumerate(entries.get("normalization_schemes", ())):
        known = statistics.get(str(channel), {})
        used[str(channel)] = {key: known.get(key) for key in _PROPERTIES_READ.get(scheme, sorted(known))}
    settings = {
        "preprocessing_version": PREPROCESSING_VERSION,
        "image_reader_writer": plans.get("image_reader_writer"),
        "transpose_forward": plans.get("transpose_forward"),
        "foreground_intensity_properties_per_channel": used,
        "labels": [list(labels.all_labels), labels.regions, labels.ignore_label],
        **{key: entries.get(key) for key in PREPROCESSING_KEYS},
    }
    return json.loads(json.dumps(settings))


def fingerprint_of_file(path: PathLike) -> dict[str, Any]:
    """Size in bytes, time of the last change, and BLAKE2b of the content."""
    status = os.stat(path)
    with open(path, "rb") as stream:
        digest = hashlib.blake2b(digest_size=20)
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return {"size": status.st_size, "changed_ns": status.st_mtime_ns, "blake2b": digest.hexdigest()}


def is_same_file(path: PathLike, known: Mapping[str, Any], read_all: bool = False) -> bool:
    """Whether a file still has the content it had; only read when its time differs, or with ``read_all``."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    if status.st_size != known["size"]:
        return False
    if status.st_mtime_ns == known["changed_ns"] and not read_all:
        return True
    return fingerprint_of_file(path)["blake2b"] == known["blake2b"]


def records_folder(data_folder: PathLike) -> str:
    """Where the records of the cases in ``data_folder`` are."""
    folder = normpath(os.fspath(data_folder))
    return join(dirname(folder), MADE_FROM, basename(folder))


def record_file(data_folder: PathLike, case: str) -> str:
    """Path of the record of one case."""
    return join(records_folder(data_folder), case + ".json")


def recorded_cases(data_folder: PathLike) -> set[str]:
    """Names of all cases that have a record."""
    folder = records_folder(data_folder)
    names = os.listdir(folder) if isdir(folder) else []
    return {name.removesuffix(".json") for name in names if name.endswith(".json") and not name.startswith(".")}


def sizes_of_case(data_folder: PathLike, case: str) -> dict[str, int]:
    """The files of a preprocessed case, by their suffix, to their size in bytes."""
    paths = {suffix: join(data_folder, case + suffix) for suffix in CASE_SUFFIXES}
    return {suffix: os.path.getsize(path) for suffix, path in paths.items() if isfile(path)}


def checksums_of_case(data_folder: PathLike, case: str) -> dict[str, str]:
    """The files of a preprocessed case, by their suffix, to the CRC-32 of their content in hexadecimal digits.

    blosc2 and pickles carry no checksum of their own.
    """
    from imagecodecs import deflate_crc32  # vector instructions: as fast as the file is read

    found = {}
    for suffix in sizes_of_case(data_folder, case):
        value = 0
        with open(join(data_folder, case + suffix), "rb") as stream:
            while block := stream.read(1 << 24):
                value = deflate_crc32(block, value)
        found[suffix] = f"{value:08x}"
    return found


def write_record(data_folder: PathLike, case: str, settings: Mapping[str, Any], inputs: Sequence[PathLike]) -> None:
    """Record that a finished case was made with ``settings`` from ``inputs``: image files in order, then the label."""
    content = {
        "settings": dict(settings),
        "inputs": [fingerprint_of_file(path) for path in inputs],
        "files": sizes_of_case(data_folder, case),
        "checksums": checksums_of_case(data_folder, case),
    }
    write_json(record_file(data_folder, case), content)


def read_record(data_folder: PathLike, case: str) -> dict[str, Any] | None:
    """The record of a case; None when there is none, or it cannot be used."""
    path = record_file(data_folder, case)
    if not isfile(path):
        return None
    try:
        record = read_json(path)
    except FileContentError:
        return None
    return record if isinstance(record, dict) and {"settings", "inputs", "files"} <= record.keys() else None


def forget_record(data_folder: PathLike, case: str) -> None:
    """Remove the record of a case that is about to be made again."""
    path = record_file(data_folder, case)
    if isfile(path):
        os.unlink(path)


def reasons_to_make(
    data_folder: PathLike,
    case: str,
    settings: Mapping[str, Any],
    inputs: Sequence[PathLike],
    read_all: bool = False,
) -> list[str]:
    """Why a case must be made (again), one phrase per reason; empty when it is there and up to date.

    ``read_all`` reads the content of all inputs instead of trusting size and time, and compares the checksums of what
    was made.
    """
    present = sizes_of_case(data_folder, case)
    if not any(suffix in present for suffix in (".b2nd", ".npz")):
        return ["it is missing"]
    record = read_record(data_folder, case)
    if record is None:
        return ["there is no record of what it was made from"]
    reasons = differing_settings(record["settings"], settings)
    if len(record["inputs"]) != len(inputs):
        reasons.append(f"it was made from {len(record['inputs'])} files, not {len(inputs)}")
    else:
        changed = [path for path, known in zip(inputs, record["inputs"]) if not is_same_file(path, known, read_all)]
        reasons += [f"{os.fspath(path)} has changed" for path in changed]
    if present != record["files"]:
        reasons.append("its files were changed or removed since they were made")
    elif read_all:
        reasons += damaged_files(data_folder, case, record)
    return reasons


def damaged_files(data_folder: PathLike, case: str, record: Mapping[str, Any]) -> list[str]:
    """What is wrong with the content of a case's files; nothing is known of records without checksums."""
    now = checksums_of_case(data_folder, case) if "checksums" in record else {}
    return [
        f"{join(data_folder, case + suffix)} was damaged later: its checksum is {now.get(suffix)}, not {known}"
        for suffix, known in record.get("checksums", {}).items()
        if now.get(suffix) != known
    ]


def wrong_sizes(data_folder: PathLike, case: str, record: Mapping[str, Any]) -> list[str]:
    """Which files of a case are shorter, longer or missing; a glance at the folder, nothing is read."""
    now = sizes_of_case(data_folder, case)
    return [
        f"{join(data_folder, case + suffix)} "
        + (f"has {now[suffix]:,} bytes, not the {known:,} it was made with" if suffix in now else "is missing")
        for suffix, known in record["files"].items()
        if now.get(suffix) != known
    ]


def differing_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """``key is X, the data were made with Y`` for every entry that differs."""
    return [
        f"{key} is {_short(new.get(key))}, the data were made with {_short(old.get(key))}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def _short(value: Any, most: int = 120) -> str:
    text = json.dumps(value)
    return text if len(text) <= most else text[: most - 3] + "..."
