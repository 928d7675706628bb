"""Prediction on the workers of an executor: each takes whole cases, from reading images to writing segmentations."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from os.path import abspath, basename
from typing import Any

import torch

from nnunetv2.configuration import trusting_pickles, trusts_pickles
from nnunetv2.inference import patchable
from nnunetv2.inference.predictor import nnUNetPredictor
from nnunetv2.utilities.executors import map_cases


@dataclass(frozen=True, kw_only=True)
class ModelOnWorker:
    """What a worker needs to load a model, small enough to be sent with every case."""

    folder: str
    folds: tuple[int | str, ...]
    checkpoint: str
    device: str
    tile_step_size: float
    use_gaussian: bool
    use_mirroring: bool
    perform_everything_on_device: bool
    accumulator_dtype: torch.dtype
    engine: str
    precision: str | None
    probability_format: str
    max_memory: float | None
    max_device_memory: float | None
    trust_pickles: bool = False


class WorkersPredictor(nnUNetPredictor):
    """Predicts files on the workers chosen with ``work_on``. The model has to be loaded from a folder they see, too.

    ``worker_device`` names the device of every worker; this process needs none and keeps to the CPU.
    """

    def __init__(
        self,
        worker_device: str,
        perform_everything_on_device: bool = True,
        engine: str = "auto",
        precision: str | None = None,
        **settings: Any,
    ):
        super().__init__(device=torch.device("cpu"), **settings)
        self._engine_wishes = {"engine": engine, "precision": precision}
        self._worker_device = worker_device
        self._everything_on_device = perform_everything_on_device
        self._model: tuple[str, tuple[int | str, ...], str] | None = None
        self._trust_pickles = False

    def initialize_from_trained_model_folder(
        self,
        model_training_output_dir: str,
        use_folds: Sequence[int | str],
        checkpoint_name: str = "checkpoint_final.pth",
    ) -> None:
        """Load the model here, so that what is wrong with it shows before any worker is asked."""
        super().initialize_from_trained_model_folder(model_training_output_dir, use_folds, checkpoint_name)
        self._model = abspath(model_training_output_dir), tuple(use_folds), checkpoint_name
        self._trust_pickles = trusts_pickles()

    def _predict_cases(
        self,
        images: list[list[str]],
        names: list[str] | None,
        previous: list[str | None],
        save_probabilities: bool,
        num_processes_preprocessing: int,
        num_processes_segmentation_export: int,
    ) -> list:
        """One case per call. The numbers of threads are those of a prediction in this process and have no effect."""
        folder, folds, checkpoint = self._model
        model = ModelOnWorker(
            folder=folder,
            folds=folds,
            checkpoint=checkpoint,
            device=self._worker_device,
            tile_step_size=self.tile_step_size,
            use_gaussian=self.use_gaussian,
            use_mirroring=self.use_mirroring,
            perform_everything_on_device=self._everything_on_device,
            accumulator_dtype=self.accumulator_dtype,
            **self._engine_wishes,
            probability_format=self.probability_format,
            max_memory=self.max_memory,
            max_device_memory=self.max_device_memory,
            trust_pickles=self._trust_pickles,
        )
        names = [None] * len(images) if names is None else names
        cases = []
        for number, (files, name, earlier) in enumerate(zip(images, names, previous)):
            paths = [abspath(file) for file in files], _absolute(name), _absolute(earlier)
            case = f"number {number}" if name is None else basename(name)
            cases.append((case, (model, *paths, save_probabilities)))
        results = map_cases(_predict_case, cases, 0, what="prediction", show_progress=self.allow_tqdm)
        return list(results.values())


# A worker may have several threads, but a network serves one case at a time.
_one_case_at_a_time = threading.Lock()


def _predict_case(
    model: ModelOnWorker, files: list[str], name: str | None, previous: str | None, save_probabilities: bool
) -> Any:
    with _one_case_at_a_time:
        predictor = _loaded(model)
        names = None if name is None else [name]
        return predictor._predict_cases([files], names, [previous], save_probabilities, 0, 0)[0]


@lru_cache(maxsize=1)
def _loaded(model: ModelOnWorker) -> nnUNetPredictor:
    """The model, kept for the next case of the same prediction."""
    predictor = patchable.names().nnUNetPredictor(
        tile_step_size=model.tile_step_size,
        use_gaussian=model.use_gaussian,
        use_mirroring=model.use_mirroring,
        perform_everything_on_device=model.perform_everything_on_device,
        device=torch.device(model.device),
        allow_tqdm=False,
        accumulator_dtype=model.accumulator_dtype,
        engine=model.engine,
        precision=model.precision,
        probability_format=model.probability_format,
        max_memory=model.max_memory,
        max_device_memory=model.max_device_memory,
    )
    with trusting_pickles(model.trust_pickles):
        predictor.initialize_from_trained_model_folder(model.folder, model.folds, checkpoint_name=model.checkpoint)
    return predictor


def _absolute(path: str | None) -> str | None:
    return None if path is None else abspath(path)
