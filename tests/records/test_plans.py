import copy
import json
import warnings

import pytest

from nnunetv2.errors import PlansError
from nnunetv2.records.plans import LEGACY_KEYS, resolve_configuration, upgrade_configuration
from tests.shared_data import GOLDEN, needs_shared

LEGACY = {
    "data_identifier": "P_3d",
    "batch_size": 2,
    "patch_size": [16, 32, 32],
    "spacing": [3.0, 2.0, 2.0],
    "normalization_schemes": ["CTNormalization"],
    "use_mask_for_norm": [False],
    "UNet_class_name": "PlainConvUNet",
    "UNet_base_num_features": 32,
    "n_conv_per_stage_encoder": [2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2],
    "num_pool_per_axis": [1, 2, 2],
    "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "conv_kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "unet_max_num_features": 100,
}


def plans(**configurations):
    return {"plans_name": "P", "dataset_name": "Dataset001_X", "configurations": configurations}


def upgraded(configuration):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return upgrade_configuration(copy.deepcopy(configuration))


def test_a_child_replaces_entries_of_its_parents_and_keeps_the_rest():
    content = plans(
        a={"x": 1, "y": {"p": 1}}, b={"inherits_from": "a", "y": {"q": 2}}, c={"inherits_from": "b", "z": 3}
    )
    assert resolve_configuration(content, "c") == {"x": 1, "y": {"q": 2}, "z": 3, "inherits_from": "b"}


def test_resolving_does_not_touch_the_file_content():
    content = plans(a={"y": [1]}, b={"inherits_from": "a"})
    resolve_configuration(content, "b")["y"].append(2)
    assert content["configurations"]["a"] == {"y": [1]}


def test_a_circle_is_reported_with_its_way():
    content = plans(a={"inherits_from": "b"}, b={"inherits_from": "a"})
    with pytest.raises(RuntimeError, match="a -> b -> a"):
        resolve_configuration(content, "a")


def test_an_unknown_configuration_lists_those_that_exist():
    with pytest.raises(PlansError, match=r"no configuration 'lowres'.*There are: a, b"):
        resolve_configuration(plans(a={}, b={}), "lowres")
    with pytest.raises(ValueError, match=r"named in inherits_from of a"):
        resolve_configuration(plans(a={"inherits_from": "gone"}), "a")


def test_the_old_layout_becomes_an_architecture_and_the_old_keys_go():
    with pytest.warns(UserWarning, match="^Detected old nnU-Net plans format"):
        result = upgrade_configuration(copy.deepcopy(LEGACY))
    assert not set(LEGACY_KEYS) & set(result)
    assert list(result)[-1] == "architecture"
    kwargs = result["architecture"]["arch_kwargs"]
    assert kwargs["features_per_stage"] == [32, 64, 100]
    assert kwargs["conv_op"] == "torch.nn.modules.conv.Conv3d"
    assert kwargs["n_conv_per_stage"] == [2, 2, 2]


def test_an_unused_old_key_may_be_missing_but_a_needed_one_may_not():
    without = {k: v for k, v in LEGACY.items() if k != "num_pool_per_axis"}
    assert upgraded(without)["architecture"] == upgraded(LEGACY)["architecture"]
    broken = {k: v for k, v in LEGACY.items() if k != "conv_kernel_sizes"}
    with pytest.raises(PlansError, match="conv_kernel_sizes"):
        upgrade_configuration(broken)


def test_old_network_keys_below_a_new_architecture_warn():
    content = plans(a=upgraded(LEGACY), b={"inherits_from": "a", "UNet_base_num_features": 8})
    with pytest.warns(UserWarning, match="UNet_base_num_features"):
        resolve_configuration(content, "b")


@needs_shared
def test_the_published_flare24_configuration_resolves_as_documented():
    content = json.loads((GOLDEN / "flare24" / "plans.json").read_text())
    resolved = upgraded(resolve_configuration(content, "3d_fullres_S4D2W32"))
    kwargs = resolved["architecture"]["arch_kwargs"]
    assert kwargs["features_per_stage"] == [32, 64, 128, 256]
    assert resolved["data_identifier"] == "nnUNetPlans_3d_fullres"
    assert resolved["inherits_from"] == "3d_fullres"
