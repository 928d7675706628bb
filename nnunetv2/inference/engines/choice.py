"""Which engine runs a network, decided once per model and said in one line."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch

from nnunetv2.errors import UsageError
from nnunetv2.inference import network_calls
from nnunetv2.inference.engines.contract import ENGINES, Engine, EngineError, resolve_precision
from nnunetv2.inference.engines.torch_engine import TorchEngine
from nnunetv2.networks.winograd import WinogradConv3d

# Voxels of a patch from which on the torch engine is faster: measured with networks of 32 to 320 channels.
WINOGRAD_VOXELS = 2**17

logger = logging.getLogger(__name__)


def check_engine_name(requested: str, device: torch.device) -> None:
    """Raise UsageError when this engine is unknown, not installed, or not for this device."""
    from nnunetv2.inference.engines import openvino_engine

    if requested not in ENGINES:
        raise UsageError(f"engine is {requested!r}; it must be one of {', '.join(ENGINES)}")
    if requested == "openvino" and device.type != "cpu":
        raise UsageError(f"the OpenVINO engine runs on the CPU, not on {device.type}. Add -device cpu")
    if requested == "openvino" and not openvino_engine.installed():
        raise UsageError("openvino is not installed: pip install 'nnunetv2[openvino]', or use --engine torch")


def make_engine(
    requested: str,
    precision: str | None,
    network: Any,
    parameters: Sequence[Mapping[str, torch.Tensor]],
    device: torch.device,
    shape: tuple[int, ...],
) -> Engine:
    """The engine for ``network`` and the weights of its folds.

    ``auto`` is OpenVINO when that is installed, the device is the CPU and the network converts for tiles of ``shape``
    (B, C, *patch); else torch. For networks of 3 x 3 x 3 convolutions in float32 and patches that are not small it is
    torch as well, which is faster there and ready at once. A network that does not convert costs one warning. Raises
    UsageError for wishes that cannot be granted on this machine.
    """
    check_engine_name(requested, device)
    resolved = resolve_precision(precision, device)
    if precision == "bf16" and resolved == "f32":
        logger.info("bf16 is allowed, but this CPU multiplies f32 faster: computing in f32")
    why = _why_not_openvino(requested, device)
    if why is None and requested == "auto" and resolved == "f32" and _torch_is_faster(network, shape):
        why = "faster for 3 x 3 x 3 convolutions"
    if why is None:
        from nnunetv2.inference.engines.openvino_engine import OpenVINOEngine

        try:
            engine = OpenVINOEngine(network, parameters, resolved)
            engine.prepare(0, shape)
            logger.info("Engine: openvino, %s (installed, device cpu, network converted)", resolved)
            return engine
        except EngineError as error:
            logger.warning("%s. The torch engine runs this network instead, which is slower", error)
            why = "OpenVINO cannot run this network"
    logger.info("Engine: torch, %s (%s)", resolved, why)
    return TorchEngine(network, parameters, device, resolved)


def _torch_is_faster(network: Any, shape: tuple[int, ...]) -> bool:
    """Whether layers take fewer products in the torch engine, and the patch is large enough to matter."""
    if prod(shape[2:]) < WINOGRAD_VOXELS or not network_calls.is_plain(network):
        return False
    return any(WinogradConv3d.suits(module) for module in network.modules())


def _why_not_openvino(requested: str, device: torch.device) -> str | None:
    from nnunetv2.inference.engines import openvino_engine

    if requested == "torch":
        return "asked for"
    if device.type != "cpu":
        return f"device {device.type}"
    return None if openvino_engine.installed() else "openvino is not installed"
