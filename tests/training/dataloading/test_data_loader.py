"""nnUNetDataLoader: content, shapes and types of batches."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
import torch

from nnunetv2.errors import DatasetError, UsageError
from nnunetv2.training.data_augmentation.default_pipeline import training_transforms, validation_transforms
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader, single_torch_thread
from tests.training.dataloading.fakes import CASES, FakeDataset, label_manager

SCALES = [[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]]


@pytest.fixture(autouse=True)
def seeded():
    np.random.seed(11)
    torch.manual_seed(11)


def loader(dataset=None, patch=(24, 24, 24), final=(16, 16, 16), manager=None, batch=3, share=0.33, **more):
    return nnUNetDataLoader(dataset or FakeDataset(), batch, patch, final, manager or label_manager(), share, **more)


def test_a_batch_holds_data_target_and_keys():
    batch = next(loader())
    assert set(batch) == {"data", "target", "keys"}
    assert batch["data"].shape == (3, 2, 24, 24, 24)
    assert batch["data"].dtype == torch.float32
    assert batch["target"].shape == (3, 1, 24, 24, 24)
    assert batch["target"].dtype == torch.int16
    assert len(batch["keys"]) == 3
    for key, image in zip(batch["keys"], batch["data"]):
        assert image.max() == CASES.index(key) + 1


def test_cases_are_drawn_with_replacement_and_as_probable_as_asked():
    keys = [key for _ in range(150) for key in loader(batch=4).get_indices()]
    assert set(keys) == set(CASES)
    only_b = loader(batch=50, sampling_probabilities=[0, 1, 0]).get_indices()
    assert set(only_b) == {"case_b"}


def test_padding_is_0_in_images_and_minus_1_in_labels():
    batch = next(loader(FakeDataset((8, 30, 30)), patch=(16, 16, 16)))
    outside = batch["data"][:, :1] == 0
    assert outside.float().mean() >= 0.5
    assert torch.equal(outside, batch["target"] == -1)


def test_the_last_samples_show_foreground():
    batches = [next(loader(share=0.5, batch=4)) for _ in range(10)]
    assert all((batch["target"][2:].amax(dim=(1, 2, 3, 4)) > 0).all() for batch in batches)
    assert not all((batch["target"][:2].amax(dim=(1, 2, 3, 4)) > 0).all() for batch in batches)


def test_probabilistic_oversampling_draws_for_each_sample():
    drawing = loader(share=0.33, probabilistic_oversampling=True)
    assert abs(np.mean([drawing.get_do_oversample(0) for _ in range(2000)]) - 0.33) < 0.05


def test_random_patches_reach_past_the_image_by_half_of_the_difference():
    dl = loader(patch=(48, 48, 48), final=(32, 32, 32), pad_sides=None)
    assert dl.need_to_pad.tolist() == [16, 16, 16]
    starts = np.array([dl.get_bbox((40, 60, 50), False, None)[0] for _ in range(1500)])
    assert starts.min(0).tolist() == [-8, -8, -8]
    assert starts.max(0).tolist() == [0, 20, 10]


def test_padded_sides_add_to_the_reach():
    dl = loader(patch=(16, 16, 16), pad_sides=(0, 4, 6))
    starts = np.array([dl.get_bbox((40, 60, 50), False, None)[0] for _ in range(1500)])
    assert starts.min(0).tolist() == [0, -2, -3]
    assert starts.max(0).tolist() == [24, 46, 37]


def test_2d_patches_are_slices_of_axis_0():
    dl = loader(FakeDataset((5, 30, 30)), patch=(20, 22), final=(12, 14), batch=2)
    assert dl.patch_size_was_2d
    assert dl.patch_size == (1, 20, 22)
    assert dl.need_to_pad.tolist() == [0, 8, 8]
    batch = next(dl)
    assert batch["data"].shape == (2, 2, 20, 22)
    assert batch["target"].shape == (2, 1, 20, 22)
    starts = np.array([dl.get_bbox((5, 30, 30), False, None)[0] for _ in range(500)])
    assert (starts.min(0).tolist(), starts.max(0).tolist()) == ([0, -4, -4], [4, 14, 12])


def test_forced_2d_patches_lie_in_a_slice_with_foreground():
    dataset = FakeDataset((8, 30, 30))
    dl = loader(dataset, patch=(20, 22), final=(12, 14), batch=4, share=1)
    assert all((next(dl)["target"].amax(dim=(1, 2, 3)) > 0).all() for _ in range(5))


def test_labels_of_the_previous_stage_come_as_second_channel():
    batch = next(loader(FakeDataset((8, 30, 30), cascade=True, previous=2), patch=(16, 16, 16)))
    assert batch["target"].shape == (3, 2, 16, 16, 16)
    inside = batch["data"][:, :1] != 0
    assert (batch["target"][:, 1:][inside] == 2).all()
    assert (batch["target"][:, 1:][~inside] == -1).all()


def test_labels_of_the_previous_stage_become_input_channels():
    transforms = validation_transforms(SCALES, is_cascaded=True, foreground_labels=[1, 2])
    dl = loader(FakeDataset(cascade=True, previous=2), patch=(16, 16, 16), transforms=transforms)
    batch = next(dl)
    assert batch["data"].shape == (3, 4, 16, 16, 16)
    assert torch.equal(batch["data"][:, 3] == 1, batch["data"][:, 0] != 0)
    assert not batch["data"][:, 2].any()
    assert [tuple(target.shape) for target in batch["target"]] == [(3, 1, 16, 16, 16), (3, 1, 8, 8, 8)]


@pytest.mark.parametrize("patch", [(16, 16, 16), (16, 18)])
def test_training_batches_have_the_final_size_at_every_resolution(patch):
    loaded = tuple(n + 8 for n in patch)
    scales = [[1.0] * len(patch), [0.5] * len(patch)]
    transforms = training_transforms(patch, (-0.5, 0.5), scales, range(len(patch)), False, [True, False])
    batch = next(loader(patch=loaded, final=patch, transforms=transforms))
    assert batch["data"].shape == (3, 2, *patch)
    assert batch["data"].dtype == torch.float32
    assert [tuple(target.shape) for target in batch["target"]] == [(3, 1, *patch), (3, 1, *(n // 2 for n in patch))]
    assert all(target.dtype == torch.int16 for target in batch["target"])
    assert batch["target"][0].min() >= 0


def test_region_batches_are_bool_with_the_ignore_label_last():
    dataset = FakeDataset()
    dataset.seg[0, :10] = 3
    manager = label_manager(ignore=True, regions=True)
    dataset.locations = {(-1, 0, 1, 2): np.argwhere((dataset.seg != 3) & (dataset.seg >= 0))[::50], **dataset.locations}
    transforms = validation_transforms(None, regions=manager.foreground_regions, ignore_label=3)
    dl = loader(dataset, patch=(40, 16, 16), final=(40, 16, 16), manager=manager, transforms=transforms)
    assert dl.has_ignore
    assert dl.annotated_classes_key == (-1, 0, 1, 2)
    target = next(dl)["target"]
    assert target.shape == (3, 3, 40, 16, 16)
    assert target.dtype == torch.bool
    assert target[:, 2].any()


def test_without_oversampling_annotated_voxels_are_sought_if_there_is_an_ignore_label():
    dataset = FakeDataset()
    dataset.locations = {1: [], 2: [], (-1, 0, 1, 2): np.array([[0, 39, 59, 49]])}
    dl = loader(dataset, manager=label_manager(ignore=True), share=0)
    assert dl.get_bbox((40, 60, 50), False, dataset.locations)[0] == [39 - 12, 59 - 12, 49 - 12]


def test_overridden_hooks_are_used():
    class Fixed(nnUNetDataLoader):
        def get_do_oversample(self, sample_idx):
            return sample_idx == 0

        def get_bbox(self, data_shape, force_fg, class_locations, overwrite_class=None, verbose=False):
            start = [0, 0, 0] if force_fg else [-8, -8, -8]
            return start, [low + 16 for low in start]

        def get_indices(self):
            return ["case_b", "case_a"]

    batch = next(Fixed(FakeDataset(), 2, (16, 16, 16), (16, 16, 16), label_manager()))
    assert batch["keys"] == ["case_b", "case_a"]
    assert (batch["data"][0] == 2).all()
    assert (batch["data"][1] == 0).float().mean() == 1 - 0.5**3


def test_foreground_is_drawn_by_numpy_inside_generate_train_batch(monkeypatch):
    original, callers = np.random.choice, []

    def spy(a, *arguments, **keywords):
        callers.append([frame.function for frame in inspect.stack()])
        return original(a, *arguments, **keywords)

    monkeypatch.setattr(np.random, "choice", spy)
    next(loader(batch=1, share=1))
    assert len(callers) == 3  # the case, the class, the voxel
    assert all("generate_train_batch" in functions for functions in callers)


def test_transforms_get_keywords_and_run_on_one_thread():
    seen = []

    def transforms(*, image, segmentation):
        seen.append((image.shape, segmentation.shape, torch.get_num_threads()))
        return {"image": image, "segmentation": [segmentation, segmentation[:, ::2]]}

    before = torch.get_num_threads()
    batch = next(loader(transforms=transforms))
    assert seen == [((2, 24, 24, 24), (1, 24, 24, 24), 1)] * 3
    assert torch.get_num_threads() == before
    assert [tuple(target.shape) for target in batch["target"]] == [(3, 1, 24, 24, 24), (3, 1, 12, 24, 24)]


def test_the_thread_count_comes_back_after_an_error():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with pytest.raises(RuntimeError, match="inside"), single_torch_thread():
        raise RuntimeError("inside")
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_a_case_without_class_locations_is_named():
    dataset = FakeDataset()
    dataset.locations = None
    with pytest.raises(DatasetError, match="case case_"):
        next(loader(dataset, share=1))


@pytest.mark.parametrize(("patch", "final"), [((8,), (8,)), ((8, 8), (8, 8, 8))])
def test_patches_of_unsuitable_length_are_refused(patch, final):
    with pytest.raises(UsageError, match="2 or 3 entries"):
        loader(patch=patch, final=final)


def test_shapes_for_older_overrides_are_known_and_can_be_set():
    dl = loader(FakeDataset(cascade=True), batch=2)
    assert dl.data_shape == (2, 2, 24, 24, 24)
    assert dl.seg_shape == (2, 2, 24, 24, 24)
    dl.data_shape = (1,)
    assert dl.data_shape == (1,)


def test_the_loader_survives_pickling():
    copy = pickle.loads(pickle.dumps(loader(transforms=validation_transforms(SCALES))))
    assert next(copy)["data"].shape == (3, 2, 24, 24, 24)
