"""From slabs of logits in network space to runs of label slices on the grid of the (cropped, transposed) image.

Each run of output slices is resampled channel by channel as soon as the logit slices it needs are there, and compared
with the best so far. No array of all channels at full resolution exists, unless probabilities are asked for, and then
only for the slices of one run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nnunetv2.inference.streaming.labels_from_logits import follows_stock_rules, label_dtype
from nnunetv2.preprocessing.resampling.slab_resampling import SlabResampler, stock_resampler, stock_settings
from nnunetv2.preprocessing.resampling.torch_threads import borrowed_torch_threads
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

# One channel of a run should stay in the processor's cache while it is resampled and compared.
_VALUES_PER_RUN = 1 << 18
# Short runs would resize the same planes again and again where planes are resized before the first axis.
_SLICES_PER_RUN_OF_PLANES = 16

_DTYPES = (torch.float16, torch.float32)


@dataclass(frozen=True)
class LabelRun:
    """Finished output slices ``first`` to ``first + len(labels)`` of the cropped, transposed image."""

    first: int
    labels: np.ndarray
    """(slices, Y, X), uint8 or uint16."""
    probabilities: np.ndarray | None
    """float32 (K, slices, Y, X), when asked for."""


def spacings(
    plans_manager: PlansManager, configuration_manager: ConfigurationManager, properties: Mapping[str, Any]
) -> tuple[list[float], list[float]]:
    """Spacing of the logits and of the original image, both in transposed axis order.

    A 2D configuration has no spacing for the first axis, which it never resamples; the image's is used.
    """
    original = [float(properties["spacing"][axis]) for axis in plans_manager.transpose_forward]
    network = [float(value) for value in configuration_manager.spacing]
    return original[: len(original) - len(network)] + network, original


def can_stream(label_manager: LabelManager, configuration_manager: ConfigurationManager) -> bool:
    """Whether labels can be made slab by slab: stock label rules, and linear resampling by the stock function."""
    settings = stock_settings(configuration_manager.resampling_fn_probabilities, allowed_orders=(1,))
    stock_outside = "revert_cropping_on_probabilities" not in vars(label_manager) and (
        type(label_manager).revert_cropping_on_probabilities is LabelManager.revert_cropping_on_probabilities
    )
    return settings is not None and stock_outside and follows_stock_rules(label_manager)


class SlabExport:
    """Takes slabs of logits (K, slices, Y, X) in order and gives runs of labels.

    Parameters
    ----------
    old_shape, new_shape : of the volume in network space, and of the cropped image at its own spacing.
    current, new : their spacings in mm; they decide about a separate axis only.
    settings : of the resampling function, see ``stock_settings``.
    device : where the slabs are and the work is done.
    threads : runs worked on at a time, on the CPU; 1 works in the calling thread.

    Use it as a context manager.
    """

    def __init__(
        self,
        old_shape: Sequence[int],
        new_shape: Sequence[int],
        current: Sequence[float],
        new: Sequence[float],
        settings: dict,
        label_manager: LabelManager,
        *,
        probabilities: bool = False,
        device: torch.device = torch.device("cpu"),  # noqa: B008 - an immutable value
        threads: int = 1,
    ):
        self._resampler: SlabResampler = stock_resampler(settings, old_shape, new_shape, current, new, device)
        self._label_manager = label_manager
        self._dtype = label_dtype(label_manager)
        self._with_probabilities = probabilities
        self._runs = deque(runs_of(self._resampler, threads))
        self._held: deque[tuple[int, torch.Tensor]] = deque()
        self._threads = threads if device.type == "cpu" else 1
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> SlabExport:
        return self

    def __exit__(self, *details: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def add(self, first: int, logits: torch.Tensor) -> Iterator[LabelRun]:
        """Take the next slab and yield the runs that are ready. Logits that are needed later are kept, not copied."""
        self._held.append((first, logits))
        ready_to = first + logits.shape[1]
        ready = []
        while self._runs and self._resampler.sources(*self._runs[0])[1] <= ready_to:
            ready.append(self._runs.popleft())
        yield from self._finish(ready)
        needed = self._resampler.sources(*self._runs[0])[0] if self._runs else ready_to
        while self._held and self._held[0][0] + self._held[0][1].shape[1] <= needed:
            self._held.popleft()

    def _finish(self, runs: list[tuple[int, int]]) -> Iterator[LabelRun]:
        # Products are small: a thread per run, each with one thread of torch, and not the other way round.
        with borrowed_torch_threads(1 if self._resampler.device.type == "cpu" else None):
            if self._threads == 1 or len(runs) < 2:
                yield from map(self._run, runs)
                return
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, "labels", initializer=_one_torch_thread)
            # A few at a time: finished runs wait here until they are taken.
            for start in range(0, len(runs), 4 * self._threads):
                yield from self._pool.map(self._run, runs[start : start + 4 * self._threads])

    def _run(self, run: tuple[int, int]) -> LabelRun:
        with torch.inference_mode(), torch.autocast(self._resampler.device.type, enabled=False):
            channels = self._channels(*run)
            if self._with_probabilities:
                return self._labels_and_probabilities(run[0], channels)
            manager = self._label_manager
            if manager.has_regions:
                found = _regions(channels, manager.regions_class_order, manager.apply_inference_nonlin).cpu().numpy()
            else:
                found = manager.values.to_original(_largest(channels).cpu().numpy())
            return LabelRun(run[0], found.astype(self._dtype, copy=False), None)

    def _channels(self, first: int, end: int) -> Iterator[torch.Tensor]:
        """Each channel of a run, float32 with the values it has in the dtype of the logits."""
        low, high = self._resampler.sources(first, end)
        parts = [
            values[:, max(low - start, 0) : high - start]
            for start, values in self._held
            if start < high and start + values.shape[1] > low
        ]
        resize = self._resampler.run(first, end)
        dtype = parts[0].dtype
        for channel in range(len(parts[0])):
            part = parts[0][channel] if len(parts) == 1 else torch.cat([values[channel] for values in parts])
            resized = resize(part)
            yield resized if dtype == torch.float32 else resized.to(dtype).float()

    def _labels_and_probabilities(self, first: int, channels: Iterator[torch.Tensor]) -> LabelRun:
        """Labels of the probabilities (not of the logits), slice by slice."""
        values = torch.stack(list(channels))
        labels = np.empty(values.shape[1:], dtype=self._dtype)
        for z in range(values.shape[1]):
            values[:, z] = self._label_manager.apply_inference_nonlin(values[:, z])
            found = self._label_manager.convert_probabilities_to_segmentation(values[:, z].cpu().numpy())
            labels[z] = found
        return LabelRun(first, labels, values.cpu().numpy())


def labels_of_logits(
    logits: torch.Tensor,
    new_shape: Sequence[int],
    current: Sequence[float],
    new: Sequence[float],
    settings: dict,
    label_manager: LabelManager,
    *,
    probabilities: bool = False,
    threads: int = 1,
) -> Iterator[LabelRun]:
    """All runs of a volume of logits (K, Z, Y, X) that is complete; arguments as of ``SlabExport``."""
    export = SlabExport(
        *(logits.shape[1:], new_shape, current, new, settings, label_manager),
        probabilities=probabilities,
        device=logits.device,
        threads=threads,
    )
    with export:
        yield from export.add(0, logits)


def takes(logits: Any) -> bool:
    """Whether these logits (array or tensor) are (K, Z, Y, X) of a dtype that is resampled run by run."""
    return len(logits.shape) == 4 and torch.as_tensor(logits[:0]).dtype in _DTYPES


def runs_of(resampler: SlabResampler, threads: int) -> list[tuple[int, int]]:
    """The output slices cut into runs [first, end), at least one per thread."""
    length, *plane = resampler.new_shape
    step = max(1, min(_VALUES_PER_RUN // max(1, int(np.prod(plane))), -(-length // threads)))
    if resampler.planes_first:
        step = max(step, _SLICES_PER_RUN_OF_PLANES)
    return [(first, min(length, first + step)) for first in range(0, length, step)]


def _largest(channels: Iterator[torch.Tensor]) -> torch.Tensor:
    """Index of the largest channel per voxel, the lowest one on ties."""
    best, labels = None, None
    for index, channel in enumerate(channels):
        if best is None:
            best = channel.clone()
            labels = torch.zeros(channel.shape, dtype=torch.uint8, device=channel.device)
            continue
        if index == 256:
            labels = labels.int()
        wins = _greater(channel, best).to(labels.dtype)
        # Indices rise, so the larger of two labels is the later one.
        labels = torch.maximum(labels, wins.mul_(index), out=labels)
        torch.maximum(best, channel, out=best)
    return labels


def _regions(
    channels: Iterator[torch.Tensor],
    labels_of_regions: Sequence[int],
    to_probabilities: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Where the float32 probability of a region exceeds one half, its label; later regions over earlier ones."""
    labels = None
    for channel, label in zip(channels, labels_of_regions):
        if labels is None:
            labels = torch.zeros(channel.shape, dtype=torch.int32, device=channel.device)
        labels.masked_fill_(to_probabilities(channel) > 0.5, int(label))
    return labels


def _greater(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """``a > b`` as 0 and 1 of uint8."""
    if a.device.type == "cpu":  # numpy compares with vector instructions, torch does not
        return torch.from_numpy(np.greater(a.numpy(), b.numpy()).view(np.uint8))
    return torch.gt(a, b).to(torch.uint8)


def _one_torch_thread() -> None:
    torch.set_num_threads(1)
