"""The OpenVINO engine: the fast one on CPUs. Needs the extra ``openvino``."""

from __future__ import annotations

import copy
import importlib.util
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nnunetv2.configuration import available_cpus, integer_from_environment
from nnunetv2.inference import network_calls
from nnunetv2.inference.engines.contract import EngineError, tiles_per_batch
from nnunetv2.inference.engines.openvino_weights import Template, converted, filled, template
from nnunetv2.utilities.signal_stack import own_signal_stack

logger = logging.getLogger(__name__)


def installed() -> bool:
    """Whether OpenVINO can be imported."""
    return importlib.util.find_spec("openvino") is not None


def thread_count() -> int:
    """Threads of one inference: the available CPUs, fewer if ``nnUNet_def_n_proc`` says so."""
    cpus = available_cpus()
    return max(1, min(integer_from_environment("nnUNet_def_n_proc", cpus), cpus))


class OpenVINOEngine:
    """One compiled model per fold and batch size, all kept.

    Memory per compiled model: its weights twice, once as stored and once in the layout of the kernels, and the largest
    activations of one batch. The first fold takes one to three seconds, the others a fraction of that, when their first
    tile comes or before in ``prepare``.
    """

    name = "openvino"
    # A convolution of one tile of this size keeps the threads busy; larger batches cost compiling and gain nothing.
    voxels_per_batch = 2**16

    def __init__(self, network: torch.nn.Module, parameters: Sequence[Mapping[str, torch.Tensor]], precision: str):
        import openvino

        if not network_calls.is_plain(network):
            raise EngineError(f"the network ({type(network).__name__}) is wrapped, has hooks or is no torch module")
        self.precision = precision
        self._openvino = openvino
        self._core = openvino.Core()
        self._network = network
        self._parameters = parameters
        self._requests: dict[tuple[int, tuple[int, ...], str], Any] = {}
        self._templates: dict[tuple[tuple[int, ...], str], Template | None] = {}

    def select(self, fold: int) -> None:
        """Nothing to do: every fold has its own compiled model."""

    def prepare(self, fold: int, shape: tuple[int, ...]) -> None:
        """Convert and compile for tiles of this shape (B, C, *patch). Raises EngineError when that is impossible."""
        self._request(fold, tuple(shape), self.precision)

    def predict(self, fold: int, tiles: torch.Tensor, precision: str | None = None) -> torch.Tensor:
        """Logits of tiles on the CPU. Only single tiles and full batches have a compiled model."""
        full = tiles_per_batch(tuple(tiles.shape[2:]), self.voxels_per_batch)
        if len(tiles) not in (1, full):
            return torch.cat([self.predict(fold, tile, precision) for tile in tiles.split(1)])
        request = self._request(fold, tuple(tiles.shape), precision or self.precision)
        array = np.ascontiguousarray(tiles.numpy(), dtype=np.float32)
        logits = torch.empty(tuple(request.model_outputs[0].get_shape()), dtype=torch.float32)
        request.set_input_tensor(self._openvino.Tensor(array, shared_memory=True))
        request.set_output_tensor(0, self._openvino.Tensor(logits.numpy(), shared_memory=True))
        request.infer()
        return logits

    def _request(self, fold: int, shape: tuple[int, ...], precision: str) -> Any:
        key = fold, shape, precision
        if key not in self._requests:
            start = time.perf_counter()
            # Not inside inference mode: its tensors cannot be traced.
            with torch.inference_mode(False):
                network = _copied(self._network).to("cpu").float().eval().requires_grad_(False)
                network_calls.load_weights(network, self._parameters[fold])
                self._requests[key] = self._compiled(self._model(network, shape, precision), precision)
            logger.debug("compiled fold %d for %s in %.1f s", fold, shape, time.perf_counter() - start)
        return self._requests[key]

    def _model(self, network: torch.nn.Module, shape: tuple[int, ...], precision: str) -> Any:
        """The network with its weights as an OpenVINO model; of several folds only the first is converted."""
        if len(self._parameters) == 1:
            return converted(network, shape, precision)
        key = shape, precision
        if key not in self._templates:
            self._templates[key] = template(network, shape, precision)
        known = self._templates[key]
        return converted(network, shape, precision) if known is None else filled(known, network)

    def _compiled(self, model: Any, precision: str) -> Any:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": thread_count(),
        }
        try:
            return self._core.compile_model(model, "CPU", settings).create_infer_request()
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO could not compile the network ({str(error).strip().splitlines()[0]})"
            ) from error
        finally:
            own_signal_stack()  # in place of the one that loading the plugin set


def _copied(network: torch.nn.Module) -> torch.nn.Module:
    """A network of its own; raises EngineError for one that holds what cannot be copied, such as a lock."""
    try:
        return copy.deepcopy(network)
    except (TypeError, RuntimeError) as error:
        raise EngineError(f"the network ({type(network).__name__}) cannot be copied for OpenVINO ({error})") from error
