"""Where the real data sets and golden files lie, and the marker for tests that need them."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
DATA = SHARED / "data"
GOLDEN = SHARED / "golden"

needs_shared = pytest.mark.skipif(
    not GOLDEN.is_dir(),
    reason="needs the real data sets and golden files in ../shared, which are not part of this repository",
)
