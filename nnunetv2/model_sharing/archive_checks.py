"""Looking through a model archive before anything of it is written; whoever made it is not trusted."""

from __future__ import annotations

import os
import stat
import unicodedata
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nnunetv2.errors import FileContentError
from nnunetv2.model_sharing.archive_layout import DATASET_FOLDER, is_model_file, missing_parts, unit_of, unsafe_part

_GIB = 2**30
_ENCRYPTED = 0x1
_PROBLEMS_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """How much an archive may unpack to. The defaults are far above real models."""

    members: int = 20_000
    """Files and folders."""
    member_bytes: int = 16 * _GIB
    """Of one file, unpacked."""
    total_bytes: int = 100 * _GIB
    """Of all files, unpacked."""
    ratio: float = 200.0
    """Unpacked over packed size, of each file and of all together. Weights hardly shrink; bombs reach 1000."""
    ratio_counts_from: int = 64 * 2**20
    """Unpacked bytes below which the ratio does not matter: small text files and empty label maps shrink a lot."""


@dataclass(frozen=True, kw_only=True)
class ArchiveContents:
    """What a checked archive holds."""

    dataset_name: str
    files: dict[str, zipfile.ZipInfo]
    """Name below the data set's folder to the entry of the archive."""

    @property
    def units(self) -> list[str]:
        """The models, ensembles and single files in it, as paths below the data set's folder."""
        return sorted({unit_of(name) for name in self.files})

    @property
    def total_bytes(self) -> int:
        """Unpacked size."""
        return sum(info.file_size for info in self.files.values())


def check_archive(archive: zipfile.ZipFile, source: str, limits: ArchiveLimits) -> ArchiveContents:
    """List the files of ``archive``. ``source`` names it in errors.

    Raises FileContentError with all problems found: paths that leave the folder, links, names that differ in case
    only, more than one data set, files that are no part of a model, incomplete models, sizes beyond the limits.
    """
    infos = archive.infolist()
    if len(infos) > limits.members:
        raise _refused(source, [f"it has {len(infos)} entries; at most {limits.members} are accepted"])
    problems = [f"{info.filename!r} {what}" for info in infos for what in [_entry_problem(info)] if what]
    problems += _size_problems(infos, limits)
    problems += _ambiguous_names(info.filename for info in infos)
    datasets = sorted({info.filename.split("/")[0] for info in infos})
    problems += _dataset_problems(datasets)
    if problems:
        raise _refused(source, problems)
    files = {info.filename.partition("/")[2]: info for info in infos if not info.is_dir()}
    problems = [f"{name!r} is no file of a trained model" for name in files if not is_model_file(name)]
    problems = problems or missing_parts(set(files))
    if problems:
        raise _refused(source, problems)
    return ArchiveContents(dataset_name=datasets[0], files=files)


def _refused(source: str, problems: Sequence[str]) -> FileContentError:
    shown = [f"  - {problem}" for problem in problems[:_PROBLEMS_SHOWN]]
    if len(problems) > _PROBLEMS_SHOWN:
        shown.append(f"  - and {len(problems) - _PROBLEMS_SHOWN} more")
    return FileContentError(
        f"{source} was not installed:\n"
        + "\n".join(shown)
        + "\nArchives made with nnUNetv2_export_model_to_zip can be installed; ask for one, or for the intact file"
    )


def _entry_problem(info: zipfile.ZipInfo) -> str | None:
    """What is wrong with the name or the kind of one entry, in words."""
    if info.orig_filename != info.filename and "\0" in info.orig_filename:
        return "hides a part of its name"
    unsafe = unsafe_part(info.filename)
    if unsafe:
        return unsafe
    kind = stat.S_IFMT(info.external_attr >> 16)
    expected = stat.S_IFDIR if info.is_dir() else stat.S_IFREG
    if kind not in (0, expected):  # 0: made on a system that stores no kind
        return "is a link" if kind == stat.S_IFLNK else "is neither a file nor a folder"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is compressed with method {info.compress_type}; only deflate is accepted"
    return None


def _size_problems(infos: Sequence[zipfile.ZipInfo], limits: ArchiveLimits) -> list[str]:
    problems = []
    for info in infos:
        if info.file_size > limits.member_bytes:
            problems.append(f"{info.filename!r} unpacks to {info.file_size:,} bytes; at most {limits.member_bytes:,}")
        elif _ratio_is_suspicious(info.file_size, info.compress_size, limits):
            problems.append(
                f"{info.filename!r} unpacks from {info.compress_size:,} to {info.file_size:,} bytes; "
                f"a factor of {limits.ratio:g} is accepted"
            )
    packed, unpacked = sum(info.compress_size for info in infos), sum(info.file_size for info in infos)
    if unpacked > limits.total_bytes:
        problems.append(f"it unpacks to {unpacked:,} bytes; at most {limits.total_bytes:,}")
    elif not problems and _ratio_is_suspicious(unpacked, packed, limits):
        problems.append(f"it unpacks from {packed:,} to {unpacked:,} bytes; a factor of {limits.ratio:g} is accepted")
    return problems


def _ratio_is_suspicious(unpacked: int, packed: int, limits: ArchiveLimits) -> bool:
    return unpacked >= limits.ratio_counts_from and unpacked > limits.ratio * packed


def _ambiguous_names(names: Iterable[str]) -> list[str]:
    """Names that occur twice, or that would meet on a file system which does not tell upper from lower case."""
    files: set[str] = set()
    spellings: dict[str, str] = {}
    problems = []
    for name in names:
        if name in files:
            problems.append(f"{name!r} occurs twice")
        files.add(name)
        parts = name.rstrip("/").split("/")
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            known = spellings.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
            if known != path:
                problems.append(f"{path!r} and {known!r} are the same name on some systems")
    return sorted(set(problems))


def _dataset_problems(tops: Sequence[str]) -> list[str]:
    foreign = [top for top in tops if not DATASET_FOLDER.fullmatch(top)]
    if foreign or not tops:
        where = f"at its top there is {', '.join(repr(top) for top in foreign[:5])}" if foreign else "it is empty"
        return [f"{where}; a single folder DatasetXXX_NAME is expected"]
    return [f"it holds several data sets: {', '.join(tops[:5])}; one is expected"] if len(tops) > 1 else []


def open_archive(path: str, source: str) -> zipfile.ZipFile:
    """Open a zip file for reading. Raises FileContentError naming ``source`` when it is none, or cut short."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        size = os.path.getsize(path) if os.path.isfile(path) else 0
        raise FileContentError(
            f"{source} ({size:,} bytes) is no complete zip file: {error}. Copy or download it again"
        ) from error
