import json
import pickle

import numpy as np
import pytest
from batchgenerators.augmentations.utils import resize_segmentation
from scipy.ndimage import binary_fill_holes
from skimage.transform import resize

from nnunetv2.errors import CaseFailures, ClassNotFoundError, DatasetError, ImageError, PlansError
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.storage.stores import infer_dataset_class
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from tests.preprocessing.conftest import INTENSITIES
from tests.preprocessing.test_foreground_locations import assert_same
from tests.preprocessing.test_foreground_locations import naive as naive_locations

LABELS = {"labels": {"background": 0, "shell": 1, "core": 2}}
REGIONS = {"labels": {"background": 0, "all": [1, 2], "core": 2, "ignore": 3}, "regions_class_order": [1, 2]}


def raw_case(seed=0, shape=(14, 9, 12)):
    """A case whose background is zero, with a hole in the middle and labels 0 to 3."""
    rng = np.random.RandomState(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    body = ((grid**2).sum(0) < 0.9) & ((grid**2).sum(0) > 0.03)
    data = (rng.randn(2, *shape) * 60 + 150).astype(np.float32) * body
    seg = rng.randint(0, 4, (1, *shape)).astype(np.float32) * (grid[0] > -0.5)
    return data, seg, {"spacing": [2.5, 1.0, 1.25], "sitk_stuff": {"spacing": (1.25, 1.0, 2.5)}}


def naive_preprocess(data, seg, spacing, transpose, target, keys, flags=(False, True)):
    """All steps in plain NumPy and scikit-image."""
    order = (0, *(a + 1 for a in transpose))
    data, seg = data.transpose(order).astype(np.float64), seg.transpose(order)
    spacing = [spacing[a] for a in transpose]
    target = [spacing[0], *target] if len(target) == 2 else target
    mask = binary_fill_holes((data != 0).any(0))
    index = tuple(slice(w.min(), w.max() + 1) for w in np.nonzero(mask))
    data, seg, mask = data[(slice(None), *index)], seg[(slice(None), *index)].copy(), mask[index]
    seg[0][(seg[0] == 0) & ~mask] = -1
    inside = seg[0] >= 0
    p = INTENSITIES
    data[0] = (np.clip(data[0], p["percentile_00_5"], p["percentile_99_5"]) - p["mean"]) / p["std"]
    chosen = inside if flags[1] else np.ones_like(inside)
    data[1][chosen] = (data[1][chosen] - data[1][chosen].mean()) / data[1][chosen].std()
    shape = tuple(round(o / t * n) for o, t, n in zip(spacing, target, data.shape[1:]))
    anisotropic = next((s for s in (spacing, target) if max(s) / min(s) > 3), None)
    axis = None if anisotropic is None else anisotropic.index(max(anisotropic))

    def each(function, array, order):
        if axis is None:
            return function(array, shape, order=order)
        plane = [n for a, n in enumerate(shape) if a != axis]
        planes = np.stack([function(x, plane, order=order) for x in np.moveaxis(array, axis, 0)])
        n, m = len(planes), shape[axis]
        source = np.floor(np.clip(n / m * (np.arange(m) + 0.5) - 0.5, 0, n - 1) + 0.5).astype(int)
        return np.moveaxis(planes[source], 0, axis)

    def smooth(array, new_shape, order):
        return resize(array, new_shape, order=order, mode="edge", clip=True, anti_aliasing=False)

    data = np.stack([each(smooth, channel, 3) for channel in data])
    seg = each(resize_segmentation, seg[0], 1)[None]
    return data, seg, naive_locations(seg, keys)


@pytest.mark.parametrize("configuration", ["3d_fullres", "thick", "2d"])
@pytest.mark.parametrize("transpose", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize(
    ("dataset_json", "keys"), [(LABELS, [1, 2]), (REGIONS, [(1, 2), 2, (-1, 0, 1, 2)])], ids=["labels", "regions"]
)
def test_a_case_equals_the_steps_written_out(plans, configuration, transpose, dataset_json, keys):
    plans["transpose_forward"] = list(transpose)
    manager = PlansManager(plans)
    data, seg, properties = raw_case()
    if dataset_json is LABELS:
        seg[seg == 3] = 0
    ours = DefaultPreprocessor().run_case_npy(
        data, seg, properties, manager, manager.get_configuration(configuration), dataset_json
    )
    target = plans["configurations"][configuration]["spacing"]
    expected = naive_preprocess(data, seg, properties["spacing"], transpose, target, keys)
    assert ours[0].dtype == np.float32
    assert ours[1].dtype == np.int8
    assert ours[0].shape == expected[0].shape
    assert np.abs(ours[0] - expected[0]).max() < 5e-6
    assert np.array_equal(ours[1], expected[1])
    assert_same(ours[2]["class_locations"], expected[2])


def run(plans, data, seg, properties, configuration="3d_fullres", dataset_json=LABELS, preprocessor=None):
    manager = PlansManager(plans)
    return (preprocessor or DefaultPreprocessor(verbose=False)).run_case_npy(
        data, seg, properties, manager, manager.get_configuration(configuration), dataset_json
    )


def test_properties_tell_what_happened_in_transposed_order(plans):
    data, seg, properties = raw_case()
    data[:, :3] = 0
    data[:, :, 8:] = 0
    before = dict(properties)
    _, _, after = run(plans, data, seg, properties)
    assert properties == before
    assert list(after) == [
        "spacing",
        "sitk_stuff",
        "shape_before_cropping",
        "bbox_used_for_cropping",
        "shape_after_cropping_and_before_resampling",
        "class_locations",
    ]
    assert after["spacing"] == [2.5, 1.0, 1.25]
    assert after["shape_before_cropping"] == (9, 14, 12)
    box = after["bbox_used_for_cropping"]
    assert box[1][0] == 3
    assert box[0][1] == 8
    assert after["shape_after_cropping_and_before_resampling"] == tuple(b - a for a, b in box)


def test_inputs_are_not_changed(plans):
    data, seg, properties = raw_case()
    copies = data.copy(), seg.copy()
    run(plans, data, seg, properties)
    assert np.array_equal(data, copies[0])
    assert np.array_equal(seg, copies[1])


def test_a_case_without_segmentation_gets_the_same_image_and_no_locations(plans):
    data, seg, properties = raw_case()
    plans["configurations"]["3d_fullres"]["use_mask_for_norm"] = [False, False]
    with_seg = run(plans, data, seg, properties)
    without = run(plans, data, None, properties)
    assert np.array_equal(without[0], with_seg[0])
    assert "class_locations" not in without[2]
    assert set(np.unique(without[1])) == {-1, 0}
    assert without[1].shape == with_seg[1].shape


def test_large_labels_come_as_int16_and_larger_ones_are_refused(plans):
    data, seg, properties = raw_case()
    assert run(plans, data, seg * 100, properties)[1].dtype == np.int16
    with pytest.raises(ImageError, match="label 60000"):
        run(plans, data, seg * 20_000, properties)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_numbers_are_refused(plans, bad):
    data, seg, properties = raw_case()
    data[1, 7, 4, 5:7] = bad
    with pytest.raises(ImageError, match=rf"channel 1 .*: 2 {'NaN' if np.isnan(bad) else 'infinite'}, .*\(7, 4, 5\)"):
        run(plans, data, seg, properties)
    data[1, 7, 4, 5:7] = 0
    seg[0, 3, 2, 1] = bad
    with pytest.raises(ImageError, match="segmentation has 1 voxels that are NaN or infinite"):
        run(plans, data, seg, properties)


def test_shapes_that_do_not_fit_are_refused(plans):
    data, seg, properties = raw_case()
    with pytest.raises(ImageError, match="same voxels"):
        run(plans, data, seg[:, 1:], properties)
    with pytest.raises(ImageError, match="three numbers"):
        run(plans, data, seg, {"spacing": [1, 1]})


def test_unknown_normalization_is_named(plans):
    plans["configurations"]["3d_fullres"]["normalization_schemes"] = ["CTNormalization", "Magic"]
    with pytest.raises(ClassNotFoundError, match="Magic.*channel 1"):
        run(plans, *raw_case())


def test_hooks_of_a_subclass_are_used(plans):
    class Own(DefaultPreprocessor):
        def modify_seg_fn(self, seg, plans_manager, dataset_json, configuration_manager):
            assert isinstance(plans_manager, PlansManager)
            assert dataset_json is LABELS
            assert configuration_manager.spacing == [1.5, 1.5, 1.5]
            return seg * 0 + 5

        def _normalize(self, data, seg, configuration_manager, foreground_intensity_properties_per_channel):
            return np.full_like(data, 3)

        @staticmethod
        def _sample_foreground_locations(seg, classes_or_regions, seed=1234, verbose=False):
            return {"classes": list(classes_or_regions)}

    data, seg, properties = run(plans, *raw_case(), preprocessor=Own())
    assert (data == 3).all()
    assert (seg == 5).all()
    assert properties["class_locations"] == {"classes": [1, 2]}


def test_static_sampling_has_the_established_signature():
    locations = DefaultPreprocessor._sample_foreground_locations(np.ones((1, 2, 2, 2)), [1, 5], seed=3, verbose=True)
    assert len(locations[1]) == 8
    assert locations[5] == []


def test_preprocessors_pickle():
    assert pickle.loads(pickle.dumps(DefaultPreprocessor(verbose=False))).verbose is False


def test_run_preprocesses_all_cases(planned_dataset, folders):
    output = folders["nnUNet_preprocessed"] / planned_dataset.name / "nnUNetPlans_3d_fullres"
    DefaultPreprocessor(verbose=False).run(997, "3d_fullres", "nnUNetPlans", num_processes=1)
    dataset = infer_dataset_class(str(output))(str(output))
    assert dataset.identifiers == [f"tiny_{i:03d}" for i in range(6)]
    assert len(list(output.iterdir())) == 18
    data, seg, previous, properties = dataset.load_case("tiny_000")
    assert (data.dtype, seg.dtype, previous) == (np.float32, np.int16, None)
    assert data.shape == (2, *seg.shape[1:])
    manager = PlansManager(str(output.parent / "nnUNetPlans.json"))
    expected = DefaultPreprocessor().run_case(
        [str(planned_dataset / "imagesTr" / f"tiny_000_000{c}.nii.gz") for c in (0, 1)],
        str(planned_dataset / "labelsTr" / "tiny_000.nii.gz"),
        manager,
        manager.get_configuration("3d_fullres"),
        str(planned_dataset / "dataset.json"),
    )
    assert np.array_equal(data[:], expected[0])
    assert np.array_equal(seg[:], expected[1])
    assert_same(properties["class_locations"], expected[2]["class_locations"])
    assert set(properties["class_locations"]) == {1, 2}


@pytest.mark.slow
def test_run_in_worker_processes_gives_the_same_files(planned_dataset, folders):
    output = folders["nnUNet_preprocessed"] / planned_dataset.name / "nnUNetPlans_thick"
    found = []
    for workers in (1, 2):
        DefaultPreprocessor(verbose=False).run(planned_dataset.name, "thick", "nnUNetPlans", workers)
        dataset = infer_dataset_class(str(output))(str(output))
        found.append([dataset.load_case(name)[0][:] for name in dataset.identifiers])
    for one, two in zip(*found):
        assert np.array_equal(one, two)


def test_a_broken_case_is_named_and_the_others_are_finished(planned_dataset, folders):
    (planned_dataset / "imagesTr" / "tiny_002_0001.nii.gz").write_bytes(b"not an image")
    with pytest.raises(CaseFailures, match="1 of 6 cases failed") as caught:
        DefaultPreprocessor(verbose=False).run(997, "2d", "nnUNetPlans", 0)
    assert list(caught.value.failures) == ["tiny_002"]
    output = folders["nnUNet_preprocessed"] / planned_dataset.name / "nnUNetPlans_2d"
    assert "tiny_002" not in infer_dataset_class(str(output)).get_identifiers(str(output))
    assert len(infer_dataset_class(str(output)).get_identifiers(str(output))) == 5


def test_a_bad_voxel_is_reported_with_its_files(planned_dataset, plans):
    import nibabel

    path = planned_dataset / "imagesTr" / "tiny_000_0001.nii.gz"
    image = nibabel.load(path)
    voxels = image.get_fdata(dtype=np.float32)
    voxels[3, 4, 5] = np.nan
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine), path)
    plans["image_reader_writer"] = "NibabelIO"  # SimpleITK reads NaN in NIfTI files as 0
    manager = PlansManager(plans)
    with pytest.raises(ImageError, match="tiny_000_0001.nii.gz.*NaN"):
        DefaultPreprocessor().run_case(
            [str(path).replace("_0001", "_0000"), str(path)],
            None,
            manager,
            manager.get_configuration("2d"),
            str(planned_dataset / "dataset.json"),
        )


def test_an_empty_data_set_is_an_error_and_nothing_is_deleted(planned_dataset, folders):
    output = folders["nnUNet_preprocessed"] / planned_dataset.name / "nnUNetPlans_2d"
    output.mkdir()
    (output / "valuable.txt").write_text("keep")
    for path in (planned_dataset / "imagesTr").iterdir():
        path.unlink()
    with pytest.raises(DatasetError):
        DefaultPreprocessor(verbose=False).run(997, "2d", "nnUNetPlans", 1)
    content = json.loads((output.parent / "dataset.json").read_text())
    (output.parent / "dataset.json").write_text(json.dumps(content | {"dataset": {}}))
    with pytest.raises(DatasetError, match="nothing to preprocess"):
        DefaultPreprocessor(verbose=False).run(997, "2d", "nnUNetPlans", 1)
    assert (output / "valuable.txt").exists()


def test_missing_files_are_reported_before_anything_starts(planned_dataset):
    (planned_dataset / "labelsTr" / "tiny_001.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"tiny_001: .*labelsTr"):
        DefaultPreprocessor(verbose=False).run(997, "2d", "nnUNetPlans", 1)


def test_a_wrong_spacing_in_the_plans_is_reported_before_anything_starts(planned_dataset, folders):
    path = folders["nnUNet_preprocessed"] / planned_dataset.name / "nnUNetPlans.json"
    plans = json.loads(path.read_text())
    plans["configurations"]["3d_fullres"]["spacing"] = [1, 1]
    path.write_text(json.dumps(plans))
    with pytest.raises(PlansError, match="spacing"):
        DefaultPreprocessor(verbose=False).run(997, "3d_fullres", "nnUNetPlans", 1)


def test_a_missing_raw_data_set_is_an_error(folders):
    with pytest.raises(DatasetError):
        DefaultPreprocessor(verbose=False).run("Dataset123_Nothing", "2d", "nnUNetPlans", 1)
