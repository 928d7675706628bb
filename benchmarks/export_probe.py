"""One export by the public function of whichever nnunetv2 this Python has. Run by ``export_alone``.

Prints the seconds of the call as JSON in its last line and saves the labels.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path


def main() -> None:
    """Load, export, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder with logits.npy and the model folder")
    parser.add_argument("result", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--old", type=int, nargs=3, required=True)
    parser.add_argument("--new", type=int, nargs=3, required=True)
    arguments = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS=str(arguments.threads), MKL_NUM_THREADS=str(arguments.threads))

    import numpy as np

    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(str(arguments.work / "model" / "plans.json"))
    configuration = plans.get_configuration("3d_fullres")
    dataset = json.loads((arguments.work / "model" / "dataset.json").read_text())
    properties = {
        "spacing": [s * old / new for s, old, new in zip(configuration.spacing, arguments.old, arguments.new)],
        "shape_before_cropping": tuple(arguments.new),
        "bbox_used_for_cropping": [[0, n] for n in arguments.new],
        "shape_after_cropping_and_before_resampling": tuple(arguments.new),
    }
    logits = np.load(arguments.work / "logits.npy")
    start = time.perf_counter()
    labels = convert_predicted_logits_to_segmentation_with_correct_shape(
        *(logits, plans, configuration, plans.get_label_manager(dataset), properties), False, arguments.threads
    )
    seconds = time.perf_counter() - start
    np.save(arguments.result, np.ascontiguousarray(labels))
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
