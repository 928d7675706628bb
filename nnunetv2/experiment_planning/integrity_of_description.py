"""What can be wrong with dataset.json itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nnunetv2.errors import LabelsError
from nnunetv2.records.findings import MISSING, DatasetFinding, did_you_mean, value_text
from nnunetv2.records.labels import Labels, require_visible_regions
from nnunetv2.records.schema_check import schema, violations

_LOSSY_ENDINGS = (".jpg", ".jpeg")
_SEE_FORMAT = "See documentation/data_format.md"


@dataclass
class CheckedDescription:
    """dataset.json as far as it could be understood."""

    path: str
    labels: tuple[int, ...] | None = None
    """Every value a label map may hold."""
    num_channels: int | None = None
    unusable: set[str] = field(default_factory=set)
    """Keys whose values must not be used any further."""
    findings: list[DatasetFinding] = field(default_factory=list)

    def add(self, key: str, value: Any, reason: str, remedy: str, **more: Any) -> None:
        """Add a finding; ``value`` as in the file."""
        text = MISSING if value is MISSING else value_text(value)
        self.findings.append(DatasetFinding(file=self.path, key=key, value=text, reason=reason, remedy=remedy, **more))


def check_description(description: Mapping[str, Any], path: str) -> CheckedDescription:
    """Every problem of the content of dataset.json; ``path`` names it."""
    result = CheckedDescription(path)
    _check_keys(result, description)
    if "channel_names" in description:
        _check_channel_names(result, description["channel_names"])
    if "labels" in description:
        _check_labels(result, description)
    if "file_ending" in description:
        _check_file_ending(result, description["file_ending"])
    reported = {finding.key.split(".")[0] for finding in result.findings if finding.is_error}
    for key, value, reason, meaning in violations(description, "dataset"):
        if key.split(".")[0] not in reported:
            result.add(key, value, reason, f"correct the entry. It is: {meaning}. {_SEE_FORMAT}")
    return result


def meant_key(needed: str, description: Mapping[str, Any], unknown: Iterable[str]) -> str | None:
    """The key of dataset.json that most likely means ``needed``, which is missing: an old name or a misspelt one."""
    if needed == "channel_names" and "modality" in description:
        return "modality"
    return did_you_mean(needed, unknown)


def _check_keys(result: CheckedDescription, description: Mapping[str, Any]) -> None:
    definition = schema("dataset")
    known = definition["properties"]
    unknown = [key for key in description if key not in known]
    for key in definition["required"]:
        if key in description:
            continue
        near = meant_key(key, description, unknown)
        remedy = f"rename {near} to {key}" if near else f"add it: {known[key]['description']}. {_SEE_FORMAT}"
        reason = (
            "modality is an old name of it" if near == "modality" else f"there are {', '.join(description) or 'none'}"
        )
        result.add(key, MISSING, reason, remedy)
        unknown = [other for other in unknown if other != near]
    interpreted = [key for key in known if len(key) > 4]
    for key in unknown:
        near = did_you_mean(key, interpreted, cutoff=0.8)
        if near and near not in description:
            kind = {"severity": "warning", "kind": "unknown keys"}
            result.add(key, description[key], "this key is not known and not read", f"did you mean {near}?", **kind)


def _check_file_ending(result: CheckedDescription, ending: Any) -> None:
    if not (isinstance(ending, str) and ending.startswith(".")):
        result.add("file_ending", ending, "it must be text with a leading dot", "write it like .nii.gz")
        result.unusable.add("file_ending")
    elif ending.lower() in _LOSSY_ENDINGS:
        reason = "label maps and predictions have that ending too, and JPEG does not keep label values"
        remedy = "convert to .png, or keep the images and list them in dataset with labels in .png"
        result.add("file_ending", ending, reason, remedy)


def _check_channel_names(result: CheckedDescription, names: Any) -> None:
    if not isinstance(names, Mapping) or not names:
        remedy = 'write it like {"0": "CT"}'
        result.add("channel_names", names, "it must map numbers to names", remedy)
        return
    result.num_channels = len(names)
    expected = [str(i) for i in range(len(names))]
    if [str(key) for key in names] != expected:
        result.add(
            "channel_names", names,
            f"it has the keys {', '.join(map(str, names))} instead of {', '.join(expected)}. Channel _0000 gets the "
            "normalization of the first entry, whatever its key",
            "put the entries in order", severity="warning", kind="channel_names out of order",
        )  # fmt: skip


def _check_labels(result: CheckedDescription, description: Mapping[str, Any]) -> None:
    labels, order = description["labels"], description.get("regions_class_order")
    if not isinstance(labels, Mapping):
        result.add("labels", labels, "it must map names to values", 'write it like {"background": 0, "tumour": 1}')
        return
    try:
        known = Labels.from_json(labels, order, source=result.path)
        result.labels = known.all_labels + (() if known.ignore_label is None else (known.ignore_label,))
        require_visible_regions(labels, order, result.path)
    except LabelsError as error:
        key = "regions_class_order" if "regions_class_order has" in str(error) else "labels"
        reason = str(error).removeprefix(f"{result.path}: ")
        result.add(key, description.get(key), reason, f"correct {key}. {_SEE_FORMAT}")
