"""One picture per training case: the slice that shows most of all labels, with the labels in colour."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from os.path import join

import numpy as np

from nnunetv2.errors import DatasetError, ImageError, MissingFileError
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.records.files import atomic_path, read_json
from nnunetv2.records.label_values import LabelValues
from nnunetv2.records.labels import Labels
from nnunetv2.records.layout import DATASET_JSON, plans_file
from nnunetv2.storage.dataset import nnUNetBaseDataset
from nnunetv2.storage.stores import infer_dataset_class
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name
from nnunetv2.utilities.executors import map_cases
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

# Black for the background; then the palettes of Okabe and Ito (2008) and of Paul Tol ("bright"), made to be told
# apart by colour-blind people too.
COLOR_CYCLE = (
    *("000000", "e69f00", "56b4e9", "009e73", "f0e442", "0072b2", "d55e00", "cc79a7"),
    *("4477aa", "ee6677", "228833", "ccbb44", "66ccee", "aa3377", "bbbbbb"),
)


def generate_overlay(
    input_image: np.ndarray,
    segmentation: np.ndarray,
    mapping: Mapping[int, int] | None = None,
    color_cycle: Sequence[str] = COLOR_CYCLE,
    overlay_intensity: float = 0.6,
) -> np.ndarray:
    """Grey image (Y, X) with the labels of ``segmentation`` (Y, X) in colour: uint8 (Y, X, 3).

    Parameters
    ----------
    mapping : label to position in ``color_cycle``. Default: 0 is the first colour, the other labels go round the rest,
        so that a label has the same colour in every picture.
    color_cycle : colours as six hexadecimal digits.
    overlay_intensity : weight of the colours; the image is scaled to 0..255 before, the sum after.

    Raises ImageError when the shapes differ or are not 2D.
    """
    if input_image.ndim != 2 or input_image.shape != segmentation.shape:
        raise ImageError(
            f"an overlay needs an image and a segmentation of one shape (Y, X), not {input_image.shape} and "
            f"{segmentation.shape}"
        )
    result = np.repeat(_scaled_to_255(input_image)[..., None], 3, axis=-1)
    for label in np.unique(segmentation):
        position = _default_position(int(label), len(color_cycle)) if mapping is None else mapping[int(label)]
        color = np.array([int(color_cycle[position][i : i + 2], 16) for i in (0, 2, 4)])
        result[segmentation == label] += overlay_intensity * color
    highest = result.max(initial=0)
    return (result / highest * 255 if highest > 0 else result).astype(np.uint8)


def _scaled_to_255(image: np.ndarray) -> np.ndarray:
    image = image.astype(np.float64)
    lowest, highest = image.min(), image.max()
    return (image - lowest) / (highest - lowest) * 255 if highest > lowest else np.zeros_like(image)


def _default_position(label: int, colors: int) -> int:
    return 0 if label == 0 or colors < 2 else 1 + (label - 1) % (colors - 1)


def slice_to_show(segmentation: np.ndarray, labels: Sequence[int]) -> int:
    """Index along axis 0 of ``segmentation`` (Z, Y, X) where, on average over ``labels``, most of a label's voxels lie.

    Labels without voxels do not count; the first slice is shown if none has any, and on ties the first one.
    """
    shares = []
    for label in labels:
        per_slice = np.count_nonzero(segmentation == label, axis=(1, 2))
        if per_slice.any():
            shares.append(per_slice / per_slice.sum())
    return int(np.mean(shares, axis=0).argmax()) if shares else 0


def write_overlay(
    image: np.ndarray,
    segmentation: np.ndarray,
    labels: Sequence[int],
    output_file: str,
    overlay_intensity: float,
) -> None:
    """PNG of one case; ``image`` (one channel) and ``segmentation`` have shape (Z, Y, X)."""
    from matplotlib.image import imsave

    if image.shape != segmentation.shape:
        raise ImageError(f"{output_file}: the image has shape {image.shape}, the segmentation {segmentation.shape}")
    segmentation = np.maximum(segmentation, 0)
    z = slice_to_show(segmentation, labels)
    ranks = {0: 0} | {label: _default_position(i, len(COLOR_CYCLE)) for i, label in enumerate(labels, start=1)}
    mapping = {int(label): ranks.get(int(label), 0) for label in np.unique(segmentation[z])}
    picture = generate_overlay(image[z], segmentation[z], mapping, overlay_intensity=overlay_intensity)
    with atomic_path(output_file) as temporary:
        imsave(temporary, picture)


def _channel(data: np.ndarray, channel_idx: int, case: str) -> np.ndarray:
    if not 0 <= channel_idx < data.shape[0]:
        raise ImageError(f"case {case} has {data.shape[0]} channel(s), so there is no channel {channel_idx}")
    return np.asarray(data[channel_idx])


def _plot_raw_case(
    case: str,
    images: Sequence[str],
    label_file: str,
    reader: BaseReaderWriter,
    channel_idx: int,
    labels: Sequence[int],
    output_file: str,
    overlay_intensity: float,
) -> None:
    image = _channel(reader.read_images(images)[0], channel_idx, case)
    write_overlay(image, reader.read_seg(label_file)[0][0], labels, output_file, overlay_intensity)


def _plot_preprocessed_case(
    case: str,
    dataset_class: type[nnUNetBaseDataset],
    folder: str,
    channel_idx: int,
    labels: Sequence[int],
    output_file: str,
    overlay_intensity: float,
) -> None:
    data, segmentation, *_ = dataset_class(folder, [case]).load_case(case)
    image = _channel(data, channel_idx, case)
    write_overlay(image, np.asarray(segmentation[0]), labels, output_file, overlay_intensity)


def _shown_labels(dataset_json: Mapping, preprocessed: bool = False) -> list[int]:
    """Foreground labels, then the ignore label if there is one, as their colours are assigned.

    Values are those in files, or with ``preprocessed`` the numbers in preprocessed label maps.
    """
    labels = Labels.from_json(dataset_json["labels"], dataset_json.get("regions_class_order"))
    shown = [*labels.foreground, *([] if labels.ignore_label is None else [labels.ignore_label])]
    return [LabelValues.of(labels).number(label) for label in shown] if preprocessed else shown


def generate_overlays_from_raw(
    dataset_name_or_id: int | str,
    output_folder: str,
    num_processes: int = 8,
    channel_idx: int = 0,
    overlay_intensity: float = 0.6,
) -> None:
    """Write ``<case>.png`` for every training case of the raw data set."""
    folder = join(nnUNet_raw.require(), str(maybe_convert_to_dataset_name(dataset_name_or_id)))
    dataset_json = read_json(join(folder, DATASET_JSON))
    cases = get_filenames_of_train_images_and_targets(folder, dataset_json)
    example = next(iter(cases.values()))["images"][0]
    reader = determine_reader_writer_from_dataset_json(dataset_json, example, verbose=False)()
    labels = _shown_labels(dataset_json)
    tasks = []
    for case, files in cases.items():
        output_file = join(output_folder, case + ".png")
        source = (files["images"], files["label"], reader)
        tasks.append((case, (case, *source, channel_idx, labels, output_file, overlay_intensity)))
    os.makedirs(output_folder, exist_ok=True)
    map_cases(_plot_raw_case, tasks, num_processes, what="overlays")


def generate_overlays_from_preprocessed(
    dataset_name_or_id: int | str,
    output_folder: str,
    num_processes: int = 8,
    channel_idx: int = 0,
    configuration: str | None = None,
    plans_identifier: str = "nnUNetPlans",
    overlay_intensity: float = 0.6,
) -> None:
    """Write ``<case>.png`` for every preprocessed case.

    ``configuration`` defaults to 3d_fullres if that is planned, else 2d.
    """
    folder = join(nnUNet_preprocessed.require(), str(maybe_convert_to_dataset_name(dataset_name_or_id)))
    plans = PlansManager(plans_file(folder, plans_identifier))
    if configuration is None:
        configuration = "3d_fullres" if "3d_fullres" in plans.available_configurations else "2d"
    data_folder = join(folder, plans.get_configuration(configuration).data_identifier)
    if not os.path.isdir(data_folder):
        raise MissingFileError(
            f"{data_folder} does not exist; run nnUNetv2_preprocess -c {configuration}, or draw raw images (--use_raw)"
        )
    dataset_class = infer_dataset_class(data_folder)
    labels = _shown_labels(read_json(join(folder, DATASET_JSON)), preprocessed=True)
    cases = dataset_class.get_identifiers(data_folder)
    if not cases:
        raise DatasetError(f"{data_folder} has no preprocessed cases")
    tasks = []
    for case in cases:
        output_file = join(output_folder, case + ".png")
        tasks.append((case, (case, dataset_class, data_folder, channel_idx, labels, output_file, overlay_intensity)))
    os.makedirs(output_folder, exist_ok=True)
    map_cases(_plot_preprocessed_case, tasks, num_processes, what="overlays")
