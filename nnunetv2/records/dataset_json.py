"""dataset.json: what a raw data set says about itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nnunetv2.errors import DatasetError
from nnunetv2.records.files import PathLike, read_json
from nnunetv2.records.plain_names import is_plain_name

_KNOWN = (
    "channel_names",
    "modality",
    "labels",
    "regions_class_order",
    "file_ending",
    "numTraining",
    "dataset",
    "overwrite_image_reader_writer",
)


def channel_names_of(mapping: Mapping[str, Any], source: str = "dataset.json") -> dict[str, str]:
    """Channel number (as text) to name in the order of the file; ``modality`` is the older spelling of the key."""
    names = mapping.get("channel_names", mapping.get("modality"))
    if not isinstance(names, Mapping) or not names:
        raise DatasetError(
            f'{source}: channel_names is {names!r}; it must map every channel to a name, such as {{"0": "CT"}}'
        )
    return {str(key): str(value) for key, value in names.items()}


def require_plain_ending(ending: Any, source: str) -> None:
    """Raise DatasetError unless ``ending``, the file_ending of ``source``, is one: predictions are named by it."""
    if not is_plain_name(ending) or not ending.startswith("."):
        raise DatasetError(
            f"{source}: file_ending is {ending!r}; it must be text with a leading dot, such as '.nii.gz', without "
            "separators, since files are named by it"
        )


@dataclass(frozen=True, kw_only=True)
class DatasetJson:
    """The entries of dataset.json that have a meaning here; everything else is kept in ``extra``."""

    channel_names: dict[str, str]
    """Channel number to channel name; the order decides which normalization belongs to which channel."""
    labels: dict[str, Any]
    """Name to label value, or to a list of values for a region; as in the file, order included."""
    file_ending: str
    """Ending of all image and label files with its leading dot, such as ``.nii.gz``."""
    num_training: int | None = None
    """The stated number of training cases; planning uses it, not the counted cases."""
    regions_class_order: list[int] | None = None
    """Label value written for each region, in the order of the regions in ``labels``."""
    dataset: dict[str, dict[str, Any]] | None = None
    """Explicit file lists: case to its ``images`` and ``label``. None: the folders are scanned."""
    overwrite_image_reader_writer: str | None = None
    """Class name of the reader to use. None: chosen by file ending."""
    extra: dict[str, Any] = field(default_factory=dict)
    """All other entries, untouched."""
    legacy_channel_key: bool = False
    """Whether the file spells ``channel_names`` as ``modality``."""

    @property
    def num_channels(self) -> int:
        """Number of image channels."""
        return len(self.channel_names)

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any], source: str = "dataset.json") -> DatasetJson:
        """Read and check the entries. ``source`` names the file in errors. Raises DatasetError."""
        if not isinstance(mapping, Mapping):
            raise DatasetError(f"{source} holds {type(mapping).__name__}, not an object with keys")
        missing = [key for key in ("labels", "file_ending") if key not in mapping]
        if missing:
            raise DatasetError(
                f"{source}: the key(s) {', '.join(missing)} are missing; see documentation/data_format.md"
            )
        labels, ending = mapping["labels"], mapping["file_ending"]
        if not isinstance(labels, Mapping):
            raise DatasetError(
                f'{source}: labels is {labels!r}; it must map names to values, such as {{"background": 0}}'
            )
        require_plain_ending(ending, source)
        cases = mapping.get("dataset")
        foreign = [case for case in cases if not is_plain_name(case)] if isinstance(cases, Mapping) else []
        if foreign:
            raise DatasetError(f"{source}: dataset names the case {foreign[0]!r}; cases name files, without separators")
        reader = mapping.get("overwrite_image_reader_writer")
        number = mapping.get("numTraining")
        try:
            number = None if number is None else int(number)
        except (TypeError, ValueError, OverflowError) as error:
            raise DatasetError(f"{source}: numTraining is {number!r}; it must be a number of cases") from error
        return cls(
            channel_names=channel_names_of(mapping, source),
            labels=dict(labels),
            file_ending=ending,
            num_training=number,
            regions_class_order=mapping.get("regions_class_order"),
            dataset=mapping.get("dataset"),
            overwrite_image_reader_writer=None if reader in (None, "None") else str(reader),
            extra={key: value for key, value in mapping.items() if key not in _KNOWN},
            legacy_channel_key="channel_names" not in mapping,
        )

    @classmethod
    def load(cls, path: PathLike) -> DatasetJson:
        """Read a dataset.json file."""
        return cls.from_json(read_json(path), os.fspath(path))

    def to_json(self) -> dict[str, Any]:
        """The mapping this was read from (key order: ours first, then the others)."""
        result: dict[str, Any] = {
            "modality" if self.legacy_channel_key else "channel_names": dict(self.channel_names),
            "labels": dict(self.labels),
        }
        if self.num_training is not None:
            result["numTraining"] = self.num_training
        result["file_ending"] = self.file_ending
        for key in ("regions_class_order", "dataset", "overwrite_image_reader_writer"):
            if getattr(self, key) is not None:
                result[key] = getattr(self, key)
        return result | self.extra
