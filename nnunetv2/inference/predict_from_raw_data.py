"""Facade: the established import path of the predictor and of the names other programs take, or replace, here.

Replacing an attribute of this module has an effect: see ``nnunetv2.inference.patchable``.
"""

import multiprocessing

from batchgenerators.dataloading.multi_threaded_augmenter import MultiThreadedAugmenter
from batchgenerators.utilities.file_and_folder_operations import (
    isdir,
    isfile,
    join,
    load_json,
    maybe_mkdir_p,
    save_json,
    subdirs,
)
from tqdm import tqdm

from nnunetv2.configuration import num_processes
from nnunetv2.inference.commands import predict_entry_point, predict_entry_point_modelfolder
from nnunetv2.inference.data_iterators import (
    PreprocessAdapterFromNpy,
    preprocessing_iterator_fromfiles,
    preprocessing_iterator_fromnpy,
)
from nnunetv2.inference.export_prediction import (
    convert_predicted_logits_to_segmentation_with_correct_shape,
    export_prediction_from_logits,
)
from nnunetv2.inference.legacy_function import predict_from_raw_data
from nnunetv2.inference.predictor import nnUNetPredictor
from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window
from nnunetv2.utilities.file_path_utilities import check_workers_alive_and_busy, get_output_folder
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.helpers import dummy_context, empty_cache
from nnunetv2.utilities.json_export import recursive_fix_for_json_export
from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot, determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from nnunetv2.utilities.utils import create_lists_from_splitted_dataset_folder

__all__ = [
    "ConfigurationManager",
    "MultiThreadedAugmenter",
    "PlansManager",
    "PreprocessAdapterFromNpy",
    "check_workers_alive_and_busy",
    "compute_gaussian",
    "compute_steps_for_sliding_window",
    "convert_labelmap_to_one_hot",
    "convert_predicted_logits_to_segmentation_with_correct_shape",
    "create_lists_from_splitted_dataset_folder",
    "determine_num_input_channels",
    "dummy_context",
    "empty_cache",
    "export_prediction_from_logits",
    "get_output_folder",
    "isdir",
    "isfile",
    "join",
    "load_json",
    "maybe_mkdir_p",
    "multiprocessing",
    "nnUNetPredictor",
    "predict_entry_point",
    "predict_entry_point_modelfolder",
    "predict_from_raw_data",
    "preprocessing_iterator_fromfiles",
    "preprocessing_iterator_fromnpy",
    "recursive_find_python_class",
    "recursive_find_trainer_class_by_name",
    "recursive_fix_for_json_export",
    "save_json",
    "subdirs",
    "tqdm",
]


def __getattr__(name: str) -> int:
    if name == "default_num_processes":
        return num_processes()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
