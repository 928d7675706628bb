"""LabelManager: from network output to label maps, for labels and for regions.

torch is imported only where a tensor is handled, so that planning and evaluation do not load it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os.path import join
from typing import TYPE_CHECKING, Any

import numpy as np

import nnunetv2
from nnunetv2.errors import ClassNotFoundError, LabelsError
from nnunetv2.records.dataset_json import channel_names_of
from nnunetv2.records.label_values import LabelValues
from nnunetv2.records.labels import Labels, Region
from nnunetv2.utilities.class_kinds import require_class
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.helpers import softmax_helper_dim0

if TYPE_CHECKING:
    import torch

    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

    ArrayOrTensor = np.ndarray | torch.Tensor


class LabelManager:
    """What the labels of a data set mean for training and prediction.

    Values are those in files. ``dense`` is the label manager of training, whose values are output channels; both are
    the same object unless dataset.json names other integers than 0, 1, 2, ... (see ``records.label_values``).

    Parameters
    ----------
    label_dict : the ``labels`` entry of dataset.json; kept as given.
    regions_class_order : label written for each region, in region order; needed for region-based training.
    force_use_labels : read regions as plain labels.
    inference_nonlin : callable from logits (C, Z, Y, X) to probabilities; default softmax over C, sigmoid for regions.

    Raises LabelsError (a RuntimeError, ValueError and AssertionError) when the definition contradicts itself.
    """

    def __init__(
        self,
        label_dict: Mapping[str, Any],
        regions_class_order: Sequence[int] | None,
        force_use_labels: bool = False,
        inference_nonlin: Callable | None = None,
    ):
        self.label_dict = label_dict
        self.regions_class_order = regions_class_order
        labels = Labels.from_json(label_dict, regions_class_order, force_use_labels)
        self._has_regions = labels.regions is not None
        self._ignore_label = labels.ignore_label
        self._all_labels: list[int] = list(labels.all_labels)
        self._regions: list[Region] | None = None if labels.regions is None else list(labels.regions)
        self._values = LabelValues.of(labels)
        self.inference_nonlin = inference_nonlin or (_sigmoid if self._has_regions else softmax_helper_dim0)

    @property
    def values(self) -> LabelValues:
        """The map between the values in files and the numbers in preprocessed data and training."""
        return self._values

    @property
    def dense(self) -> LabelManager:
        """The label manager of preprocessed data and training."""
        if self.values.is_identity:
            return self
        order = self.regions_class_order
        return type(self)(
            self.values.dense_labels(self.label_dict),
            None if order is None else [self.values.number(label) for label in order],
            force_use_labels=not self.has_regions,
            inference_nonlin=self.inference_nonlin,
        )

    @property
    def has_regions(self) -> bool:
        """Whether training is region based: some entry of ``labels`` is a list of several values."""
        return self._has_regions

    @property
    def has_ignore_label(self) -> bool:
        """Whether some voxels are to be ignored."""
        return self.ignore_label is not None

    @property
    def ignore_label(self) -> int | None:
        """Value of the ignored voxels, or None."""
        return self._ignore_label

    @property
    def all_labels(self) -> list[int]:
        """All label values in ascending order with background, without the ignore label."""
        return self._all_labels

    @property
    def all_regions(self) -> list[Region] | None:
        """Regions in the order of dataset.json, or None when training is not region based."""
        return self._regions

    @property
    def foreground_labels(self) -> list[int]:
        """All label values without background."""
        return self.filter_background(self.all_labels)

    @property
    def foreground_regions(self) -> list[Region]:
        """Regions without those that are background only. Raises TypeError when training is not region based."""
        if self.all_regions is None:
            raise TypeError("this data set has no regions; use foreground_labels")
        return self.filter_background(self.all_regions)

    @property
    def num_segmentation_heads(self) -> int:
        """Output channels of the network: one per foreground region, or one per label with background."""
        return len(self.foreground_regions) if self.has_regions else len(self.all_labels)

    @staticmethod
    def filter_background(classes_or_regions: Sequence[Region]) -> list[Region]:
        """The entries that are not 0 and do not consist of zeros only."""
        return [
            entry
            for entry in classes_or_regions
            if (any(label != 0 for label in entry) if isinstance(entry, (tuple, list)) else entry != 0)
        ]

    def apply_inference_nonlin(self, logits: ArrayOrTensor) -> torch.Tensor:
        """Probabilities, float32 tensor, from logits (C, Z, Y, X), array or tensor."""
        import torch

        if isinstance(logits, np.ndarray):
            logits = torch.from_numpy(logits)
        with torch.no_grad():
            return self.inference_nonlin(logits.float())

    def convert_probabilities_to_segmentation(self, predicted_probabilities: ArrayOrTensor) -> ArrayOrTensor:
        """Label map (Z, Y, X) from probabilities (C, Z, Y, X).

        Labels: the one of the largest channel, the first one on ties. Regions: the label of each region where its
        probability exceeds one half, later regions over earlier ones. Raises RuntimeError for another type, and
        LabelsError when C differs from ``num_segmentation_heads``.
        """
        is_array = isinstance(predicted_probabilities, np.ndarray)
        if not is_array:
            import torch

            if not isinstance(predicted_probabilities, torch.Tensor):
                raise RuntimeError(f"expected an array or a tensor, got {type(predicted_probabilities).__name__}")
        channels = predicted_probabilities.shape[0]
        if channels != self.num_segmentation_heads:
            raise LabelsError(
                f"the prediction has {channels} channels, the labels of the data set need {self.num_segmentation_heads}"
            )
        if not self.has_regions:
            if is_array:
                return self.values.to_original(predicted_probabilities.argmax(0))
            return self.values.to_original(torch.from_numpy(predicted_probabilities.cpu().float().numpy().argmax(0)))
        shape = predicted_probabilities.shape[1:]
        if is_array:
            segmentation = np.zeros(shape, dtype=np.uint16)
        else:
            high = max(map(int, self.regions_class_order), default=0) > torch.iinfo(torch.int16).max
            dtype = torch.int32 if high else torch.int16
            segmentation = torch.zeros(shape, dtype=dtype, device=predicted_probabilities.device)
        for probability, label in zip(predicted_probabilities, self.regions_class_order):
            segmentation[probability > 0.5] = int(label)
        return segmentation

    def convert_logits_to_segmentation(self, predicted_logits: ArrayOrTensor) -> ArrayOrTensor:
        """Label map (Z, Y, X) from logits (C, Z, Y, X); an array gives an array, a tensor a tensor."""
        if not self.has_regions:
            return self.convert_probabilities_to_segmentation(predicted_logits)
        probabilities = self.apply_inference_nonlin(predicted_logits)
        if isinstance(predicted_logits, np.ndarray):
            probabilities = probabilities.cpu().numpy()
        return self.convert_probabilities_to_segmentation(probabilities)

    def revert_cropping_on_probabilities(
        self,
        predicted_probabilities: ArrayOrTensor,
        bbox: Sequence[Sequence[int]],
        original_shape: Sequence[int],
    ) -> ArrayOrTensor:
        """Place probabilities (C, ...) of a crop into the full image: outside is background (all zero for regions).

        ``bbox`` holds [start, end) per spatial axis; parts outside ``original_shape`` are cut off.
        """
        shape = (predicted_probabilities.shape[0], *original_shape)
        if isinstance(predicted_probabilities, np.ndarray):
            result = np.zeros(shape, dtype=predicted_probabilities.dtype)
        else:
            import torch

            result = torch.zeros(shape, dtype=predicted_probabilities.dtype)
        if not self.has_regions:
            result[0] = 1
        target, source = [slice(None)], [slice(None)]
        for (low, high), size in zip(bbox, original_shape):
            start, stop = max(low, 0), min(high, size)
            target.append(slice(start, max(stop, start)))
            source.append(slice(start - low, max(stop, start) - low))
        result[tuple(target)] = predicted_probabilities[tuple(source)]
        return result


def _sigmoid(logits: torch.Tensor) -> torch.Tensor:
    return logits.sigmoid()


def get_labelmanager_class_from_plans(plans: Mapping[str, Any]) -> type[LabelManager]:
    """The label manager class that the plans name; LabelManager when they name none (plans before v2.1).

    Raises ClassNotFoundError for an unknown name.
    """
    name = plans.get("label_manager")
    if name is None:
        return LabelManager
    found = recursive_find_python_class(
        join(nnunetv2.__path__[0], "utilities", "label_handling"), name, "nnunetv2.utilities.label_handling"
    )
    if found is None:
        raise ClassNotFoundError(
            f"the plans name the label manager {name!r}, which is not in nnunetv2/utilities/label_handling. "
            "Put its file there, or correct the entry label_manager"
        )
    return require_class(
        found, name, "the plans entry label_manager", ("convert_logits_to_segmentation",), LabelManager
    )


def convert_labelmap_to_one_hot(
    segmentation: ArrayOrTensor, all_labels: Sequence[int], output_dtype: Any = None
) -> ArrayOrTensor:
    """One channel per label: (len(all_labels), \\*segmentation.shape), 1 where the segmentation equals the label.

    ``output_dtype`` defaults to uint8, or uint16 when a label is 255 or more (int32 for tensors, which lack uint16).
    """
    small = max(all_labels) < 255
    if isinstance(segmentation, np.ndarray):
        dtype = output_dtype or (np.uint8 if small else np.uint16)
        result = np.zeros((len(all_labels), *segmentation.shape), dtype=dtype)
    else:
        import torch

        dtype = output_dtype or (torch.uint8 if small else torch.int32)
        result = torch.zeros((len(all_labels), *segmentation.shape), dtype=dtype, device=segmentation.device)
    for channel, label in zip(result, all_labels):
        channel[segmentation == int(label)] = 1
    return result


def determine_num_input_channels(
    plans_manager: PlansManager,
    configuration_or_config_manager: str | ConfigurationManager,
    dataset_json: Mapping[str, Any],
) -> int:
    """Input channels of the network: image channels, plus one per foreground label in the second stage of a cascade."""
    configuration = configuration_or_config_manager
    if isinstance(configuration, str):
        configuration = plans_manager.get_configuration(configuration)
    channels = len(channel_names_of(dataset_json))
    if configuration.previous_stage_name is not None:
        channels += len(plans_manager.get_label_manager(dataset_json).foreground_labels)
    return channels
