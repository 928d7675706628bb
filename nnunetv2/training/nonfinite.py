"""NaN and infinity in the losses and gradients of a training: found at no cost, named, and kept for a closer look.

Loss and norm of the gradient come to the host together, in the one transfer that a step makes anyway.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nnunetv2.errors import NonFiniteError
from nnunetv2.records.files import atomic_path
from nnunetv2.training import optimization
from nnunetv2.training.distributed import gather_objects, rank
from nnunetv2.training.options import RETRY_F32

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

# Overflow in float16 is over long before the loss is scaled by so little; it starts with 2 ** 16.
LOWEST_SCALE = 2.0**-16
# Repeated steps whose batch is kept; those after them are only named in the log.
KEPT_BATCHES = 5
# Names listed of the weights whose gradients are not finite.
NAMED_WEIGHTS = 3


def loss_on_host(
    trainer: nnUNetTrainer, batch: Mapping[str, Any], loss: torch.Tensor, norm: torch.Tensor, grad_scaler: Any
) -> np.ndarray:
    """The loss as an array of 0 axes. Raises NonFiniteError when it, or ``norm`` of the gradient, is not finite.

    A loss scaler skips steps whose gradients are not, and scales less; only when that does not help it is an error.
    """
    kind = torch.promote_types(loss.dtype, torch.float32)
    pair = torch.stack([loss.detach().reshape(()), norm.detach().to(loss.device, kind)]).cpu().numpy()
    problems = [] if np.isfinite(pair[0]) else [f"the loss is {pair[0]}"]
    if not np.isfinite(pair[1]) and not _may_be_overflow(grad_scaler):
        problems.append(f"the norm of the gradient is {pair[1]}{_bad_gradients(trainer)}")
    if problems:
        raise _error(trainer, batch, " and ".join(problems), trainer.training_options.nonfinite == RETRY_F32)
    return np.asarray(pair[0])


def require_finite_output(trainer: nnUNetTrainer, batch: Mapping[str, Any], output: Mapping[str, Any]) -> None:
    """The same for the loss in the output of a ``train_step`` that a trainer overrides. Tensors are not looked at."""
    loss = output.get("loss")
    if not _is_finite(loss):
        raise _error(trainer, batch, f"the loss is {loss}", repeated=False)


def warn_of_output(trainer: nnUNetTrainer, batch: Mapping[str, Any], output: Mapping[str, Any]) -> None:
    """Name the cases of a validation batch whose loss is not finite. Nothing is learned from it: training goes on."""
    loss = output.get("loss")
    if not _is_finite(loss):
        trainer.print_to_log_file(
            f"WARNING: epoch {trainer.current_epoch}, validation iteration {trainer.position.iteration}: the loss is "
            f"{loss}. {_cases(batch)}"
        )


def repeated_if_needed(
    trainer: nnUNetTrainer, batch: Mapping[str, Any], loss: torch.Tensor, norm: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, Any]:
    """For ``--nonfinite retry_f32``: loss, norm of the gradient and loss scaler to go on with after the backward pass.

    They are those given, unless one is not finite for some process: then forward and backward are done again in
    float32, without scaling. What a loss scaler handles, gradients that overflow, is left to it.
    """
    scaler = trainer.grad_scaler
    values = [loss] if _may_be_overflow(scaler) else [loss, norm]
    finite = all(math.isfinite(float(value.detach())) for value in values)
    if all(gather_objects(finite)):
        return loss, norm, scaler
    if not finite:
        _report_retry(trainer, batch)
    if scaler is not None:
        scaler.update()  # forgets the gradients that were checked, and scales less
    trainer.optimizer.zero_grad(set_to_none=True)
    data, target = optimization.batch_on_device(batch, trainer.device)
    _, loss = optimization.forward(trainer.network, trainer.loss, data, target, trainer.device, "f32")
    return loss, optimization.backward(loss, trainer.network, trainer.optimizer), None


def dump_batch(trainer: nnUNetTrainer, batch: Mapping[str, Any]) -> str:
    """Write ``data`` (B, C, *patch), ``target`` or ``target_0``, ``target_1``, ..., and ``keys`` of a batch as .npz.

    The file lies in the folder of the fold. Returns its path, in words why it could not be written otherwise.
    """
    where = f"epoch_{trainer.current_epoch}_iteration_{trainer.position.iteration}"
    name = f"nonfinite_{where}" + (f"_rank_{rank()}" if rank() else "") + ".npz"
    path = os.path.join(trainer.output_folder, name)
    target = batch.get("target")
    parts = {f"target_{i}": part for i, part in enumerate(target)} if isinstance(target, list) else {"target": target}
    arrays = {
        name: part.detach().cpu().numpy() if isinstance(part, torch.Tensor) else np.asarray(part)
        for name, part in ({"data": batch.get("data")} | parts).items()
        if part is not None
    }
    try:
        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, keys=np.array(list(map(str, batch.get("keys", ())))), **arrays)
    except OSError as error:
        return f"nowhere: {path} could not be written ({error})"
    return path


def _error(trainer: nnUNetTrainer, batch: Mapping[str, Any], what: str, repeated: bool) -> NonFiniteError:
    return NonFiniteError(
        f"epoch {trainer.current_epoch}, iteration {trainer.position.iteration}: {what}"
        f"{', also in float32' if repeated else ''}. {_cases(batch)}. The batch is in {dump_batch(trainer, batch)}. "
        "The checkpoints are from before. Look at these cases (nnUNetv2_plan_and_preprocess --verify_dataset_integrity "
        "finds numbers that are not finite in images); if others do the same, lower the learning rate (--lr)"
        + ("" if repeated else ", or repeat such steps in float32 (--nonfinite retry_f32)")
    )


def _report_retry(trainer: nnUNetTrainer, batch: Mapping[str, Any]) -> None:
    kept = len([name for name in os.listdir(trainer.output_folder) if name.startswith("nonfinite_")])
    where = f" The batch is in {dump_batch(trainer, batch)}." if kept < KEPT_BATCHES else ""
    trainer.print_to_log_file(
        f"WARNING: epoch {trainer.current_epoch}, iteration {trainer.position.iteration}: loss or gradient is not "
        f"finite; the step is repeated in float32. {_cases(batch)}.{where}"
    )


def _cases(batch: Mapping[str, Any]) -> str:
    """The cases of a batch, and those among them whose patch holds such numbers already."""
    keys, data = list(map(str, batch.get("keys", ()))), batch.get("data")
    text = f"Cases of the batch: {', '.join(keys) or 'unknown'}"
    if not isinstance(data, torch.Tensor) or len(data) != len(keys):
        return text
    counts = [int((~torch.isfinite(sample)).sum()) for sample in data]
    bad = [f"{key} ({count} values)" for key, count in zip(keys, counts) if count]
    return text + (f"; the image itself is not finite for {', '.join(bad)}" if bad else "")


def _bad_gradients(trainer: nnUNetTrainer) -> str:
    names = [
        name
        for name, parameter in trainer.network.named_parameters()
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all())
    ]
    more = f" and {len(names) - NAMED_WEIGHTS} more" if len(names) > NAMED_WEIGHTS else ""
    return f" (of {', '.join(names[:NAMED_WEIGHTS])}{more})" if names else ""


def _may_be_overflow(grad_scaler: Any) -> bool:
    return grad_scaler is not None and grad_scaler.is_enabled() and grad_scaler.get_scale() >= LOWEST_SCALE


def _is_finite(loss: Any) -> bool:
    return not isinstance(loss, (float, np.number, np.ndarray)) or bool(np.isfinite(loss).all())
