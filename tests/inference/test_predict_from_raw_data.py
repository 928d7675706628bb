import inspect

import numpy as np
import torch

from nnunetv2.inference import predict_from_raw_data as facade
from tests.inference.conftest import Thresholds, make_predictor

# Taken from here by other programs (names of things that live elsewhere included).
TAKEN = (
    *("nnUNetPredictor", "predict_entry_point", "predict_entry_point_modelfolder", "predict_from_raw_data"),
    *("compute_gaussian", "check_workers_alive_and_busy", "empty_cache", "convert_labelmap_to_one_hot"),
    *("PreprocessAdapterFromNpy", "MultiThreadedAugmenter", "multiprocessing", "tqdm", "join", "maybe_mkdir_p"),
    *("save_json", "recursive_fix_for_json_export", "recursive_find_trainer_class_by_name"),
    *("recursive_find_python_class", "export_prediction_from_logits", "default_num_processes"),
    *("convert_predicted_logits_to_segmentation_with_correct_shape", "load_json", "isfile"),
)


def test_all_names_others_take_from_here_exist():
    assert [name for name in TAKEN if not hasattr(facade, name)] == []


def test_every_exported_name_exists():
    assert [name for name in facade.__all__ if not hasattr(facade, name)] == []


def test_the_function_of_v2_0_loads_and_predicts(image_folder, tmp_path, monkeypatch):
    class Loaded(facade.nnUNetPredictor):
        def initialize_from_trained_model_folder(self, folder, use_folds, checkpoint_name):
            assert (folder, use_folds, checkpoint_name) == ("model", (0,), "checkpoint_best.pth")
            self.__dict__.update(make_predictor(Thresholds()).__dict__)

    monkeypatch.setattr(facade, "nnUNetPredictor", Loaded)
    facade.predict_from_raw_data(
        str(image_folder.folder),
        str(tmp_path / "out"),
        "model",
        (0,),
        checkpoint_name="checkpoint_best.pth",
        num_processes_preprocessing=0,
        num_processes_segmentation_export=0,
        device=torch.device("cpu"),
    )
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 3


def test_positional_orders_others_rely_on():
    def names(function):
        return [p for p in inspect.signature(function).parameters if p != "self"]

    predictor = facade.nnUNetPredictor
    assert names(predictor.manual_initialization) == [
        *("network", "plans_manager", "configuration_manager", "parameters", "dataset_json", "trainer_name"),
        "inference_allowed_mirroring_axes",
    ]
    assert names(predictor.predict_from_files) == [
        *("list_of_lists_or_source_folder", "output_folder_or_list_of_truncated_output_files", "save_probabilities"),
        *("overwrite", "num_processes_preprocessing", "num_processes_segmentation_export"),
        *("folder_with_segs_from_prev_stage", "num_parts", "part_id"),
    ]
    assert names(predictor.predict_single_npy_array) == [
        *("input_image", "image_properties", "segmentation_previous_stage", "output_file_truncated"),
        "save_or_return_probabilities",
    ]
    assert names(facade.export_prediction_from_logits) == [
        *("predicted_array_or_file", "properties_dict", "configuration_manager", "plans_manager"),
        *("dataset_json_dict_or_file", "output_file_truncated", "save_probabilities", "num_threads_torch"),
    ]


def test_a_replaced_predictor_method_is_used(image_folder, monkeypatch):
    monkeypatch.setattr(
        facade.nnUNetPredictor,
        "predict_sliding_window_return_logits",
        lambda self, data: torch.zeros(3, *data.shape[1:], dtype=torch.float16),
    )
    results = make_predictor(Thresholds()).predict_from_files(str(image_folder.folder), None, False, True, 0, 0)
    assert all(not np.any(result) for result in results)
