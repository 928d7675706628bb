"""From a torch network to an OpenVINO model of fixed input shape."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from nnunetv2.inference.engines.contract import EngineError

logger = logging.getLogger(__name__)

# Fractions of the patch tried for tracing. Deep networks need the larger one: their lowest stage must not become a
# single voxel, which instance norms refuse.
_TRACE_DIVISORS = (4, 2)


class Recording(NamedTuple):
    """The operations of a network, with its weights."""

    module: Any
    """A traced module."""
    example: torch.Tensor
    """The input it was recorded with."""


def record(network: torch.nn.Module, shape: tuple[int, ...]) -> Recording:
    """Recording of ``network``, in inference mode on the CPU, for input (B, C, *patch) of ``shape``.

    It runs the network. A small input is enough, and ten times faster, when the record does not depend on the size,
    which is the case when two sizes give the same one; otherwise the whole shape is used. Raises EngineError when
    the network cannot be recorded.
    """
    with _failures_told():
        return _smallest_recording(network, shape)


def convert(recording: Recording, shape: tuple[int, ...]) -> Any:
    """OpenVINO model of what is recorded, for input (B, C, *patch) of exactly ``shape``.

    The model may share the recording's memory. Raises EngineError when OpenVINO cannot represent it.
    """
    import openvino

    with _failures_told():
        model = openvino.convert_model(recording.module, example_input=recording.example, input=[tuple(shape)])
    if len(model.outputs) == 0 or not model.output(0).get_partial_shape().is_static:
        raise EngineError("the converted network has no output of fixed shape")
    return model


@contextmanager
def _failures_told() -> Iterator[None]:
    """Without gradients and warnings; whatever is raised is an EngineError with the reason."""
    try:
        with torch.no_grad(), warnings.catch_warnings(), _root_logger_kept():
            warnings.simplefilter("ignore")  # tracing warns about every Python condition in a network
            yield
    except Exception as error:  # whatever a network does may be foreign to the tracer or to OpenVINO
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise EngineError(f"converting the network to OpenVINO failed ({type(error).__name__}: {reason})") from error


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """OpenVINO's converter sets level and handlers of the root logger and leaves them so when it fails."""
    root = logging.getLogger()
    level, handlers, filters = root.level, list(root.handlers), list(root.filters)
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:], root.filters[:] = handlers, filters


def _smallest_recording(network: torch.nn.Module, shape: tuple[int, ...]) -> Recording:
    patch = shape[2:]
    for divisor in _TRACE_DIVISORS:
        small = tuple(length // divisor for length in patch)
        if any(length % divisor for length in patch) or any(length < 2 for length in small):
            continue
        try:
            records = [_record(network, (*shape[:2], *size)) for size in (small, (*small[:-1], patch[-1]))]
        except (RuntimeError, ValueError) as error:
            logger.debug("tracing with patch %s failed: %s", small, error)
            continue
        if _operations(records[0].module) == _operations(records[1].module):
            return records[0]
    return _record(network, shape)


def _record(network: torch.nn.Module, shape: tuple[int, ...]) -> Recording:
    example = torch.zeros(shape)
    return Recording(torch.jit.trace(network, example, check_trace=False), example)


def _operations(traced: Any) -> str:
    """The operations as text, without the shapes they were recorded with and without positions in the source."""
    text = re.sub(r"(Float|Long|Int|Half|BFloat16|Double|Bool)\([^)]*\)", r"\1", str(traced.inlined_graph))
    return re.sub(r" # .*|\.___torch_mangle_\d+", "", text)
