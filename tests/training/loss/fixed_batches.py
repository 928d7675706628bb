"""Small batches made by arithmetic, the same everywhere, and the formulas of the losses written out in numpy."""

from __future__ import annotations

import numpy as np

SHAPE = (2, 3, 4, 5)  # batch, classes or regions, height, width


def logits(shape=SHAPE) -> np.ndarray:
    """Float64 numbers between -2 and 2 in no particular order."""
    return (np.arange(np.prod(shape)) * 37 % 101 / 25 - 2).reshape(shape)


def labels(n_classes: int = 3) -> np.ndarray:
    """Label map (2, 1, 4, 5)."""
    return (np.arange(40) * 13 % 7 % n_classes).reshape(2, 1, 4, 5)


def regions() -> np.ndarray:
    """Overlapping regions (2, 3, 4, 5): labels above 0, above 1, and a third one."""
    label_map = labels()
    return np.concatenate([label_map > 0, label_map > 1, (np.arange(40) % 3 == 0).reshape(2, 1, 4, 5)], 1)


def mask() -> np.ndarray:
    """Annotated voxels (2, 1, 4, 5), about three quarters, more of them in the first sample."""
    index = np.arange(40)
    return ((index % 4 != 1) & (index < 33)).reshape(2, 1, 4, 5)


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z) / np.exp(z).sum(1, keepdims=True)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def one_hot(label_map: np.ndarray, n_classes: int = 3) -> np.ndarray:
    return np.concatenate([label_map == c for c in range(n_classes)], 1)


def dice_loss(p, g, m=1, smooth=1.0, batch_dice=False, do_bg=True) -> float:
    """Minus the mean of the Dice of each class, and of each sample unless ``batch_dice``."""
    p, g = p * m, g * m
    if batch_dice:  # one long sample
        p, g = (np.concatenate(list(x), axis=-1)[None] for x in (p, g))
    scores = []
    for sample in range(p.shape[0]):
        for c in range(0 if do_bg else 1, p.shape[1]):
            overlap, size = (p[sample, c] * g[sample, c]).sum(), p[sample, c].sum() + g[sample, c].sum()
            scores.append((2 * overlap + smooth) / max(size + smooth, 1e-8))
    return -float(np.mean(scores))


def cross_entropies(z: np.ndarray, label_map: np.ndarray) -> np.ndarray:
    """Per voxel, (2, 4, 5)."""
    return -np.log(np.take_along_axis(softmax(z), label_map, 1)[:, 0])


def binary_cross_entropies(z: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Per voxel and region, (2, 3, 4, 5)."""
    p = sigmoid(z)
    return -(g * np.log(p) + (1 - g) * np.log(1 - p))
