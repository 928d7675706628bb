"""Fingerprints of small data sets made on the fly."""

import json
from pathlib import Path

import numpy as np
import pytest

from nnunetv2.errors import CaseFailures, DatasetError, ImageError, MissingFileError
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
    DatasetFingerprintExtractor,
    foreground_voxels,
)
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero

NAME = "Dataset997_Tiny"


class FewSamples(DatasetFingerprintExtractor):
    """Draws 12000 samples in all instead of 100 million, to be quick."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_foreground_voxels_for_intensitystats = 12000
        self.show_progress_bar = False


def naive_fingerprint(extractor):
    """The definition, written down without regard to memory."""
    shapes, spacings, ratios, samples = [], [], [], []
    num_samples = int(extractor.num_foreground_voxels_for_intensitystats // len(extractor.dataset))
    for files in extractor.dataset.values():
        images, properties = SimpleITKIO().read_images(files["images"])
        seg, _ = SimpleITKIO().read_seg(files["label"])
        full = images.shape[1:]
        images, seg, _ = crop_to_nonzero(images, seg)
        shapes.append(list(images.shape[1:]))
        spacings.append(list(properties["spacing"]))
        ratios.append(np.prod(images.shape[1:]) / np.prod(full))
        state = np.random.RandomState(1234)
        voxels = [channel[seg[0] > 0] for channel in images]
        samples.append([state.choice(v, num_samples, replace=True) if len(v) else [] for v in voxels])
    statistics = {}
    for index, channel in enumerate(zip(*samples)):
        values = np.concatenate(channel)
        low, median, high = np.percentile(values, np.array((0.5, 50.0, 99.5)))
        statistics[str(index)] = {
            "max": float(values.max()),
            "mean": float(values.mean()),
            "median": float(median),
            "min": float(values.min()),
            "percentile_00_5": float(low),
            "percentile_99_5": float(high),
            "std": float(values.std()),
        }
    return {
        "foreground_intensity_properties_per_channel": statistics,
        "median_relative_size_after_cropping": float(np.median(ratios)),
        "shapes_after_crop": shapes,
        "spacings": spacings,
    }


def path_of_fingerprint(folders):
    return folders["nnUNet_preprocessed"] / NAME / "dataset_fingerprint.json"


def edit_image(path: Path, change):
    import SimpleITK as sitk

    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image)
    changed = sitk.GetImageFromArray(change(array))
    changed.CopyInformation(image)
    sitk.WriteImage(changed, str(path))


def test_a_fingerprint_follows_its_definition(tiny_dataset, folders):
    border = (slice(2, -3), slice(1, -2), slice(None))

    def blank_border(array):
        framed = np.zeros_like(array)
        framed[border] = array[border]
        return framed

    for channel in range(2):
        edit_image(tiny_dataset / "imagesTr" / f"tiny_002_000{channel}.nii.gz", blank_border)
    extractor = FewSamples(997, num_processes=1)
    fingerprint = extractor.run()
    assert fingerprint == naive_fingerprint(extractor)
    assert fingerprint["shapes_after_crop"][2] == [15, 23, 23]
    text = path_of_fingerprint(folders).read_text()
    assert text == json.dumps(fingerprint, indent=4, sort_keys=True)


def test_one_case_without_foreground_changes_the_type_of_all_samples(tiny_dataset):
    edit_image(tiny_dataset / "labelsTr" / "tiny_003.nii.gz", np.zeros_like)
    extractor = FewSamples(997, num_processes=1)
    fingerprint = extractor.run()
    assert fingerprint == naive_fingerprint(extractor)
    mean = fingerprint["foreground_intensity_properties_per_channel"]["0"]["mean"]
    assert mean != float(np.float32(mean))


def test_worker_processes_give_the_same(tiny_dataset):
    alone = FewSamples(997, num_processes=1).run()
    assert FewSamples(997, num_processes=2).run(overwrite_existing=True) == alone


def test_an_existing_fingerprint_is_used_unless_told_otherwise(tiny_dataset, folders):
    path = path_of_fingerprint(folders)
    path.parent.mkdir()
    path.write_text('{"old": 1}')
    assert FewSamples(997, num_processes=1).run() == {"old": 1}
    assert "spacings" in FewSamples(997, num_processes=1).run(overwrite_existing=True)


def test_no_foreground_at_all_is_an_error(tiny_dataset, folders):
    for path in (tiny_dataset / "labelsTr").iterdir():
        edit_image(path, np.zeros_like)
    with pytest.raises(DatasetError, match="no case of .*Dataset997_Tiny has a label above 0"):
        FewSamples(997, num_processes=1).run()
    assert not path_of_fingerprint(folders).exists()


def test_a_missing_channel_names_the_case(tiny_dataset):
    (tiny_dataset / "imagesTr" / "tiny_004_0001.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"tiny_004 \(1\)"):
        FewSamples(997, num_processes=1).run()


def test_broken_cases_are_all_named(tiny_dataset):
    (tiny_dataset / "labelsTr" / "tiny_001.nii.gz").unlink()
    edit_image(tiny_dataset / "labelsTr" / "tiny_004.nii.gz", lambda a: a)
    (tiny_dataset / "imagesTr" / "tiny_004_0000.nii.gz").write_bytes(b"no image")
    with pytest.raises(CaseFailures) as error:
        FewSamples(997, num_processes=1).run()
    assert list(error.value.failures) == ["tiny_001", "tiny_004"]


def test_an_empty_or_missing_data_set_is_an_error(tiny_dataset, folders):
    for path in (tiny_dataset / "imagesTr").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="imagesTr"):
        FewSamples(997)
    (tiny_dataset / "dataset.json").unlink()
    with pytest.raises(MissingFileError, match=r"dataset\.json"):
        FewSamples(997)


class ReplacedCase(FewSamples):
    """Measures cases its own way, as people do who read other formats."""

    @staticmethod
    def analyze_case(image_files, segmentation_file, reader_writer_class, num_samples=10000):
        return (1, 20, 30), [9.0, 1.0, 1.0], [[1.0, 2.0, 5000.0], np.array([7.0])], [{}, {}], 0.5


def test_an_analyze_case_of_a_subclass_is_used(tiny_dataset):
    fingerprint = ReplacedCase(997, num_processes=1).run()
    channels = fingerprint["foreground_intensity_properties_per_channel"]
    assert (channels["0"]["max"], channels["0"]["median"], channels["1"]["mean"]) == (5000.0, 2.0, 7.0)
    assert fingerprint["shapes_after_crop"] == [[1, 20, 30]] * 6
    assert fingerprint["spacings"] == [[9.0, 1.0, 1.0]] * 6
    assert fingerprint["median_relative_size_after_cropping"] == 0.5


class DoubledSpacing(FewSamples):
    @staticmethod
    def analyze_case(image_files, segmentation_file, reader_writer_class, num_samples=10000):
        result = DatasetFingerprintExtractor.analyze_case(
            image_files, segmentation_file, reader_writer_class, num_samples
        )
        return result[0], [2 * s for s in result[1]], *result[2:]


def test_the_public_analyze_case_gives_the_same_statistics(tiny_dataset):
    usual = FewSamples(997, num_processes=1).run()
    doubled = DoubledSpacing(997, num_processes=1).run(overwrite_existing=True)
    assert doubled.pop("spacings") == [[2 * s for s in spacing] for spacing in usual.pop("spacings")]
    assert doubled == usual


def test_foreground_is_every_label_above_zero():
    seg = np.array([-1, 0, 1, 9], dtype=np.float32).reshape(1, 1, 1, 4)
    images = np.arange(8, dtype=np.float32).reshape(2, 1, 1, 4)
    assert [v.tolist() for v in foreground_voxels(seg, images)] == [[2, 3], [6, 7]]


def test_collect_gives_samples_and_statistics_of_all_voxels():
    rng = np.random.RandomState(1)
    images = rng.normal(size=(2, 5, 6, 7)).astype(np.float32)
    seg = (rng.uniform(size=(1, 5, 6, 7)) > 0.5).astype(np.int8)
    samples, statistics = DatasetFingerprintExtractor.collect_foreground_intensities(seg, images, num_samples=50)
    state = np.random.RandomState(1234)
    for channel in range(2):
        voxels = images[channel][seg[0] > 0]
        assert np.array_equal(samples[channel], state.choice(voxels, 50, replace=True))
        assert statistics[channel]["mean"] == float(voxels.mean())
    samples, statistics = DatasetFingerprintExtractor.collect_foreground_intensities(np.zeros_like(seg), images)
    assert samples == [[], []]
    assert np.isnan(statistics[0]["mean"])


@pytest.mark.parametrize("which", ["image", "segmentation"])
def test_nan_is_refused(which):
    arrays = {"image": np.ones((1, 2, 2, 2)), "segmentation": np.ones((1, 2, 2, 2))}
    arrays[which][0, 0, 0, 0] = np.nan
    message = {
        "image": r"channel 0 has .* 1 NaN, the first at \(0, 0, 0\)",
        "segmentation": "segmentation contains NaN",
    }
    with pytest.raises(ImageError, match=message[which]):
        foreground_voxels(arrays["segmentation"], arrays["image"])
    with pytest.raises(ImageError, match="4 axes"):
        foreground_voxels(arrays["segmentation"][0], arrays["image"])
