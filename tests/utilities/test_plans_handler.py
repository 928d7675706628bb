import copy
import json
import pickle
import warnings

import pytest

from nnunetv2.errors import ClassNotFoundError, FileContentError, PlansError
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from tests.shared_data import GOLDEN, needs_shared

pytestmark = needs_shared


@pytest.fixture
def flare24():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        manager = PlansManager(str(GOLDEN / "flare24" / "plans.json"))
        manager.get_configuration("3d_fullres_S4D2W32")
    return manager


def test_the_published_configuration_reads_as_documented(flare24):
    configuration = flare24.get_configuration("3d_fullres_S4D2W32")
    assert configuration.patch_size == [96, 128, 128]
    assert configuration.spacing == [3.0, 2.0, 2.0]
    assert configuration.pool_op_kernel_sizes == [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]]
    assert configuration.previous_stage_name is None and configuration.next_stage_names is None
    assert configuration.UNet_base_num_features == 32 and configuration.n_conv_per_stage_encoder == [2, 2, 2, 2]
    assert configuration.num_pool_per_axis == [3, 3, 3] and configuration.UNet_class_name == "PlainConvUNet"
    assert flare24.plans["configurations"]["3d_fullres"]["UNet_class_name"] == "PlainConvUNet"


def test_a_configuration_is_the_same_object_each_time_so_edits_last(flare24):
    flare24.get_configuration("3d_fullres_S4D2W32").configuration["batch_size"] = 7
    assert flare24.get_configuration("3d_fullres_S4D2W32").batch_size == 7


def test_managers_can_be_copied_and_sent_to_workers(flare24):
    for twin in (copy.deepcopy(flare24), pickle.loads(pickle.dumps(flare24))):
        assert twin.get_configuration("3d_fullres_S4D2W32").patch_size == [96, 128, 128]


def test_the_statistics_of_early_files_are_found():
    assert PlansManager(
        {"configurations": {}, "foreground_intensity_properties_by_modality": {"0": {}}}
    ).foreground_intensity_properties_per_channel == {"0": {}}


def test_an_unknown_configuration_is_a_runtime_error_with_the_choice(flare24):
    with pytest.raises(RuntimeError, match="There are: 2d"):
        flare24.get_configuration("4d")


def test_missing_entries_and_unknown_classes_are_named():
    manager = PlansManager({"configurations": {}, "image_reader_writer": "NoSuchIO", "plans_name": "P"})
    with pytest.raises(PlansError, match="'transpose_forward' is missing"):
        _ = manager.transpose_forward
    with pytest.raises(ClassNotFoundError, match="image_reader_writer is 'NoSuchIO'"):
        _ = manager.image_reader_writer_class
    with pytest.raises(PlansError, match="'batch_size'"):
        _ = ConfigurationManager({"architecture": {}}).batch_size


def test_files_that_are_no_plans_are_refused(tmp_path):
    (tmp_path / "p.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(PlansError, match=r"p\.json is not a plans file"):
        PlansManager(str(tmp_path / "p.json"))
    (tmp_path / "q.json").write_text("{")
    with pytest.raises(FileContentError, match=r"q\.json"):
        PlansManager(str(tmp_path / "q.json"))


def test_the_label_manager_getter_has_a_cache_that_clients_clear(flare24):
    assert flare24.label_manager_class.__name__ == "LabelManager"
    PlansManager.label_manager_class.fget.cache_clear()
    assert flare24.get_label_manager({"labels": {"background": 0, "a": 1}}).foreground_labels == [1]
