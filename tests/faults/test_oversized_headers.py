"""Headers that ask for more than there is: refused with figures, in a moment, before anything is allocated."""

from __future__ import annotations

import gzip
import io
import json
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.faults.readers import CASE, FORMATS
from tests.faults.reading_process import outcomes

pytestmark = pytest.mark.slow


def nifti_header(size: int, datatype: int = 4) -> bytes:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, size, size, size, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, datatype, 16)
    struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    header[344:348] = b"n+1\0"
    return bytes(header)


def huge_nifti(path: Path) -> None:
    path.write_bytes(nifti_header(20_000) + bytes(1000))


def huge_packed_nifti(path: Path) -> None:
    path.write_bytes(gzip.compress(nifti_header(20_000) + bytes(1000)))


def nifti_of_zeros(path: Path) -> None:
    """Three GiB of zeros in three MiB, for an image of a thousand voxels."""
    squeezer = zlib.compressobj(9, wbits=31)
    with open(path, "wb") as stream:
        stream.write(squeezer.compress(nifti_header(10)))
        block = bytes(1 << 24)
        for _ in range(192):
            stream.write(squeezer.compress(block))
        stream.write(squeezer.flush())


def huge_nrrd(path: Path) -> None:
    path.write_text(
        "NRRD0004\ntype: short\ndimension: 3\nspace dimension: 3\nsizes: 20000 20000 20000\n"
        "space directions: (1,0,0) (0,1,0) (0,0,1)\nendian: little\nencoding: raw\nspace origin: (0,0,0)\n\n" + "x" * 99
    )


def huge_mha(path: Path) -> None:
    path.write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
        "DimSize = 20000 20000 20000\nElementType = MET_SHORT\nElementDataFile = LOCAL\n" + "x" * 99
    )


def huge_gipl(path: Path) -> None:
    header = bytearray(256)
    struct.pack_into(">5H", header, 0, 60_000, 60_000, 60_000, 1, 15)
    path.write_bytes(header + bytes(99))


def huge_png(path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1_000_000, 1_000_000, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"x")) + chunk(b"IEND", b"")
    )


def huge_tiff(path: Path) -> None:
    """A directory of 2 million by 2 million pixels in one strip of 100 bytes."""
    entries = [(256, 4, 2_000_000), (257, 4, 2_000_000), (258, 3, 8), (259, 3, 8), (262, 3, 1), (273, 4, 8)]
    entries += [(277, 3, 1), (278, 4, 2_000_000), (279, 4, 100)]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    path.write_bytes(
        struct.pack("<2sHI", b"II", 42, 108) + bytes(100) + struct.pack("<H", len(entries)) + table + bytes(4)
    )


def huge_array_header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + bytes(100)


def huge_npz(path: Path) -> None:
    FORMATS["npz"].write(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key in ("data", "seg", "probabilities"):
            archive.writestr(f"{key}.npy", huge_array_header((1, 20_000, 20_000, 20_000)))


def huge_memo(path: Path) -> None:
    """A pickle of ten bytes that makes Python's unpickler clear 64 GiB."""
    FORMATS["pkl"].write(path)
    path.write_bytes(b"\x80\x04}r\xff\xff\xff\xfe.")


def huge_text_in_pickle(path: Path) -> None:
    FORMATS["pkl"].write(path)
    path.write_bytes(b"\x80\x04\x8e" + struct.pack("<Q", 1 << 41) + b"x.")


def deep_json(path: Path) -> None:
    path.write_text("[" * 100_000)


def json_below_the_limit(path: Path) -> None:
    """As deep as the parser goes, where everything that walks through the content is at its end."""
    content = FORMATS["json, plans"]
    content.write(path)
    plans = json.loads(path.read_text())
    plans["configurations"]["3d_fullres"]["spacing"] = "SPACING"
    path.write_text(json.dumps(plans).replace('"SPACING"', "[" * 900 + "]" * 900))


def long_number_in_json(path: Path) -> None:
    path.write_text('{"labels": ' + "9" * 10_000 + "}")


HEADERS: list[tuple[str, str, Callable[[Path], None], str]] = [
    ("nii", "case_0000.nii", huge_nifti, "bytes are there"),
    ("nii.gz", "case_0000.nii.gz", huge_packed_nifti, "16,000,000,000,352 bytes"),
    ("nii.gz, nibabel", "case_0000.nii.gz", huge_packed_nifti, "16,000,000,000,352 bytes"),
    ("nrrd", "case_0000.nrrd", huge_nrrd, "iB"),
    ("mha", "case_0000.mha", huge_mha, "iB"),
    ("gipl", "case_0000.gipl", huge_gipl, "bytes are there"),
    ("png", "case_0000.png", huge_png, "iB"),
    ("tif, compressed", "case_0000.tif", huge_tiff, "iB"),
    ("tif, picture", "case_0000.tif", huge_tiff, "iB"),
    ("npz", f"{CASE}.npz", huge_npz, "bytes"),
    ("npz, probabilities", "case.npz", huge_npz, "bytes"),
    ("pkl", f"{CASE}.pkl", huge_memo, "damaged"),
    ("pkl", f"{CASE}.pkl", huge_text_in_pickle, "damaged"),
    ("json, plans", "nnUNetPlans.json", deep_json, "JSON"),
    ("json, data set", "dataset.json", deep_json, "JSON"),
    ("json, data set", "dataset.json", long_number_in_json, "JSON"),
    ("json, plans", "nnUNetPlans.json", json_below_the_limit, "nnUNetPlans"),
]


def test_headers_that_ask_for_too_much_are_refused_with_figures(tmp_path, figures):
    tasks = []
    for number, (name, file, write, text) in enumerate(HEADERS):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder / file)
        tasks.append({"format": name, "path": str(folder / file), "made": write.__name__, "text": text})
    problems, longest = [], 0.0
    for outcome in outcomes(tasks):
        longest = max(longest, outcome.get("seconds", 0))
        refused = outcome["kind"] == "error" and outcome["text"] in outcome["message"]
        if not refused or Path(outcome["path"]).name not in outcome["message"]:
            problems.append(f"{outcome['format']}, {outcome['made']}: {outcome['kind']}: {outcome.get('message')}")
    figures("headers that ask for too much", len(tasks), f"all refused, at most {longest:.1f} s each")
    assert not problems, "\n".join(problems)


def test_zeros_behind_an_image_are_not_unpacked(tmp_path):
    nifti_of_zeros(tmp_path / "case_0000.nii.gz")
    start = time.monotonic()
    (outcome,) = outcomes([{"format": "nii.gz", "path": str(tmp_path / "case_0000.nii.gz")}])
    assert outcome["kind"] in ("read", "error")
    assert time.monotonic() - start < 60
