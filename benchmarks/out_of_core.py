"""Prediction of a volume larger than the memory it may use, and the same without a limit where that fits.

A CT phantom of 512 x 512 x SLICES int16 voxels in an uncompressed .nii is predicted with ``--max-memory``: it is read,
preprocessed and labelled in parts. The peak is that of the whole process, with Python and torch.

    python -m benchmarks.out_of_core --slices 1200 --max-memory 1
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

from benchmarks.many_classes import SPACING_ZYX, line, run, write_model

_HEADER_BYTES = 352


def write_long_phantom(path: Path, slices: int) -> None:
    """Slice by slice, so that this process stays small."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((512, 512, slices))
    header.set_sform(np.diag([*SPACING_ZYX[::-1], 1.0]), code=1)
    header.set_zooms(SPACING_ZYX[::-1])
    header["magic"], header["vox_offset"] = b"n+1", _HEADER_BYTES
    y, x = np.linspace(-1, 1, 512, dtype=np.float32)[:, None], np.linspace(-1, 1, 512, dtype=np.float32)[None]
    plane = 300 * np.cos(9 * y) + 200 * np.sin(7 * x) + 1
    with open(path, "wb") as stream:
        stream.write(header.binaryblock.ljust(_HEADER_BYTES, b"\0"))
        for index in range(slices):
            stream.write((plane + 100 * np.cos(index / 40)).astype(np.int16).tobytes())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--slices", type=int, default=1200)
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--max-memory", type=float, default=1.0, help="GiB")
    parser.add_argument("--compare", action="store_true", help="predict without a limit as well and compare the files")
    parser.add_argument("--work", type=Path, default=Path("out_of_core"), help="folder for everything that is made")
    arguments = parser.parse_args()
    work, slices = arguments.work.resolve(), arguments.slices
    model, images = work / "model", work / f"images_{slices}"
    write_model(model, arguments.classes)
    dataset = json.loads((model / "dataset.json").read_text())
    (model / "dataset.json").write_text(json.dumps(dataset | {"file_ending": ".nii"}))
    write_long_phantom(images / "phantom_0000.nii", slices)
    limit = f"{arguments.max_memory:g}"
    found = run(Path(sys.executable), model, images, work / "limited", "--max-memory", limit, "--engine", "torch")
    line("limited", slices, arguments.classes, found)
    size = (images / "phantom_0000.nii").stat().st_size / 2**20
    within = found.peak_mib <= 1024 * arguments.max_memory
    print(f"image {size:.0f} MiB, limit {limit} GiB, peak {found.peak_mib:.0f} MiB, within the limit: {within}")
    if arguments.compare:
        line("free", slices, arguments.classes, run(Path(sys.executable), model, images, work / "free"))
        files = [nib.load(work / name / "phantom.nii") for name in ("limited", "free")]
        equal = np.mean(np.asarray(files[0].dataobj) == np.asarray(files[1].dataobj))
        print(f"labels equal in {100 * equal:.4f} % of the voxels")


if __name__ == "__main__":
    main()
