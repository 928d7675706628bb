"""Whatever goes wrong inside a library while a file is read names the file."""

import pytest

from nnunetv2.errors import ImageError, MemoryLimitError
from nnunetv2.imageio.file_access import reading


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (MemoryError("Unable to allocate 8.07 GiB"), MemoryLimitError),
        (MemoryLimitError("a.nii: too large"), MemoryLimitError),
        (RuntimeError("unknown tag"), ImageError),
    ],
)
def test_failures_of_libraries_name_the_file(raised, expected, tmp_path):
    path = tmp_path / "a.nii"
    path.write_bytes(b"content")
    with pytest.raises(expected, match=r"a\.nii") as caught, reading(path):
        raise raised
    assert str(raised) in str(caught.value)
