"""From logits in network space to a segmentation (and probabilities) on the grid of the original image, and to files.

Shapes are (C, Z, Y, X) in the transposed, cropped, resampled space of the network on the way in, and in the axis order
of the image reader on the way out. Spacings are in mm.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nnunetv2.configuration import available_cpus, num_processes
from nnunetv2.ensembling.probability_files import NPZ, write_probabilities
from nnunetv2.errors import LabelsError
from nnunetv2.geometry.boxes import insert
from nnunetv2.inference.streaming.label_targets import LabelTarget
from nnunetv2.inference.streaming.labels_from_logits import follows_stock_rules, label_dtype, labels_of_channels
from nnunetv2.inference.streaming.slab_export import LabelRun, can_stream, labels_of_logits, spacings, takes
from nnunetv2.preprocessing.resampling.slab_resampling import stock_settings
from nnunetv2.preprocessing.resampling.torch_threads import borrowed_torch_threads
from nnunetv2.records.files import read_json, write_pickle
from nnunetv2.records.folders import written_aside
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

ArrayOrTensor = np.ndarray | torch.Tensor
Spacing = Sequence[float]


def _threads(requested: int | None) -> int:
    """Torch threads for one export: as requested (None: ``nnUNet_def_n_proc``, else 8), at most one per CPU."""
    return max(1, min(num_processes() if requested is None else requested, available_cpus()))


def _resampled_channels(
    logits: ArrayOrTensor, shape: Sequence[int], current: Spacing, new: Spacing, configuration: ConfigurationManager
) -> Iterator[torch.Tensor]:
    """Each channel (Z, Y, X) resampled to ``shape`` by the function the plans name, in the dtype that returns."""
    resample = configuration.resampling_fn_probabilities
    for channel in range(len(logits)):
        yield torch.as_tensor(resample(logits[channel : channel + 1], shape, current, new)).cpu()[0]


def _require_heads(logits: ArrayOrTensor, label_manager: LabelManager) -> None:
    if len(logits) != label_manager.num_segmentation_heads:
        raise LabelsError(
            f"the prediction has {len(logits)} channels, but the labels in dataset.json need "
            f"{label_manager.num_segmentation_heads}; this dataset.json does not belong to this model"
        )


def _segmentation(channels: Iterator[torch.Tensor], label_manager: LabelManager) -> np.ndarray:
    """Label map (Z, Y, X), uint8 or uint16, on the grid of the channels."""
    if follows_stock_rules(label_manager):
        return labels_of_channels(channels, label_manager)
    stacked = torch.stack(list(channels)).numpy()
    return np.asarray(label_manager.convert_logits_to_segmentation(stacked)).astype(label_dtype(label_manager))


def _probabilities_and_segmentation(
    channels: Iterator[torch.Tensor], heads: int, label_manager: LabelManager
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float32 (C, Z, Y, X) and the label map made of them (not of the logits).

    Stock label managers work slice by slice in the array of the logits, so there is one such array only.
    """
    values: torch.Tensor | None = None
    for index, channel in enumerate(channels):
        if values is None:
            values = torch.empty((heads, *channel.shape), dtype=torch.float32)
        values[index] = channel
    dtype = label_dtype(label_manager)
    if not follows_stock_rules(label_manager):
        probabilities = torch.as_tensor(label_manager.apply_inference_nonlin(values)).cpu().numpy()
        return probabilities, np.asarray(label_manager.convert_probabilities_to_segmentation(probabilities)).astype(
            dtype
        )
    segmentation = np.empty(values.shape[1:], dtype=dtype)
    for z in range(values.shape[1]):
        values[:, z] = label_manager.apply_inference_nonlin(values[:, z])
        segmentation[z] = label_manager.convert_probabilities_to_segmentation(values[:, z].numpy())
    return values.numpy(), segmentation


def _on_image_grid(segmentation: np.ndarray, plans_manager: PlansManager, properties: Mapping[str, Any]) -> np.ndarray:
    """Put a cropped, transposed label map back to where it was in the image; 0 outside the crop."""
    full = np.zeros(tuple(properties["shape_before_cropping"]), dtype=segmentation.dtype)
    full = insert(full, segmentation, properties["bbox_used_for_cropping"])
    return full.transpose(plans_manager.transpose_backward)


def convert_predicted_logits_to_segmentation_with_correct_shape(
    predicted_logits: ArrayOrTensor,
    plans_manager: PlansManager,
    configuration_manager: ConfigurationManager,
    label_manager: LabelManager,
    properties_dict: dict,
    return_probabilities: bool = False,
    num_threads_torch: int | None = None,
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Segmentation on the original grid from logits (C, Z, Y, X) in network space.

    Stock resampling and labels are computed some slices at a time, anything else one channel after the other. Without
    probabilities no array of all channels at full resolution is made. ``num_threads_torch`` defaults to
    ``nnUNet_def_n_proc``, else 8.

    Returns the segmentation (uint8; uint16 from 255 labels on) in the axis order of the image reader, and with
    ``return_probabilities`` also float32 probabilities (C, ...); outside the crop the background has probability 1, or
    all regions 0. Raises LabelsError when C is not what the label manager needs.
    """
    _require_heads(predicted_logits, label_manager)
    threads = _threads(num_threads_torch)
    with borrowed_torch_threads(threads), torch.inference_mode():
        if can_stream(label_manager, configuration_manager) and takes(predicted_logits):
            target = LabelTarget(properties_dict, plans_manager.transpose_backward, label_manager, return_probabilities)
            for run in _runs(
                *(predicted_logits, plans_manager, configuration_manager, label_manager, properties_dict),
                *(return_probabilities, threads),
            ):
                target.write(run)
            return target.result()
        return _by_whole_channels(
            *(predicted_logits, plans_manager, configuration_manager, label_manager, properties_dict),
            return_probabilities,
        )


def _runs(
    logits: ArrayOrTensor,
    plans_manager: PlansManager,
    configuration_manager: ConfigurationManager,
    label_manager: LabelManager,
    properties: Mapping[str, Any],
    probabilities: bool,
    threads: int,
) -> Iterator[LabelRun]:
    """Labels of logits by the stock functions, some slices at a time, on the device of the logits."""
    return labels_of_logits(
        torch.as_tensor(logits),
        properties["shape_after_cropping_and_before_resampling"],
        *spacings(plans_manager, configuration_manager, properties),
        stock_settings(configuration_manager.resampling_fn_probabilities, allowed_orders=(1,)),
        label_manager,
        probabilities=probabilities,
        threads=threads,
    )


def _by_whole_channels(
    logits: ArrayOrTensor,
    plans_manager: PlansManager,
    configuration_manager: ConfigurationManager,
    label_manager: LabelManager,
    properties: Mapping[str, Any],
    return_probabilities: bool,
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """The same with whatever resampling function and label manager the plans name, one channel after the other."""
    current, original = spacings(plans_manager, configuration_manager, properties)
    shape = [int(n) for n in properties["shape_after_cropping_and_before_resampling"]]
    channels = _resampled_channels(logits, shape, current, original, configuration_manager)
    if not return_probabilities:
        return _on_image_grid(_segmentation(channels, label_manager), plans_manager, properties)
    probabilities, segmentation = _probabilities_and_segmentation(channels, len(logits), label_manager)
    probabilities = label_manager.revert_cropping_on_probabilities(
        probabilities, properties["bbox_used_for_cropping"], properties["shape_before_cropping"]
    )
    axes = [0, *(axis + 1 for axis in plans_manager.transpose_backward)]
    return _on_image_grid(segmentation, plans_manager, properties), np.asarray(probabilities).transpose(axes)


def _write_segmentation(
    segmentation: np.ndarray, path: str, plans_manager: PlansManager, properties: Mapping[str, Any]
) -> None:
    """Write through the plans' writer, atomically whatever that writer does."""
    with written_aside(path) as temporary:
        plans_manager.image_reader_writer_class().write_seg(segmentation, str(temporary), properties)


def export_prediction_from_logits(
    predicted_array_or_file: ArrayOrTensor | str,
    properties_dict: dict,
    configuration_manager: ConfigurationManager,
    plans_manager: PlansManager,
    dataset_json_dict_or_file: dict | str,
    output_file_truncated: str,
    save_probabilities: bool = False,
    num_threads_torch: int | None = None,
) -> None:
    """Write ``<output_file_truncated><file_ending>`` from logits (C, Z, Y, X), or from an ``.npy`` file of them.

    With ``save_probabilities`` also ``.npz`` (key ``probabilities``, float32, (C, *image shape)) and ``.pkl`` (the
    properties). Files appear only when complete, the segmentation last. Creates the folder.
    """
    if isinstance(predicted_array_or_file, (str, os.PathLike)):
        predicted_array_or_file = np.load(predicted_array_or_file)
    dataset_json = _dataset_json(dataset_json_dict_or_file)
    label_manager = plans_manager.get_label_manager(dataset_json)
    result = convert_predicted_logits_to_segmentation_with_correct_shape(
        predicted_array_or_file,
        plans_manager,
        configuration_manager,
        label_manager,
        properties_dict,
        return_probabilities=save_probabilities,
        num_threads_torch=num_threads_torch,
    )
    del predicted_array_or_file
    segmentation, probabilities = result if save_probabilities else (result, None)
    write_case(segmentation, probabilities, properties_dict, plans_manager, dataset_json, output_file_truncated)


def write_case(
    segmentation: np.ndarray,
    probabilities: np.ndarray | None,
    properties: dict,
    plans_manager: PlansManager,
    dataset_json: Mapping[str, Any],
    output_file_truncated: str,
    probability_format: str = NPZ,
    by_slices: bool = False,
) -> None:
    """Write what was predicted: probabilities (C, *image shape) and properties if there are any, then the label map.

    ``probability_format`` is a key of ``probability_files.ENDINGS``. ``by_slices`` writes a NIfTI label map that is
    mapped from a file without a copy of it in memory. Creates the folder.
    """
    os.makedirs(os.path.dirname(output_file_truncated) or ".", exist_ok=True)
    path = output_file_truncated + dataset_json["file_ending"]
    if probabilities is not None:
        # An earlier label map would vouch for probabilities of another prediction.
        if os.path.isfile(path):
            os.unlink(path)
        write_probabilities(probabilities, output_file_truncated, probability_format)
        write_pickle(output_file_truncated + ".pkl", properties)
    if by_slices:
        from nnunetv2.imageio.nifti_slices import write_label_slices

        write_label_slices(segmentation, path, plans_manager.image_reader_writer_class, properties)
    else:
        _write_segmentation(segmentation, path, plans_manager, properties)


def resample_and_save(
    predicted: ArrayOrTensor,
    target_shape: Sequence[int],
    output_file: str,
    plans_manager: PlansManager,
    configuration_manager: ConfigurationManager,
    properties_dict: dict,
    dataset_json_dict_or_file: dict | str,
    num_threads_torch: int | None = None,
    dataset_class: type | None = None,
) -> None:
    """Store the segmentation as input of the next cascade stage: logits resampled to that stage's preprocessed shape.

    ``output_file`` has no ending. The result stays in preprocessed space, with dense label numbers, and is written by
    ``dataset_class.save_seg`` (default: blosc2). The current spacing counts as source and target, so it alone decides
    about a separate axis.
    """
    if dataset_class is None:
        from nnunetv2.storage.blosc2_store import nnUNetDatasetBlosc2 as dataset_class
    label_manager = plans_manager.get_label_manager(_dataset_json(dataset_json_dict_or_file)).dense
    _require_heads(predicted, label_manager)
    current, _ = spacings(plans_manager, configuration_manager, properties_dict)
    shape = [int(n) for n in target_shape]
    with borrowed_torch_threads(_threads(num_threads_torch)), torch.inference_mode():
        channels = _resampled_channels(predicted, shape, current, current, configuration_manager)
        segmentation = _segmentation(channels, label_manager)
    dataset_class.save_seg(segmentation, output_file)


def _dataset_json(dict_or_file: dict | str) -> dict:
    return read_json(dict_or_file) if isinstance(dict_or_file, (str, os.PathLike)) else dict_or_file


def __getattr__(name: str) -> Any:
    if name == "insert_crop_into_image":  # taken from here by other programs
        from acvl_utils.cropping_and_padding.bounding_boxes import insert_crop_into_image

        return insert_crop_into_image
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
