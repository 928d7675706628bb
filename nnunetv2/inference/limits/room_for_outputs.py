"""Whether what a prediction is going to write and hold can fit at all, known before the first case starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from nnunetv2.ensembling.probability_files import ENDINGS, probabilities_shape
from nnunetv2.errors import NNUNetError
from nnunetv2.inference.limits.case_limits import voxels_of
from nnunetv2.inference.streaming import stock_path
from nnunetv2.inference.streaming.slab_export import can_stream
from nnunetv2.records.layout import files_with_ending
from nnunetv2.utilities.available_memory import require_memory
from nnunetv2.utilities.disk_space import free_bytes, require_room
from nnunetv2.utilities.executors import on_other_machines

if TYPE_CHECKING:
    from nnunetv2.inference.logits_predictor import LogitsPredictor
    from nnunetv2.inference.predictor import nnUNetPredictor

_FLOAT32 = 4
# So many files that are there show how well probabilities compress.
_MOST_EXAMPLES = 20
# The images that take the most memory are among so many with the largest files.
_LARGEST_FILES = 3


def require_room_for(
    predictor: nnUNetPredictor, cases: Sequence[Sequence[str]], names: Sequence[str] | None, probabilities: bool
) -> None:
    """Raise DiskFullError or MemoryLimitError when cases (image files, truncated outputs) are certain not to fit."""
    _require_memory(predictor, cases)
    ending = ENDINGS.get(predictor.probability_format)
    if names is None or not probabilities or ending is None:  # an unknown format is refused when it is written
        return
    scratch = stock_path.is_stock(predictor) and can_stream(predictor.label_manager, predictor.configuration_manager)
    heads = predictor.label_manager.num_segmentation_heads
    voxels = [_voxels(files) for files in cases]
    require_room_for_probabilities(names, voxels, heads, ending, scratch)


def require_room_for_probabilities(
    names: Sequence[str], voxels: Sequence[int | None], heads: int, ending: str, scratch: bool
) -> None:
    """Raise DiskFullError when probabilities of cases with so many ``voxels`` (None: unknown) cannot fit.

    The largest case has to be there uncompressed for a while, where ``scratch`` files are used; all of them compressed,
    as well as the best one that is there already. What is replaced is taken off.
    """
    sizes = [_FLOAT32 * heads * count for count in voxels if count is not None]
    if not sizes:
        return
    folder = os.path.dirname(names[0]) or "."
    free = free_bytes(folder)
    if free is None or sum(sizes) + max(sizes) <= free:
        return  # in any case
    replaced = sum(os.path.getsize(name + ending) for name in names if os.path.isfile(name + ending))
    require_room(
        folder,
        max(max(sizes) * scratch, int(sum(sizes) * _smallest_share(folder, ending)) - replaced),
        f"the prediction of {len(sizes)} case(s) with probabilities of {heads} classes",
        "Make room, choose another disk with -o, write the smaller --probabilities blosc2, or predict without them",
    )


def _voxels(files: Sequence[str]) -> int | None:
    """Voxels per channel by the header; None where it does not say, or cannot be read, which its turn will tell."""
    try:
        return voxels_of(files)
    except Exception:
        return None


def _smallest_share(folder: str, ending: str) -> float:
    """Bytes per uncompressed byte of the probability file here that is compressed best; 0 when there is none."""
    shares = []
    for name in files_with_ending(folder, ending)[:_MOST_EXAMPLES] if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        try:
            shares.append(os.path.getsize(path) / max(1, _FLOAT32 * prod(probabilities_shape(path))))
        except (NNUNetError, OSError):
            continue  # something else, or just being replaced
    return min(shares, default=0.0)


def _require_memory(predictor: LogitsPredictor, cases: Sequence[Sequence[str]]) -> None:
    """Raise MemoryLimitError when an image alone is larger than all memory; with a limit images are read in parts."""
    if predictor.max_memory is not None or on_other_machines():
        return
    largest = sorted((files for files in cases if os.path.isfile(files[0])), key=lambda f: os.path.getsize(f[0]))
    for files in largest[-_LARGEST_FILES:]:
        require_memory(
            _FLOAT32 * len(files) * (_voxels(files) or 0),
            f"{files[0]} as an array of float32",
            "Name the memory to use with --max-memory: images that do not fit are then read in parts",
        )
