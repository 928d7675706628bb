"""Every reader and writer goes through the same checks."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from nnunetv2.errors import ImageError
from nnunetv2.imageio.channel_files import position_of
from tests.imageio.formats import FORMATS, SPACING, stored_dtype

every_format = pytest.mark.parametrize("fmt", FORMATS, ids=str)


def voxels(fmt, seed=3, high=200):
    return np.random.RandomState(seed).randint(0, high, fmt.shape).astype(np.uint8)


def read(fmt, *paths):
    return fmt.reader().read_images(list(paths))


def sorted_values(array):
    return np.sort(array, axis=None)


@every_format
def test_an_image_is_float32_with_channel_and_three_axes_and_has_its_spacing(fmt, tmp_path):
    array = voxels(fmt)
    images, properties = read(fmt, fmt.image(tmp_path, array))
    assert images.dtype == np.float32
    assert images.ndim == 4
    assert len(images) == 1
    assert images.flags.c_contiguous
    assert np.array_equal(sorted_values(images), sorted_values(array))
    spacing = [float(s) for s in properties["spacing"]]
    assert len(spacing) == 3
    if fmt.shape[0] == 1:
        assert spacing[0] > 100 * max(spacing[1:])
        assert spacing[1:] == (list(SPACING[1:]) if fmt.has_spacing else [1, 1])
    else:
        assert sorted(spacing) == sorted(SPACING)


@every_format
def test_the_shape_known_before_reading_is_that_of_what_is_read(fmt, tmp_path):
    path = fmt.image(tmp_path, voxels(fmt))
    assert fmt.reader().image_shape(path) == read(fmt, path)[0].shape


@every_format
def test_axes_are_in_file_order_unless_the_reader_reorients(fmt, tmp_path):
    array = voxels(fmt)
    images, properties = read(fmt, fmt.image(tmp_path, array))
    if "Reorient" in fmt.reader.__name__:
        # RAS: the second axis grows to the front, which is x backwards; the third one to the right, which is y.
        assert np.array_equal(images[0], array.transpose(0, 2, 1)[:, ::-1])
        assert list(properties["spacing"]) == [2.5, 1.25, 0.5]
    else:
        assert np.array_equal(images[0], array)


@every_format
def test_a_label_map_survives_writing_and_reading(fmt, tmp_path):
    _, properties = read(fmt, fmt.image(tmp_path, voxels(fmt)))
    images, _ = read(fmt, fmt.image(tmp_path, voxels(fmt)))
    seg = np.random.RandomState(0).randint(0, 5, images.shape[1:])
    target = str(tmp_path / f"out{fmt.ending}")
    before = pickle.dumps(properties)
    fmt.reader().write_seg(seg, target, properties)
    back, again = fmt.reader().read_seg(target)
    assert back.dtype == np.float32
    assert back.shape == (1, *seg.shape)
    assert np.array_equal(back[0], seg)
    assert np.allclose(again["spacing"], properties["spacing"])
    mine, theirs = position_of(properties), position_of(again)
    assert mine.keys() == theirs.keys()
    assert all(np.allclose(mine[key], theirs[key]) for key in mine)
    assert pickle.dumps(properties) == before, "writing changed the properties"


@every_format
def test_writing_what_was_read_gives_the_file_back(fmt, tmp_path):
    array = voxels(fmt)
    path = fmt.image(tmp_path, array)
    seg, properties = fmt.reader().read_seg(path)
    target = tmp_path / f"again_0000{fmt.ending}"
    fmt.reader().write_seg(seg[0], str(target), properties)
    first, first_properties = fmt.without_reorientation().read_seg(path)
    second, second_properties = fmt.without_reorientation().read_seg(str(target))
    assert np.array_equal(first, second)
    assert list(first_properties["spacing"]) == list(second_properties["spacing"])
    mine, theirs = position_of(first_properties), position_of(second_properties)
    assert all(np.allclose(mine[key], theirs[key]) for key in mine)


@every_format
@pytest.mark.parametrize("highest", [254, 255, 300])
def test_labels_are_stored_as_uint8_below_255_and_uint16_from_255_on(fmt, highest, tmp_path):
    images, properties = read(fmt, fmt.image(tmp_path, voxels(fmt)))
    seg = np.zeros(images.shape[1:], np.int64)
    seg.flat[:3] = 1, highest, 2
    target = str(tmp_path / f"out{fmt.ending}")
    if fmt.ending == ".bmp" and highest > 254:
        with pytest.raises(ImageError, match="cannot be written"):
            fmt.reader().write_seg(seg, target, properties)
        return
    fmt.reader().write_seg(seg, target, properties)
    assert np.array_equal(fmt.reader().read_seg(target)[0][0], seg)
    assert stored_dtype(Path(target)) == (np.uint8 if highest < 255 else np.uint16)


@every_format
def test_channels_are_stacked_in_the_given_order(fmt, tmp_path):
    paths = [fmt.image(tmp_path, voxels(fmt, seed), channel=seed) for seed in range(3)]
    images, _ = read(fmt, *reversed(paths))
    for channel, path in enumerate(reversed(paths)):
        assert np.array_equal(images[channel], read(fmt, path)[0][0])


@every_format
def test_channels_of_different_shape_are_refused_by_name(fmt, tmp_path):
    first = fmt.image(tmp_path, voxels(fmt))
    second = fmt.image(tmp_path, voxels(fmt)[:, :-1], channel=1)
    with pytest.raises(ImageError, match="differ in shape") as caught:
        read(fmt, first, second)
    assert first in str(caught.value)
    assert second in str(caught.value)


@pytest.mark.parametrize("fmt", [f for f in FORMATS if f.has_spacing and "Tiff" not in f.reader.__name__], ids=str)
def test_channels_of_different_spacing_are_refused_by_name(fmt, tmp_path):
    first = fmt.image(tmp_path, voxels(fmt))
    second = fmt.image(tmp_path, voxels(fmt), spacing=(2.5, 0.5, 1.5), channel=1)
    with pytest.raises(ImageError, match="differ in spacing") as caught:
        read(fmt, first, second)
    assert second in str(caught.value)
    assert "1.5" in str(caught.value)


@every_format
def test_a_missing_file_is_named(fmt, tmp_path):
    path = str(tmp_path / f"absent_0000{fmt.ending}")
    with pytest.raises(ImageError, match="absent_0000.*does not exist") as caught:
        read(fmt, path)
    assert isinstance(caught.value, FileNotFoundError)


@every_format
@pytest.mark.parametrize("method", ["read_images", "read_seg"])
def test_an_empty_file_is_named(fmt, method, tmp_path):
    path = tmp_path / f"case_0000{fmt.ending}"
    path.touch()
    with pytest.raises(ImageError, match=r"case_0000.*empty.*again"):
        getattr(fmt.reader(), method)([str(path)] if method == "read_images" else str(path))


@every_format
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_truncated_file_is_named_and_never_filled_up_with_zeros(fmt, share, tmp_path):
    path = tmp_path / f"case_0000{fmt.ending}"
    fmt.write(path, voxels(fmt), SPACING)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    if fmt.ending == ".png" and share > 0.9:  # only the end marker is lost
        assert np.array_equal(read(fmt, str(path))[0][0], voxels(fmt))
        return
    with pytest.raises(ImageError, match=r"case_0000[\s\S]*again"):
        read(fmt, str(path))


@every_format
def test_a_file_of_another_format_is_named(fmt, tmp_path):
    path = tmp_path / f"case_0000{fmt.ending}"
    path.write_bytes(b"this is not an image" * 100)
    with pytest.raises(ImageError, match=r"case_0000[\s\S]*cannot be read"):
        read(fmt, str(path))


@every_format
@pytest.mark.parametrize(
    ("bad", "message"),
    [(-1, "from -1"), (70000, "70000"), (0.5, "no integers"), (np.nan, "nan"), ("4D", "shape")],
)
def test_arrays_that_are_no_label_map_are_refused_and_nothing_is_written(fmt, bad, message, tmp_path):
    images, properties = read(fmt, fmt.image(tmp_path, voxels(fmt)))
    seg = np.zeros(images.shape[1:], np.float64)
    if bad == "4D":
        seg = seg[None]
    else:
        seg.flat[1] = bad
    target = tmp_path / f"out{fmt.ending}"
    with pytest.raises(ImageError, match=message) as caught:
        fmt.reader().write_seg(seg, str(target), properties)
    assert str(target) in str(caught.value)
    assert not target.exists()


@every_format
def test_writing_replaces_the_file_at_once_and_leaves_nothing_else(fmt, tmp_path):
    images, properties = read(fmt, fmt.image(tmp_path, voxels(fmt)))
    folder = tmp_path / "predictions"
    for value in (1, 2):
        fmt.reader().write_seg(np.full(images.shape[1:], value, np.uint8), str(folder / f"a{fmt.ending}"), properties)
    side_car = {"a.json"} if fmt.reader.__name__ == "Tiff3DIO" else set()
    assert {p.name for p in folder.iterdir()} == {f"a{fmt.ending}"} | side_car
    assert fmt.reader().read_seg(str(folder / f"a{fmt.ending}"))[0].max() == 2


@every_format
def test_endings_are_lower_case_and_include_the_one_tested(fmt):
    assert fmt.ending in fmt.reader.supported_file_endings
    assert all(e.startswith(".") and e == e.lower() for e in fmt.reader.supported_file_endings)


@pytest.mark.parametrize("fmt", [f for f in FORMATS if "nii" in f.ending or ".mha" in f.ending], ids=str)
def test_properties_of_another_reader_are_refused(fmt, tmp_path):
    with pytest.raises(ImageError, match="class that read the image"):
        fmt.reader().write_seg(np.zeros(fmt.shape), str(tmp_path / f"o{fmt.ending}"), {"spacing": (1, 1, 1)})


def test_no_files_at_all_is_an_error():
    for reader in {fmt.reader for fmt in FORMATS}:
        with pytest.raises(ImageError, match="no image files"):
            reader().read_images([])
