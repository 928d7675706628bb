"""Probability files one channel at a time: reading, averaging, writing.

``.npz`` (key ``probabilities``, float32) is what nnU-Net v2 writes: (C, Z, Y, X) in C order, so a file read from start
to end gives one channel after the other. ``.b2nd`` (blosc2, float16) is the compact form: faster and a fraction of the
size, at a resolution of 1/2048 near 1.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from nnunetv2.errors import FileContentError, ImageError, MissingFileError, UsageError
from nnunetv2.records.files import PathLike, atomic_path
from nnunetv2.storage.archive_members import fitting_header, read_member

PROBABILITIES = "probabilities"
NPZ = "npz"
BLOSC2 = "blosc2"
ENDINGS = {NPZ: ".npz", BLOSC2: ".b2nd"}
"""File ending of each format; where both files exist the first counts."""

_MEMBER = PROBABILITIES + ".npy"
_SLICES_PER_CHUNK = 16  # of a compact file; what is compressed as a whole
_BLOCK = 2**24  # bytes taken from the archive at a time


def without_ending(path: PathLike) -> str | None:
    """``path`` without the ending of a probability file; None when it has another one."""
    name = os.fspath(path)
    return next((name.removesuffix(ending) for ending in ENDINGS.values() if name.endswith(ending)), None)


def existing_file(truncated: str) -> str | None:
    """The probability file of ``truncated`` (a path without ending), in whichever format; None when there is none."""
    return next((truncated + end for end in ENDINGS.values() if os.path.isfile(truncated + end)), None)


class ProbabilityFile:
    """The channels of one file in order, each a new float32 array (Z, Y, X). Use it as a context manager.

    Raises MissingFileError, or FileContentError naming the file when it is damaged or holds something else.
    """

    def __init__(self, path: PathLike):
        self.path = os.fspath(path)
        if not os.path.isfile(self.path):
            raise MissingFileError(f"{self.path} does not exist; predict again with --save_probabilities")
        self._whole: Iterator[np.ndarray] | None = None
        if self.path.endswith(ENDINGS[BLOSC2]):
            with self._naming_the_file():
                self._open_blosc2()
            return
        with self._naming_the_file(), contextlib.ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(self.path))
            self._stream = stack.enter_context(archive.open(_MEMBER))
            # With the bytes it asks for, the checksum behind them is read, too.
            self.shape, by_columns, self._dtype = fitting_header(self._stream, archive.getinfo(_MEMBER).file_size)
            if self._dtype.kind != "f" or len(self.shape) < 2:
                raise ValueError(f"it holds an array of type {self._dtype} and shape {self.shape}")
            self._whole = iter(read_member(self.path, PROBABILITIES)) if by_columns else None
            self._open = stack.pop_all()

    def _open_blosc2(self) -> None:
        import blosc2

        array = blosc2.open(self.path, mode="r")
        self.shape, self._open = array.shape, contextlib.ExitStack()
        if array.dtype.kind != "f" or array.ndim < 2:
            raise ValueError(f"it holds an array of type {array.dtype} and shape {array.shape}")
        self._whole = (array[channel] for channel in range(array.shape[0]))

    def __enter__(self) -> ProbabilityFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def next_channel(self) -> np.ndarray:
        """The next channel; call it ``shape[0]`` times."""
        if self._whole is not None:  # blosc2, or an .npz by someone else with the axes stored in reverse
            with self._naming_the_file():
                return np.array(next(self._whole), dtype=np.float32)
        channel = np.empty(self.shape[1:], dtype=self._dtype)
        target = memoryview(channel.reshape(-1).view(np.uint8))
        with self._naming_the_file():
            while target:
                block = self._stream.read(min(_BLOCK, len(target)))
                if not block:
                    raise EOFError("it ends too early")
                target[: len(block)] = block
                target = target[len(block) :]
        return channel.astype(np.float32, copy=False)

    @contextlib.contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a damaged file raises whatever its bytes happen to mean
            raise FileContentError(
                f"{self.path} cannot be used as probabilities: {error}. Predict again with --save_probabilities"
            ) from error


def probabilities_shape(path: PathLike) -> tuple[int, ...]:
    """Shape (C, Z, Y, X) of the probabilities in a file; only its start is read."""
    with ProbabilityFile(path) as file:
        return file.shape


def mean_channels(paths: Sequence[PathLike]) -> Iterator[np.ndarray]:
    """Yield the mean of each channel over the files: float32 (Z, Y, X), summed in the order of ``paths``, then divided.

    Two channels are held at a time, whatever their number. Raises ImageError when the shapes differ.
    """
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(ProbabilityFile(path)) for path in paths]
        for other in files[1:]:
            if other.shape != files[0].shape:
                raise ImageError(
                    f"{files[0].path} has probabilities of shape {files[0].shape}, {other.path} {other.shape}; "
                    "only predictions of the same images with the same labels can be averaged"
                )
        for _ in range(files[0].shape[0]):
            total = files[0].next_channel()
            for other in files[1:]:
                total += other.next_channel()
            total /= len(files)
            yield total


@contextlib.contextmanager
def saved_on_the_way(channels: Iterable[np.ndarray], path: PathLike, shape: Sequence[int]) -> Iterator[Iterator]:
    """Give ``channels`` back one by one; when all were taken, they are in the probability file ``path``.

    ``shape`` is (C, Z, Y, X). The file appears when the context is left without an exception.
    """

    def passed_on(stream) -> Iterator[np.ndarray]:
        for channel in channels:
            stream.write(np.ascontiguousarray(channel, dtype="<f4").reshape(-1).view(np.uint8).data)
            yield channel

    header = {"descr": "<f4", "fortran_order": False, "shape": tuple(int(n) for n in shape)}
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(_MEMBER, "w", force_zip64=True) as stream,
    ):
        np.lib.format.write_array_header_1_0(stream, header)
        yield passed_on(stream)


def write_probabilities(probabilities: np.ndarray, truncated: str, probability_format: str = NPZ) -> None:
    """Write float32 probabilities (C, Z, Y, X) to ``truncated`` plus the ending of the format, one channel at a time.

    ``probabilities`` may be mapped from a file. Raises UsageError for an unknown format.
    """
    if probability_format not in ENDINGS:
        raise UsageError(f"the format of probabilities is {probability_format!r}; choose one of {', '.join(ENDINGS)}")
    path = truncated + ENDINGS[probability_format]
    if probability_format == NPZ:
        with saved_on_the_way(probabilities, path, probabilities.shape) as channels:
            for _ in channels:
                pass
        return
    import blosc2

    with atomic_path(path) as temporary:
        stored = blosc2.empty(
            probabilities.shape,
            dtype=np.float16,
            chunks=(1, min(_SLICES_PER_CHUNK, probabilities.shape[1]), *probabilities.shape[2:]),
            urlpath=str(temporary),
            mode="w",
            cparams={"codec": blosc2.Codec.ZSTD, "clevel": 3, "nthreads": 1},
        )
        for channel, values in enumerate(probabilities):
            stored[channel] = values.astype(np.float16)
