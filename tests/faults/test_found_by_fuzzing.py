"""What fuzzing has found: inputs, made smaller by hand, that ended in something else than a declared error."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnunetv2.errors import NNUNetError
from tests.faults import documents_read
from tests.faults.readers import CASE, DATASET_JSON, FORMATS, plans


def changed(document: Any, path: str, value: Any) -> Any:
    """``document`` with the entry at a dotted path replaced."""
    copied = json.loads(json.dumps(document))
    *parents, last = path.split(".")
    inner = copied
    for key in parents:
        inner = inner[key]
    inner[last] = value
    return copied


FULL = "configurations.3d_fullres"
NETWORK = f"{FULL}.architecture"
ARGUMENTS = f"{NETWORK}.arch_kwargs"

PLANS: list[Any] = [
    None,
    7,
    [],
    changed(plans(), "configurations", {"a": None}),
    changed(plans(), "configurations.small.inherits_from", {}),
    changed(plans(), "configurations.small.inherits_from", [[]]),
    changed(plans(), "configurations.small", [1, 2]),
    changed(plans(), "configurations.small", "text"),
    changed(plans(), f"{FULL}.spacing", [None, 1, 1]),
    changed(plans(), f"{FULL}.spacing", 1),
    changed(plans(), f"{FULL}.patch_size", [{}, 16, 16]),
    changed(plans(), f"{FULL}.patch_size", [16, 16, 0]),
    changed(plans(), f"{FULL}.patch_size", [2**63, 16, 16]),
    changed(plans(), f"{FULL}.batch_size", 10**400),
    changed(plans(), f"{FULL}.batch_size", []),
    changed(plans(), f"{FULL}.data_identifier", []),
    changed(plans(), f"{FULL}.normalization_schemes", 3),
    changed(plans(), NETWORK, []),
    changed(plans(), NETWORK, {"arch_kwargs": {}}),
    changed(plans(), f"{NETWORK}.network_class_name", {}),
    changed(plans(), ARGUMENTS, None),
    changed(plans(), f"{ARGUMENTS}.n_stages", 10**9),
    changed(plans(), f"{ARGUMENTS}.features_per_stage", {}),
    changed(plans(), f"{ARGUMENTS}.kernel_sizes", [[3, 3, 3], 3, [3, 3]]),
    changed(plans(), f"{ARGUMENTS}.strides", [[1, 1], [2, 2, 2], [2, 2, 2]]),
    changed(plans(), f"{ARGUMENTS}.strides", [[1, 1, 1], [0, 2, 2], [2, 2, 2]]),
    changed(plans(), f"{ARGUMENTS}.strides", [[1, 1, 1], [1.5, 2, 2], [2, 2, 2]]),
    changed(plans(), f"{ARGUMENTS}.n_conv_per_stage", [[], 2, 2]),
    changed(plans(), f"{ARGUMENTS}.n_conv_per_stage_decoder", []),
    changed(plans(), f"{ARGUMENTS}.norm_op_kwargs", 1),
    changed(plans(), f"{ARGUMENTS}.strides", 3),
    changed(plans(), f"{ARGUMENTS}.features_per_stage", 7),
    changed(plans(), "original_median_spacing_after_transp", [[], 1, 1]),
    changed(plans(), "original_median_spacing_after_transp", [1e-300, 1, 1]),
    changed(plans(), "original_median_shape_after_transp", [1e9, 1e9, 1e9]),
    changed(plans(), "transpose_forward", [0, 1, 7]),
    changed(plans(), "dataset_name", []),
    changed(plans(), "plans_name", None),
]

DATASETS: list[Any] = [
    None,
    [],
    changed(DATASET_JSON, "labels.tumour", float("inf")),
    changed(DATASET_JSON, "labels.organ", [1, float("inf")]),
    changed(DATASET_JSON, "numTraining", {}),
    changed(DATASET_JSON, "numTraining", float("nan")),
]

FINGERPRINTS: list[Any] = [None, 3.5, [], "text"]


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (kind, document)
        for kind, documents in (("plans", PLANS), ("dataset", DATASETS), ("fingerprint", FINGERPRINTS))
        for document in documents
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_documents_are_declared_errors_everywhere(kind, document, tmp_path, capsys):
    path = tmp_path / f"{kind}.json"
    path.write_text(json.dumps(document))
    for read in documents_read.READERS[kind]:
        with contextlib.suppress(NNUNetError, SystemExit):
            read(path)


def flip_in_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 2, len(content) // 2 + 40):
        content[place] ^= 0xFF
    path.write_bytes(content)


def spoil_the_directory(path: Path) -> None:
    """A checkpoint whose list of members does not begin with its signature."""
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    content = bytearray(path.read_bytes())
    content[start] ^= 1
    path.write_bytes(content)


def change_the_shape(path: Path) -> None:
    """A b2nd file that states an axis of 2**55 voxels."""
    content = path.read_bytes()
    at = content.index(b"\xd3" + (17).to_bytes(8, "big"))  # int64 of its metadata
    path.write_bytes(content[: at + 1] + (1 << 55).to_bytes(8, "big") + content[at + 9 :])


@pytest.mark.parametrize(
    ("name", "file", "spoil"),
    [
        ("b2nd, image", f"{CASE}.b2nd", flip_in_the_middle),
        ("b2nd, labels", f"{CASE}_seg.b2nd", flip_in_the_middle),
        ("b2nd, image", f"{CASE}.b2nd", change_the_shape),
        ("pth", "checkpoint_final.pth", spoil_the_directory),
    ],
)
def test_damaged_files_are_named(name: str, file: str, spoil: Callable[[Path], None], tmp_path):
    FORMATS[name].write(tmp_path / file)
    spoil(tmp_path / file)
    with pytest.raises(NNUNetError, match=file.replace(".", r"\.")):
        FORMATS[name].read(tmp_path / file)
