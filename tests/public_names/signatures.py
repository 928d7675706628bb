"""Signatures that several lines of the table share."""

from __future__ import annotations

RAW_CASES = "get_filenames_of_train_images_and_targets(raw_dataset_folder, dataset_json=None)"
FIND_CLASS = (
    "recursive_find_python_class(folder, class_name, current_module, base_folder=None, verbose=False, "
    "cleanup_imports_from_base_folder=False)"
)
MODELS = "trainer_name='nnUNetTrainer', plans_identifier='nnUNetPlans'"
