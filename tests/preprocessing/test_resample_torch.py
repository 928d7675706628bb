import numpy as np
import pytest
import torch

from nnunetv2.errors import ClassNotFoundError
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg
from nnunetv2.preprocessing.resampling.no_resampling import no_resampling_hack
from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet
from nnunetv2.preprocessing.resampling.torch_threads import borrowed_torch_threads
from nnunetv2.preprocessing.resampling.utils import recursive_find_resampling_fn_by_name

ISOTROPIC, ANISOTROPIC = (1, 1, 1), (5, 1, 1)
SHAPE, NEW_SHAPE = (6, 14, 11), (9, 20, 8)


@pytest.fixture
def data():
    return np.random.RandomState(0).rand(2, *SHAPE).astype(np.float32)


@pytest.fixture
def seg():
    return np.random.RandomState(1).randint(-1, 3, (1, *SHAPE)).astype(np.float32)


def test_images_equal_linear_interpolation(data):
    ours = resample_torch_fornnunet(data, NEW_SHAPE, ISOTROPIC, ISOTROPIC)
    assert np.abs(ours - resample_data_or_seg(data, NEW_SHAPE, False, None, 1)).max() < 3e-6


def test_a_separate_axis_copies_slices(data):
    ours = resample_torch_fornnunet(data, (12, 20, 8), ANISOTROPIC, ISOTROPIC)
    assert np.abs(ours - resample_data_or_seg(data, (12, 20, 8), False, 0, 1, True, 0)).max() < 3e-6
    assert np.array_equal(ours[:, 0::2], ours[:, 1::2])


def test_separation_can_be_forced_off(data):
    ours = resample_torch_fornnunet(data, NEW_SHAPE, ANISOTROPIC, ISOTROPIC, force_separate_z=False)
    assert np.array_equal(ours, resample_torch_fornnunet(data, NEW_SHAPE, ISOTROPIC, ISOTROPIC))


def naive_labels(seg, shape):
    """All labels' scores at once, argmax over them."""
    values = np.unique(seg)
    scores = [
        torch.nn.functional.interpolate(
            torch.from_numpy((seg == v).astype(np.float32) * 1000)[None], shape, mode="trilinear"
        )[0].half()
        for v in values
    ]
    return values[torch.stack(scores).argmax(0).numpy()]


def test_labels_take_the_best_indicator(seg):
    ours = resample_torch_fornnunet(seg, NEW_SHAPE, ISOTROPIC, ISOTROPIC, is_seg=True)
    assert ours.dtype == np.int8
    assert np.array_equal(ours, naive_labels(seg, NEW_SHAPE))


def test_labels_from_127_on_need_int16(seg):
    assert resample_torch_fornnunet(seg + 124, NEW_SHAPE, ISOTROPIC, ISOTROPIC, is_seg=True).dtype == np.int8
    ours = resample_torch_fornnunet(seg + 125, NEW_SHAPE, ISOTROPIC, ISOTROPIC, is_seg=True)
    assert ours.dtype == np.int16
    assert np.array_equal(ours, naive_labels(seg + 125, NEW_SHAPE))


def test_memory_efficient_labels_need_more_than_one_half(seg):
    ours = resample_torch_fornnunet(seg, (12, 28, 22), ISOTROPIC, ISOTROPIC, True, memefficient_seg_resampling=True)
    expected = np.zeros((1, 12, 28, 22))
    for label in np.unique(seg):
        indicator = resample_data_or_seg((seg == label).astype(np.float32), (12, 28, 22), False, None, 1)
        expected[indicator > 0.5 + 1e-6] = label
    assert (ours != expected).mean() < 1e-3


def test_labels_with_a_separate_axis_are_copied_along_it(seg):
    ours = resample_torch_fornnunet(seg, (12, 20, 8), ANISOTROPIC, ISOTROPIC, is_seg=True)
    assert np.array_equal(ours[:, 0::2], ours[:, 1::2])
    in_plane = resample_torch_fornnunet(seg, (6, 20, 8), ANISOTROPIC, ISOTROPIC, is_seg=True)
    assert np.array_equal(ours[:, ::2], in_plane)


def test_tensors_give_tensors_and_halves_stay_halves(data):
    ours = resample_torch_fornnunet(torch.from_numpy(data).half(), NEW_SHAPE, ISOTROPIC, ISOTROPIC)
    assert isinstance(ours, torch.Tensor)
    assert ours.dtype == torch.float16
    assert ours.shape == (2, *NEW_SHAPE)


def test_equal_shape_returns_the_very_array(data):
    assert resample_torch_fornnunet(data, SHAPE, ISOTROPIC, ANISOTROPIC) is data


def test_threads_are_put_back(data):
    before = torch.get_num_threads()
    resample_torch_fornnunet(data, NEW_SHAPE, ISOTROPIC, ISOTROPIC, num_threads=before + 1)
    assert torch.get_num_threads() == before
    with pytest.raises(KeyError), borrowed_torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before
    with borrowed_torch_threads(None):
        assert torch.get_num_threads() == before


def test_no_resampling_returns_what_it_got(data):
    assert no_resampling_hack(data, (1, 2, 3), ISOTROPIC, ANISOTROPIC, is_seg=True) is data


@pytest.mark.parametrize("name", ["resample_data_or_seg_to_shape", "resample_torch_fornnunet", "no_resampling_hack"])
def test_plans_find_their_functions(name):
    assert recursive_find_resampling_fn_by_name(name).__name__ == name


def test_an_unknown_function_is_a_runtime_error_that_names_it():
    with pytest.raises(ClassNotFoundError, match="resample_by_magic"):
        recursive_find_resampling_fn_by_name("resample_by_magic")
