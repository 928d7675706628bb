"""One installation's resampling of an image and of a label map, timed. Run by ``resampling_speed``.

    python resampling_probe.py FOLDER REPEAT

Only public names are used, so any installation of nnunetv2 can run it. FOLDER holds image.npy and labels.npy
(1, Z, Y, X) and shape.npy; the results are written beside them. Prints the shortest CPU seconds of both.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

SPACING = (1.0, 1.0, 1.0)
"""Of both grids: isotropic, so no axis is treated on its own."""


def main() -> None:
    torch.set_num_threads(1)
    folder, repeat = Path(sys.argv[1]), int(sys.argv[2])
    shape = [int(n) for n in np.load(folder / "shape.npy")]
    for name, is_seg in (("image", False), ("labels", True)):
        array = np.load(folder / f"{name}.npy")
        settings = {"is_seg": is_seg, "order": 1 if is_seg else 3, "order_z": 0, "force_separate_z": None}
        best = np.inf
        for _ in range(repeat):
            start = time.process_time()
            result = resample_data_or_seg_to_shape(array, shape, SPACING, SPACING, **settings)
            best = min(best, time.process_time() - start)
        np.save(folder / f"{name}_result.npy", result)
        print(f"{best:.6f}")


if __name__ == "__main__":
    main()
