"""Worker processes that make training batches, watched: one that dies ends the training with a message, not in silence.

Each worker has a pipe of its own. A killed process can leave a shared queue or event locked for ever, which every
other process then waits for; here there is nothing that a worker could leave locked.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import queue
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

import torch
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import (
    NonDetMultiThreadedAugmenter,
    pin_memory_of_all_eligible_items_in_dict,
)

from nnunetv2.errors import NNUNetError, WorkerError
from nnunetv2.training.dataloading.loader_side import ASK, BATCH, make_batches
from nnunetv2.utilities.stalls import SECONDS_BETWEEN_LOOKS, StallWatch
from nnunetv2.utilities.worker_death import Death, memory_peak
from nnunetv2.utilities.worker_side import WorkerTraceback
from nnunetv2.utilities.worker_stacks import StackFiles

logger = logging.getLogger(__name__)

_SECONDS_TO_END = 5.0
_SECONDS_TO_NOTICE_THE_END = 0.2


class _Worker:
    def __init__(self, number: int, arguments: tuple, stack_file: str):
        self.number = number
        self.connection: Connection
        self.connection, other_end = multiprocessing.Pipe()
        self.process = multiprocessing.Process(
            target=make_batches, args=(other_end, number, *arguments, stack_file), daemon=True
        )
        self.process.start()
        other_end.close()  # before the next worker is forked, which would keep it open
        self.peak = memory_peak(self.process.pid)

    def ask(self) -> None:
        """Ask for one batch; it is made at once."""
        with contextlib.suppress(OSError):  # it is dead, which is noticed where its answer does not come
            self.connection.send_bytes(ASK)

    def is_dead(self) -> bool:
        """Notes the memory peak, too."""
        self.peak = memory_peak(self.process.pid) or self.peak
        return not self.process.is_alive() and not self.connection.poll()


class WatchedAugmenter(NonDetMultiThreadedAugmenter):
    """Endless batches of ``data_loader``, made by ``num_processes`` processes. Parameters as of the base class.

    The base class is here for code that asks for it; its queues are not used. At most ``num_cached`` batches are kept
    ready, and each worker has one more. They come in the order they get ready, or in turn from worker 0, 1, ... where
    ``in_turn``, which makes their order repeatable.

    ``next`` raises WorkerError when a worker dies, naming it, the signal, its memory peak and the limit; and the
    exception of a worker that raised one, with the traceback there as its cause. When no batch comes for long, the log
    shows the stacks of all workers (``nnUNet_stall_minutes``).
    """

    def __init__(
        self,
        data_loader: Any,
        transform: Callable[..., dict] | None,
        num_processes: int,
        num_cached: int = 2,
        seeds: list | None = None,
        pin_memory: bool = False,
        wait_time: float = 0.02,
        in_turn: bool = False,
    ):
        super().__init__(data_loader, transform, num_processes, num_cached, seeds, pin_memory, wait_time)
        self._in_turn = in_turn
        self._workers: list[_Worker] = []
        self._failure: Exception | None = None
        self._owner = os.getpid()

    def __next__(self) -> Any:
        if not self.initialized:
            if self._failure is not None:
                raise self._failure
            self._start()
        watch = StallWatch(f"Loading batches ({self.num_processes} workers)")
        while True:
            try:
                batch = self._ready.get(timeout=SECONDS_BETWEEN_LOOKS)
            except queue.Empty:
                batch = None
            if batch is not None:
                return batch
            if self._failure is not None:
                self._finish()
                raise self._failure
            watch.check(self._description)

    def _start(self) -> None:
        if self.initialized:
            return
        if hasattr(self.generator, "was_initialized"):
            self.generator.was_initialized = False
        self._failure = None
        self._stacks = StackFiles()
        self._ready: queue.Queue = queue.Queue(self.num_cached)
        self._end = threading.Event()
        for number in range(self.num_processes):
            arguments = (self.generator, self.transform, self.seeds[number])
            self._workers.append(_Worker(number, arguments, self._stacks.path(number)))
        self._processes = [worker.process for worker in self._workers]
        device = torch.cuda.current_device() if self.pin_memory and torch.cuda.is_available() else None
        self._receiver = threading.Thread(target=self._receive, args=(device,), name="batches", daemon=True)
        self._receiver.start()
        self.initialized = True

    def _finish(self, timeout: float = 10, force: bool = False) -> None:
        """End the workers; they only read, so they can be ended at any moment. ``force`` is of no consequence."""
        if not self.initialized or os.getpid() != self._owner:
            return
        self.initialized = False
        self._end.set()
        self._receiver.join(timeout)  # first, since it may be fetching tensors from a worker
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_SECONDS_TO_END)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
        self._workers, self._processes = [], []
        self._stacks.remove()

    def _receive(self, device: int | None) -> None:
        """In a thread: ask workers for batches and keep those that came ready, until a worker fails or it is told."""
        try:
            if device is not None:
                torch.cuda.set_device(device)
            for worker in self._workers:
                worker.ask()
            for batch in self._received():
                if device is not None:
                    batch = pin_memory_of_all_eligible_items_in_dict(batch)
                self._put(batch)
                del batch
        except WorkerError as error:
            self._failure = error
        except Exception as error:
            logger.error("Loading batches failed", exc_info=error)
            self._failure = WorkerError(f"Loading batches failed: {type(error).__name__}: {error}")
        self._put(None)  # wakes who waits

    def _put(self, batch: Any) -> None:
        while not self._end.is_set():
            try:
                self._ready.put(batch, timeout=_SECONDS_TO_NOTICE_THE_END)
                return
            except queue.Full:
                if batch is None:
                    return  # what is there will be taken, and then the failure noticed

    def _received(self) -> Iterator[Any]:
        turn, looked = 0, time.monotonic()
        while not self._end.is_set():
            asked = [self._workers[turn % len(self._workers)]] if self._in_turn else self._workers
            answered = wait([worker.connection for worker in asked], timeout=_SECONDS_TO_NOTICE_THE_END)
            for worker in asked:
                if worker.connection in answered:
                    turn += 1
                    yield self._batch_of(worker)
            if time.monotonic() - looked > SECONDS_BETWEEN_LOOKS or not answered:
                looked = time.monotonic()
                for worker in self._workers:
                    if worker.is_dead():
                        raise self._death(worker)

    def _batch_of(self, worker: _Worker) -> Any:
        try:
            message = worker.connection.recv_bytes()
            worker.ask()
            kind, value, text = pickle.loads(message)
        except (EOFError, OSError) as error:
            worker.process.join(_SECONDS_TO_END)
            if worker.process.is_alive():
                raise WorkerError(f"{self._name(worker)} does not answer any more: {error!r}") from error
            raise self._death(worker) from error
        if kind == BATCH:
            return value
        error = value[0]
        error.__cause__ = WorkerTraceback(text)
        if not isinstance(error, NNUNetError):
            logger.error("%s failed", self._name(worker), exc_info=error)
        raise WorkerError(
            f"{self._name(worker)} failed, {value[1]}: {type(error).__name__}: {error}. The training ends; when this "
            "is repaired, continue it with --c"
        ) from error

    def _death(self, worker: _Worker) -> WorkerError:
        worker.process.join(_SECONDS_TO_END)
        death = Death(worker.process.exitcode, worker.peak, self._stacks.of_crash(worker.number))
        return WorkerError(
            f"{self._name(worker)} {death} The training ends; continue it with --c. If memory is short, use fewer "
            f"workers (nnUNet_n_proc_DA, {self.num_processes} here), or a smaller batch or patch; memory of other "
            "processes counts, too"
        )

    def _name(self, worker: _Worker) -> str:
        return f"Loading batches: worker {worker.number} of {self.num_processes} (process {worker.process.pid})"

    def _description(self) -> str:
        stacks = self._stacks.of_live({worker.number: worker.process.pid for worker in self._workers})
        return "\n".join(
            f"{self._name(worker)}, memory peak {(worker.peak or 0) / 2**30:.2f} GiB:\n{stacks[worker.number]}"
            for worker in self._workers
        )
