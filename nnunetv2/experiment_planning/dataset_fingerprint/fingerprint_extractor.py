"""The fingerprint of a data set: shapes, spacings and foreground intensities, measured case by case."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import isfile, join
from typing import Any

import numpy as np

from nnunetv2.errors import DatasetError, ImageError
from nnunetv2.experiment_planning.dataset_fingerprint.foreground_samples import (
    CaseSamples,
    ChannelPool,
)
from nnunetv2.experiment_planning.dataset_fingerprint.intensity_statistics import (
    intensity_statistics,
    streamed_statistics,
)
from nnunetv2.experiment_planning.dataset_fingerprint.measured_cases import CaseKeeper, MeasuredCase
from nnunetv2.imageio.finite_voxels import NotFiniteError, require_finite
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.preprocessing.compact_labels import compact_labels
from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero
from nnunetv2.records.dataset_json import channel_names_of
from nnunetv2.records.failed_cases import failed_cases_listed
from nnunetv2.records.files import read_json, write_json
from nnunetv2.records.fingerprint import Fingerprint
from nnunetv2.records.layout import DATASET_JSON, FINGERPRINT_JSON
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name
from nnunetv2.utilities.executors import map_cases
from nnunetv2.utilities.json_export import plain_value
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

logger = logging.getLogger(__name__)

# Every published fingerprint was sampled with this seed.
SEED = 1234


@dataclass(frozen=True, kw_only=True)
class CaseMeasurements:
    """What the fingerprint takes from one case."""

    shape: tuple[int, ...]
    """Voxels per axis (Z, Y, X) after cropping to the nonzero box."""
    spacing: tuple[float, ...]
    """In mm, same order."""
    relative_size: float
    """Volume of the box over the volume of the image."""
    samples: CaseSamples
    """Foreground intensities per channel."""


class DatasetFingerprintExtractor:
    """Measures all training cases of a data set and writes dataset_fingerprint.json.

    A subclass may replace ``run``, ``analyze_case``, or the number of samples,
    ``num_foreground_voxels_for_intensitystats`` (per channel, over all cases).
    """

    def __init__(self, dataset_name_or_id: str | int, num_processes: int = 8, verbose: bool = False):
        self.dataset_name = str(maybe_convert_to_dataset_name(dataset_name_or_id))
        self.input_folder = join(nnUNet_raw, self.dataset_name)
        self.dataset_json = read_json(join(self.input_folder, DATASET_JSON))
        self.dataset = get_filenames_of_train_images_and_targets(self.input_folder, self.dataset_json)
        self.num_processes = num_processes
        self.verbose = verbose
        self.show_progress_bar = True
        self.num_foreground_voxels_for_intensitystats = 1e8

    @staticmethod
    def collect_foreground_intensities(
        segmentation: np.ndarray, images: np.ndarray, seed: int = SEED, num_samples: int = 10000
    ) -> tuple[list[Any], list[dict[str, float]]]:
        """Per channel ``num_samples`` random foreground intensities, and the statistics of all foreground voxels.

        ``segmentation`` (1, Z, Y, X), ``images`` (C, Z, Y, X). Foreground is every label above 0, the ignore label
        included. Without foreground a channel's samples are an empty list and its statistics NaN. Raises ImageError.
        """
        state = np.random.RandomState(seed)
        samples: list[Any] = []
        statistics: list[dict[str, float]] = []
        for voxels in foreground_voxels(segmentation, images):
            samples.append(state.choice(voxels, num_samples, replace=True) if voxels.size else [])
            statistics.append(_case_statistics(voxels))
        return samples, statistics

    @staticmethod
    def analyze_case(
        image_files: Sequence[str], segmentation_file: str, reader_writer_class: type, num_samples: int = 10000
    ) -> tuple[tuple[int, ...], list[float], list[Any], list[dict[str, float]], float]:
        """Measure one case: shape after cropping, spacing (mm), samples, statistics, relative size after cropping."""
        images, segmentation, spacing, relative_size = _read_cropped(
            image_files, segmentation_file, reader_writer_class
        )
        samples, statistics = DatasetFingerprintExtractor.collect_foreground_intensities(
            segmentation, images, num_samples=num_samples
        )
        return images.shape[1:], spacing, samples, statistics, relative_size

    def run(self, overwrite_existing: bool = False) -> dict[str, Any]:
        """Content of dataset_fingerprint.json, which is made, or extended when cases were added, changed or removed.

        What was measured before is used again, which gives the digits of a fresh fingerprint; ``overwrite_existing``
        measures every case anew. A fingerprint that was made elsewhere is taken as it is.

        Raises DatasetError when the data set has no foreground or no cases, CaseFailures when cases cannot be read.
        """
        path = join(nnUNet_preprocessed, self.dataset_name, FINGERPRINT_JSON)
        if isfile(path) and not overwrite_existing and self._is_up_to_date(path):
            logger.info("%s exists and is used (--clean makes it again)", path)
            return read_json(path)
        if not self.dataset:
            raise DatasetError(f"{self.input_folder} has no training cases")
        measurements = self._measure_cases(overwrite_existing)
        self._check_channels(measurements)
        fingerprint = self._aggregate(list(measurements.values())).to_json()
        write_json(path, fingerprint)
        if not self._analyzes_itself:
            self._keeper(self._reader()).finish()
        logger.info("%s: %d cases", path, len(measurements))
        return fingerprint

    @property
    def _analyzes_itself(self) -> bool:
        """Whether a subclass measures in a way of its own, of which nothing can be kept."""
        return type(self).analyze_case is not DatasetFingerprintExtractor.analyze_case

    def _reader(self) -> type:
        example = next(iter(self.dataset.values()))["images"][0]
        return determine_reader_writer_from_dataset_json(self.dataset_json, example, verbose=self.verbose)

    def _keeper(self, reader: type) -> CaseKeeper:
        folder = join(nnUNet_preprocessed, self.dataset_name)
        return CaseKeeper(folder, reader.__name__, len(channel_names_of(self.dataset_json)))

    def _is_up_to_date(self, path: str) -> bool:
        """Whether the fingerprint that exists was made of the cases that are there now, as far as that is known."""
        if self._analyzes_itself or not self.dataset:
            return True
        keeper = self._keeper(self._reader())
        if not keeper.any_kept():
            return True
        if keeper.was_interrupted:
            logger.info("%s is made again: the run that extended it did not finish", path)
            return False
        gone = keeper.kept_cases() - set(self.dataset)
        changed = [case for case, files in self.dataset.items() if not keeper.is_up_to_date(case, _inputs(files))]
        if gone or changed:
            logger.info("%s is extended: %d case(s) new or changed, %d gone", path, len(changed), len(gone))
        return not gone and not changed

    def _measure_cases(self, anew: bool) -> dict[str, CaseMeasurements]:
        reader = self._reader()
        keeper = self._keeper(reader)
        if not self._analyzes_itself:
            keeper.begin()
            keeper.forget(keeper.kept_cases() - set(self.dataset))
        num_samples = int(self.num_foreground_voxels_for_intensitystats // len(self.dataset))
        if self._analyzes_itself:
            tasks = {c: (files["images"], files["label"], reader, num_samples) for c, files in self.dataset.items()}
        else:
            tasks = {c: (keeper, c, files, reader, num_samples, anew) for c, files in self.dataset.items()}
        with failed_cases_listed(join(nnUNet_preprocessed, self.dataset_name), "Fingerprint"):
            results = map_cases(
                self.analyze_case if self._analyzes_itself else measure_case,
                tasks.items(),
                self.num_processes,
                what=f"fingerprint of {self.dataset_name}",
                flag="-np, in nnUNetv2_plan_and_preprocess -npfp",
                show_progress=self.show_progress_bar,
                preload=(__name__, reader.__module__),
            )
        if self._analyzes_itself:
            return {case: _from_analyze_case(result) for case, result in results.items()}
        return results

    def _check_channels(self, measurements: dict[str, CaseMeasurements]) -> None:
        source = join(self.input_folder, DATASET_JSON)
        wanted = len(channel_names_of(self.dataset_json, source))
        wrong = {case: len(m.samples.channels) for case, m in measurements.items() if len(m.samples.channels) != wanted}
        if wrong:
            listing = ", ".join(f"{case} ({count})" for case, count in list(wrong.items())[:10])
            raise DatasetError(
                f"{source} names {wanted} channel(s), but {len(wrong)} case(s) have another number: {listing}. "
                "Add the missing channel files or correct channel_names"
            )

    def _aggregate(self, measurements: list[CaseMeasurements]) -> Fingerprint:
        pool = ChannelPool(m.samples for m in measurements)
        channels = {}
        for channel in range(len(measurements[0].samples.channels)):
            size = pool.next_channel()
            if not size:
                raise DatasetError(
                    f"no case of {self.input_folder} has a label above 0, so there is nothing to segment and no "
                    "intensity to measure. Check labelsTr and the labels in dataset.json"
                )
            channels[str(channel)] = streamed_statistics(size, pool.reader)
        return Fingerprint(
            foreground_intensity_properties_per_channel=channels,
            median_relative_size_after_cropping=float(np.median([m.relative_size for m in measurements])),
            shapes_after_crop=[[int(n) for n in m.shape] for m in measurements],
            spacings=[plain_value(list(m.spacing)) for m in measurements],
        )


def _inputs(files: Mapping[str, Any]) -> list[str]:
    """Files a case is measured from: images in channel order, then the label."""
    return [*files["images"], files["label"]]


def measure_case(
    keeper: CaseKeeper, case: str, files: Mapping[str, Any], reader_writer_class: type, num_samples: int, anew: bool
) -> CaseMeasurements:
    """Measure one case like ``analyze_case``, but leave out what the fingerprint does not need.

    ``files`` has ``images`` (paths in channel order) and ``label``. A case that was measured before is not read again,
    unless ``anew``.
    """
    measured = None if anew else keeper.recall(case, _inputs(files))
    if measured is None:
        images, segmentation, spacing, relative_size = _read_cropped(
            files["images"], files["label"], reader_writer_class
        )
        measured = MeasuredCase(
            shape=images.shape[1:],
            spacing=tuple(spacing),
            relative_size=relative_size,
            foreground=_foreground(segmentation, images),
        )
        keeper.keep(case, _inputs(files), measured)
    return CaseMeasurements(
        shape=measured.shape,
        spacing=measured.spacing,
        relative_size=measured.relative_size,
        samples=CaseSamples.prepare(measured.foreground, num_samples, SEED),
    )


def foreground_voxels(segmentation: np.ndarray, images: np.ndarray) -> list[np.ndarray]:
    """Per channel of ``images`` (C, Z, Y, X) the intensities where ``segmentation`` (1, Z, Y, X) is above 0; 1D.

    The ignore label is above 0 and counts. Raises ImageError for other dimensions, NaN and infinity.
    """
    if images.ndim != 4 or segmentation.ndim != 4:
        raise ImageError(
            f"images of shape {images.shape} and segmentation of shape {segmentation.shape} need 4 axes: C, Z, Y, X"
        )
    require_finite(images)
    _require_labels(segmentation)
    return _foreground(segmentation, images)


def _require_labels(segmentation: np.ndarray, file: str = "the segmentation") -> None:
    if np.isnan(segmentation.min(initial=0)):  # NaN is the minimum of what contains it
        raise ImageError(f"{file} contains NaN; replace these voxels before going on")


def _foreground(segmentation: np.ndarray, images: np.ndarray) -> list[np.ndarray]:
    where = np.flatnonzero(segmentation[0] > 0)
    return [channel.take(where) for channel in images]


def _read_cropped(
    image_files: Sequence[str], segmentation_file: str, reader_writer_class: type
) -> tuple[np.ndarray, np.ndarray, list[float], float]:
    """Image and segmentation cropped to the nonzero box, spacing in mm, and the box's share of the volume.

    Raises ImageError, naming the file, for voxels that are not finite.
    """
    reader = reader_writer_class()
    images, properties = reader.read_images(image_files)
    segmentation = compact_labels(reader.read_seg(segmentation_file)[0])
    full = images.shape[1:]
    images, segmentation, box = crop_to_nonzero(images, segmentation)
    try:
        require_finite(images, [start for start, _ in box])
    except NotFiniteError as error:
        raise error.in_files(image_files, len(images)) from error
    _require_labels(segmentation, os.fspath(segmentation_file))
    return images, segmentation, properties["spacing"], float(np.prod(images.shape[1:]) / np.prod(full))


def _from_analyze_case(result: Sequence[Any]) -> CaseMeasurements:
    """The result of an ``analyze_case`` that somebody replaced."""
    shape, spacing, samples, _, relative_size = result
    channels = [np.asarray(channel) if len(channel) else np.empty(0) for channel in samples]
    return CaseMeasurements(
        shape=tuple(shape),
        spacing=tuple(spacing),
        relative_size=relative_size,
        samples=CaseSamples(channels=channels, num_samples=max((c.size for c in channels), default=0)),
    )


def _case_statistics(voxels: np.ndarray) -> dict[str, float]:
    if not voxels.size:
        names = ("max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std")
        return dict.fromkeys(names, float("nan"))
    return intensity_statistics(voxels)
