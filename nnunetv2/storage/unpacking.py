"""Unpacking a folder of preprocessed cases, under the signature older training code calls."""

from __future__ import annotations

from nnunetv2.configuration import num_processes as default_num_processes
from nnunetv2.records.files import PathLike
from nnunetv2.storage.numpy_store import nnUNetDatasetNumpy, unpack_folder


def unpack_dataset(
    folder: PathLike,
    unpack_segmentation: bool = True,
    overwrite_existing: bool = False,
    num_processes: int | None = None,
    verify: bool = False,
    verify_npy: bool | None = None,
) -> None:
    """Unpack all ``.npz`` cases of ``folder`` to ``.npy``; a folder without any needs nothing.

    ``verify_npy`` is the older name of ``verify``. See ``numpy_store.unpack_folder``.
    """
    workers = default_num_processes() if num_processes is None else num_processes
    verify = verify if verify_npy is None else verify_npy
    cases = nnUNetDatasetNumpy.get_identifiers(folder)
    unpack_folder(folder, cases, unpack_segmentation, overwrite_existing, workers, verify)
