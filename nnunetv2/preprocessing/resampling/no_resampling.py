"""Not resampling, under the signature of a resampling function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def no_resampling_hack(
    data: Any,
    new_shape: Sequence[int] | np.ndarray | None = None,
    current_spacing: Sequence[float] | None = None,
    new_spacing: Sequence[float] | None = None,
    **kwargs: Any,
) -> Any:
    """``data``, whatever else is asked for: plans with this function work on voxels as they are."""
    return data
