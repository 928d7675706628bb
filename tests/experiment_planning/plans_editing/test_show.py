"""What ``nnUNetv2_plans show`` says about a configuration."""

import json

import pytest

from nnunetv2.experiment_planning.plans_editing.commands import plans_entry_point
from nnunetv2.experiment_planning.plans_editing.documents import load_plans
from nnunetv2.experiment_planning.plans_editing.show import describe_configuration, median_shape
from tests.experiment_planning.plans_editing.plans_of_tests import FLARE24, current_plans, write_plans
from tests.shared_data import GOLDEN, needs_shared

NAME = "3d_fullres_S4D2W32"


def shown(capsys, *words) -> str:
    plans_entry_point(["show", *map(str, words)])
    return capsys.readouterr().out


def test_the_flare24_configuration_is_described_with_its_published_numbers():
    said = describe_configuration(load_plans(FLARE24 / "plans.json"), NAME)
    assert said["inherits"] == ["3d_fullres"]
    assert said["entries"]["spacing"] == {"value": [3.0, 2.0, 2.0], "from": "3d_fullres"}
    assert said["entries"]["pool_op_kernel_sizes"]["from"] == NAME
    assert (said["input_channels"], said["output_channels"]) == (1, 2)
    assert said["network"]["parameters"] == 5_602_950
    assert [stage["size"] for stage in said["network"]["stages"]][-1] == [12, 16, 16]
    assert said["images"]["patch_mm"] == [288.0, 256.0, 256.0]
    assert said["images"]["median_voxels"] == [121, 206, 206]
    # 121 and 206 voxels in steps of half a patch: 2 x 3 x 3 tiles
    assert said["images"]["tiles"] == 18


@pytest.mark.parametrize(
    ("name", "parameters"), [("3d_fullres", 30_785_994), ("2d", 46_324_558), ("3d_cascade_fullres", 30_786_858)]
)
def test_parameters_of_the_other_published_configurations(name, parameters):
    assert describe_configuration(load_plans(FLARE24 / "plans.json"), name)["network"]["parameters"] == parameters


@needs_shared
@pytest.mark.parametrize("dataset", ["Dataset004_Hippocampus", "Dataset111_SarcomaCT", "Dataset112_SarcomaT1CTPET"])
def test_the_median_image_is_what_the_planner_wrote(dataset):
    documents = load_plans(GOLDEN / dataset / "nnUNetPlans.json")
    planned = documents.plans["configurations"]["3d_fullres"]
    found = median_shape(documents, planned["spacing"])
    assert all(abs(a - b) <= 1 for a, b in zip(found, planned["median_image_size_in_voxels"]))


def test_a_2d_configuration_is_tiled_slice_by_slice(tmp_path):
    said = describe_configuration(load_plans(write_plans(tmp_path, current_plans())), "2d")
    # 120 pixels in steps of at most 32: 3 tiles per axis, 60 slices
    assert said["images"]["tiles"] == 60 * 9
    assert said["images"]["median_voxels"] == [60, 120, 120]


def test_text_names_origin_size_reach_memory_and_tiles(tmp_path, capsys):
    path = write_plans(tmp_path, current_plans())
    text = shown(capsys, path, "3d_cascade_fullres")
    assert "inherits from 3d_fullres" in text
    assert '"nnUNetPlans_3d_fullres"  (3d_fullres)' in text
    assert "2 input and 2 output channels" in text, "one image channel and the foreground label of the first stage"
    for words in ("receptive field: 79 × 79 × 79", "training step", "predicting a tile", "median image", "tiles of"):
        assert words in text
    overview = shown(capsys, path)
    assert [line.split()[0] for line in overview.splitlines()[2:]] == list(current_plans()["configurations"])


def test_json_holds_the_same(tmp_path, capsys):
    path = write_plans(tmp_path, current_plans())
    assert json.loads(shown(capsys, path, "2d", "--json")) == describe_configuration(load_plans(path), "2d")
    assert set(json.loads(shown(capsys, path, "--json"))) == set(current_plans()["configurations"])


def test_another_network_and_missing_documents_leave_gaps_not_errors(tmp_path, capsys):
    plans = current_plans()
    plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "mine.Net"
    del plans["original_median_shape_after_transp"]
    path = write_plans(tmp_path, plans)
    (path.parent / "dataset.json").unlink()
    said = describe_configuration(load_plans(path), "3d_fullres")
    assert said["network"] is None and said["images"]["tiles"] is None
    assert "mine.Net" not in shown(capsys, path)
    assert "PlainConvUNet and ResidualEncoderUNet only" in shown(capsys, path, "3d_fullres")


def test_region_labels_count_by_regions(tmp_path):
    path = write_plans(tmp_path, current_plans())
    labels = {"background": 0, "whole": [1, 2], "core": 2, "edge": 1}
    content = {
        "channel_names": {"0": "CT"},
        "labels": labels,
        "regions_class_order": [1, 2, 1],
        "file_ending": ".nii.gz",
    }
    (path.parent / "dataset.json").write_text(json.dumps(content))
    assert describe_configuration(load_plans(path), "2d")["output_channels"] == 3
