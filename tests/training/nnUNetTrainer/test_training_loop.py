"""A tiny training on the CPU: what it writes, how it is resumed and interrupted, and its recorded losses."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunetv2.errors import CheckpointError, DatasetError, MissingFileError, UsageError
from nnunetv2.training.checkpoint import read_checkpoint
from tests.training.tiny_training import CASES, CPU, SPLITS, TinyTrainer, dataset_json_of, make_trainer, tiny_plans

LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}: (.*) $")
NUMBER = r"-?\d+(?:\.\d+)?(?:e-\d+)?"
KEYS = {
    "network_weights",
    "optimizer_state",
    "grad_scaler_state",
    "logging",
    "_best_ema",
    "current_epoch",
    "init_args",
    "trainer_name",
    "inference_allowed_mirroring_axes",
}


@pytest.fixture(scope="module")
def finished(preprocessed_template, tmp_path_factory):
    """Results of one training of two epochs; not to be changed."""
    root = tmp_path_factory.mktemp("finished")
    folders = {name: root / name for name in ("nnUNet_preprocessed", "nnUNet_results")}
    shutil.copytree(preprocessed_template, folders["nnUNet_preprocessed"] / preprocessed_template.name)
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in folders.items():
            patch.setenv(name, str(folder))
        patch.setenv("nnUNet_n_proc_DA", "0")
        torch.manual_seed(0)
        trainer = make_trainer(folders)
        trainer.save_every = 1
        trainer.run_training()
    return Path(trainer.output_folder)


@pytest.fixture
def resumable(finished, preprocessed, folders):
    """A trainer whose output folder holds a copy of the finished training."""
    trainer = make_trainer(folders)
    shutil.copytree(finished, trainer.output_folder, dirs_exist_ok=True)
    return trainer


def log_of(folder: Path | str) -> str:
    return "".join(p.read_text() for p in sorted(Path(folder).glob("training_log_*.txt")))


def entries_of(folder: Path | str) -> list[str]:
    return [m.group(1) for m in map(LINE.match, log_of(folder).split("\n")) if m]


def test_a_training_writes_the_documented_files(finished):
    names = {re.sub(r"\d{4}_.*txt", "*.txt", p.name) for p in finished.iterdir()}
    documented = {"checkpoint_final.pth", "checkpoint_best.pth", "progress.png", "debug.json", "training_log_*.txt"}
    assert documented <= names
    assert "checkpoint_latest.pth" not in names  # written after epoch 0, removed at the end
    assert not [name for name in names if "tmp" in name]
    model = finished.parent
    assert {p.name for p in model.iterdir()} == {"fold_0", "plans.json", "dataset.json", "dataset_fingerprint.json"}
    assert json.loads((model / "plans.json").read_text()) == tiny_plans()
    assert list(json.loads((model / "plans.json").read_text())) == list(tiny_plans())  # key order too


def test_the_log_has_the_documented_lines(finished):
    lines = entries_of(finished)
    first = lines.index("Epoch 0")
    expected = [
        "Epoch 0",
        "Current learning rate: 0.01",
        rf"train_loss {NUMBER}",
        rf"val_loss {NUMBER}",
        rf"Pseudo dice \[{NUMBER}, {NUMBER}\]",
        rf"Epoch time: {NUMBER} s",
        rf"Yayy! New best EMA pseudo Dice: {NUMBER}",
    ]
    for pattern, line in zip(expected, lines[first:]):
        assert re.fullmatch(pattern, line), (pattern, line)
    assert lines[first - 1] == ""
    assert "Current learning rate: 0.00536" in lines
    assert lines[-1] == "Training done."
    assert "do_dummy_2d_data_aug: False" in lines
    assert "This split has 4 training and 2 validation cases." in lines
    assert log_of(finished).count("#" * 71) == 2


def test_a_checkpoint_has_the_nine_entries_in_plain_types(finished):
    content = read_checkpoint(finished / "checkpoint_final.pth")
    assert set(content) == KEYS
    assert content["current_epoch"] == 2
    assert content["trainer_name"] == "TinyTrainer"
    assert content["inference_allowed_mirroring_axes"] == (0, 1, 2)
    assert content["grad_scaler_state"] is None
    assert set(content["init_args"]) == {"plans", "configuration", "fold", "dataset_json", "device"}
    assert type(content["_best_ema"]) is float
    assert {key: len(values) for key, values in content["logging"].items()} == dict.fromkeys(content["logging"], 2)
    assert {
        type(x) for key in ("train_losses", "val_losses", "ema_fg_dice", "lrs") for x in content["logging"][key]
    } == {float}
    # torch's own restricted loading needs no allow-list for it
    torch.load(finished / "checkpoint_final.pth", weights_only=True)


def test_checkpoint_weights_keep_their_aliases(finished):
    weights = read_checkpoint(finished / "checkpoint_final.pth")["network_weights"]
    # 3 encoder convolutions, 2 decoder convolutions, 3 stages: 16 * 3 + 8 * 2 + 4 * 2 entries
    assert len(weights) == 72
    pointers = {tensor.data_ptr() for tensor in weights.values()}
    assert len(pointers) == 4 * 3 + 4 * 2 + 4 * 2


def test_debug_json_tells_no_paths_or_host_names(finished):
    text = (finished / "debug.json").read_text()
    content = json.loads(text)
    assert str(finished.parents[2]) not in text
    assert "hostname" not in content
    assert content["output_folder"].startswith("$nnUNet_results/")
    assert content["network"] == "PlainConvUNet"
    assert content["num_epochs"] == "2"
    assert "dataloader_train.generator.transforms" in content


def test_best_is_known_to_the_latest_checkpoint_of_the_same_epoch(preprocessed, folders):
    trainer = make_trainer(folders)
    trainer.save_every, trainer.num_epochs = 1, 2
    saved = {}

    def remember(filename):
        saved.setdefault(os.path.basename(filename), trainer._best_ema)

    trainer.save_checkpoint = remember
    trainer.run_training()
    assert saved["checkpoint_latest.pth"] == saved["checkpoint_best.pth"] is not None


def test_a_resumed_training_goes_on_with_the_next_epoch(resumable):
    folder = resumable.output_folder
    resumable.num_epochs = 3
    resumable.load_checkpoint(os.path.join(folder, "checkpoint_final.pth"))
    assert resumable.current_epoch == 2
    before = {name: tensor.clone() for name, tensor in resumable.network.state_dict().items()}
    resumable.run_training()
    assert "Epoch 2" in entries_of(folder)
    assert resumable.current_epoch == 3
    assert [len(values) for values in resumable.logger.my_fantastic_logging.values()] == [3] * 8
    assert any(not torch.equal(before[k], v) for k, v in resumable.network.state_dict().items())


def test_weights_and_momentum_are_restored_exactly(resumable):
    path = os.path.join(resumable.output_folder, "checkpoint_final.pth")
    resumable.load_checkpoint(filename_or_checkpoint=path)
    content = read_checkpoint(path)
    for name, tensor in resumable.network.state_dict().items():
        assert torch.equal(tensor, content["network_weights"][name])
    state = resumable.optimizer.state_dict()["state"]
    assert state.keys() == content["optimizer_state"]["state"].keys()
    for index, entry in state.items():
        assert torch.equal(entry["momentum_buffer"], content["optimizer_state"]["state"][index]["momentum_buffer"])


@pytest.mark.parametrize("keyword", ["filename_or_checkpoint", "checkpoint"])
def test_load_checkpoint_takes_content_under_either_name(keyword, resumable):
    content = read_checkpoint(os.path.join(resumable.output_folder, "checkpoint_final.pth"))
    content["network_weights"] = {f"module._orig_mod.{k}": v for k, v in content["network_weights"].items()}
    resumable.load_checkpoint(**{keyword: content})
    assert resumable.current_epoch == 2


def test_a_checkpoint_of_another_network_is_refused(resumable):
    plans = tiny_plans()
    plans["configurations"]["tiny"]["architecture"]["arch_kwargs"]["features_per_stage"] = [4, 8, 16]
    other = TinyTrainer(plans, "tiny", 0, resumable.dataset_json, device=CPU)
    path = os.path.join(resumable.output_folder, "checkpoint_final.pth")
    with pytest.raises(CheckpointError, match="does not fit"):
        other.load_checkpoint(path)


def test_a_damaged_checkpoint_is_named_and_left_alone(resumable):
    path = Path(resumable.output_folder, "checkpoint_final.pth")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"checkpoint_final\.pth"):
        resumable.load_checkpoint(str(path))
    assert path.stat().st_size == 1000


def stop_in_second_epoch(trainer, stop):
    original = trainer.train_step

    def step(batch):
        if trainer.current_epoch == 1:
            stop()
        return original(batch)

    trainer.train_step = step


def interrupt():
    raise KeyboardInterrupt


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("stop", "error"), [(interrupt, KeyboardInterrupt), (terminate, SystemExit)])
def test_an_interrupted_training_can_be_resumed_in_the_same_epoch(stop, error, preprocessed, folders):
    handler = signal.getsignal(signal.SIGTERM)
    trainer = make_trainer(folders)
    stop_in_second_epoch(trainer, stop)
    with pytest.raises(error):
        trainer.run_training()
    assert signal.getsignal(signal.SIGTERM) is handler
    latest = Path(trainer.output_folder, "checkpoint_latest.pth")
    assert read_checkpoint(latest)["current_epoch"] == 1
    resumed = make_trainer(folders)
    resumed.load_checkpoint(latest)
    resumed.run_training()
    assert [len(values) for values in resumed.logger.my_fantastic_logging.values()] == [2] * 8


def test_nothing_is_saved_with_checkpointing_disabled(preprocessed, folders):
    trainer = make_trainer(folders)
    trainer.disable_checkpointing, trainer.num_epochs = True, 1
    latest = Path(trainer.output_folder, "checkpoint_latest.pth")
    latest.write_bytes(b"of an earlier run")
    trainer.run_training()
    assert latest.read_bytes() == b"of an earlier run"
    assert [p.name for p in Path(trainer.output_folder).glob("*.pth")] == ["checkpoint_latest.pth"]
    assert "No checkpoint written, checkpointing is disabled" in entries_of(trainer.output_folder)


# Recorded on torch 2.13 (CPU). A change of augmentation, loss, network, initialisation or optimizer changes them; then
# record them again in the same commit and say why.
FIVE_LOSSES = [0.844264, 0.821564, 0.816817, 0.803828, 0.756216]


def test_five_seeded_steps_give_the_recorded_losses(preprocessed, folders):
    trainer = make_trainer(folders)
    torch.manual_seed(1234)
    np.random.seed(1234)
    trainer.on_train_start()
    torch.manual_seed(1234)
    np.random.seed(1234)
    trainer.on_train_epoch_start()
    losses = [float(trainer.train_step(next(trainer.dataloader_train))["loss"]) for _ in range(5)]
    assert losses == pytest.approx(FIVE_LOSSES, abs=1e-4)


def test_splits_are_made_once_and_then_used(preprocessed, folders):
    path = preprocessed / "splits_final.json"
    path.unlink()
    trainer = make_trainer(folders)
    train, val = trainer.do_split()
    splits = json.loads(path.read_text())
    assert len(splits) == 5
    assert (train, val) == (splits[0]["train"], splits[0]["val"])
    path.write_text(json.dumps(SPLITS))
    assert trainer.do_split() == (SPLITS[0]["train"], SPLITS[0]["val"])
    entries = entries_of(trainer.output_folder)
    assert entries.count("Creating new 5-fold cross-validation split...") == 1
    assert entries.count(f"Using splits from existing split file: {path}") == 1


def test_fold_all_uses_every_case_and_no_split_file(preprocessed, folders):
    path = preprocessed / "splits_final.json"
    path.unlink()
    trainer = make_trainer(folders, fold="all")
    train, val = trainer.do_split()
    assert train == val == list(CASES)
    assert not path.exists()


def test_a_fold_beyond_the_file_is_a_seeded_random_split(preprocessed, folders):
    trainer = make_trainer(folders, fold=7)
    train, val = trainer.do_split()
    drawn = np.random.RandomState(12345 + 7).choice(6, 4, replace=False)
    assert train == [CASES[i] for i in drawn]
    assert sorted(train + val) == list(CASES)


def test_overlap_of_training_and_validation_is_a_warning(preprocessed, folders):
    overlap = [{"train": list(CASES), "val": [CASES[0]]}]
    (preprocessed / "splits_final.json").write_text(json.dumps(overlap))
    trainer = make_trainer(folders)
    trainer.do_split()
    assert any(entry.startswith("WARNING") and CASES[0] in entry for entry in entries_of(trainer.output_folder))


class NumpyEra(TinyTrainer):
    @staticmethod
    def get_training_transforms(
        patch_size, rotation_for_DA, deep_supervision_scales, mirror_axes, do_dummy_2d_data_aug, order_resampling_data=3
    ):
        return None


def remove_cases(preprocessed: Path) -> None:
    shutil.rmtree(preprocessed / "nnUNetPlans_tiny")


def empty_the_folder(preprocessed: Path) -> None:
    remove_cases(preprocessed)
    (preprocessed / "nnUNetPlans_tiny").mkdir()


def name_unknown_cases(preprocessed: Path) -> None:
    splits = [{"train": ["tiny_000", "somebody_else"], "val": ["tiny_001"]}]
    (preprocessed / "splits_final.json").write_text(json.dumps(splits))


def leave_nothing_to_train_on(preprocessed: Path) -> None:
    (preprocessed / "splits_final.json").write_text(json.dumps([{"train": [], "val": ["tiny_001"]}]))


def remove_fingerprint(preprocessed: Path) -> None:
    (preprocessed / "dataset_fingerprint.json").unlink()


def nothing(preprocessed: Path) -> None:
    pass


FAULTS = {
    "not preprocessed": (remove_cases, TinyTrainer, MissingFileError, "nnUNetv2_preprocess -d 997 .*-c tiny"),
    "empty folder": (empty_the_folder, TinyTrainer, DatasetError, "nnUNetv2_preprocess -d 997"),
    "unknown cases in the splits": (name_unknown_cases, TinyTrainer, DatasetError, "somebody_else"),
    "nothing to train on": (leave_nothing_to_train_on, TinyTrainer, DatasetError, "train"),
    "no fingerprint": (remove_fingerprint, TinyTrainer, MissingFileError, "dataset_fingerprint.json"),
    "numpy-era transforms": (nothing, NumpyEra, UsageError, "order_resampling_data"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found_before_the_first_epoch(fault, preprocessed, folders):
    spoil, trainer_class, error, message = FAULTS[fault]
    spoil(preprocessed)
    trainer = make_trainer(folders, trainer_class)
    existing = Path(trainer.output_folder, "checkpoint_final.pth")
    existing.write_bytes(b"a model")
    with pytest.raises(error, match=message):
        trainer.run_training()
    assert existing.read_bytes() == b"a model"
    assert trainer.current_epoch == 0


def test_a_loader_hook_of_older_releases_is_reported(preprocessed, folders):
    class WithPlainDataloaders(TinyTrainer):
        def get_plain_dataloaders(self, initial_patch_size, dim):
            return None

    trainer = WithPlainDataloaders(tiny_plans(), "tiny", 0, dataset_json_of(folders), device=CPU)
    trainer.initialize()
    trainer.get_dataloaders()
    assert any("get_plain_dataloaders" in entry for entry in entries_of(trainer.output_folder))


def test_an_initialize_written_for_older_releases_still_trains(preprocessed, folders):
    class OldInitialize(TinyTrainer):
        num_epochs = num_iterations_per_epoch = num_val_iterations_per_epoch = 1

        def _get_deep_supervision_scales(self):
            return None

        def set_deep_supervision_enabled(self, enabled):
            pass

        def initialize(self):
            self.network = self.build_network_architecture(
                self.plans_manager, self.dataset_json, self.configuration_manager, 2, enable_deep_supervision=False
            )
            self.optimizer, self.lr_scheduler = self.configure_optimizers()
            self.loss = self._build_loss()
            self.was_initialized = True

    trainer = OldInitialize(tiny_plans(), "tiny", 0, dataset_json_of(folders), True, CPU)
    trainer.run_training()
    assert trainer.current_epoch == 1
    assert os.path.isfile(os.path.join(trainer.output_folder, "checkpoint_final.pth"))
