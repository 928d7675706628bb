"""Sizes beyond all memory are refused by figures."""

import pytest

from nnunetv2.errors import MemoryLimitError
from nnunetv2.imageio.sizes import refuse_what_does_not_fit


def test_an_image_larger_than_all_memory_is_refused_with_figures(monkeypatch):
    refuse_what_does_not_fit("a.nii", 1 << 20)
    with pytest.raises(
        MemoryLimitError, match=r"a\.nii: what its header describes needs at least 1048576\.0 TiB of memory"
    ):
        refuse_what_does_not_fit("a.nii", 1 << 60)
    monkeypatch.setenv("nnUNet_ignore_resources", "1")
    refuse_what_does_not_fit("a.nii", 1 << 60)
