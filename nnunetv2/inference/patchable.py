"""The door to the names that other programs replace in ``nnunetv2.inference.predict_from_raw_data``.

Some programs import that module and assign their own functions to its attributes, expecting prediction to use them.
So the predictor asks for these names there each time it needs one. This is the only place in this room that reaches up
to a facade, and it does so when called, not when imported.
"""

from __future__ import annotations

from os.path import join
from types import ModuleType

import nnunetv2
from nnunetv2.errors import ClassNotFoundError
from nnunetv2.utilities import find_class_by_name


def names() -> ModuleType:
    """The facade module, with whatever has been assigned to its attributes."""
    from nnunetv2.inference import predict_from_raw_data

    return predict_from_raw_data


def find_trainer(trainer_name: str, named_in: str | None = None) -> type:
    """The trainer class of that name, through whichever of the two search functions somebody replaced.

    ``recursive_find_python_class`` was the one that counted until v2.7; it is asked first when it has been replaced.
    Raises ClassNotFoundError; the message begins with ``named_in``, the checkpoint that has the name.
    """
    facade = names()
    older_search = facade.recursive_find_python_class
    if older_search is not find_class_by_name.recursive_find_python_class:
        folder = join(nnunetv2.__path__[0], "training", "nnUNetTrainer")
        found = older_search(folder, trainer_name, "nnunetv2.training.nnUNetTrainer")
        if found is not None:
            return found
    try:
        return facade.recursive_find_trainer_class_by_name(trainer_name)
    except ClassNotFoundError as error:
        raise ClassNotFoundError(f"{named_in}: {error}" if named_in else str(error)) from error
