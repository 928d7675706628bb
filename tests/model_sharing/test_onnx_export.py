import hashlib
import json

import numpy as np
import onnxruntime
import pytest
import torch

from nnunetv2.errors import UsageError
from nnunetv2.inference.predictor import nnUNetPredictor
from nnunetv2.model_sharing import onnx_export
from nnunetv2.model_sharing.onnx_command import export_onnx_entry_point
from nnunetv2.model_sharing.onnx_export import ParityError, export_onnx
from nnunetv2.training.checkpoint import write_checkpoint
from tests.inference.conftest import make_dataset_json, make_plans
from tests.inference.engines.conftest import small_unet, states

ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 2,
        "features_per_stage": [8, 16],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [2, 2, 2]],
        "n_conv_per_stage": [1, 1],
        "n_conv_per_stage_decoder": [1],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}


@pytest.fixture
def model(tmp_path):
    """A model folder with folds 0 and 1 of a tiny network for two channels and three labels."""
    folder = tmp_path / "model"
    folder.mkdir()
    plans = make_plans(patch_size=(8, 16, 12), spacing=(3.0, 1.0, 1.0), channels=2, architecture=ARCHITECTURE)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(make_dataset_json(channels=2)))
    for fold, weights in enumerate(states(2)):
        (folder / f"fold_{fold}").mkdir()
        content = {
            "network_weights": weights,
            "trainer_name": "nnUNetTrainer",
            "init_args": {"configuration": "small"},
            "inference_allowed_mirroring_axes": (0, 1, 2),
        }
        write_checkpoint(folder / f"fold_{fold}" / "checkpoint_final.pth", content)
    return folder


def test_files_give_the_networks_logits_for_any_batch_and_the_manifest_describes_them(model, tmp_path):
    out = tmp_path / "onnx"
    export_onnx_entry_point(["-m", str(model), "-o", str(out)])
    manifest = json.loads((out / "manifest.json").read_text())
    assert sorted(p.name for p in out.iterdir()) == ["fold_0.onnx", "fold_1.onnx", "manifest.json"]
    tiles = torch.randn(3, 2, 8, 16, 12)
    network = small_unet()
    for fold, (entry, weights) in enumerate(zip(manifest["files"], states(2))):
        path = out / entry["file"]
        assert entry["fold"] == fold and entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert all(figures["relative"] < 1e-4 for figures in entry["parity"].values())
        network.load_state_dict(weights)
        with torch.inference_mode():
            expected = network(tiles).numpy()
        (logits,) = onnxruntime.InferenceSession(str(path)).run(["logits"], {"image": tiles.numpy()})
        np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert manifest["spacing_mm"] == [3.0, 1.0, 1.0] and manifest["patch_size"] == [8, 16, 12]
    assert manifest["mirroring_axes"] == [0, 1, 2] and manifest["tile_step"] == 0.5
    assert manifest["labels"] == {"background": 0, "shell": 1, "core": 2} and manifest["regions_class_order"] is None
    assert manifest["channel_names"] == {"0": "CT", "1": "CT"} and manifest["precision"] == "f32"
    assert manifest["normalization"]["schemes"] == ["NoNormalization"] * 2
    assert manifest["normalization"]["foreground_intensity_properties_per_channel"]["1"] == {"mean": 0.0, "std": 1.0}
    assert manifest["transpose_forward"] == [0, 1, 2] and manifest["versions"]["opset"] == 17


def test_a_file_that_differs_from_the_network_is_refused_with_figures(model, tmp_path, monkeypatch):
    write = onnx_export.write_network

    def write_another(network, example, path):
        write(small_unet(seed=7), example, path)

    monkeypatch.setattr(onnx_export, "write_network", write_another)
    with pytest.raises(
        ParityError, match=r"fold_1.onnx was not written: on a random tile its logits differ .* % of the labels"
    ):
        export_onnx(str(model), str(tmp_path / "onnx"), [1])
    assert list((tmp_path / "onnx").iterdir()) == []


def test_without_the_extra_the_error_says_how_to_install_it(model, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"onnx and onnxruntime not installed: pip install 'nnunetv2\[onnx\]'"):
        export_onnx(str(model), str(tmp_path / "onnx"))


@pytest.mark.parametrize("flags", [[], ["-m", "x", "-d", "4"], ["-d", "4"], ["-c", "2d"]])
def test_the_model_is_named_one_way(flags, capsys):
    with pytest.raises(SystemExit):
        export_onnx_entry_point(["-o", "out", *flags])
    assert "either with -m, or with -d and -c" in capsys.readouterr().err


def test_the_manifest_is_enough_to_predict(model, tmp_path):
    """Mean of the files' logits on a case of one tile equals the predictor's."""
    out = tmp_path / "onnx"
    manifest = export_onnx(str(model), str(out))
    tile = torch.randn(2, *manifest["patch_size"])
    runs = [
        onnxruntime.InferenceSession(str(out / entry["file"])).run(None, {"image": tile[None].numpy()})[0][0]
        for entry in manifest["files"]
    ]
    predictor = nnUNetPredictor(
        device=torch.device("cpu"),
        use_mirroring=False,
        allow_tqdm=False,
        accumulator_dtype=torch.float32,
        engine="torch",
    )
    predictor.initialize_from_trained_model_folder(str(model), None)
    logits = predictor.predict_logits_from_preprocessed_data(tile)
    np.testing.assert_allclose(logits.numpy(), np.mean(runs, 0), atol=1e-3)
