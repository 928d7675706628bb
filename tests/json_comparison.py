"""Compare JSON content with that of another program: numbers nearly, paths by their last part, the rest exactly."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import Any


def assert_same_json(ours: Any, theirs: Any, where: str = "") -> None:
    """Same keys in the same order, same types, floats equal to 1e-9 relative; NaN equals NaN."""
    assert type(ours) is type(theirs) or {type(ours), type(theirs)} == {int, float}, f"{where}: {ours!r}, {theirs!r}"
    if isinstance(ours, dict):
        assert list(ours) == list(theirs), where
        for key in ours:
            assert_same_json(ours[key], theirs[key], f"{where}.{key}")
    elif isinstance(ours, list):
        assert len(ours) == len(theirs), where
        for i, (a, b) in enumerate(zip(ours, theirs)):
            assert_same_json(a, b, f"{where}[{i}]")
    elif isinstance(ours, float):
        assert math.isclose(ours, theirs, rel_tol=1e-9) or (math.isnan(ours) and math.isnan(theirs)), where
    elif isinstance(ours, str) and where.endswith("_file"):
        assert PurePath(ours).name == PurePath(theirs).name, where
    else:
        assert ours == theirs, where
