"""What is put around a network for training (torch.compile, distributed data parallel), and how to look inside."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from nnunetv2.configuration import switch_from_environment
from nnunetv2.errors import UsageError
from nnunetv2.training.optimization import autocast


def bare_network(network: nn.Module) -> nn.Module:
    """The network as it was built, without the wrappers of DDP and torch.compile."""
    while True:
        if isinstance(network, DistributedDataParallel):
            network = network.module
        elif hasattr(network, "_orig_mod"):
            network = network._orig_mod
        else:
            return network


def compile_decision(device: torch.device) -> tuple[bool, str | None]:
    """Whether training on ``device`` compiles the network, and a line for the log where that needs one.

    On CUDA the default is yes; ``nnUNet_compile`` set to anything but true, 1 or t turns it off. Elsewhere never. Where
    the tools torch.compile needs are missing, training goes on without it, and the line says so.
    """
    asked = switch_from_environment("nnUNet_compile")
    if asked is False:
        return False, None
    if device.type != "cuda" or platform.system() == "Windows":
        where = f"device {device.type}" if device.type != "cuda" else "Windows"
        note = f"INFO: nnUNet_compile is set, but networks are not compiled on {where} and it has no effect."
        return False, note if asked else None
    missing = _missing_for_compilation()
    if missing:
        return False, f"INFO: training without torch.compile (slower, same results), because {missing}."
    return True, None


def _missing_for_compilation() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    if not (os.environ.get("CC") or any(shutil.which(name) for name in ("gcc", "cc", "clang"))):
        return "no C compiler was found (install gcc, or name one in the environment variable CC)"
    return None


def compile_if(
    wanted: bool, network: nn.Module, device: torch.device, trial: Callable[[nn.Module], None] | None = None
) -> tuple[nn.Module, str | None]:
    """``network``, compiled if ``wanted``, and a line for the log where that needs one.

    torch compiles at the first call, so ``trial(compiled)`` makes one; when anything in it fails, the network itself is
    used and the line says why.
    """
    if not wanted:
        return network, compile_decision(device)[1]
    try:
        compiled = torch.compile(network)
        if trial is not None:
            trial(compiled)
        return compiled, "Using torch.compile..."
    except Exception as error:  # what compilers raise is open-ended
        network.zero_grad(set_to_none=True)
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return network, f"WARNING: training without torch.compile (slower, same results), which failed: {reason[0]}"


def is_compiled(network: nn.Module | None) -> bool:
    """Whether ``network``, perhaps within DDP, went through torch.compile."""
    inner = network.module if isinstance(network, DistributedDataParallel) else network
    return hasattr(inner, "_orig_mod")


def try_one_step(network: nn.Module, shape: Sequence[int], device: torch.device, precision: str | None) -> None:
    """Forward and backward of zeros of ``shape`` (B, C, *patch); weights, buffers and generators stay as they were."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in network.buffers()]
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), autocast(device, precision):
        outputs = network(torch.zeros(tuple(shape), device=device))
        loss = sum(output.float().mean() for output in (outputs if isinstance(outputs, (list, tuple)) else [outputs]))
    loss.backward()
    network.zero_grad(set_to_none=True)
    for buffer, value in buffers:
        buffer.copy_(value)


def wrap_for_ddp(network: nn.Module, device: torch.device) -> nn.Module:
    """Convert batch norms to synchronised ones where they exist for the device, and wrap ``network`` for DDP."""
    _freeze_unused_outputs(bare_network(network))
    if device.type != "cuda":
        return DistributedDataParallel(network)
    network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return DistributedDataParallel(network, device_ids=[device.index])


def _freeze_unused_outputs(network: nn.Module) -> None:
    """Without deep supervision only the last of the decoder's ``seg_layers`` runs, but DDP waits for every gradient."""
    decoder = getattr(network, "decoder", None)
    if getattr(decoder, "deep_supervision", True) or not hasattr(decoder, "seg_layers"):
        return
    for layer in list(decoder.seg_layers)[:-1]:
        layer.requires_grad_(False)


def switch_deep_supervision(network: nn.Module, enabled: bool, expected: bool) -> None:
    """Set ``decoder.deep_supervision`` of the bare network: a list of outputs, or the highest resolution only.

    ``expected`` says whether the trainer uses deep supervision at all. A network without a decoder is left as it is
    when it does not; otherwise UsageError says which method to override.
    """
    bare = bare_network(network)
    if hasattr(bare, "decoder"):
        bare.decoder.deep_supervision = enabled
    elif expected:
        raise UsageError(
            f"{type(bare).__name__} has no attribute 'decoder' with a deep supervision switch. Override "
            "set_deep_supervision_enabled in the trainer, or set its enable_deep_supervision to False"
        )
