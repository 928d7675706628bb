import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunetv2.inference import export_prediction
from nnunetv2.inference.export_prediction import (
    convert_predicted_logits_to_segmentation_with_correct_shape,
    export_prediction_from_logits,
    insert_crop_into_image,
    resample_and_save,
)
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape
from nnunetv2.records.files import read_pickle
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from tests.inference.conftest import LABELS, REGIONS, make_dataset_json, make_plans, read_image

# What happens to a case of shape (12, 7, 9) with a crop at the border, transposed by (2, 0, 1).
TRANSPOSE = (2, 0, 1)
BOX = [[0, 6], [4, 12], [1, 7]]


def properties(spacing=(1.0, 1.0, 4.0)) -> dict:
    return {
        "sitk_stuff": {
            "spacing": tuple(spacing[::-1]),
            "origin": (1.0, 2.0, 3.0),
            "direction": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        },
        "spacing": list(spacing),
        "shape_before_cropping": (9, 12, 7),
        "bbox_used_for_cropping": BOX,
        "shape_after_cropping_and_before_resampling": (6, 8, 6),
    }


def managers(labels=LABELS, order=None, spacing=(2.0, 1.5, 1.5), **entries):
    plans_manager = PlansManager(make_plans(transpose_forward=TRANSPOSE, spacing=spacing, **entries))
    dataset_json = make_dataset_json(labels, regions_class_order=order)
    configuration = plans_manager.get_configuration("small")
    return plans_manager, configuration, plans_manager.get_label_manager(dataset_json), dataset_json


def naive(logits, manager, current, case) -> np.ndarray:
    """All channels at once, then argmax, uncrop, transpose: the plain way the streamed one must equal."""
    original = [case["spacing"][i] for i in TRANSPOSE]
    shape = case["shape_after_cropping_and_before_resampling"]
    resampled = resample_data_or_seg_to_shape(
        logits, shape, current, original, is_seg=False, order=1, order_z=0, force_separate_z=None
    )
    labels = np.zeros(case["shape_before_cropping"], dtype=np.uint8)
    labels[tuple(slice(a, b) for a, b in BOX)] = manager.convert_logits_to_segmentation(resampled)
    return labels.transpose(np.argsort(TRANSPOSE))


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize(("labels", "order"), [(LABELS, None), (REGIONS, [1, 2])])
@pytest.mark.parametrize("case_spacing", [(1.0, 1.0, 4.0), (1.0, 1.0, 1.0), (1.0, 4.0, 1.0)])
def test_streamed_labels_equal_the_plain_way(labels, order, case_spacing, as_tensor):
    plans_manager, configuration, label_manager, _ = managers(labels, order)
    logits = torch.randn(label_manager.num_segmentation_heads, 5, 6, 4).half()
    case = properties(case_spacing)
    expected = naive(logits.numpy(), label_manager, configuration.spacing, case)
    result = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits if as_tensor else logits.numpy(), plans_manager, configuration, label_manager, case
    )
    assert result.dtype == np.uint8
    assert result.shape == (12, 7, 9)
    np.testing.assert_array_equal(result, expected)
    assert len(np.unique(result)) == 3


def test_equal_shapes_are_not_resampled_and_the_logits_stay_as_they_were():
    plans_manager, configuration, label_manager, _ = managers()
    logits = torch.randn(3, 6, 8, 6).half().numpy()
    before = logits.copy()
    result = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, plans_manager, configuration, label_manager, properties()
    )
    np.testing.assert_array_equal(logits, before)
    inside = result.transpose(TRANSPOSE)[tuple(slice(a, b) for a, b in BOX)]
    np.testing.assert_array_equal(inside, logits.argmax(0))


def test_a_2d_configuration_takes_the_spacing_of_the_slices_from_the_case():
    seen = []

    def resample(data, shape, current, new):
        seen.append((data.shape, list(current), list(new)))
        return resample_data_or_seg_to_shape(data, shape, current, new, is_seg=False, order=1, force_separate_z=None)

    plans_manager, configuration, label_manager, _ = managers(spacing=(1.5, 1.5), patch_size=(8, 8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(configuration), "resampling_fn_probabilities", property(lambda self: resample))
        convert_predicted_logits_to_segmentation_with_correct_shape(
            np.random.RandomState(0).randn(3, 6, 6, 4).astype(np.float16),
            plans_manager,
            configuration,
            label_manager,
            properties(),
        )
    assert seen == [((1, 6, 6, 4), [4.0, 1.5, 1.5], [4.0, 1.0, 1.0])] * 3


@pytest.mark.parametrize(("labels", "order", "outside"), [(LABELS, None, [1, 0, 0]), (REGIONS, [1, 2], [0, 0])])
def test_probabilities_outside_the_crop_are_background(labels, order, outside):
    plans_manager, configuration, label_manager, _ = managers(labels, order)
    logits = torch.randn(label_manager.num_segmentation_heads, 5, 6, 4).half().numpy()
    segmentation, probabilities = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, plans_manager, configuration, label_manager, properties(), return_probabilities=True
    )
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (len(outside), 12, 7, 9)
    cropped = probabilities.transpose(0, *(1 + i for i in TRANSPOSE))
    np.testing.assert_array_equal(cropped[:, 6:].reshape(len(outside), -1).T, [outside] * (3 * 12 * 7))
    box = (slice(None), *(slice(a, b) for a, b in BOX))
    if order is None:
        np.testing.assert_allclose(cropped[box].sum(0), 1, atol=1e-6)
    expected = label_manager.convert_probabilities_to_segmentation(probabilities)
    np.testing.assert_array_equal(segmentation, expected)


def test_probabilities_are_the_nonlinearity_of_the_resampled_logits():
    plans_manager, configuration, label_manager, _ = managers()
    logits = torch.randn(3, 6, 8, 6).half()
    _, probabilities = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, plans_manager, configuration, label_manager, properties(), True
    )
    inside = probabilities.transpose(0, *(1 + i for i in TRANSPOSE))[(slice(None), *(slice(a, b) for a, b in BOX))]
    np.testing.assert_allclose(inside, logits.float().softmax(0).numpy(), atol=1e-7)


def test_a_label_manager_of_somebody_else_converts_everything_itself():
    class Inverse(LabelManager):
        def convert_logits_to_segmentation(self, predicted_logits):
            return predicted_logits.argmin(0)

    plans_manager, configuration, _, _ = managers()
    logits = torch.randn(3, 6, 8, 6).half().numpy()
    result = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, plans_manager, configuration, Inverse(LABELS, None), properties()
    )
    inside = result.transpose(TRANSPOSE)[tuple(slice(a, b) for a, b in BOX)]
    np.testing.assert_array_equal(inside, logits.argmin(0))


def test_a_wrong_number_of_channels_is_refused():
    plans_manager, configuration, label_manager, _ = managers()
    with pytest.raises(ValueError, match=r"2 channels.*need 3"):
        convert_predicted_logits_to_segmentation_with_correct_shape(
            np.zeros((2, 6, 8, 6), np.float16), plans_manager, configuration, label_manager, properties()
        )


def test_torch_threads_are_put_back_also_after_an_error():
    before = torch.get_num_threads()
    plans_manager, configuration, label_manager, _ = managers()
    with pytest.raises(Exception, match="resampling takes"):
        convert_predicted_logits_to_segmentation_with_correct_shape(
            np.zeros((3, 6, 8), np.float16), plans_manager, configuration, label_manager, properties(),
            num_threads_torch=1,
        )  # fmt: skip
    assert torch.get_num_threads() == before


def test_exported_files_have_the_documented_content(tmp_path):
    plans_manager, configuration, _, dataset_json = managers()
    logits = torch.randn(3, 5, 6, 4).half().numpy()
    export_prediction_from_logits(
        logits, properties(), configuration, plans_manager, dataset_json, str(tmp_path / "new" / "case"), True
    )
    folder = tmp_path / "new"
    assert sorted(p.name for p in folder.iterdir()) == ["case.nii.gz", "case.npz", "case.pkl"]
    with np.load(folder / "case.npz", allow_pickle=False) as content:
        assert content.files == ["probabilities"]
        assert content["probabilities"].dtype == np.float32
        np.testing.assert_array_equal(content["probabilities"].argmax(0), read_image(folder / "case.nii.gz"))
    assert read_pickle(folder / "case.pkl") == properties()


def test_logits_may_come_from_a_file_and_dataset_json_from_a_path(tmp_path):
    import json

    plans_manager, configuration, label_manager, dataset_json = managers()
    logits = torch.randn(3, 5, 6, 4).half().numpy()
    np.save(tmp_path / "logits.npy", logits)
    (tmp_path / "dataset.json").write_text(json.dumps(dataset_json))
    export_prediction_from_logits(
        str(tmp_path / "logits.npy"),
        properties(),
        configuration,
        plans_manager,
        str(tmp_path / "dataset.json"),
        str(tmp_path / "case"),
    )
    expected = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, plans_manager, configuration, label_manager, properties()
    )
    np.testing.assert_array_equal(read_image(tmp_path / "case.nii.gz"), expected)


def test_an_interrupted_writer_leaves_no_file_that_looks_complete(tmp_path, monkeypatch):
    plans_manager, configuration, _, dataset_json = managers()

    class Dying:
        def write_seg(self, segmentation, path, properties):
            with open(path, "w") as stream:
                stream.write("half of it")
            raise OSError("disk full")

    monkeypatch.setattr(PlansManager, "image_reader_writer_class", property(lambda self: Dying))
    with pytest.raises(OSError, match="disk full"):
        export_prediction_from_logits(
            np.zeros((3, 6, 8, 6), np.float16),
            properties(),
            configuration,
            plans_manager,
            dataset_json,
            str(tmp_path / "case"),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_second_file_of_a_writer_is_kept(tmp_path, monkeypatch):
    plans_manager, configuration, _, dataset_json = managers()

    class Pair:
        def write_seg(self, segmentation, path, properties):
            for name in (path, path.replace(".nii.gz", ".json")):
                with open(name, "w") as stream:
                    stream.write("x")

    monkeypatch.setattr(PlansManager, "image_reader_writer_class", property(lambda self: Pair))
    export_prediction_from_logits(
        np.zeros((3, 6, 8, 6), np.float16),
        properties(),
        configuration,
        plans_manager,
        dataset_json,
        str(tmp_path / "case"),
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case.json", "case.nii.gz"]


def test_the_next_stage_gets_labels_in_its_own_shape_decided_by_the_current_spacing():
    seen, saved = [], {}

    def resample(data, shape, current, new):
        seen.append((list(current), list(new)))
        return resample_data_or_seg_to_shape(data, shape, current, new, is_seg=False, order=1, force_separate_z=None)

    class Store:
        @staticmethod
        def save_seg(segmentation, output_filename_truncated):
            saved[output_filename_truncated] = segmentation

    plans_manager, configuration, label_manager, dataset_json = managers()
    logits = torch.randn(3, 5, 6, 4).half().numpy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(configuration), "resampling_fn_probabilities", property(lambda self: resample))
        resample_and_save(
            logits, (10, 12, 8), "case", plans_manager, configuration, properties(), dataset_json, 1, Store
        )
    assert seen == [([2.0, 1.5, 1.5], [2.0, 1.5, 1.5])] * 3
    expected = resample_data_or_seg_to_shape(
        logits, (10, 12, 8), [2.0, 1.5, 1.5], [2.0, 1.5, 1.5], order=1, force_separate_z=None
    )
    np.testing.assert_array_equal(saved["case"], label_manager.convert_logits_to_segmentation(expected))
    assert saved["case"].dtype == np.uint8


def test_the_next_stage_is_stored_as_blosc2_by_default(tmp_path):
    import blosc2

    plans_manager, configuration, label_manager, dataset_json = managers()
    logits = torch.randn(3, 5, 6, 4).half().numpy()
    resample_and_save(
        logits,
        (5, 6, 4),
        str(tmp_path / "case"),
        plans_manager,
        configuration,
        properties(),
        dataset_json,
    )
    assert [p.name for p in tmp_path.iterdir()] == ["case.b2nd"]
    stored = blosc2.open(str(tmp_path / "case.b2nd"), mode="r")[...]
    np.testing.assert_array_equal(stored, label_manager.convert_logits_to_segmentation(logits))


MEMORY_SCRIPT = """
import resource, sys
import numpy as np, torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape as convert
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from tests.inference.conftest import make_plans

plans_manager = PlansManager(make_plans())
shape = (96, 100, 104)
properties = {"spacing": [1.0, 1.0, 1.0], "shape_before_cropping": shape,
              "bbox_used_for_cropping": [[0, n] for n in shape], "shape_after_cropping_and_before_resampling": shape}

def peak_after(channels):
    labels = {"background": 0} | {f"l{i}": i for i in range(1, channels)}
    logits = np.random.RandomState(0).randn(channels, 32, 32, 32).astype(np.float16)
    configuration = plans_manager.get_configuration("small")
    result = convert(logits, plans_manager, configuration, LabelManager(labels, None), properties)
    assert len(np.unique(result)) == channels
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

print(peak_after(2), peak_after(20), peak_after(100))
"""


@pytest.mark.slow
def test_memory_of_an_export_does_not_grow_with_channels_at_full_resolution():
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, "-c", MEMORY_SCRIPT], capture_output=True, text=True, cwd=root, check=False)
    assert run.returncode == 0, run.stderr
    two, twenty, hundred = map(int, run.stdout.split())
    small, full = 32**3, 96 * 100 * 104
    # float64 random numbers and their float16 copy exist while the logits are made: 10 bytes per channel and voxel
    assert hundred - two < 10 * 100 * small + 4 * full, "98 channels at full resolution would take 196 bytes per voxel"
    assert twenty - two < 10 * 20 * small + 4 * full


def test_insert_crop_into_image_can_be_taken_from_here():
    assert export_prediction.insert_crop_into_image is insert_crop_into_image
    image = np.zeros((4, 4))
    assert insert_crop_into_image(image, np.ones((2, 2)), [[1, 3], [2, 4]]).sum() == 4
