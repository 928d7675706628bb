"""dataset.json and plans.json of a folder of predictions, unless the caller brings others."""

from __future__ import annotations

from collections.abc import Mapping
from os.path import isfile, join
from typing import Any

from nnunetv2.errors import MissingFileError
from nnunetv2.records.files import PathLike, read_json


def document_of(given: PathLike | Mapping | None, folder: PathLike, name: str) -> dict[str, Any]:
    """Content of dataset.json or plans.json: ``given`` as mapping or path, or None for the file ``name`` in ``folder``.

    Raises MissingFileError when there is no such file.
    """
    if isinstance(given, Mapping):
        return dict(given)
    path = join(folder, name) if given is None else given
    if given is None and not isfile(path):
        flag = "-" + name.replace(".", "_")
        raise MissingFileError(
            f"{path} does not exist. Copy it there from the folder of the model, or name the file to use ({flag}); "
            "folders of ensembles made by earlier versions have no plans.json"
        )
    return read_json(path)
