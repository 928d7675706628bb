"""dataset_fingerprint.json: what planning knows about a data set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnunetv2.errors import FileContentError
from nnunetv2.records.files import PathLike, read_json

_KEYS = (
    "foreground_intensity_properties_per_channel",
    "median_relative_size_after_cropping",
    "shapes_after_crop",
    "spacings",
)


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Shapes and spacings of all cases, and the intensity statistics of their foreground."""

    foreground_intensity_properties_per_channel: dict[str, dict[str, float]]
    """Channel number to max, mean, median, min, percentile_00_5, percentile_99_5, std of foreground voxels."""
    median_relative_size_after_cropping: float
    """Median over cases of the volume of the nonzero box over the volume of the image."""
    shapes_after_crop: list[list[int]]
    """Per case the shape of the nonzero box in voxels; axis order as the reader delivers, not transposed."""
    spacings: list[list[float]]
    """Per case the spacing in mm, same axis order."""

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any], source: str = "dataset_fingerprint.json") -> Fingerprint:
        """Read the entries; raises FileContentError naming ``source`` when one is missing."""
        if not isinstance(mapping, Mapping):
            raise FileContentError(f"{source} holds {type(mapping).__name__}, not an object with keys")
        missing = [key for key in _KEYS if key not in mapping]
        if missing:
            raise FileContentError(
                f"{source}: {', '.join(missing)} missing; run nnUNetv2_extract_fingerprint --clean again"
            )
        return cls(**{key: mapping[key] for key in _KEYS})

    def to_json(self) -> dict[str, Any]:
        """The mapping that is written to the file."""
        return {key: getattr(self, key) for key in _KEYS}

    @classmethod
    def load(cls, path: PathLike) -> Fingerprint:
        """Read a dataset_fingerprint.json file."""
        return cls.from_json(read_json(path), os.fspath(path))
