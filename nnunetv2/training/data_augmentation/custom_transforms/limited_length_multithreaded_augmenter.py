"""LimitedLenWrapper: a pool of augmentation workers that reports a length, though it never ends."""

from __future__ import annotations

from nnunetv2.training.dataloading.loader_workers import WatchedAugmenter


class LimitedLenWrapper(WatchedAugmenter):
    """``WatchedAugmenter`` with ``len()``, for loops and progress bars that want one.

    ``my_imaginary_length`` is the length to report; everything else goes to the augmenter.
    """

    def __init__(self, my_imaginary_length: int, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.len = my_imaginary_length

    def __len__(self) -> int:
        return self.len
