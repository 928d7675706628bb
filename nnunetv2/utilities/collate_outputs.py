"""Gathering the outputs of all steps of an epoch."""

from __future__ import annotations

from typing import Any

import numpy as np


def collate_outputs(outputs: list[dict[str, Any]]) -> dict[str, Any]:
    """One dictionary from the dictionaries of all steps: scalars to a list, arrays stacked, lists joined.

    Raises ValueError naming the key for another type.
    """
    collated: dict[str, Any] = {}
    for key, first in outputs[0].items():
        values = [step[key] for step in outputs]
        if np.isscalar(first):
            collated[key] = values
        elif isinstance(first, np.ndarray):
            collated[key] = np.stack(values)
        elif isinstance(first, list):
            collated[key] = [item for value in values for item in value]
        else:
            raise ValueError(
                f"step output {key!r} is {type(first).__name__}; return a number, a numpy array or a list from the step"
            )
    return collated
