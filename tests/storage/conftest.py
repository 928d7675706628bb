"""A tiny preprocessed case and folders of them in both formats."""

from __future__ import annotations

import numpy as np
import pytest

from nnunetv2.storage.blosc2_store import nnUNetDatasetBlosc2
from nnunetv2.storage.numpy_store import nnUNetDatasetNumpy


def make_case(seed=0, shape=(9, 14, 11)):
    """``(data, seg, properties)`` as preprocessing makes them."""
    rng = np.random.RandomState(seed)
    data = rng.randn(2, *shape).astype(np.float32)
    seg = (rng.randint(0, 4, (1, *shape)) - 1).astype(np.int16)
    locations = {1: np.argwhere(seg == 1), (1, 2): np.argwhere(seg > 0), 7: []}
    return data, seg, {"spacing": [2.0, 1.0, np.float64(1.5)], "class_locations": locations}


@pytest.fixture
def case():
    return make_case()


@pytest.fixture(params=[nnUNetDatasetBlosc2, nnUNetDatasetNumpy])
def store(request):
    """Both formats: every test with it is part of their common contract."""
    return request.param


@pytest.fixture
def folder(tmp_path, store):
    """A folder of three cases, ``a`` to ``c``, in the format ``store``."""
    path = tmp_path / "cases"
    path.mkdir()
    for seed, name in enumerate("abc"):
        store.save_case(*make_case(seed), str(path / name))
    return str(path)
