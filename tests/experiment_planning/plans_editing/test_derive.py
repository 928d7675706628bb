"""Deriving a configuration: what is written, what is inherited, what is refused."""

import copy
import json
import warnings

import pytest

from nnunetv2.errors import MissingFileError, PlansError, UsageError
from nnunetv2.experiment_planning.plans_editing.commands import plans_entry_point
from nnunetv2.experiment_planning.plans_editing.derive import Wishes, derive_configuration
from nnunetv2.experiment_planning.plans_editing.derive_file import derive
from nnunetv2.experiment_planning.plans_editing.documents import load_plans
from nnunetv2.records.plans import resolve_configuration, upgrade_configuration
from tests.experiment_planning.plans_editing.plans_of_tests import (
    DATASET,
    FLARE24,
    configuration,
    current_plans,
    older_plans,
    write_plans,
)
from tests.shared_data import GOLDEN, needs_shared

FLARE24_WORDS = (
    "3d_fullres_S4D2W32 --from 3d_fullres --stages 4 --width 32 --spacing 3,2,2 --patch 96,128,128 --batch 2"
)
FLARE24_WISHES = Wishes(stages=4, width=32, spacing=(3, 2, 2), patch_size=(96, 128, 128), batch_size=2)
NAME = "3d_fullres_S4D2W32"


def resolved(plans, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return upgrade_configuration(resolve_configuration(plans, name))


def derived(base="3d_fullres", plans=None, **wishes):
    return derive_configuration(plans or current_plans(), "mine", base, Wishes(**wishes))


@needs_shared
def test_the_flare24_edit_in_one_command_gives_the_recorded_hand_edit_byte_by_byte(tmp_path, capsys):
    path = tmp_path / "nnUNetPlans.json"
    folder = GOLDEN / "Dataset111_SarcomaCT"
    path.write_bytes((folder / "nnUNetPlans.json").read_bytes())
    plans_entry_point(["derive", str(path), *FLARE24_WORDS.split()])
    assert path.read_bytes() == (folder / "nnUNetPlans_edited.json").read_bytes()
    printed = capsys.readouterr().out
    assert f"nnUNetv2_preprocess -d 111 -c {NAME}" in printed
    assert f"nnUNetv2_train 111 {NAME} 0" in printed


def test_the_published_flare24_entry_comes_out_of_the_same_command_on_plans_of_its_time(tmp_path):
    published = json.loads((FLARE24 / "plans.json").read_text())
    before = copy.deepcopy(published)
    entry = before["configurations"].pop(NAME)
    path = tmp_path / "nnUNetPlans.json"
    path.write_text(json.dumps(before, indent=4))
    plans_entry_point(["derive", str(path), *FLARE24_WORDS.split()])
    after = json.loads(path.read_text())
    assert after["configurations"][NAME] == entry
    assert list(after["configurations"][NAME]) == list(entry)
    assert resolved(after, NAME) == resolved(published, NAME)


@pytest.mark.slow
@needs_shared
def test_the_derived_flare24_network_has_the_published_number_of_parameters():
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    plans = json.loads((GOLDEN / "Dataset111_SarcomaCT" / "nnUNetPlans.json").read_text())
    architecture = derive_configuration(plans, NAME, "3d_fullres", FLARE24_WISHES)["architecture"]
    network = get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        1,
        2,
        allow_init=False,
    )
    assert sum(parameter.numel() for parameter in network.parameters()) == 5_602_950


def test_nothing_but_the_new_entry_changes_in_the_file(tmp_path):
    text = json.dumps(current_plans(), indent=2).replace("\n", "\r\n") + "\r\n"
    path = tmp_path / "nnUNetPlans.json"
    path.write_bytes(text.encode())
    derive(path, "mine", "3d_fullres", Wishes(batch_size=4))
    written = path.read_bytes().decode()
    added = ',\r\n    "mine": {\r\n      "inherits_from": "3d_fullres",\r\n      "batch_size": 4\r\n    }'
    assert written.count(added) == 1
    assert written.replace(added, "") == text


def test_what_equals_the_base_is_inherited():
    same = {"stages": 4, "width": 32, "spacing": [1.5, 1, 1], "patch_size": [32, 64, 64], "batch_size": 2}
    assert derived(**same) == {"inherits_from": "3d_fullres"}


def test_a_larger_patch_keeps_network_and_data():
    assert derived(patch_size=[48, 96, 96]) == {"inherits_from": "3d_fullres", "patch_size": [48, 96, 96]}


@pytest.mark.parametrize(
    "wish",
    [
        {"spacing": [3, 2, 2]},
        {"entries": {"normalization_schemes": ["ZScoreNormalization"]}},
        {"entries": {"use_mask_for_norm": [True]}},
        {"entries": {"resampling_fn_seg_kwargs.order": 0}},
        {"entries": {"preprocessor_name": "Other"}},
    ],
)
def test_what_changes_the_preprocessed_cases_comes_with_a_data_identifier_of_its_own(wish):
    assert derived(**wish)["data_identifier"] == "nnUNetPlans_mine"


@pytest.mark.parametrize(
    "wish",
    [{"batch_size": 9}, {"width": 16}, {"stages": 3}, {"entries": {"resampling_fn_probabilities_kwargs.order": 0}}],
)
def test_what_leaves_the_preprocessed_cases_as_they_are_shares_them(wish):
    assert "data_identifier" not in derived(**wish)


def test_a_data_identifier_asked_for_is_taken():
    entry = derived(spacing=[3, 2, 2], entries={"data_identifier": "nnUNetPlans_3d_fullres"})
    assert entry["data_identifier"] == "nnUNetPlans_3d_fullres"


def test_fewer_stages_cut_the_network():
    network = derived(stages=3)["architecture"]["arch_kwargs"]
    assert network["n_stages"] == 3
    assert network["features_per_stage"] == [32, 64, 128]
    assert network["strides"] == [[1] * 3, [2] * 3, [2] * 3]
    assert (network["n_conv_per_stage"], network["n_conv_per_stage_decoder"]) == ([2] * 3, [2] * 2)


def test_more_stages_follow_the_planner_and_features_stop_at_its_limit():
    network = derived(stages=5, patch_size=[64, 128, 128])["architecture"]["arch_kwargs"]
    assert network["features_per_stage"] == [32, 64, 128, 256, 320]
    assert network["strides"] == [[1] * 3] + [[2] * 3] * 4
    assert (
        derived("2d", stages=6, patch_size=[256, 256])["architecture"]["arch_kwargs"]["features_per_stage"][-1] == 512
    )


def test_anisotropic_spacing_pools_the_fine_axes_first():
    network = derived(spacing=[5, 1, 1], patch_size=[16, 128, 128])["architecture"]["arch_kwargs"]
    assert network["strides"] == [[1, 1, 1], [1, 2, 2], [1, 2, 2], [2, 2, 2]]
    assert network["kernel_sizes"] == [[1, 3, 3], [1, 3, 3], [3, 3, 3], [3, 3, 3]]


def test_more_features_change_features_only():
    network, base = (
        plans["architecture"]["arch_kwargs"]
        for plans in (derived(width=48), current_plans()["configurations"]["3d_fullres"])
    )
    assert network == base | {"features_per_stage": [48, 96, 192, 320]}
    assert list(network) == list(base)


def test_a_residual_encoder_keeps_its_kind():
    plans = current_plans()
    network = plans["configurations"]["3d_fullres"]["architecture"]
    network["network_class_name"] = network["network_class_name"].replace("PlainConvUNet", "ResidualEncoderUNet")
    del network["arch_kwargs"]["n_conv_per_stage"]
    network["arch_kwargs"] |= {"n_blocks_per_stage": [1, 3, 4, 6], "n_conv_per_stage_decoder": [1, 1, 1]}
    changed = derived(plans=plans, stages=3)["architecture"]
    assert changed["network_class_name"].endswith("ResidualEncoderUNet")
    assert changed["arch_kwargs"]["n_blocks_per_stage"] == [1, 3, 4]


def test_plans_of_before_v2_3_get_an_entry_in_their_own_keys():
    entry = derived(plans=older_plans(), stages=3, width=400)
    assert entry == {
        "inherits_from": "3d_fullres",
        "UNet_base_num_features": 400,
        "n_conv_per_stage_encoder": [2, 2, 2],
        "n_conv_per_stage_decoder": [2, 2],
        "num_pool_per_axis": [2, 2, 2],
        "pool_op_kernel_sizes": [[1] * 3, [2] * 3, [2] * 3],
        "conv_kernel_sizes": [[3] * 3] * 3,
        "unet_max_num_features": 400,
    }


def test_dotted_keys_reach_into_what_is_inherited():
    entry = derived(entries={"architecture.arch_kwargs.nonlin_kwargs.negative_slope": 0.1})
    base = current_plans()["configurations"]["3d_fullres"]["architecture"]
    base["arch_kwargs"]["nonlin_kwargs"]["negative_slope"] = 0.1
    assert entry == {"inherits_from": "3d_fullres", "architecture": base}


def test_other_networks_keep_their_arguments_and_refuse_stages():
    plans = current_plans()
    plans["configurations"]["3d_fullres"]["architecture"] = {
        "network_class_name": "mine.Net",
        "arch_kwargs": {"depth": 3},
        "_kw_requires_import": [],
    }
    assert "architecture" not in derived(plans=plans, spacing=[3, 2, 2])
    with pytest.raises(UsageError, match=r"mine\.Net.*arch_kwargs"):
        derived(plans=plans, width=3)


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"patch_size": [33, 64, 64]}, "--patch 32,64,64"),
        ({"patch_size": [64, 64]}, "3 axes"),
        ({"spacing": [1, -1, 1]}, "positive"),
        ({"stages": 9}, "halved for 7 at most"),
        ({"stages": 1}, "2 or more"),
        ({"batch_size": 0}, "--batch is 0"),
        ({"entries": {"batch_dice.x": 1}}, "no object batch_dice"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused_with_a_way_out(wishes, message):
    with pytest.raises(UsageError, match=message):
        derived(**wishes)


@pytest.mark.parametrize("name", ["", "a__b", "a/b", "a:b", " a"])
def test_names_that_would_break_folder_names_are_refused(name):
    with pytest.raises(UsageError, match="name of a configuration"):
        derive_configuration(current_plans(), name, "3d_fullres", Wishes())


def test_an_unknown_base_lists_those_there_are():
    with pytest.raises(PlansError, match="3d_cascade_fullres"):
        derived("3d_full")


def test_an_existing_name_is_replaced_only_on_demand(tmp_path):
    path = write_plans(tmp_path, current_plans())
    with pytest.raises(UsageError, match="--overwrite"):
        derive(path, "2d", "3d_fullres", Wishes(batch_size=3))
    derive(path, "mine", "3d_fullres", Wishes(batch_size=3))
    derive(path, "mine", "3d_fullres", Wishes(batch_size=5), overwrite=True)
    assert json.loads(path.read_text())["configurations"]["mine"]["batch_size"] == 5


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    path = write_plans(tmp_path, current_plans())
    before = path.read_bytes()
    plans_entry_point(["derive", str(path), "mine", "--from", "3d_fullres", "--dry_run", "batch_dice=false"])
    assert path.read_bytes() == before
    assert '"batch_dice": false' in capsys.readouterr().out


def test_preprocessed_cases_that_are_there_need_no_command(tmp_path):
    path = write_plans(tmp_path, current_plans())
    wishes = Wishes(batch_size=3)
    assert derive(path, "a", "3d_fullres", wishes).preprocess_command == "nnUNetv2_preprocess -d 1 -c a"
    folder = path.parent / "nnUNetPlans_3d_fullres"
    folder.mkdir()
    (folder / "case.b2nd").write_bytes(b"")
    assert derive(path, "b", "3d_fullres", wishes).preprocess_command is None


def test_values_are_read_as_json_or_else_as_text_wherever_they_stand(tmp_path):
    path = write_plans(tmp_path, current_plans())
    words = [
        "mine",
        "batch_size=7",
        "--from",
        "3d_fullres",
        "--width",
        "8",
        "use_mask_for_norm=[true]",
        "preprocessor_name=P",
    ]
    plans_entry_point(["derive", str(path), *words])
    entry = json.loads(path.read_text())["configurations"]["mine"]
    assert (entry["batch_size"], entry["use_mask_for_norm"], entry["preprocessor_name"]) == (7, [True], "P")
    with pytest.raises(SystemExit) as end:
        plans_entry_point(["derive", str(path), "other", "--from", "3d_fullres", "--width", "8", "word"])
    assert end.value.code == 2


def test_a_data_set_stands_for_its_plans(folders):
    path = write_plans(folders["nnUNet_preprocessed"], current_plans(), "otherPlans.json")
    for dataset in (1, "1", DATASET):
        found = load_plans(dataset, "otherPlans")
        assert found.path == str(path)
        assert found.dataset_json["labels"] == {"background": 0, "lesion": 1}
    with pytest.raises(MissingFileError, match="otherPlans.*-p"):
        load_plans(1)
    with pytest.raises(MissingFileError, match="none.json does not exist"):
        load_plans("none.json")
    with pytest.raises(UsageError, match="is a folder"):
        load_plans(path.parent)
    assert configuration("x", [1.0, 1.0], [8, 8], 2)["patch_size"] == [8, 8]
