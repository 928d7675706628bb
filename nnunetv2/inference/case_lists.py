"""From inputs and outputs as users give them to lists of cases: files, output names, previous-stage files."""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from os.path import basename, exists, isdir, isfile, join

from nnunetv2.ensembling.probability_files import existing_file
from nnunetv2.errors import DatasetError, MissingFileError, UsageError
from nnunetv2.utilities.utils import create_lists_from_splitted_dataset_folder, split_channel_suffix

logger = logging.getLogger(__name__)

Inputs = str | os.PathLike | Sequence[Sequence[str | os.PathLike] | str | os.PathLike]
Outputs = str | os.PathLike | Sequence[str | os.PathLike] | None
CountChannels = Callable[[list[str]], int]


def case_identifier(first_file: str, file_ending: str) -> str:
    """Name of a case: its first file's name without ``file_ending`` and without a channel number ``_0000``."""
    return re.sub(r"_\d{4}$", "", basename(first_file).removesuffix(file_ending))


def image_files_of_cases(
    source: Inputs, file_ending: str, num_channels: int, count_channels: CountChannels
) -> list[list[str]]:
    """Image files of every case, channels in order; cases sorted by name for a folder, as given for a list.

    Parameters
    ----------
    source : folder with ``<case>_<channel as 4 digits><file_ending>``, one file of a case, or per case a list of files
        (any names) or one file. The files of its other channels are taken from beside it.
    num_channels : channels each case must have.
    count_channels : number of channels in the files it is given. Asked only when there are fewer files than channels,
        once for every such number of files, since some formats hold several channels in one file.

    Raises DatasetError (missing or surplus channels, files without channel number) or MissingFileError, naming cases.
    """
    if isinstance(source, (str, os.PathLike)):
        cases = [_with_other_channels(source, file_ending)] if isfile(source) else _scan_folder(source, file_ending)
    else:
        cases = [
            _with_other_channels(files, file_ending)
            if isinstance(files, (str, os.PathLike))
            else [os.fspath(file) for file in files]
            for files in source
        ]
        _refuse_missing_files(cases)
    _refuse_wrong_channels(cases, file_ending, num_channels, count_channels)
    return cases


def _with_other_channels(file: str | os.PathLike, file_ending: str) -> list[str]:
    """All channel files of the case that ``file`` belongs to; the file alone when its name has no channel number."""
    path = os.fspath(file)
    stem = path.removesuffix(file_ending)
    if not re.search(r"_\d{4}$", stem) or stem == path:
        return [path]
    channels = (f"{stem[:-4]}{number:04d}{file_ending}" for number in range(10000))
    return list(itertools.takewhile(isfile, channels)) or [path]


def _scan_folder(source: str | os.PathLike, file_ending: str) -> list[list[str]]:
    folder = os.fspath(source)
    if not isdir(folder):
        raise MissingFileError(f"the input folder {folder} does not exist")
    cases = create_lists_from_splitted_dataset_folder(folder, file_ending)
    if not cases:
        raise MissingFileError(
            f"the input folder {folder} has no files named CASE_0000{file_ending}; the model reads {file_ending} "
            "files (file_ending in its dataset.json)"
        )
    problems = []
    for files in cases:
        case = case_identifier(files[0], file_ending)
        numbers = [split_channel_suffix(basename(file), file_ending)[1] for file in files]
        absent = sorted(set(range(max(numbers) + 1)) - set(numbers))
        if absent:
            problems.append(f"{case} lacks channel {', '.join(f'{number:04d}' for number in absent)}")
    _raise_if_any(problems, folder)
    return cases


def _refuse_missing_files(cases: Sequence[Sequence[str]]) -> None:
    empty = [str(i) for i, files in enumerate(cases) if not files]
    if empty:
        raise DatasetError(f"the list of input cases has empty entries at position {', '.join(empty)}")
    absent = [file for files in cases for file in files if not exists(file)]
    if absent:
        raise MissingFileError(f"{len(absent)} input file(s) do not exist: {', '.join(absent[:10])}")


def _refuse_wrong_channels(
    cases: Sequence[list[str]], file_ending: str, num_channels: int, count_channels: CountChannels
) -> None:
    counted: dict[int, int] = {}
    problems = []
    for files in cases:
        number = len(files)
        if number < num_channels and number not in counted:
            counted[number] = count_channels(files)
        if counted.get(number, number) != num_channels:
            what = f"{number} file(s)" + (f" with {counted[number]} channel(s)" if number in counted else "")
            problems.append(f"{case_identifier(files[0], file_ending)} has {what}")
    _raise_if_any(problems, f"the model needs {num_channels} channel(s) per case (channel_names in its dataset.json)")


def _raise_if_any(problems: Sequence[str], where: str) -> None:
    if problems:
        more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise DatasetError(f"{where}: {'; '.join(problems[:10])}{more}. Add or rename the files")


def output_names(outputs: Outputs, identifiers: Sequence[str]) -> list[str] | None:
    """Output path without file ending for every case; None when results are to be returned instead.

    ``outputs`` is a folder, a list of such paths (as long as the cases), or None. Raises UsageError when two cases
    would be written to the same file, or when the lengths differ.
    """
    if outputs is None:
        return None
    if isinstance(outputs, (str, os.PathLike)):
        names = [join(os.fspath(outputs), identifier) for identifier in identifiers]
    else:
        names = [os.fspath(name) for name in outputs]
        if len(names) != len(identifiers):
            raise UsageError(f"{len(names)} output names were given for {len(identifiers)} cases")
    twice = [name for name, count in Counter(os.path.abspath(name) for name in names).items() if count > 1]
    if twice:
        raise UsageError(
            f"several input cases would be written to {', '.join(twice[:10])}. Give a list of output names, or input "
            "files with different names"
        )
    return names


def select_part(items: Sequence, part_id: int, num_parts: int) -> list:
    """Every ``num_parts``-th item from ``part_id`` on: parts are disjoint and together complete.

    Raises UsageError (an AssertionError) unless ``0 <= part_id < num_parts``.
    """
    if not 0 <= part_id < num_parts:
        raise UsageError(f"part_id is {part_id} and num_parts is {num_parts}; part_id must be 0 to num_parts - 1")
    return list(items[part_id::num_parts])


def is_complete(output_truncated: str, file_ending: str, with_probabilities: bool) -> bool:
    """Whether a case has been written before (files appear only when complete, see ``export_prediction``).

    With probabilities their properties have to be there, too: ensembles need both.
    """
    return isfile(output_truncated + file_ending) and (
        not with_probabilities or (existing_file(output_truncated) is not None and isfile(output_truncated + ".pkl"))
    )


def previous_stage_files(folder: str | os.PathLike | None, identifiers: Sequence[str], file_ending: str) -> list:
    """Previous-stage segmentation ``<folder>/<case><file_ending>`` of every case; a list of None without a folder.

    Raises MissingFileError naming the cases that have none.
    """
    if folder is None:
        return [None] * len(identifiers)
    files = [join(os.fspath(folder), identifier + file_ending) for identifier in identifiers]
    absent = [identifier for identifier, file in zip(identifiers, files) if not isfile(file)]
    if absent:
        raise MissingFileError(
            f"{folder} has no previous-stage segmentation (CASE{file_ending}) of {len(absent)} case(s): "
            f"{', '.join(absent[:10])}. Predict them with the previous stage first"
        )
    return files


def work_list(
    inputs: Inputs,
    outputs: Outputs,
    *,
    file_ending: str,
    num_channels: int,
    count_channels: CountChannels,
    previous_stage_folder: str | os.PathLike | None = None,
    overwrite: bool = True,
    part_id: int = 0,
    num_parts: int = 1,
    save_probabilities: bool = False,
) -> tuple[list[list[str]], list[str] | None, list[str | None]]:
    """Image files, truncated output names (or None) and previous-stage files (or Nones) of the cases to be done now."""
    cases = image_files_of_cases(inputs, file_ending, num_channels, count_channels)
    names = output_names(outputs, [case_identifier(files[0], file_ending) for files in cases])
    cases = select_part(cases, part_id, num_parts)
    names = None if names is None else select_part(names, part_id, num_parts)
    logger.info("Part %d of %d has %d cases", part_id, num_parts, len(cases))
    if names is not None and not overwrite:
        todo = [i for i, name in enumerate(names) if not is_complete(name, file_ending, save_probabilities)]
        logger.info("%d of them are done already and are kept", len(cases) - len(todo))
        cases, names = [cases[i] for i in todo], [names[i] for i in todo]
    identifiers = [case_identifier(files[0], file_ending) for files in cases]
    return cases, names, previous_stage_files(previous_stage_folder, identifiers, file_ending)
