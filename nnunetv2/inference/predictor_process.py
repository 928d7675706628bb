"""A model loaded once in a process of its own, to which cases are given one at a time.

The process outlives a case that fails. When it is killed itself (for lack of memory, say), the case is tried once
more in a new one, and so is the next case.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from nnunetv2.cli.logs import configure_logging
from nnunetv2.errors import NNUNetError, WorkerError
from nnunetv2.utilities.stalls import SECONDS_BETWEEN_LOOKS, StallWatch
from nnunetv2.utilities.worker_death import Death, memory_peak, size_of_files
from nnunetv2.utilities.worker_stacks import StackFiles, write_stacks_to

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelChoice:
    """Which model, and how it predicts; see the flags of ``nnUNetv2_predict``."""

    dataset: str
    configuration: str
    trainer: str = "nnUNetTrainer"
    plans: str = "nnUNetPlans"
    folds: tuple[int | str, ...] = ("all",)
    checkpoint: str = "checkpoint_final.pth"
    step_size: float = 0.5
    mirroring: bool = True
    device: str = "auto"
    """cpu, cuda or mps; auto is cuda where there is one, else cpu."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a case."""

    error: str | None
    """Why it failed; None when the segmentation was written."""
    figures: dict[str, float]
    """Seconds and memory as ``CaseMeasurement`` names them; empty when the process died."""


class PredictorProcess:
    """The process with the model, seen from outside. Start-up waits for the first case. Use as a context manager."""

    def __init__(self, choice: ModelChoice):
        self._choice = choice
        self._process: Any = None
        self._connection: Connection | None = None
        self._start_up_seconds = 0.0
        self._peak: int | None = None

    def __enter__(self) -> PredictorProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()  # the process ends at the end of its input
            self._process.join(10)
            if self._process.is_alive():
                self._process.kill()
            self._stacks.remove()

    def predict(self, image: Path, output_truncated: Path) -> Outcome:
        """Predict ``image`` into ``output_truncated`` plus the model's file ending.

        A case whose process dies is tried once more in a new one. Raises WorkerError when the model cannot be loaded,
        since no case can succeed then.
        """
        for attempt in ("first", "second"):
            connection = self._connection or self._started()
            try:
                connection.send((os.fspath(image), os.fspath(output_truncated)))
                error, figures = self._received(connection, f"Prediction of {image.name}")
            except (EOFError, OSError):
                death = self._end()
                logger.warning("%s, %s attempt: the process %s", image.name, attempt, death)
                continue
            return Outcome(error=error, figures={**figures, "start_up_seconds": self._start_up_seconds})
        return Outcome(
            error=f"the process was killed twice. The second time it {death} Free memory or raise the limit; the image "
            f"has {size_of_files(os.fspath(image)) / 2**20:.1f} MiB. The next case gets a new process",
            figures={},
        )

    def _started(self) -> Connection:
        # Spawned: fork is unsafe beside threads and CUDA. Pipes need no shared memory: no --shm-size for containers.
        context = multiprocessing.get_context("spawn")
        self._connection, other_end = context.Pipe()
        self._stacks = StackFiles()
        self._process = context.Process(
            target=serve, args=(other_end, self._choice, time.time(), self._stacks.path(0)), name="predictor"
        )
        self._process.start()
        other_end.close()
        try:
            problem, self._start_up_seconds = self._received(self._connection, "Loading the model")
        except (EOFError, OSError):
            raise WorkerError(f"the process that loads the model {self._end()}") from None
        if problem is not None:
            raise WorkerError(problem)
        logger.info("Model loaded %.1f s after the start", self._start_up_seconds)
        return self._connection

    def _received(self, connection: Connection, what: str) -> Any:
        watch = StallWatch(what)
        while not connection.poll(SECONDS_BETWEEN_LOOKS):
            self._peak = memory_peak(self._process.pid) or self._peak
            if not self._process.is_alive() and not connection.poll():
                raise EOFError
            watch.check(lambda: self._stacks.of_live({0: self._process.pid})[0])
        return connection.recv()

    def _end(self) -> Death:
        """How the process ended, which it has when its connection is closed."""
        self._process.join()
        death = Death(self._process.exitcode, self._peak, self._stacks.of_crash(0))
        self._stacks.remove()
        self._connection, self._peak = None, None
        return death


def serve(connection: Connection, choice: ModelChoice, started: float, stack_file: str) -> None:
    """Inside the process: load the model, then predict what comes, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other end ends us
    write_stacks_to(stack_file)
    configure_logging()
    try:
        predictor = _load(choice)
    except Exception as error:
        connection.send((_reason(error), 0.0))
        return
    from nnunetv2.inference.resource_use import ResourceUse

    connection.send((None, time.time() - started))
    while True:
        try:
            image, output = connection.recv()
        except EOFError:
            return
        reason = None
        with ResourceUse() as use:
            try:
                predictor.predict_from_files_sequential([[image]], [output])
            except Exception as error:
                reason = _reason(error)
        connection.send((reason, use.figures()))


def _load(choice: ModelChoice) -> Any:
    import torch

    from nnunetv2.inference.predictor import nnUNetPredictor
    from nnunetv2.utilities.file_path_utilities import get_output_folder

    device = choice.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
        logger.info("The network runs on %s", device)
    predictor = nnUNetPredictor(
        tile_step_size=choice.step_size,
        use_mirroring=choice.mirroring,
        device=torch.device(device),
        allow_tqdm=False,
    )
    folder = get_output_folder(choice.dataset, choice.trainer, choice.plans, choice.configuration)
    predictor.initialize_from_trained_model_folder(folder, choice.folds, choice.checkpoint)
    return predictor


def _reason(error: Exception) -> str:
    if not isinstance(error, NNUNetError):
        logger.error("This should not happen", exc_info=error)
        return f"{type(error).__name__}: {error}"
    return str(error)
