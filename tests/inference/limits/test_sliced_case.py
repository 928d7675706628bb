"""Images read in parts give the numbers and files of images read whole."""

import gzip

import numpy as np
import pytest
import torch

from nnunetv2.errors import ImageError, UsageError, WorkerError
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO
from nnunetv2.imageio.nifti_slices import NiftiSlices, write_label_slices
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO, SimpleITKIOWithReorient
from nnunetv2.inference.limits import limited_items
from nnunetv2.inference.limits.sliced_case import ArraySlices, SlicedCase, sliced_array
from nnunetv2.inference.tiling import pad_to_tile
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.preprocessing.preprocessors.sliced_preprocessing import SlicedPreprocessing
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from tests.inference.conftest import Thresholds, make_dataset_json, make_plans, make_predictor, read_image, write_image

STATISTICS = {"0": {"percentile_00_5": -1.5, "percentile_99_5": 2.0, "mean": 0.2, "std": 0.7}}


def random_image(shape, channels=1, seed=0):
    image = np.random.default_rng(seed).normal(size=(channels, *shape)).astype(np.float32)
    image[:, :3] = image[:, :, -2:] = image[..., :1] = 0
    return image


def both(image, spacing, **plan_entries):
    """The case in network space, preprocessed whole and in blocks, with the properties of each."""
    channels = len(image)
    plans = make_plans(channels=channels, **plan_entries)
    plans["foreground_intensity_properties_per_channel"] = {str(c): STATISTICS["0"] for c in range(channels)}
    manager = PlansManager(plans)
    configuration, properties = manager.get_configuration("small"), {"spacing": list(spacing)}
    whole, _, whole_properties = DefaultPreprocessor(verbose=False).run_case_npy(
        image, None, properties, manager, configuration, make_dataset_json(channels=channels)
    )
    sliced = SlicedPreprocessing(ArraySlices(image, properties), manager, configuration)
    blocks = torch.cat([sliced.block(b) for b in range(-(-sliced.shape[1] // 32))], 1).numpy()
    return whole, whole_properties, blocks, sliced.properties


@pytest.mark.parametrize(
    ("scheme", "spacing", "transpose"),
    [
        ("CTNormalization", (0.4, 0.7, 0.6), (0, 1, 2)),
        ("NoNormalization", (1.6, 1.4, 1.3), (1, 0, 2)),
        ("RescaleTo01Normalization", (1.0, 1.0, 1.0), (2, 0, 1)),
        ("ZScoreNormalization", (5.0, 0.9, 0.8), (0, 1, 2)),
        ("CTNormalization", (0.8, 6.0, 0.7), (1, 0, 2)),
    ],
)
def test_blocks_equal_the_case_preprocessed_whole(scheme, spacing, transpose):
    image = random_image((70, 41, 33), channels=2)
    whole, whole_properties, blocks, properties = both(
        image, spacing, transpose_forward=transpose, normalization_schemes=[scheme] * 2
    )
    assert properties == whole_properties
    np.testing.assert_allclose(blocks, whole, rtol=0, atol=3e-6)


def test_an_image_of_zeros_is_not_cropped():
    whole, whole_properties, blocks, properties = both(np.zeros((1, 9, 8, 7), np.float32), (1, 1, 1))
    assert properties == whole_properties
    np.testing.assert_array_equal(blocks, whole)


def test_what_needs_the_whole_volume_is_refused():
    image = random_image((20, 12, 13))
    with pytest.raises(UsageError, match="ZScoreNormalization, inside the nonzero mask"):
        both(image, (1, 1, 1), normalization_schemes=["ZScoreNormalization"], use_mask_for_norm=[True])
    with pytest.raises(UsageError, match="resample_data_or_seg_to_shape only"):
        both(image, (1, 1, 1), resampling_fn_data="no_resampling_hack", resampling_fn_data_kwargs={})
    with pytest.raises(UsageError, match="separate axis only where that is the first"):
        both(image, (0.8, 6.0, 0.7))
    with pytest.raises(ImageError, match="NaN"):
        image[0, 5, 5, 5] = np.nan
        plans = PlansManager(make_plans())
        SlicedPreprocessing(ArraySlices(image, {"spacing": [1, 1, 1]}), plans, plans.get_configuration("small"))


@pytest.mark.parametrize("patch", [(16, 8, 8), (90, 60, 20), (8, 16)], ids=str)
def test_tiles_equal_those_of_the_padded_case(patch):
    image = random_image((75, 30, 21))
    predictor = make_predictor(Thresholds(), make_plans(patch, (1.0, 1.0, 1.0)[-len(patch) :]))
    model = (predictor.plans_manager, predictor.configuration_manager)
    properties = {"spacing": [1.0, 1.1, 0.9]}
    whole, _, _ = DefaultPreprocessor(verbose=False).run_case_npy(
        image, None, properties, *model, predictor.dataset_json
    )
    padded, inner = pad_to_tile(torch.from_numpy(whole), patch)
    case, own_inner = sliced_array(image, properties, *model).padded(patch)
    assert own_inner == inner
    assert case.padded_size == tuple(padded.shape[1:])
    for slicer in predictor._internal_get_sliding_window_slicers(padded.shape[1:]):
        torch.testing.assert_close(case[slicer], padded[slicer], rtol=0, atol=3e-6)
    assert len(case._blocks) <= -(-max(patch) // 32) + 1


@pytest.mark.parametrize(("reader", "ending"), [(SimpleITKIO, ".nii.gz"), (SimpleITKIO, ".nii"), (NibabelIO, ".nii")])
def test_files_in_parts_are_read_and_written_like_whole_ones(tmp_path, reader, ending):
    path, array = str(tmp_path / f"case_0000{ending}"), random_image((21, 7, 9))[0]
    write_image(path, array, (3.0, 0.5, 0.75))
    whole, properties = reader().read_images([path])
    images = NiftiSlices([path], reader, str(tmp_path))
    assert images.shape == whole.shape
    assert images.properties.keys() == properties.keys()
    np.testing.assert_array_equal(images.properties["spacing"], properties["spacing"])
    geometry = next(key for key in properties if key != "spacing")
    for key, value in properties[geometry].items():  # ITK gives zeros with other signs
        np.testing.assert_allclose(images.properties[geometry][key], value, atol=1e-12)
    part = (slice(3, 9), slice(0, 5), slice(2, 9))
    np.testing.assert_array_equal(images.read(part), whole[(slice(None), *part)])
    for highest in (3, 300):
        labels = np.random.default_rng(0).integers(0, highest, array.shape).astype(np.uint16)
        reader().write_seg(labels, str(tmp_path / f"whole{ending}"), properties)
        write_label_slices(labels, str(tmp_path / f"parts{ending}"), reader, properties)
        read = gzip.open if ending.endswith("gz") else open
        with read(tmp_path / f"whole{ending}", "rb") as one, read(tmp_path / f"parts{ending}", "rb") as other:
            assert one.read() == other.read()


def test_other_readers_and_files_are_refused(tmp_path):
    with pytest.raises(ImageError, match="SimpleITKIOWithReorient cannot read it in parts"):
        NiftiSlices([str(tmp_path / "a.nii")], SimpleITKIOWithReorient, str(tmp_path))
    with pytest.raises(ImageError, match="only NIfTI"):
        NiftiSlices([str(tmp_path / "a.nrrd")], SimpleITKIO, str(tmp_path))


@pytest.fixture
def in_parts(monkeypatch):
    """Every case counts as too large."""
    monkeypatch.setattr(limited_items, "fits_whole", lambda *arguments: False)


def test_a_folder_in_parts_gives_the_same_files(image_folder, tmp_path, in_parts):
    for name, limit in (("whole", None), ("parts", 1000)):
        model = make_predictor(Thresholds(), make_plans((8, 8, 8), (0.9, 1.1, 1.0)), max_memory=limit)
        model.predict_from_files(str(image_folder.folder), str(tmp_path / name))
    for case in image_folder.labels:
        np.testing.assert_array_equal(
            read_image(tmp_path / "parts" / f"{case}.nii.gz"), read_image(tmp_path / "whole" / f"{case}.nii.gz")
        )
    assert not [p.name for p in (tmp_path / "parts").iterdir() if p.name.startswith(".")]


def test_arrays_and_what_is_sliced_like_them_are_predicted_in_parts(tmp_path, in_parts):
    import blosc2

    image = random_image((20, 12, 11)) * 100
    expected = make_predictor(Thresholds()).predict_single_npy_array(image, {"spacing": [1.0, 1.0, 1.0]})
    stored = blosc2.asarray(image, urlpath=str(tmp_path / "image.b2nd"))
    mapped = np.lib.format.open_memmap(tmp_path / "image.npy", "w+", np.float32, image.shape)
    mapped[...] = image
    model = make_predictor(Thresholds(), max_memory=1000)
    for source in (stored, mapped):
        found = model.predict_single_npy_array(source, {"spacing": [1.0, 1.0, 1.0]})
        np.testing.assert_array_equal(found, expected)
    (found,) = model.predict_from_list_of_npy_arrays([stored], None, [{"spacing": [1.0, 1.0, 1.0]}], None)
    np.testing.assert_array_equal(found, expected)


def test_a_case_that_cannot_fit_is_named_with_figures(image_folder, tmp_path):
    model = make_predictor(Thresholds(), max_memory=0.01)
    with pytest.raises(WorkerError, match=r"case_a.*GiB of main memory, --max-memory allows 0\.01 GiB"):
        model.predict_from_files(str(image_folder.folder), str(tmp_path / "out"))


def test_blocks_that_were_passed_are_made_again_when_needed():
    predictor = make_predictor(Thresholds())
    image = random_image((75, 10, 10))
    case = sliced_array(image, {"spacing": [1, 1, 1]}, predictor.plans_manager, predictor.configuration_manager)
    assert isinstance(case, SlicedCase)
    case.padded((8, 8, 8))
    first = case[(slice(None), slice(0, 8), slice(0, 8), slice(0, 8))]
    case[(slice(None), slice(60, 68), slice(0, 8), slice(0, 8))]
    assert torch.equal(case[(slice(None), slice(0, 8), slice(0, 8), slice(0, 8))], first)
