"""PlansManager and ConfigurationManager: typed access to a plans file and to one configuration in it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from os.path import join
from typing import Any

import nnunetv2
from nnunetv2.errors import ClassNotFoundError, PlansError
from nnunetv2.records.files import read_json
from nnunetv2.records.plain_names import is_plain_name
from nnunetv2.records.plans import plans_title, resolve_configuration, upgrade_configuration
from nnunetv2.utilities.class_kinds import require_class
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.label_handling.label_handling import LabelManager, get_labelmanager_class_from_plans

# What a class is used for, by the entry that names it; classes need not have a base of ours.
_METHODS = {
    "preprocessor_name": ("run_case", "run_case_npy"),
    "image_reader_writer": ("read_images", "read_seg", "write_seg"),
    "experiment_planner_used": ("plan_experiment",),
}


def _find(folder: Sequence[str], name: str, entry: str) -> type:
    """Class ``name`` below the package folder ``folder``; the error names the plans entry that asked for it."""
    found = recursive_find_python_class(join(nnunetv2.__path__[0], *folder), name, ".".join(("nnunetv2", *folder)))
    if found is None:
        raise ClassNotFoundError(
            f"the plans entry {entry} is {name!r}, but nnunetv2/{'/'.join(folder)} has no class of that name. "
            "Correct the entry, or put the file with the class into that folder"
        )
    return require_class(found, name, f"the plans entry {entry}", _METHODS[entry])


def _folder_name(name: Any, entry: str) -> str:
    """``name`` when it may name a folder; plans come from others, and results are written below it."""
    if not is_plain_name(name):
        raise PlansError(
            f"the plans entry {entry} is {name!r}; it names a folder, so it must be text without separators"
        )
    return name


class ConfigurationManager:
    """One configuration, inheritance resolved. The dictionary is kept by reference: edits to it take effect.

    A configuration in the layout before v2.3 is upgraded in the dictionary that is passed in.
    """

    def __init__(self, configuration_dict: dict[str, Any]):
        self.configuration = upgrade_configuration(configuration_dict)

    def __repr__(self) -> str:
        return repr(self.configuration)

    def __getitem__(self, key: str) -> Any:
        return self._entry(key)

    def _entry(self, key: str) -> Any:
        try:
            return self.configuration[key]
        except KeyError as error:
            raise PlansError(
                f"the configuration has no entry {key!r} (and inherits none); add it to the plans"
            ) from error

    @property
    def data_identifier(self) -> str:
        """Folder of the preprocessed cases below the preprocessed data set."""
        return _folder_name(self._entry("data_identifier"), "data_identifier")

    @property
    def preprocessor_name(self) -> str:
        """Class name of the preprocessor."""
        return self._entry("preprocessor_name")

    @property
    def preprocessor_class(self) -> type:
        """Class of the preprocessor, found by name below nnunetv2/preprocessing."""
        return _find(("preprocessing",), self.preprocessor_name, "preprocessor_name")

    @property
    def batch_size(self) -> int:
        """Samples per batch over all devices."""
        return self._entry("batch_size")

    @property
    def patch_size(self) -> list[int]:
        """Patch in voxels, transposed axis order; two values for 2D."""
        return self._entry("patch_size")

    @property
    def median_image_size_in_voxels(self) -> list[float]:
        """Median size of the resampled cases; information only."""
        return self._entry("median_image_size_in_voxels")

    @property
    def spacing(self) -> list[float]:
        """Target spacing in mm, transposed axis order; two values for 2D."""
        return self._entry("spacing")

    @property
    def normalization_schemes(self) -> list[str]:
        """Class name of the normalization per channel."""
        return self._entry("normalization_schemes")

    @property
    def use_mask_for_norm(self) -> list[bool]:
        """Per channel: whether normalization looks only at the nonzero mask."""
        return self._entry("use_mask_for_norm")

    @property
    def batch_dice(self) -> bool:
        """Whether the Dice loss pools the samples of a batch."""
        return self._entry("batch_dice")

    @property
    def network_arch_class_name(self) -> str:
        """Dotted name of the network class."""
        return self._entry("architecture")["network_class_name"]

    @property
    def network_arch_init_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of the network class; the live dictionary, copy before editing."""
        return self._entry("architecture")["arch_kwargs"]

    @property
    def network_arch_init_kwargs_req_import(self) -> list[str]:
        """Names of those arguments whose values are dotted names to import."""
        return self._entry("architecture")["_kw_requires_import"]

    @property
    def pool_op_kernel_sizes(self) -> list[list[int]]:
        """Stride of each stage; the first is all ones."""
        return self.network_arch_init_kwargs["strides"]

    @functools.cached_property
    def resampling_fn_data(self) -> Callable:
        """Resampling of images: ``fn(data, new_shape, current_spacing, new_spacing)``."""
        return self._resampling("data")

    @functools.cached_property
    def resampling_fn_seg(self) -> Callable:
        """Resampling of segmentations, same call."""
        return self._resampling("seg")

    @functools.cached_property
    def resampling_fn_probabilities(self) -> Callable:
        """Resampling of logits and probabilities, same call."""
        return self._resampling("probabilities")

    def _resampling(self, kind: str) -> Callable:
        # The door to a higher folder is opened at use: plans name the function, it may be in a file users added.
        from nnunetv2.preprocessing.resampling.utils import recursive_find_resampling_fn_by_name

        function = recursive_find_resampling_fn_by_name(self._entry(f"resampling_fn_{kind}"))
        return functools.partial(function, **self._entry(f"resampling_fn_{kind}_kwargs"))

    @property
    def previous_stage_name(self) -> str | None:
        """Configuration whose segmentations are input to this one (cascade), or None."""
        return self.configuration.get("previous_stage")

    @property
    def next_stage_names(self) -> list[str] | None:
        """Configurations that take this one's segmentations as input, or None."""
        names = self.configuration.get("next_stage")
        names = [names] if isinstance(names, str) else names
        return None if names is None else [_folder_name(name, "next_stage") for name in names]

    # Trainers written for v2.0 to v2.2 read the network by these names.
    UNet_class_name = property(lambda self: self.network_arch_class_name.rsplit(".", 1)[-1])
    UNet_base_num_features = property(lambda self: self.network_arch_init_kwargs["features_per_stage"][0])
    unet_max_num_features = property(lambda self: max(self.network_arch_init_kwargs["features_per_stage"]))
    conv_kernel_sizes = property(lambda self: self.network_arch_init_kwargs["kernel_sizes"])
    n_conv_per_stage_decoder = property(lambda self: self.network_arch_init_kwargs["n_conv_per_stage_decoder"])

    @property
    def UNet_class(self) -> type:
        """The network class itself."""
        from nnunetv2.networks.resolve import resolve_network_class

        return resolve_network_class(self.network_arch_class_name)

    @property
    def n_conv_per_stage_encoder(self) -> list[int]:
        """Convolutions (plain) or blocks (residual) per encoder stage."""
        kwargs = self.network_arch_init_kwargs
        return kwargs["n_conv_per_stage"] if "n_conv_per_stage" in kwargs else kwargs["n_blocks_per_stage"]

    @property
    def num_pool_per_axis(self) -> list[int]:
        """How often each axis is halved."""
        return [sum(stride[axis] > 1 for stride in self.pool_op_kernel_sizes) for axis in range(len(self.patch_size))]


class PlansManager:
    """A plans file (path) or its content (dictionary, kept by reference).

    Raises FileContentError or PlansError naming the file when it cannot be read or lacks ``configurations``.
    """

    def __init__(self, plans_file_or_dict: str | Mapping[str, Any]):
        if isinstance(plans_file_or_dict, Mapping):
            self.plans = plans_file_or_dict
        else:
            self.plans = read_json(plans_file_or_dict)
        if not isinstance(self.plans, Mapping) or not isinstance(self.plans.get("configurations"), Mapping):
            source = "the dictionary" if self.plans is plans_file_or_dict else str(plans_file_or_dict)
            raise PlansError(f"{source} is not a plans file: it has no 'configurations'")
        self._configurations: dict[str, ConfigurationManager] = {}

    def __repr__(self) -> str:
        return repr(self.plans)

    def _entry(self, key: str) -> Any:
        try:
            return self.plans[key]
        except KeyError as error:
            raise PlansError(
                f"{plans_title(self.plans)}: the entry {key!r} is missing; add it or plan again"
            ) from error

    def _internal_resolve_configuration_inheritance(
        self, configuration_name: str, visited: tuple[str, ...] | None = None
    ) -> dict[str, Any]:
        return resolve_configuration(self.plans, configuration_name)

    def get_configuration(self, configuration_name: str) -> ConfigurationManager:
        """The configuration of that name; the same object at every call, so edits to it persist.

        Raises PlansError (a RuntimeError and a ValueError) for an unknown name, listing those that exist.
        """
        if configuration_name not in self._configurations:
            resolved = resolve_configuration(self.plans, configuration_name)
            self._configurations[configuration_name] = ConfigurationManager(resolved)
        return self._configurations[configuration_name]

    @property
    def available_configurations(self) -> list[str]:
        """Names of the configurations in file order."""
        return list(self.plans["configurations"])

    @property
    def dataset_name(self) -> str:
        """Data set the plans were made for, such as Dataset004_Hippocampus."""
        return _folder_name(self._entry("dataset_name"), "dataset_name")

    @property
    def plans_name(self) -> str:
        """Name of the plans; part of the result folder's name."""
        return _folder_name(self._entry("plans_name"), "plans_name")

    @property
    def original_median_spacing_after_transp(self) -> list[float]:
        """Median spacing of the data set in mm, transposed; information only."""
        return self._entry("original_median_spacing_after_transp")

    @property
    def original_median_shape_after_transp(self) -> list[int]:
        """Median shape of the data set in voxels, transposed; information only."""
        return self._entry("original_median_shape_after_transp")

    @property
    def transpose_forward(self) -> list[int]:
        """Permutation applied to the image axes before anything else."""
        return self._entry("transpose_forward")

    @property
    def transpose_backward(self) -> list[int]:
        """Inverse of ``transpose_forward``."""
        return self._entry("transpose_backward")

    @property
    def image_reader_writer_class(self) -> type:
        """Reader and writer of the images, found by name below nnunetv2/imageio."""
        return _find(("imageio",), self._entry("image_reader_writer"), "image_reader_writer")

    @property
    def experiment_planner_name(self) -> str:
        """Class name of the planner that made these plans."""
        return self._entry("experiment_planner_used")

    @property
    def experiment_planner_class(self) -> type:
        """That planner, found by name below nnunetv2/experiment_planning."""
        return _find(("experiment_planning",), self.experiment_planner_name, "experiment_planner_used")

    @property
    def foreground_intensity_properties_per_channel(self) -> dict[str, dict[str, float]]:
        """Intensity statistics of the foreground per channel number; accepts the key of early v2 files."""
        older = "foreground_intensity_properties_by_modality"
        key = "foreground_intensity_properties_per_channel"
        return self.plans[older] if key not in self.plans and older in self.plans else self._entry(key)

    @property
    @functools.lru_cache(maxsize=1)  # noqa: B019  clients clear this cache through the property's getter
    def label_manager_class(self) -> type[LabelManager]:
        """Label manager that the plans name."""
        return get_labelmanager_class_from_plans(self.plans)

    def get_label_manager(self, dataset_json: Mapping[str, Any], **kwargs: Any) -> LabelManager:
        """Label manager for the labels in ``dataset_json``; ``kwargs`` go to its constructor."""
        return self.label_manager_class(
            label_dict=dataset_json["labels"], regions_class_order=dataset_json.get("regions_class_order"), **kwargs
        )
