"""Adding a configuration to a plans file."""

import json

from nnunetv2.demo.hand_edit import add_configuration, small_unet_entry
from nnunetv2.records.plans import resolve_configuration
from tests.shared_data import GOLDEN, needs_shared


def plans_with_parent() -> dict:
    parent = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "batch_size": 4,
        "patch_size": [8, 8, 8],
        "spacing": [1, 1, 1],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
    }
    return {"plans_name": "nnUNetPlans", "dataset_name": "Dataset001_X", "configurations": {"3d_fullres": parent}}


def test_the_added_configuration_is_valid_and_inherits_the_rest(tmp_path):
    path = tmp_path / "nnUNetPlans.json"
    path.write_text(json.dumps(plans_with_parent()))
    entry = small_unet_entry("nnUNetPlans", "small", 8, (5.0, 4.0, 4.0), (32, 64, 64))
    add_configuration(path, "small", entry)
    plans = json.loads(path.read_text())
    resolved = resolve_configuration(plans, "small")
    assert resolved["architecture"]["arch_kwargs"]["n_stages"] == 4
    assert resolved["batch_size"] == 4
    assert resolved["normalization_schemes"] == ["CTNormalization"]
    assert resolved["data_identifier"] == "nnUNetPlans_small"
    assert resolved["architecture"]["arch_kwargs"]["features_per_stage"] == [8, 16, 32, 64]
    assert plans["configurations"]["3d_fullres"] == plans_with_parent()["configurations"]["3d_fullres"]


def test_a_batch_size_of_its_own_replaces_the_inherited_one():
    assert small_unet_entry("p", "n", 8, (1.0, 1.0, 1.0), (8, 8, 8), batch_size=3)["batch_size"] == 3


@needs_shared
def test_the_worked_example_equals_the_recorded_hand_edit():
    recorded = json.loads((GOLDEN / "Dataset111_SarcomaCT" / "nnUNetPlans_edited.json").read_text())
    name = "3d_fullres_S4D2W32"
    assert (
        small_unet_entry("nnUNetPlans", name, 32, (3.0, 2.0, 2.0), (96, 128, 128)) == recorded["configurations"][name]
    )
