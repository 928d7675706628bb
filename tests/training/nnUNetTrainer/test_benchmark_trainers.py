"""The trainers that measure speed: what they record, and what they refuse."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunetv2.errors import MissingFileError, UsageError
from nnunetv2.training.nnUNetTrainer.variants.benchmarking.nnUNetTrainerBenchmark_5epochs import (
    nnUNetTrainerBenchmark_5epochs,
)
from nnunetv2.training.nnUNetTrainer.variants.benchmarking.nnUNetTrainerBenchmark_5epochs_noDataLoading import (
    nnUNetTrainerBenchmark_5epochs_noDataLoading,
)
from tests.training.nnUNetTrainer.test_construction import DATASET_JSON
from tests.training.nnUNetTrainer.test_loss_variants import WITH_IGNORE, WITH_REGIONS
from tests.training.tiny_training import CPU, tiny_plans

BENCHMARKS = (nnUNetTrainerBenchmark_5epochs, nnUNetTrainerBenchmark_5epochs_noDataLoading)
KEY = f"{platform.node()}__None__{torch.__version__}__cpu__num_gpus_1"


def make(trainer_class: type, dataset_json: dict = DATASET_JSON, fold: int | str = 0):
    trainer = trainer_class(tiny_plans(), "tiny", fold, dataset_json, device=CPU)
    trainer.num_iterations_per_epoch = trainer.num_val_iterations_per_epoch = 1
    trainer.logger.plot_progress_png = lambda folder: None  # takes longer than the rest
    return trainer


def recorded(trainer) -> dict:
    return json.loads((Path(trainer.output_folder) / "benchmark_result.json").read_text())


@pytest.mark.parametrize("trainer_class", BENCHMARKS)
def test_a_benchmark_adds_its_fastest_epoch_to_the_results(trainer_class, preprocessed):
    trainer = make(trainer_class)
    others = Path(trainer.output_folder) / "benchmark_result.json"
    others.write_text('{"elsewhere": {"fastest_epoch": 12.5}}')
    trainer.run_training()
    trainer.perform_actual_validation()

    results = recorded(trainer)
    assert results["elsewhere"] == {"fastest_epoch": 12.5}
    seconds = results[KEY].pop("fastest_epoch")
    assert (
        0
        < seconds
        == min(
            end - start
            for start, end in zip(
                trainer.logger.get_value("epoch_start_timestamps"), trainer.logger.get_value("epoch_end_timestamps")
            )
        )
    )
    assert results[KEY] == {
        "hostname": platform.node(),
        "torch_version": torch.__version__,
        "cudnn_version": None,
        "gpu_name": "cpu",
        "num_gpus": 1,
    }
    assert trainer.current_epoch == 5
    assert not list(Path(trainer.output_folder).glob("**/*.pth"))
    assert not (Path(trainer.output_folder) / "validation").exists()


def test_a_failing_training_is_recorded_with_its_reason(preprocessed):
    trainer = make(nnUNetTrainerBenchmark_5epochs)

    def out_of_memory(batch):
        raise RuntimeError("CUDA out of memory\nmore about it")

    trainer.train_step = out_of_memory
    trainer.run_training()
    assert recorded(trainer)[KEY]["fastest_epoch"] == ("no result, training failed: RuntimeError: CUDA out of memory")


def test_errors_in_the_input_are_raised_and_not_recorded(folders):
    trainer = make(nnUNetTrainerBenchmark_5epochs)
    with pytest.raises(MissingFileError, match="not preprocessed"):
        trainer.run_training()
    assert not (Path(trainer.output_folder) / "benchmark_result.json").exists()


@pytest.mark.parametrize("fold", [1, "all"])
def test_only_fold_0_is_measured(fold, folders):
    with pytest.raises(UsageError, match=f"the fold is {fold!r}"):
        make(nnUNetTrainerBenchmark_5epochs, fold=fold)


@pytest.mark.parametrize(
    ("dataset_json", "channels", "kind"),
    [(DATASET_JSON, 1, torch.int16), (WITH_IGNORE, 1, torch.int16), (WITH_REGIONS, 2, torch.bool)],
    ids=["labels", "ignore", "regions"],
)
@pytest.mark.parametrize("deep_supervision", [True, False])
def test_the_batch_of_noise_looks_like_one_from_the_loader(dataset_json, channels, kind, deep_supervision, folders):
    trainer = make(nnUNetTrainerBenchmark_5epochs_noDataLoading, dataset_json)
    trainer.enable_deep_supervision = deep_supervision
    trainer.initialize()
    train, val = trainer.get_dataloaders()
    batch = next(train)
    assert next(train) is batch
    assert next(val) is batch
    targets = batch["target"] if deep_supervision else [batch["target"]]
    assert batch["data"].shape == (2, 2, 16, 16, 16)
    assert [tuple(t.shape) for t in targets] == [(2, channels, n, n, n) for n in (16, 8)[: len(targets)]]
    assert {t.dtype for t in targets} == {kind}
    assert targets[0].max() == (1 if kind is torch.bool else 2)
    assert len(batch["keys"]) == 2
    assert np.isfinite(trainer.train_step(batch)["loss"])
