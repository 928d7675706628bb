"""Finding the resampling function that plans name."""

from __future__ import annotations

from collections.abc import Callable
from os.path import join

import nnunetv2
from nnunetv2.errors import ClassNotFoundError
from nnunetv2.utilities import find_class_by_name
from nnunetv2.utilities.class_kinds import require_function
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class


def recursive_find_resampling_fn_by_name(resampling_fn: str) -> Callable:
    """Function ``resampling_fn`` from any file in nnunetv2/preprocessing/resampling.

    Raises ClassNotFoundError (a RuntimeError) when there is none.
    """
    folder = join(nnunetv2.__path__[0], "preprocessing", "resampling")
    found = recursive_find_python_class(folder, resampling_fn, "nnunetv2.preprocessing.resampling")
    if found is None:
        raise ClassNotFoundError(
            f"the plans name the resampling function {resampling_fn!r}, but no file in {folder} has it. Correct the "
            "entry, or put a file with the function there"
        )
    if recursive_find_python_class is not find_class_by_name.recursive_find_python_class:
        return found  # a program put its own search here, and answers for what that finds
    return require_function(found, resampling_fn, "the resampling function in the plans", "nnunetv2.preprocessing")
