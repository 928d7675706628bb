"""From a torch network to an OpenVINO model of fixed input shape."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from nnunetv2.inference.engines.contract import EngineError

logger = logging.getLogger(__name__)

# Fractions of the patch tried for tracing. Deep networks need the larger one: their lowest stage must not become a
# single voxel, which instance norms refuse.
_TRACE_DIVISORS = (4, 2)


def convert(network: torch.nn.Module, shape: tuple[int, ...]) -> Any:
    """OpenVINO model of ``network`` with its present weights for input (B, C, *patch) of exactly ``shape``.

    The model may share the network's memory: give it a network nobody changes afterwards, in inference mode on the CPU.
    Raises EngineError when OpenVINO cannot represent the network.
    """
    import openvino

    try:
        with torch.no_grad(), warnings.catch_warnings(), _root_logger_kept():
            warnings.simplefilter("ignore")  # tracing warns about every Python condition in a network
            traced, example = _traced(network, shape)
            model = openvino.convert_model(traced, example_input=example, input=[tuple(shape)])
    except Exception as error:  # whatever a network does may be foreign to the tracer or to OpenVINO
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise EngineError(f"converting the network to OpenVINO failed ({type(error).__name__}: {reason})") from error
    if len(model.outputs) == 0 or not model.output(0).get_partial_shape().is_static:
        raise EngineError("the converted network has no output of fixed shape")
    return model


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


def _traced(network: torch.nn.Module, shape: tuple[int, ...]) -> tuple[Any, torch.Tensor]:
    """Recorded operations of the network, and the input they were recorded with.

    Recording runs the network. A small input is enough, and ten times faster, when the record does not depend on the
    size, which is the case when two sizes give the same one; otherwise the whole shape is used.
    """
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
        if _operations(records[0][0]) == _operations(records[1][0]):
            return records[0]
    return _record(network, shape)


def _record(network: torch.nn.Module, shape: tuple[int, ...]) -> tuple[Any, torch.Tensor]:
    example = torch.zeros(shape)
    return torch.jit.trace(network, example, check_trace=False), example


def _operations(traced: Any) -> str:
    """The operations as text, without the shapes they were recorded with and without positions in the source."""
    text = re.sub(r"(Float|Long|Int|Half|BFloat16|Double|Bool)\([^)]*\)", r"\1", str(traced.inlined_graph))
    return re.sub(r" # .*|\.___torch_mangle_\d+", "", text)
