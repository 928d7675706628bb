from __future__ import annotations

import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import tifffile

from nnunetv2.errors import ClassNotFoundError, ImageError
from nnunetv2.imageio import reader_writer_registry as registry
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.builtin_readers import BUILTIN_READERS
from tests.imageio.formats import write_sitk

ENDINGS = {
    ".nii.gz": "SimpleITKIO",
    ".nrrd": "SimpleITKIO",
    ".mha": "SimpleITKIO",
    ".gipl": "SimpleITKIO",
    ".nii": "NibabelIO",
    ".png": "NaturalImage2DIO",
    ".bmp": "NaturalImage2DIO",
    ".jpg": "NaturalImage2DIO",
    ".jpeg": "NaturalImage2DIO",
    ".tif": "NaturalImage2DIO",
    ".tiff": "Tiff3DIO",
    ".NII.GZ": "SimpleITKIO",
}


def by_ending(ending, *args, **kwargs):
    return registry.determine_reader_writer_from_file_ending(ending, *args, **kwargs).__name__


@pytest.mark.parametrize(("ending", "expected"), ENDINGS.items())
def test_the_file_ending_decides(ending, expected):
    assert by_ending(ending) == expected
    chosen = registry.determine_reader_writer_from_dataset_json({"file_ending": ending}, verbose=False)
    assert chosen.__name__ == expected


def test_readers_are_tried_in_the_established_order():
    names = [cls.__name__ for cls in registry.LIST_OF_IO_CLASSES]
    assert names == ["NaturalImage2DIO", "SimpleITKIO", "Tiff3DIO", "NibabelIO", "NibabelIOWithReorient"]


def test_a_class_appended_to_the_list_is_tried(monkeypatch):
    class ZarrIO(BaseReaderWriter):
        supported_file_endings = (".zarr",)
        read_images = read_seg = write_seg = None

    monkeypatch.setattr(registry, "LIST_OF_IO_CLASSES", [*registry.LIST_OF_IO_CLASSES, ZarrIO])
    assert by_ending(".zarr") == "ZarrIO"


@pytest.mark.parametrize(
    "unset", [{}, {"overwrite_image_reader_writer": None}, {"overwrite_image_reader_writer": "None"}]
)
def test_none_and_null_mean_no_wish(unset):
    chosen = registry.determine_reader_writer_from_dataset_json({"file_ending": ".nii.gz"} | unset)
    assert chosen.__name__ == "SimpleITKIO"


@pytest.mark.parametrize("name", BUILTIN_READERS)
def test_dataset_json_can_name_every_reader(name):
    content = {"file_ending": ".nii.gz", "overwrite_image_reader_writer": name}
    assert registry.determine_reader_writer_from_dataset_json(content).__name__ == name
    assert issubclass(registry.recursive_find_reader_writer_by_name(name), BaseReaderWriter)


def test_an_unknown_wish_is_a_warning_and_the_ending_decides(caplog):
    content = {"file_ending": ".nii.gz", "overwrite_image_reader_writer": "NoSuchIO"}
    assert registry.determine_reader_writer_from_dataset_json(content).__name__ == "SimpleITKIO"
    assert "NoSuchIO" in caplog.text


@pytest.mark.parametrize("name", ["NoSuchIO", "np", "reading", "BUILTIN_READERS"])
def test_only_reader_classes_are_found_by_name(name):
    with pytest.raises(ClassNotFoundError, match=name):
        registry.recursive_find_reader_writer_by_name(name)


def test_a_file_dropped_into_the_package_is_found(tmp_path, monkeypatch):
    import nnunetv2.imageio as package

    (tmp_path / "dropped_reader.py").write_text(
        "from nnunetv2.imageio.base_reader_writer import BaseReaderWriter\n"
        "class DroppedIO(BaseReaderWriter):\n"
        "    supported_file_endings = ['.dropped']\n"
        "    read_images = read_seg = write_seg = None\n"
    )
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "__file__", str(tmp_path / "reader_writer_registry.py"))
    found = registry.recursive_find_reader_writer_by_name("DroppedIO")
    assert found.supported_file_endings == [".dropped"]
    sys.modules.pop("nnunetv2.imageio.dropped_reader")


def test_an_example_the_first_reader_refuses_goes_to_the_next(tmp_path, caplog):
    sheared = np.eye(4)
    sheared[0, 1] = 0.5
    path = tmp_path / "a_0000.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.float32), sheared), path)
    assert by_ending(".nii.gz", str(path)) == "NibabelIO"
    assert "SimpleITKIO" in caplog.text
    assert "perpendicular" in caplog.text


@pytest.mark.parametrize(("shape", "expected"), [((7, 5, 6), "Tiff3DIO"), ((5, 6), "NaturalImage2DIO")])
def test_a_tif_is_2d_unless_the_example_is_a_stack(shape, expected, tmp_path):
    tifffile.imwrite(tmp_path / "a_0000.tif", np.zeros(shape, np.float32), photometric="minisblack")
    assert by_ending(".tif", str(tmp_path / "a_0000.tif")) == expected


def test_a_stack_of_three_slices_is_taken_for_a_picture_with_a_warning(tmp_path, caplog):
    tifffile.imwrite(tmp_path / "a_0000.tif", np.zeros((3, 5, 6), np.float32), photometric="minisblack")
    assert by_ending(".tif", str(tmp_path / "a_0000.tif")) == "NaturalImage2DIO"
    assert '"overwrite_image_reader_writer": "Tiff3DIO"' in caplog.text


def test_an_unknown_ending_needs_permission_to_try_readers(tmp_path):
    with pytest.raises(ImageError, match=r"'\.dcm'.*known are"):
        by_ending(".dcm")
    path = tmp_path / "a_0000.mhd"
    write_sitk(path, np.zeros((4, 5, 6), np.float32))
    with pytest.raises(ImageError):
        by_ending(".mhd", str(path))
    assert by_ending(".mhd", str(path), True) in ("SimpleITKIO", "NaturalImage2DIO")


def test_an_example_nobody_can_read_lists_all_reasons(tmp_path):
    path = tmp_path / "a_0000.nii.gz"
    path.write_bytes(b"garbage" * 100)
    with pytest.raises(RuntimeError, match=r"no reader can read .*a_0000") as caught:
        by_ending(".nii.gz", str(path))
    assert all(name in str(caught.value) for name in ("SimpleITKIO", "NibabelIO", "NibabelIOWithReorient"))


def test_verbose_says_which_reader_it_is(caplog):
    caplog.set_level("INFO")
    by_ending(".nii.gz", None, False, False)
    assert not caplog.records
    by_ending(".nii.gz", None, False, True)
    assert "SimpleITKIO" in caplog.text


def test_choosing_a_reader_imports_only_its_library():
    code = (
        "import sys; from nnunetv2.imageio import reader_writer_registry as r\n"
        "libraries = {'SimpleITK', 'nibabel', 'skimage', 'tifffile', 'torch'}\n"
        "assert not libraries & set(sys.modules)\n"
        "r.determine_reader_writer_from_file_ending('.nii.gz')\n"
        "assert libraries & set(sys.modules) == {'SimpleITK'}, libraries & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
