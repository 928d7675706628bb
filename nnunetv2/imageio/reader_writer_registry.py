"""Which reader a data set gets.

``LIST_OF_IO_CLASSES`` (looked up on first use) holds the classes in the order in which they are tried; classes
appended to it are tried as well. Choosing imports only the modules of readers that come into question.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nnunetv2.errors import ClassNotFoundError, ImageError
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.builtin_readers import BUILTIN_READERS, TRIED_IN_ORDER
from nnunetv2.utilities import find_class_by_name

logger = logging.getLogger(__name__)

_PACKAGE = __name__.rpartition(".")[0]


def __getattr__(name: str) -> list[type[BaseReaderWriter]]:
    if name == "LIST_OF_IO_CLASSES":
        return globals().setdefault(name, [_builtin_class(class_name) for class_name in TRIED_IN_ORDER])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def determine_reader_writer_from_dataset_json(
    dataset_json_content: Mapping[str, Any],
    example_file: str | None = None,
    allow_nonmatching_filename: bool = False,
    verbose: bool = True,
) -> type[BaseReaderWriter]:
    """Reader class of a data set: the one named in dataset.json, else the first one for its file ending.

    Parameters
    ----------
    dataset_json_content : the content of dataset.json.
    example_file : an image of the data set; the reader must be able to read it.
    allow_nonmatching_filename : try the example with readers for other endings, too.
    verbose : log which class was chosen.

    Raises ImageError (a RuntimeError) when there is none.
    """
    wanted = dataset_json_content.get("overwrite_image_reader_writer")
    if wanted is not None and wanted != "None":
        try:
            chosen = recursive_find_reader_writer_by_name(wanted)
        except ClassNotFoundError as error:
            logger.warning("overwrite_image_reader_writer: %s The reader is chosen by the file ending instead.", error)
        else:
            if verbose:
                logger.info("Reading images with %s, as dataset.json asks", chosen.__name__)
            return chosen
    return determine_reader_writer_from_file_ending(
        dataset_json_content["file_ending"], example_file, allow_nonmatching_filename, verbose
    )


def determine_reader_writer_from_file_ending(
    file_ending: str,
    example_file: str | None = None,
    allow_nonmatching_filename: bool = False,
    verbose: bool = True,
) -> type[BaseReaderWriter]:
    """First reader class for this ending that can read ``example_file``; parameters as in the function above."""
    failures: list[str] = []
    for name, endings, load in _candidates():
        matches = file_ending.lower() in endings
        if not matches and not (allow_nonmatching_filename and example_file is not None):
            continue
        chosen = load()
        if example_file is not None:
            try:
                shape = chosen().image_shape(example_file)
            except Exception as error:
                failures.append(f"  {name}: {error}")
                logger.debug("%s cannot read %s", name, example_file, exc_info=True)
                continue
            _warn_about_doubtful_stack(name, example_file, shape)
        if failures:
            logger.warning("%s is read with %s, because other readers failed:\n%s", example_file, name,
                           "\n".join(failures))  # fmt: skip
        if verbose:
            logger.info("Reading images with %s", name)
        return chosen
    if failures:
        raise ImageError(f"no reader can read {example_file} (file_ending {file_ending!r}):\n" + "\n".join(failures))
    raise ImageError(
        f"no reader knows the file_ending {file_ending!r}; known are {', '.join(_known_endings())}. Convert the "
        "images, or put a reader class into nnunetv2/imageio and name it in overwrite_image_reader_writer"
    )


def recursive_find_reader_writer_by_name(rw_class_name: str) -> type[BaseReaderWriter]:
    """Reader class of that name, ours or one dropped into this package. Raises ClassNotFoundError (RuntimeError)."""
    if isinstance(rw_class_name, str) and rw_class_name in BUILTIN_READERS:
        return _builtin_class(rw_class_name)
    folder = os.path.dirname(os.path.abspath(__file__))
    broken = ""
    try:
        found = find_class_by_name.recursive_find_python_class(folder, rw_class_name, _PACKAGE)
    except ImportError as error:
        found, broken = None, f" ({error})"
    if found is None:
        raise ClassNotFoundError(
            f"no reader class {rw_class_name!r} in {folder}{broken}. Known are {', '.join(BUILTIN_READERS)}."
        )
    if not (isinstance(found, type) and issubclass(found, BaseReaderWriter)):
        raise ClassNotFoundError(f"{rw_class_name!r} was found in {folder}, but is no subclass of BaseReaderWriter.")
    return found


def _builtin_class(name: str) -> type[BaseReaderWriter]:
    return getattr(importlib.import_module(f"{_PACKAGE}.{BUILTIN_READERS[name].module}"), name)


def _candidates() -> Iterator[tuple[str, Sequence[str], Any]]:
    """Name, endings and a function giving the class, for every reader in order; nothing is imported for it."""
    if "LIST_OF_IO_CLASSES" in globals():  # somebody looked at it, and may have changed it
        for known in globals()["LIST_OF_IO_CLASSES"]:
            yield known.__name__, known.supported_file_endings, lambda known=known: known
    else:
        for name in TRIED_IN_ORDER:
            yield name, BUILTIN_READERS[name].file_endings, lambda name=name: _builtin_class(name)


def _known_endings() -> list[str]:
    return sorted({ending for _, endings, _ in _candidates() for ending in endings})


def _warn_about_doubtful_stack(name: str, example_file: str, shape: tuple[int, ...]) -> None:
    """A TIFF with an axis of 3 or 4 may be a picture or a stack; it is taken for a picture, but not silently."""
    if name == "NaturalImage2DIO" and shape[0] > 1 and str(example_file).lower().endswith((".tif", ".tiff")):
        logger.warning(
            "%s is taken for a 2D picture with %d colour channels. If it is a 3D stack, put "
            '"overwrite_image_reader_writer": "Tiff3DIO" into dataset.json.',
            example_file,
            shape[0],
        )
