"""A trainer that measures how long an epoch takes on this machine."""

from __future__ import annotations

import platform
from os.path import isfile, join
from typing import Any

import torch

from nnunetv2.errors import NNUNetError, UsageError
from nnunetv2.records.files import read_json, write_json
from nnunetv2.training.dataloading.augmenters import stop_augmenters
from nnunetv2.training.distributed import world_size
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.helpers import empty_cache

RESULT_FILE = "benchmark_result.json"


def machine(device: torch.device) -> dict[str, Any]:
    """What a measurement depends on, in the keys of the result file. Without CUDA ``gpu_name`` is the device."""
    on_cuda = device.type == "cuda"
    return {
        "hostname": platform.node(),
        "torch_version": torch.__version__,
        "cudnn_version": torch.backends.cudnn.version() if on_cuda else None,
        "gpu_name": torch.cuda.get_device_name(device) if on_cuda else device.type,
        "num_gpus": world_size(),
    }


class nnUNetTrainerBenchmark_5epochs(nnUNetTrainer):
    """Trains for 5 epochs and adds the time of the fastest to ``benchmark_result.json`` in its output folder.

    The file has one entry per machine. Nothing is saved or validated. When training fails, for example because the GPU
    has too little memory, the entry says why instead. Errors in the input are raised as ever.
    Raises UsageError for a fold other than 0, so that results are all in the same place.
    """

    num_epochs = 5
    disable_checkpointing = True

    def __init__(self, plans, configuration, fold, dataset_json, *args: Any, **kwargs: Any):
        if str(fold) != "0":
            raise UsageError(f"the fold is {fold!r}; a benchmark does not depend on it and is run with fold 0")
        super().__init__(plans, configuration, fold, dataset_json, *args, **kwargs)

    def run_training(self) -> None:
        """Train and record the fastest epoch, or what went wrong."""
        try:
            super().run_training()
            fastest: float | str = self.fastest_epoch()
        except NNUNetError:
            raise
        except RuntimeError as error:  # torch's, out of memory among them
            fastest = f"no result, training failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
            self.print_to_log_file(fastest)
            stop_augmenters(self.dataloader_train, self.dataloader_val)
            empty_cache(self.device)
        if self.local_rank == 0:
            self.record(fastest)

    def fastest_epoch(self) -> float:
        """Duration of the fastest epoch so far in seconds."""
        starts = self.logger.get_value("epoch_start_timestamps")
        ends = self.logger.get_value("epoch_end_timestamps")
        return float(min(end - start for start, end in zip(starts, ends)))

    def record(self, fastest_epoch: float | str) -> None:
        """Set the entry of this machine in the result file; entries of others stay."""
        path = join(self.output_folder, RESULT_FILE)
        results = read_json(path) if isfile(path) else {}
        here = machine(self.device)
        parts = [here[key] for key in ("hostname", "cudnn_version", "torch_version", "gpu_name")]
        key = "__".join([*map(str, parts), f"num_gpus_{here['num_gpus']}"])
        write_json(path, {**results, key: {**here, "fastest_epoch": fastest_epoch}})

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Not part of a benchmark."""
