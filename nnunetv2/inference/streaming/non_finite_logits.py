"""Logits that are NaN or infinite: noticed slab by slab, and the case predicted again in f32.

Half precision ends at 65504. A product inside the network may exceed it, and so may the weighted sum over tiles; f32
can hold both. What is not finite in f32 either is refused, since every class would look alike there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch

from nnunetv2.errors import NNUNetError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_case: ContextVar[str | None] = ContextVar("case", default=None)
_attempt: ContextVar[int] = ContextVar("attempt", default=0)


class NonFiniteLogitsError(NNUNetError, RuntimeError):
    """Logits are NaN, or left the range of their floating point type."""


def refuse_non_finite(logits: torch.Tensor) -> None:
    """Raise NonFiniteLogitsError when a value of (K, ...) is NaN or infinite.

    Sums show it, whatever the other values are, at the price of reading the logits once; on a GPU there is one wait.
    """
    suspicious = ~torch.isfinite(_sum_per_channel(logits))
    if not bool(suspicious.any()):
        return
    # A sum of large finite values may have overflowed.
    channels = [k for k in torch.nonzero(suspicious).flatten().tolist() if not bool(torch.isfinite(logits[k]).all())]
    if channels:
        raise NonFiniteLogitsError(f"the logits of output channel(s) {channels} are NaN or infinite in {logits.dtype}")


def _sum_per_channel(logits: torch.Tensor) -> torch.Tensor:
    if logits.device.type == "cpu":  # one by one, since torch converts all it sums up before
        return torch.stack([channel.sum(dtype=torch.float32) for channel in logits])
    return logits.flatten(1).sum(1, dtype=torch.float32)


def in_f32() -> bool:
    """Whether this thread predicts a case again, so that products and sums have to be f32."""
    return _attempt.get() == 2


@contextmanager
def naming(case: str) -> Iterator[None]:
    """Inside, warnings and errors about logits name this case."""
    token = _case.set(case)
    try:
        yield
    finally:
        _case.reset(token)


def with_f32_as_second_attempt(
    predict: Callable[[], Result], already_f32: bool, reason: Callable[[], str] = lambda: ""
) -> Result:
    """``predict()``; when its logits are not finite, once more while ``in_f32`` holds, after one warning.

    ``already_f32``: products and sums are f32 anyway, so a second attempt would give the same. ``reason`` explains
    logits that are not finite in f32. Raises NonFiniteLogitsError then, naming the case. An attempt inside an attempt
    is a part of it: one fold that fails is a case that is predicted again.
    """
    if _attempt.get():
        return predict()
    case = f"case {_case.get()}" if _case.get() else "the case"
    token = _attempt.set(1)
    try:
        try:
            return predict()
        except NonFiniteLogitsError as error:
            if already_f32:
                raise _refused(case, error, reason) from error
            logger.warning("%s: %s. Predicting it again in f32, which takes longer", case, error)
        # Here the exception is gone, and with it the frames that kept the first attempt's arrays alive.
        _attempt.set(2)
        try:
            return predict()
        except NonFiniteLogitsError as error:
            raise _refused(case, error, reason) from error
    finally:
        _attempt.reset(token)


def _refused(case: str, error: NonFiniteLogitsError, reason: Callable[[], str]) -> NonFiniteLogitsError:
    return NonFiniteLogitsError(f"{case}: {error}, with every product and sum in f32. {reason()}".rstrip())


def blame(parameters: Sequence[Mapping[str, Any]]) -> str:
    """Why logits may be NaN in f32: the weights of some fold are, or something else is wrong."""
    for fold, weights in enumerate(parameters):
        broken = [
            name
            for name, value in weights.items()
            if isinstance(value, torch.Tensor) and value.is_floating_point() and not bool(torch.isfinite(value).all())
        ]
        if broken:
            more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
            return (
                f"The weights of model {fold + 1} of {len(parameters)} are NaN or infinite themselves "
                f"({', '.join(broken[:3])}{more}): the training diverged. Use another checkpoint or fold"
            )
    return (
        "The weights are finite, so values outgrow float32 inside the network: the training diverged, or the "
        "intensities of the image are far from those it was trained on. Try another checkpoint, and look at the image"
    )
