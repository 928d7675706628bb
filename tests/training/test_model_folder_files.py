"""Names of the folders and files a training writes."""

from __future__ import annotations

import re
import time

import pytest

from nnunetv2.errors import EnvironmentVariableError
from nnunetv2.training import model_folder_files
from nnunetv2.training.model_folder_files import log_file_name, trainer_folders
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from tests.training.tiny_training import DATASET, tiny_plans


@pytest.fixture
def plans_manager():
    plans = tiny_plans()
    plans["configurations"]["second"] = {"inherits_from": "tiny", "previous_stage": "tiny"}
    return PlansManager(plans)


def test_folders_follow_class_plans_configuration_and_fold(plans_manager, folders):
    found = trainer_folders("MyTrainer", plans_manager, "tiny", "all")
    model = folders["nnUNet_results"] / DATASET / "MyTrainer__nnUNetPlans__tiny"
    assert found.model == str(model)
    assert found.fold == str(model / "fold_all")
    assert found.preprocessed == str(folders["nnUNet_preprocessed"] / DATASET / "nnUNetPlans_tiny")
    assert found.previous_stage is None


def test_the_second_stage_reads_what_the_first_left_for_it(plans_manager, folders):
    found = trainer_folders("MyTrainer", plans_manager, "second", 0)
    first = folders["nnUNet_results"] / DATASET / "MyTrainer__nnUNetPlans__tiny"
    assert found.previous_stage == str(first / "predicted_next_stage" / "second")


def test_without_preprocessed_data_only_results_are_known(plans_manager, folders, monkeypatch):
    monkeypatch.delenv("nnUNet_preprocessed")
    assert trainer_folders("T", plans_manager, "tiny", 0).preprocessed is None
    monkeypatch.delenv("nnUNet_results")
    with pytest.raises(EnvironmentVariableError, match="nnUNet_results"):
        trainer_folders("T", plans_manager, "tiny", 0)


def test_the_log_file_has_day_and_month_without_padding(monkeypatch):
    moment = time.struct_time((2026, 3, 4, 5, 6, 7, 0, 0, 0))
    monkeypatch.setattr(model_folder_files.time, "localtime", lambda: moment)
    assert log_file_name() == "training_log_2026_3_4_05_06_07.txt"
    assert re.fullmatch(r"training_log_\d+_\d+_\d+_\d\d_\d\d_\d\d\.txt", log_file_name())
