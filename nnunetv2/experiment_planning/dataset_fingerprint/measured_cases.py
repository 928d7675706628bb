"""What was measured of each case, kept beside the data set, so that a fingerprint is extended instead of made anew.

Per case the foreground intensities and three numbers, in ``<preprocessed>/<data set>/fingerprint_cases``; what they
were made from is recorded as for preprocessed cases, last. How many samples a case gives depends on the number of
cases, so the voxels are kept and not the samples: drawn again, they give the digits of a fresh fingerprint.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os.path import isdir, isfile, join
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2.records.files import atomic_path
from nnunetv2.records.temporary import remove_remains
from nnunetv2.storage import made_from
from nnunetv2.storage.archive_members import read_member

FOLDER = "fingerprint_cases"
UNFINISHED = "unfinished"

# Raise it when measuring gives other numbers than before.
MEASURING_VERSION = 1

# Foreground values kept per case, over all channels: lesions and single organs stay far below. A case with more is read
# again, which costs less than keeping copies of whole images.
MOST_VALUES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class MeasuredCase:
    """One case as it was read."""

    shape: tuple[int, ...]
    """Voxels per axis (Z, Y, X) after cropping to the nonzero box."""
    spacing: tuple[float, ...]
    """In mm, same order."""
    relative_size: float
    """Volume of the box over the volume of the image."""
    foreground: list[np.ndarray]
    """Foreground intensities per channel; 1D."""


@dataclass(frozen=True)
class CaseKeeper:
    """Where measurements of a data set are kept, and the reader they were made with."""

    preprocessed_folder: str
    reader: str
    channels: int
    """Channels of a case; one that has others is not kept, since the data set is about to be refused."""

    @property
    def folder(self) -> str:
        """Folder of the files, one per case."""
        return join(self.preprocessed_folder, FOLDER)

    @property
    def _settings(self) -> dict[str, Any]:
        return {"measuring_version": MEASURING_VERSION, "image_reader_writer": self.reader}

    def any_kept(self) -> bool:
        """Whether anything was kept: not for fingerprints that were made elsewhere."""
        return isdir(self.folder)

    def begin(self) -> None:
        """Say that the fingerprint is being made: until ``finish``, even after a kill, the one there is outdated."""
        os.makedirs(self.folder, exist_ok=True)
        remove_remains(self.preprocessed_folder, self.folder, made_from.records_folder(self.folder))
        Path(self._marker).touch()

    def finish(self) -> None:
        """Say that the fingerprint holds what is kept."""
        Path(self._marker).unlink(missing_ok=True)

    @property
    def was_interrupted(self) -> bool:
        """Whether a run began and did not finish."""
        return isfile(self._marker)

    @property
    def _marker(self) -> str:
        return join(self.folder, UNFINISHED)

    def is_up_to_date(self, case: str, inputs: Sequence[str]) -> bool:
        """Whether the case was measured from these files as they are now."""
        return not made_from.reasons_to_make(self.folder, case, self._settings, inputs)

    def kept_cases(self) -> set[str]:
        """Names of all cases that are kept, whether the data set has them still or not."""
        return made_from.recorded_cases(self.folder)

    def forget(self, cases: Iterable[str]) -> None:
        """Remove what was kept of some cases, the record first."""
        for case in cases:
            made_from.forget_record(self.folder, case)
            Path(self._file(case)).unlink(missing_ok=True)

    def keep(self, case: str, inputs: Sequence[str], measured: MeasuredCase) -> None:
        """Write what was measured, then the record. Too many values are left out; the record says that it was done."""
        if len(measured.foreground) != self.channels:
            return
        made_from.forget_record(self.folder, case)
        numbers = {
            "shape": [int(n) for n in measured.shape],
            "spacing": [float(value) for value in measured.spacing],
            "relative_size": measured.relative_size,
        }
        arrays = {}
        if sum(channel.size for channel in measured.foreground) <= MOST_VALUES:
            arrays = {f"channel_{i}": channel for i, channel in enumerate(measured.foreground)}
        with atomic_path(self._file(case)) as temporary, open(temporary, "wb") as stream:
            np.savez_compressed(stream, numbers=json.dumps(numbers), **arrays)
        made_from.write_record(self.folder, case, self._settings, inputs)

    def recall(self, case: str, inputs: Sequence[str]) -> MeasuredCase | None:
        """What was measured, if that is up to date, readable and complete; else None."""
        if not self.is_up_to_date(case, inputs):
            return None
        try:
            file = self._file(case)
            with zipfile.ZipFile(file) as archive:
                channels = len(archive.namelist()) - 1
            numbers = json.loads(str(read_member(file, "numbers")))
            foreground = [read_member(file, f"channel_{i}") for i in range(channels)]
        except Exception:  # a damaged file raises whatever its bytes happen to mean; the case is measured again
            return None
        if not foreground:
            return None
        return MeasuredCase(
            shape=tuple(numbers["shape"]),
            spacing=tuple(numbers["spacing"]),
            relative_size=numbers["relative_size"],
            foreground=foreground,
        )

    def _file(self, case: str) -> str:
        return join(self.folder, case + ".npz")
