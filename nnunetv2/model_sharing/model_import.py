"""Installing a trained model from a zip file: checked first, unpacked aside, then moved into place."""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
import zlib
from os.path import isfile
from pathlib import Path

from nnunetv2.errors import FileContentError, MissingFileError, UsageError
from nnunetv2.model_sharing.archive_checks import ArchiveContents, ArchiveLimits, check_archive, open_archive
from nnunetv2.model_sharing.archive_layout import ENSEMBLES, INFERENCE_FILES, unit_of
from nnunetv2.model_sharing.unpacked_checkpoints import check_checkpoints, rewrite_slim
from nnunetv2.paths import nnUNet_results
from nnunetv2.records.files import PathLike, read_json
from nnunetv2.records.folders import private_folder
from nnunetv2.records.layout import DATASET_JSON, PLANS_JSON
from nnunetv2.records.temporary import remains, remove_remains
from nnunetv2.utilities.dataset_name_id_conversion import convert_dataset_name_to_id, find_candidate_datasets
from nnunetv2.utilities.disk_space import require_room

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20
REPLACED = "replaced"
"""Folder inside the private one: models that were there before, by data set."""
_DEFAULT_LIMITS = ArchiveLimits()


def install_model_from_zip_file(
    zip_file: PathLike,
    overwrite: bool = False,
    *,
    limits: ArchiveLimits = _DEFAULT_LIMITS,
    source: str | None = None,
    slim_as_pth: bool = False,
) -> list[str]:
    """Install the models in ``zip_file`` below ``nnUNet_results`` and return their folders.

    A model that exists already is an error, or is replaced as a whole with ``overwrite``; models with other names stay.
    ``source`` names the file in messages (default: its path). Either everything is installed or nothing.
    ``slim_as_pth`` writes checkpoints of a slim archive as ``.pth``, which nnU-Net v2 of others reads.

    Raises MissingFileError, FileContentError for an archive that is damaged, not a model, or not safe to unpack or to
    load, and UsageError when a model exists.
    """
    results = Path(nnUNet_results.require())
    source = source or os.fspath(zip_file)
    if not isfile(zip_file):
        raise MissingFileError(f"{source} does not exist")
    with open_archive(os.fspath(zip_file), source) as archive:
        contents = check_archive(archive, source, limits)
        target = results / contents.dataset_name
        # Beside the real folder of the data set, so that moving is renaming even if that is a link to another disk.
        place = Path(os.path.realpath(target))
        _bring_back_replaced(place.parent)
        remove_remains(place.parent)
        if not overwrite:
            _require_new(contents, target, source)
        require_room(
            *(place.parent, contents.total_bytes, f"{source} was not installed: it"),
            "Make room, or set nnUNet_results to another disk",
        )
        with private_folder(place.parent) as private:
            unpacked = private / "new" / contents.dataset_name
            _unpack(archive, contents, unpacked, source)
            _check_documents(contents, unpacked, source)
            check_checkpoints(contents, unpacked, source)
            if slim_as_pth:
                rewrite_slim(unpacked)
            _move_into_place(unpacked, target, private / REPLACED / place.name, overwrite)
    _warn_about_other_datasets(contents.dataset_name)
    models = [str(target / unit) for unit in contents.units if "__" in unit and not unit.startswith(ENSEMBLES)]
    for model in models:
        logger.info("Installed %s", model)
    return models


def _require_new(contents: ArchiveContents, target: Path, source: str) -> None:
    existing = [unit for unit in contents.units if unit not in INFERENCE_FILES and (target / unit).exists()]
    if existing:
        raise UsageError(
            f"{source} was not installed, because {target} already has {', '.join(existing)}. Move that away, or "
            "replace it with --overwrite (overwrite=True)"
        )


def _unpack(archive: zipfile.ZipFile, contents: ArchiveContents, folder: Path, source: str) -> None:
    """Write all files below ``folder``; the sizes stated in the archive are not exceeded, the checksums must agree."""
    for name, info in contents.files.items():
        target = folder.joinpath(*name.split("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with archive.open(info) as packed, open(target, "xb") as stream:
                shutil.copyfileobj(packed, stream, _CHUNK)
                if stream.tell() != info.file_size:
                    raise EOFError(f"it unpacks to {stream.tell():,} bytes, stated are {info.file_size:,}")
                stream.flush()
                os.fsync(stream.fileno())
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise FileContentError(
                f"{source} was not installed: {info.filename} in it is damaged ({error}). Copy or download it again"
            ) from error


def _check_documents(contents: ArchiveContents, folder: Path, source: str) -> None:
    for name, info in contents.files.items():
        if name.rpartition("/")[2] in (PLANS_JSON, DATASET_JSON) and name.count("/") == 1:
            try:
                read_json(folder.joinpath(*name.split("/")))
            except FileContentError as error:
                raise FileContentError(f"{source} was not installed: {info.filename} in it is no JSON file") from error


def _move_into_place(new: Path, target: Path, replaced: Path, overwrite: bool) -> None:
    """Rename every unit of ``new`` to its place in ``target``; on an exception everything is as before.

    What is replaced goes to the folder ``replaced``. Files about the choice of models that exist stay unless
    ``overwrite``, since they speak of models that were there before.
    """
    files = [path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file()]
    made_target = not target.exists()
    done: list[tuple[Path, Path]] = []
    try:
        for unit in sorted({unit_of(file) for file in files}):
            place = target / unit
            if place.exists():
                if unit in INFERENCE_FILES and not overwrite:
                    logger.warning("%s exists and is kept; the one in the archive is left out", place)
                    continue
                done.append(_rename(place, replaced / unit))
            done.append(_rename(new / unit, place))
    except BaseException:
        for origin, place in reversed(done):
            os.rename(place, origin)
        if made_target and target.is_dir():
            shutil.rmtree(target)
        raise


def _bring_back_replaced(results: Path) -> None:
    """Put back what killed installations had moved away and not yet replaced."""
    for private in remains(results):
        for dataset in sorted((private / REPLACED).glob("*")):
            files = [path.relative_to(dataset).as_posix() for path in dataset.rglob("*") if path.is_file()]
            for unit in sorted({unit_of(file) for file in files}):
                place = results / dataset.name / unit
                if not place.exists():
                    _rename(dataset / unit, place)
                    logger.warning("%s is back: the installation that was to replace it did not finish", place)


def _rename(origin: Path, place: Path) -> tuple[Path, Path]:
    place.parent.mkdir(parents=True, exist_ok=True)
    os.rename(origin, place)
    return origin, place


def _warn_about_other_datasets(name: str) -> None:
    number = convert_dataset_name_to_id(name)
    others = [other for other in find_candidate_datasets(number) if other != name]
    if others:
        logger.warning(
            "Number %d now belongs to %s and to %s; commands need the full name until there is only one",
            number,
            name,
            ", ".join(others),
        )
