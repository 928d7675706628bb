"""The final validation of a fold: predict its whole validation cases as at inference, export, evaluate."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os.path import isdir, join
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from nnunetv2.configuration import available_cpus, num_processes
from nnunetv2.errors import CaseError
from nnunetv2.evaluation.evaluate_predictions import compute_metrics_of_cases
from nnunetv2.inference.background import BoundedExecutor, call_for_case, note_failure, raise_failures
from nnunetv2.inference.export_prediction import export_prediction_from_logits, resample_and_save
from nnunetv2.inference.predictor import nnUNetPredictor
from nnunetv2.inference.sliding_window_prediction import compute_gaussian
from nnunetv2.inference.streaming.non_finite_logits import naming
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.records.failed_cases import failed_cases_listed
from nnunetv2.records.layout import GROUND_TRUTH, SUMMARY_JSON, VALIDATION, next_stage_folder
from nnunetv2.storage.stores import infer_dataset_class
from nnunetv2.training.distributed import rank, world_size
from nnunetv2.training.network_wrapping import bare_network
from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

# Under DDP the processes wait for each other after so many cases, so that none gets far enough ahead for a timeout.
CASES_BETWEEN_BARRIERS = 20
STAGE = "Final validation"


def perform_actual_validation(trainer: nnUNetTrainer, save_probabilities: bool = False) -> None:
    """Predict the validation cases of the trainer's fold into ``validation/``, and evaluate them into summary.json.

    With ``save_probabilities`` each case also gets ``.npz`` and ``.pkl``. Where the next stage of a cascade is
    preprocessed, its input is stored, too. Under DDP the cases are shared out and the first process evaluates.
    Cases that fail do not keep the others from being predicted; afterwards CaseFailures (a RuntimeError) names them,
    CaseError if there was one case only.
    """
    folder = join(trainer.output_folder, VALIDATION)
    os.makedirs(folder, exist_ok=True)
    with ready_to_predict(trainer):
        _, cases = trainer.do_split()
        with failed_cases_listed(folder, STAGE, (rank(), world_size())):
            _predict_cases(trainer, cases, folder, save_probabilities)
    if trainer.is_ddp:
        distributed.barrier()
    if rank() == 0:
        _evaluate(trainer, cases, folder)
    compute_gaussian.cache_clear()


@contextmanager
def ready_to_predict(trainer: nnUNetTrainer) -> Iterator[None]:
    """Evaluation mode with one output at full resolution; afterwards deep supervision is as it was."""
    decoder = getattr(bare_network(trainer.network), "decoder", None)
    before = getattr(decoder, "deep_supervision", trainer.enable_deep_supervision)
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    try:
        yield
    finally:
        trainer.set_deep_supervision_enabled(before)


def cases_of_this_process(cases: Sequence[str]) -> list[str]:
    """Every ``world_size``-th case, starting with the rank."""
    return list(cases)[rank() :: world_size()]


def _predict_cases(trainer: nnUNetTrainer, cases: Sequence[str], folder: str, save_probabilities: bool) -> None:
    predictor = _predictor(trainer)
    dataset, stages = trainer.dataset_of(cases), next_stages(trainer)
    workers = max(1, min(num_processes(), available_cpus()))
    threads = max(1, available_cpus() // workers)
    last_barrier = len(cases) // world_size() - 1
    failures: dict[str, CaseError] = {}
    own = cases_of_this_process(cases)
    # The context manager waits for all exports, also after an error.
    with BoundedExecutor(workers, workers + 2, stage="Export of the final validation") as exports:
        for index, case in enumerate(own):
            trainer.print_to_log_file(f"predicting {case}")
            exports.wait_for_capacity()
            try:
                logits, properties = call_for_case(case, "Prediction", _logits, trainer, predictor, dataset, case)
            except CaseError as error:
                note_failure(failures, error)
            else:
                target = join(folder, case)
                exports.submit(case, _export, trainer, logits, properties, target, save_probabilities, threads)
                for stage in _stages_with(trainer, stages, case):
                    exports.submit(case, _export_for_next_stage, trainer, logits, case, properties, stage, threads)
                del logits
            if trainer.is_ddp and index < last_barrier and (index + 1) % CASES_BETWEEN_BARRIERS == 0:
                distributed.barrier()
        exports.results()
    raise_failures(STAGE, failures | exports.failures, len(own))


def _logits(trainer: nnUNetTrainer, predictor: nnUNetPredictor, dataset: Any, case: str) -> tuple[torch.Tensor, dict]:
    data, properties = network_input(trainer, dataset, case)
    trainer.print_to_log_file(f"{case}, shape {data.shape}, rank {rank()}")
    with naming(case):
        return predictor.predict_sliding_window_return_logits(data).cpu(), properties


def _predictor(trainer: nnUNetTrainer) -> nnUNetPredictor:
    predictor = nnUNetPredictor(
        tile_step_size=0.5,
        use_gaussian=True,
        use_mirroring=True,
        perform_everything_on_device=True,
        device=trainer.device,
        allow_tqdm=False,
    )
    network = trainer.network
    # DDP synchronises buffers in every forward pass, but the processes have different numbers of tiles.
    network = network.module if isinstance(network, DistributedDataParallel) else network
    predictor.manual_initialization(
        network,
        trainer.plans_manager,
        trainer.configuration_manager,
        None,
        trainer.dataset_json,
        type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    return predictor


def network_input(trainer: nnUNetTrainer, dataset: Any, case: str) -> tuple[torch.Tensor, dict]:
    """Preprocessed image (C, Z, Y, X) float32 and properties; a cascade stage gets the earlier labels as channels."""
    data, _, previous, properties = dataset.load_case(case)
    image = np.asarray(data[:], dtype=np.float32)
    if trainer.is_cascaded:
        labels = np.asarray(previous[:]).reshape(image.shape[1:])
        one_hot = convert_labelmap_to_one_hot(labels, trainer.label_manager.foreground_labels, output_dtype=np.float32)
        image = np.concatenate([image, one_hot])
    return torch.from_numpy(image), properties


@dataclass(frozen=True)
class NextStage:
    """A configuration of a cascade that takes our segmentations as input."""

    name: str
    folder: str
    """Its preprocessed cases."""
    store: type | None
    """Class that reads them; None when there are none."""
    cases: frozenset[str]

    def shape_of(self, case: str) -> tuple[int, ...]:
        """Preprocessed shape (Z, Y, X) of a case in this stage."""
        return tuple(int(n) for n in self.store(self.folder, [case]).load_case(case)[0].shape[1:])


def next_stages(trainer: nnUNetTrainer) -> list[NextStage]:
    """The next stages of the cascade as far as they are preprocessed."""
    stages = []
    for name in trainer.configuration_manager.next_stage_names or ():
        configuration = trainer.plans_manager.get_configuration(name)
        folder = join(nnUNet_preprocessed.require(), trainer.plans_manager.dataset_name, configuration.data_identifier)
        store = infer_dataset_class(folder) if isdir(folder) else None
        stages.append(NextStage(name, folder, store, frozenset(store.get_identifiers(folder) if store else ())))
    return stages


def _stages_with(trainer: nnUNetTrainer, stages: Sequence[NextStage], case: str) -> list[NextStage]:
    for stage in stages:
        if case not in stage.cases:
            trainer.print_to_log_file(
                f"{case} is not preprocessed for the next stage {stage.name}; its segmentation is not stored for that. "
                f"Run nnUNetv2_preprocess -c {stage.name} and then this validation again (--val)."
            )
    return [stage for stage in stages if case in stage.cases]


def _export(
    trainer: nnUNetTrainer, logits: torch.Tensor, properties: dict, target: str, save_probabilities: bool, threads: int
) -> None:
    export_prediction_from_logits(
        logits,
        properties,
        trainer.configuration_manager,
        trainer.plans_manager,
        trainer.dataset_json,
        target,
        save_probabilities,
        num_threads_torch=threads,
    )


def _export_for_next_stage(
    trainer: nnUNetTrainer, logits: torch.Tensor, case: str, properties: dict, stage: NextStage, threads: int
) -> None:
    folder = next_stage_folder(trainer.output_folder_base, stage.name)
    os.makedirs(folder, exist_ok=True)
    resample_and_save(
        logits,
        stage.shape_of(case),
        join(folder, case),
        trainer.plans_manager,
        trainer.configuration_manager,
        properties,
        trainer.dataset_json,
        num_threads_torch=threads,
        dataset_class=stage.store,
    )


def _evaluate(trainer: nnUNetTrainer, cases: Sequence[str], folder: str) -> None:
    """Compare the predictions of these cases with the untouched references, whatever else lies in the folder."""
    labels = trainer.plans_manager.get_label_manager(trainer.dataset_json)
    metrics = compute_metrics_of_cases(
        list(cases),
        join(trainer.preprocessed_dataset_folder_base, GROUND_TRUTH),
        folder,
        join(folder, SUMMARY_JSON),
        trainer.plans_manager.image_reader_writer_class(),
        trainer.dataset_json["file_ending"],
        labels.foreground_regions if labels.has_regions else labels.foreground_labels,
        labels.ignore_label,
        num_processes=num_processes() * world_size(),
    )
    mean_dice = metrics["foreground_mean"]["Dice"]
    for key, values in metrics["mean"].items():
        trainer.logger.log_summary(f"final_val/class_{key}_dice", values["Dice"])
    trainer.logger.log_summary("final_val/foreground_dice", mean_dice)
    trainer.logger.log_summary("current_epoch", trainer.current_epoch)
    trainer.print_to_log_file("Validation complete")
    trainer.print_to_log_file("Mean Validation Dice: ", mean_dice)
