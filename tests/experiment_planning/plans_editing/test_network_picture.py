"""The picture of a U-Net."""

import json

import pytest
from matplotlib.image import imread

from nnunetv2.experiment_planning.plans_editing.commands import plans_entry_point
from nnunetv2.experiment_planning.plans_editing.documents import load_plans
from nnunetv2.experiment_planning.plans_editing.network_picture import stages_of
from nnunetv2.experiment_planning.plans_editing.show import describe_configuration
from tests.experiment_planning.plans_editing.plans_of_tests import FLARE24, current_plans, write_plans

PLANS = FLARE24 / "plans.json"
NAME = "3d_fullres_S4D2W32"


def test_stages_halve_the_patch_and_double_the_features():
    stages = stages_of(describe_configuration(load_plans(PLANS), NAME)["network"]["stages"])
    assert [stage.features for stage in stages] == [32, 64, 128, 256]
    assert [stage.size for stage in stages] == [(96, 128, 128), (48, 64, 64), (24, 32, 32), (12, 16, 16)]
    assert [stage.encoder_convolutions for stage in stages] == [2, 2, 2, 2]
    assert [stage.decoder_convolutions for stage in stages] == [2, 2, 2, None]


def test_the_command_draws_boxes(tmp_path):
    plans_entry_point(["show", str(PLANS), NAME, "--png", str(tmp_path / "net.png")])
    red, _, blue = imread(tmp_path / "net.png")[..., :3].transpose(2, 0, 1)
    assert (blue > red + 0.2).mean() > 0.01, "encoder boxes are blue"
    assert (red > blue + 0.2).mean() > 0.01, "decoder boxes are orange"


def refused(capsys, *words) -> str:
    with pytest.raises(SystemExit) as stop:
        plans_entry_point(["show", *map(str, words)])
    assert stop.value.code == 1
    return capsys.readouterr().err


def test_what_cannot_be_drawn_is_one_clear_error(tmp_path, capsys):
    picture = tmp_path / "net.png"
    assert NAME in refused(capsys, PLANS, "4d", "--png", picture)
    assert "name it behind the plans" in refused(capsys, PLANS, "--png", picture)
    plans = json.loads(json.dumps(current_plans()))
    plans["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "mine.Net"
    assert "mine.Net" in refused(capsys, write_plans(tmp_path, plans), "3d_fullres", "--png", picture)
    assert not picture.exists()
