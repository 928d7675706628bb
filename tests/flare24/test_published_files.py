"""plans.json and dataset.json of the FLARE24 Task 1 system, as published."""

import json
from pathlib import Path

import pytest

from nnunetv2.records.dataset_json import DatasetJson
from nnunetv2.records.labels import Labels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from tests.shared_data import GOLDEN, needs_shared

CONFIGURATION = "3d_fullres_S4D2W32"
RESULTS = Path(__file__).resolve().parents[2] / "nnUNet_results" / "Dataset024_FLARE24_Task1"
FOLDERS = [
    RESULTS / f"{trainer}__nnUNetPlans__{CONFIGURATION}"
    for trainer in ("nnUNetTrainer_Epoch2000_Lr1e3", "nnUNetTrainer")
]


@needs_shared
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
def test_the_files_equal_the_published_ones_value_by_value(folder, name):
    ours, published = (json.loads((place / name).read_text()) for place in (folder, GOLDEN / "flare24"))
    assert ours == published
    assert list(ours) == list(published)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_labels_written_as_text_are_read_as_numbers(folder):
    dataset = DatasetJson.load(folder / "dataset.json")
    assert Labels.from_json(dataset.labels).all_labels == (0, 1)
    assert dataset.num_training == 5000


@pytest.mark.filterwarnings("ignore:Detected old:UserWarning")
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_configuration_is_four_stages_of_width_32_on_3_by_2_by_2_mm(folder):
    configuration = PlansManager(str(folder / "plans.json")).get_configuration(CONFIGURATION)
    network = configuration.network_arch_init_kwargs
    assert network["features_per_stage"] == [32, 64, 128, 256]
    assert network["n_conv_per_stage"] == [2, 2, 2, 2]
    assert network["strides"] == [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]]
    assert configuration.patch_size == [96, 128, 128]
    assert configuration.spacing == [3.0, 2.0, 2.0]
    assert configuration.batch_size == 2


@pytest.mark.filterwarnings("ignore:Detected old:UserWarning")
def test_the_network_has_the_published_number_of_parameters():
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    configuration = PlansManager(str(FOLDERS[0] / "plans.json")).get_configuration(CONFIGURATION)
    network = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        1,
        2,
        allow_init=False,
    )
    assert sum(parameter.numel() for parameter in network.parameters()) == 5_602_950
