"""Finding trainers by name: in the package first, then in the folders of ``nnUNet_extTrainer``."""

from __future__ import annotations

import os
from os.path import join

import nnunetv2
from nnunetv2.errors import ClassNotFoundError
from nnunetv2.paths import nnUNet_extTrainer
from nnunetv2.utilities import find_class_by_name
from nnunetv2.utilities.absent_trainers import why_absent


def external_trainer_folders() -> list[str]:
    """Existing folders named in ``nnUNet_extTrainer`` (separated by the path separator of the system)."""
    value = nnUNet_extTrainer.get() or ""
    return [folder for folder in (part.strip() for part in value.split(os.pathsep)) if folder and os.path.isdir(folder)]


def recursive_find_trainer_class_by_name(trainer_name: str) -> type:
    """The trainer class of that name.

    Raises ClassNotFoundError (a RuntimeError) listing the folders searched when there is none, or when what was found
    is not a subclass of nnUNetTrainer. For trainers of upstream that were left out the message says what to do instead.
    """
    package_folder = join(nnunetv2.__path__[0], "training", "nnUNetTrainer")
    found, import_error = None, None
    try:
        found = find_class_by_name.recursive_find_python_class(
            package_folder, trainer_name, "nnunetv2.training.nnUNetTrainer"
        )
    except ImportError as error:
        import_error = error
    folders = external_trainer_folders()
    for folder in folders:
        if found is None:
            found = find_class_by_name.recursive_find_python_class(
                folder, trainer_name, "", cleanup_imports_from_base_folder=True
            )
    if found is None:
        way_out = (why_absent(trainer_name) if isinstance(trainer_name, str) else None) or (
            "Check the spelling (-tr), put its file into one of these folders, or name its folder in nnUNet_extTrainer"
        )
        raise ClassNotFoundError(
            f"Trainer {trainer_name!r} was not found in {', '.join([package_folder, *folders])}. {way_out}."
            + (f" ({import_error})" if import_error else "")
        )
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    if not (isinstance(found, type) and issubclass(found, nnUNetTrainer)):
        raise ClassNotFoundError(f"{trainer_name!r} was found ({found!r}) but is not a subclass of nnUNetTrainer")
    return found
