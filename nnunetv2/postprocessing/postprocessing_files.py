"""postprocessing.pkl and postprocessing.json: the chosen chain of functions, written and safely read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from os.path import isfile, join
from typing import Any

from nnunetv2.errors import FileContentError
from nnunetv2.records.files import PathLike, read_json, read_pickle, write_json, write_pickle
from nnunetv2.records.layout import POSTPROCESSING_JSON, POSTPROCESSING_PKL
from nnunetv2.records.summary import label_or_region_to_key

Chain = tuple[list[Callable], list[dict[str, Any]]]

_FUNCTIONS, _KWARGS = "postprocessing_fns", "postprocessing_kwargs"


def write_postprocessing(folder: PathLike, chain: Chain, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Write both files; ``before`` and ``after`` are the summaries without and with the chain."""
    functions, kwargs = chain
    content = {
        "input_folder": _means(before),
        "postprocessed": _means(after),
        _FUNCTIONS: [function.__name__ for function in functions],
        _KWARGS: kwargs,
    }
    write_json(join(folder, POSTPROCESSING_JSON), content)
    write_pickle(join(folder, POSTPROCESSING_PKL), (list(functions), list(kwargs)))


def _means(summary: Mapping[str, Any]) -> dict[str, Any]:
    mean = {label_or_region_to_key(key): metrics for key, metrics in summary["mean"].items()}
    return {"foreground_mean": summary["foreground_mean"], "mean": mean}


def read_postprocessing(path: PathLike, known: Sequence[Callable]) -> Chain:
    """Functions and their keyword arguments from a ``.pkl`` or ``.json`` file.

    A JSON file of the same name beside a pickle is preferred, and does where the pickle was left out. Only functions in
    ``known`` are accepted, and nothing in the file is executed. Raises MissingFileError or FileContentError, naming the
    file.
    """
    path = os.fspath(path)
    by_name = {function.__name__: function for function in known}
    content: Any
    beside = os.path.splitext(path)[0] + ".json"
    if not path.endswith(".json") and _is_chain(beside):
        path = beside
    if path.endswith(".json"):
        content = read_json(path)
        content = (content.get(_FUNCTIONS), content.get(_KWARGS)) if isinstance(content, dict) else content
    else:
        # The pickle refers to functions; in their place come names, which cannot be called while it is read.
        content = read_pickle(path, stand_ins={(f.__module__, f.__name__): f.__name__ for f in known})
    if isinstance(content, (tuple, list)) and len(content) == 2 and isinstance(content[0], list):
        functions = [by_name.get(name, name) if isinstance(name, str) else name for name in content[0]]
        content = functions, content[1]
    return _checked(content, known, path)


def _is_chain(path: str) -> bool:
    content = read_json(path) if isfile(path) else None
    return isinstance(content, dict) and _FUNCTIONS in content


def _checked(content: Any, known: Sequence[Callable], path: str) -> Chain:
    """``content`` if it is a pair of equally long lists of known functions and of their arguments."""
    functions, kwargs = content if isinstance(content, (tuple, list)) and len(content) == 2 else (None, None)
    fits = isinstance(functions, list) and isinstance(kwargs, list) and len(functions) == len(kwargs)
    if not fits or not all(isinstance(entry, dict) and "labels_or_regions" in entry for entry in kwargs):
        raise FileContentError(
            f"{path} is no postprocessing file: it needs equally many functions and entries with labels_or_regions. "
            "Make it again with nnUNetv2_determine_postprocessing"
        )
    unknown = [function for function in functions if function not in known]
    if unknown:
        names = ", ".join(function.__name__ for function in known)
        raise FileContentError(f"{path} names {unknown[0]!r}, which is not known here; known are: {names}")
    return functions, kwargs
