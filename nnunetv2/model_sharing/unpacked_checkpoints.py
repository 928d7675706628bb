"""The checkpoints of an archive, after unpacking and before they are moved into place."""

from __future__ import annotations

import os
from pathlib import Path

from nnunetv2.configuration import trusts_pickles
from nnunetv2.errors import CheckpointError, FileContentError
from nnunetv2.model_sharing.archive_checks import ArchiveContents


def check_checkpoints(contents: ArchiveContents, folder: Path, source: str) -> None:
    """Raise FileContentError when a checkpoint below ``folder`` refers to more than tensors and plain values.

    Early notice: reading refuses it as well, and anything else that is wrong with it. Trusted pickles pass.
    """
    from nnunetv2.training.checkpoint import read_checkpoint
    from nnunetv2.training.checkpoint_archive import UnsafeArchive, check_archive, is_archive
    from nnunetv2.training.restricted_loading import foreign_globals

    for name, info in contents.files.items():
        path = os.fspath(folder.joinpath(*name.split("/")))
        problem = None
        if name.endswith(".safetensors"):
            try:
                read_checkpoint(path)
            except CheckpointError as error:
                problem = str(error).removeprefix(path).lstrip()
        elif name.endswith(".pth") and is_archive(path) and not trusts_pickles():
            try:
                check_archive(path)
                foreign = foreign_globals(path)
            except UnsafeArchive as error:
                problem, foreign = str(error), []
            if foreign:
                problem = (
                    f"it holds more than tensors and plain values (it refers to {', '.join(foreign)}), which can run "
                    "code. If you trust whoever made it, use --trust-pickle, here and when predicting"
                )
        if problem is not None:
            raise FileContentError(f"{source} was not installed: {info.filename} in it: {problem}")


def rewrite_slim(folder: Path) -> None:
    """Replace every ``.safetensors`` below ``folder`` by a ``.pth`` with the same weights."""
    from nnunetv2.training.checkpoint import read_checkpoint, write_checkpoint

    for slim in sorted(folder.rglob("*.safetensors")):
        write_checkpoint(slim.with_suffix(".pth"), read_checkpoint(slim))
        slim.unlink()
