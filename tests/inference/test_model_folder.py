import json

import pytest
import torch

from nnunetv2.errors import CheckpointError
from nnunetv2.inference import model_folder
from nnunetv2.inference import predict_from_raw_data as facade
from nnunetv2.inference.predictor import nnUNetPredictor
from nnunetv2.training.checkpoint import write_checkpoint
from nnunetv2.utilities import find_class_by_name
from tests.inference.conftest import make_dataset_json, make_plans

FINAL = "checkpoint_final.pth"


class TinyTrainer:
    """Stands for a trainer: only its static method is called at inference."""

    @staticmethod
    def build_network_architecture(
        plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
    ):
        assert not enable_deep_supervision
        return torch.nn.Conv3d(num_input_channels, num_output_channels, 1)


def checkpoint(value=0.0, channels=1, heads=3, **changes) -> dict:
    network = torch.nn.Conv3d(channels, heads, 1)
    weights = {name: torch.full_like(tensor, value) for name, tensor in network.state_dict().items()}
    return {
        "network_weights": weights,
        "optimizer_state": {"state": {}},
        "grad_scaler_state": None,
        "logging": {},
        "_best_ema": 0.5,
        "current_epoch": 1,
        "init_args": {"configuration": "small", "fold": 0},
        "trainer_name": "TinyTrainer",
        "inference_allowed_mirroring_axes": (0, 1),
    } | changes


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A model folder with folds 0 and 1 (final) and ``all`` (best only)."""
    (tmp_path / "plans.json").write_text(json.dumps(make_plans()))
    (tmp_path / "dataset.json").write_text(json.dumps(make_dataset_json()))
    write_checkpoint(tmp_path / "fold_0" / FINAL, checkpoint(1.0))
    write_checkpoint(tmp_path / "fold_1" / FINAL, checkpoint(2.0))
    write_checkpoint(tmp_path / "fold_all" / "checkpoint_best.pth", checkpoint(9.0))
    monkeypatch.setattr(facade, "recursive_find_trainer_class_by_name", lambda name: TinyTrainer)
    return tmp_path


def load(folder, folds, name=FINAL) -> nnUNetPredictor:
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder), folds, checkpoint_name=name)
    return predictor


@pytest.mark.parametrize(
    ("folds", "values"), [(None, [1, 2]), ((1, 0), [2, 1]), ([1], [2]), (0, [1]), ("0", [1]), (("1",), [2])]
)
def test_folds_may_be_given_in_every_form(trained, folds, values):
    predictor = load(trained, folds)
    assert [weights["weight"].flatten()[0].item() for weights in predictor.list_of_parameters] == values
    assert predictor.network.weight.flatten()[0].item() == values[0]
    assert predictor.trainer_name == "TinyTrainer"
    assert predictor.allowed_mirroring_axes == (0, 1)
    assert predictor.configuration_manager.patch_size == [8, 8, 8]
    assert predictor.label_manager.foreground_labels == [1, 2]


def test_fold_all_is_taken_only_when_it_is_named(trained):
    assert load(trained, "all", "checkpoint_best.pth").network.weight.flatten()[0].item() == 9
    with pytest.raises(FileNotFoundError, match="no numbered fold with checkpoint_best.pth"):
        load(trained, None, "checkpoint_best.pth")


def test_a_missing_fold_is_answered_with_what_there_is(trained):
    with pytest.raises(FileNotFoundError) as info:
        load(trained, (0, 1, 2, 3, 4))
    for part in ("fold 2, 3, 4", "fold_0: checkpoint_final.pth", "fold_all: checkpoint_best.pth", "-f", "-chk"):
        assert part in str(info.value)


def test_no_folds_a_missing_folder_and_an_empty_one_are_errors(trained, tmp_path):
    with pytest.raises(ValueError, match="no folds"):
        load(trained, [])
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load(tmp_path / "nowhere", None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no fold_"):
        model_folder.detect_folds(tmp_path / "empty")


def test_auto_detection_counts_in_numbers(trained):
    write_checkpoint(trained / "fold_10" / FINAL, checkpoint())
    assert nnUNetPredictor.auto_detect_available_folds(str(trained), FINAL) == [0, 1, 10]


def test_a_checkpoint_of_another_architecture_is_refused_with_its_path(trained):
    write_checkpoint(trained / "fold_1" / FINAL, checkpoint(channels=2))
    with pytest.raises(CheckpointError, match=r"fold_1/checkpoint_final.pth does not fit"):
        load(trained, None)


def test_a_file_that_is_no_checkpoint_of_a_model_is_refused(trained):
    write_checkpoint(trained / "fold_0" / FINAL, {"network_weights": {}})
    with pytest.raises(ValueError, match="trainer_name, init_args"):
        load(trained, (0,))


def test_prefixes_of_wrappers_are_removed(trained):
    content = checkpoint(3.0)
    content["network_weights"] = {f"module._orig_mod.{k}": v for k, v in content["network_weights"].items()}
    write_checkpoint(trained / "fold_0" / FINAL, content)
    assert load(trained, (0,)).network.weight.flatten()[0].item() == 3


def test_only_what_prediction_needs_is_kept(trained):
    fold = model_folder.read_fold(trained, 0, FINAL)
    assert set(vars(fold)) == {"weights", "trainer_name", "configuration_name", "mirroring_axes"}


def test_a_checkpoint_without_mirroring_axes_means_no_mirroring(trained):
    content = checkpoint()
    del content["inference_allowed_mirroring_axes"]
    write_checkpoint(trained / "fold_0" / FINAL, content)
    assert load(trained, (0,)).allowed_mirroring_axes is None


def test_a_replaced_older_search_function_is_asked_first(trained, monkeypatch):
    asked = []

    def search(folder, class_name, current_module):
        asked.append((class_name, current_module))
        return TinyTrainer

    def newer(name):
        raise AssertionError("the older function had been replaced and found the trainer")

    monkeypatch.setattr(facade, "recursive_find_python_class", search)
    monkeypatch.setattr(facade, "recursive_find_trainer_class_by_name", newer)
    load(trained, (0,))
    assert asked == [("TinyTrainer", "nnunetv2.training.nnUNetTrainer")]


def test_the_search_functions_are_those_of_the_package_by_default():
    assert facade.recursive_find_python_class is find_class_by_name.recursive_find_python_class
