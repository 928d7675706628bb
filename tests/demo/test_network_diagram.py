"""The picture of a U-Net."""

from pathlib import Path

import pytest
from matplotlib.image import imread

from nnunetv2.demo.network_diagram import main, stages_of
from nnunetv2.records.files import read_json
from nnunetv2.records.plans import resolve_configuration, upgrade_configuration

PLANS = (
    Path(__file__).resolve().parents[2]
    / "nnUNet_results/Dataset024_FLARE24_Task1/nnUNetTrainer__nnUNetPlans__3d_fullres_S4D2W32/plans.json"
)

pytestmark = pytest.mark.filterwarnings("ignore:Detected old:UserWarning")


def test_stages_halve_the_patch_and_double_the_features():
    stages = stages_of(upgrade_configuration(resolve_configuration(read_json(PLANS), "3d_fullres_S4D2W32")))
    assert [stage.features for stage in stages] == [32, 64, 128, 256]
    assert [stage.size for stage in stages] == [(96, 128, 128), (48, 64, 64), (24, 32, 32), (12, 16, 16)]
    assert [stage.decoder_convolutions for stage in stages] == [2, 2, 2, None]


def test_the_command_draws_boxes(tmp_path):
    main([str(PLANS), "3d_fullres_S4D2W32", str(tmp_path / "net.png")])
    red, _, blue = imread(tmp_path / "net.png")[..., :3].transpose(2, 0, 1)
    assert (blue > red + 0.2).mean() > 0.01, "encoder boxes are blue"
    assert (red > blue + 0.2).mean() > 0.01, "decoder boxes are orange"


def test_an_unknown_configuration_is_one_clear_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main([str(PLANS), "4d", str(tmp_path / "net.png")])
    assert stop.value.code == 1
    assert "3d_fullres_S4D2W32" in capsys.readouterr().err
    assert not (tmp_path / "net.png").exists()
