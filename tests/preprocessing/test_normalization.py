import numpy as np
import pytest

from nnunetv2.errors import ImageError, PlansError
from nnunetv2.preprocessing.normalization.default_normalization_schemes import (
    CTNormalization,
    ImageNormalization,
    NoNormalization,
    RescaleTo01Normalization,
    RGBTo01Normalization,
    ZScoreNormalization,
)
from nnunetv2.preprocessing.normalization.map_channel_name_to_normalization import get_normalization_scheme

CT_PROPERTIES = {"mean": 50.0, "std": 20.0, "percentile_00_5": -100.0, "percentile_99_5": 300.0}


@pytest.fixture
def image():
    return (np.random.RandomState(0).rand(6, 7, 8) * 255).astype(np.float32)


@pytest.mark.parametrize("scheme", [ZScoreNormalization, RescaleTo01Normalization])
def test_a_constant_image_becomes_zero(scheme):
    assert not scheme(False, {}).run(np.full((3, 3, 3), 7, np.float32)).any()


def test_z_score_uses_the_population_deviation(image):
    expected = (image - image.astype(np.float64).mean()) / image.astype(np.float64).std()
    assert np.abs(ZScoreNormalization(False, {}).run(image) - expected).max() < 1e-6


def test_z_score_in_the_mask_changes_only_the_mask(image):
    seg = np.where(np.arange(image.size).reshape(image.shape) % 3 == 0, -1, 1)
    image[seg < 0] = 0
    result = ZScoreNormalization(True, {}).run(image, seg)
    inside = image[seg >= 0].astype(np.float64)
    assert np.abs(result[seg >= 0] - (inside - inside.mean()) / inside.std()).max() < 1e-6
    assert not result[seg < 0].any()


def test_z_score_with_an_empty_mask_changes_nothing(image):
    assert np.array_equal(ZScoreNormalization(True, {}).run(image, np.full(image.shape, -1)), image)


def test_z_score_in_the_mask_needs_a_mask(image):
    with pytest.raises(ImageError, match="needs the segmentation"):
        ZScoreNormalization(True, {}).run(image)


def test_z_score_sums_are_exact_where_float32_sums_are_not():
    image = np.full((200, 100, 100), 3000, np.float32)
    image[::2] += 1
    result = ZScoreNormalization(False, {}).run(image)
    assert np.unique(result).tolist() == [-1, 1]


def test_ct_clips_then_standardizes(image):
    image = image * 4 - 300
    expected = (np.clip(image.astype(np.float64), -100, 300) - 50) / 20
    assert np.abs(CTNormalization(False, CT_PROPERTIES).run(image) - expected).max() < 1e-5


def test_ct_names_the_statistics_that_are_missing(image):
    with pytest.raises(PlansError, match="percentile_99_5"):
        CTNormalization(False, {"mean": 1, "std": 1, "percentile_00_5": 0}).run(image)


def test_rescaling_spans_zero_to_one(image):
    result = RescaleTo01Normalization(False, {}).run(image - 77)
    assert (result.min(), result.max()) == (0, 1)


def test_rgb_refuses_values_outside_8_bit(image):
    assert np.array_equal(RGBTo01Normalization(False, {}).run(image), image / np.float32(255))
    for wrong in (image - 300, image + 300):
        with pytest.raises(ImageError, match="0 to 255"):
            RGBTo01Normalization(False, {}).run(wrong)


def test_wrong_constructor_arguments_are_errors():
    with pytest.raises(PlansError, match="true or false"):
        ZScoreNormalization("yes", {})
    with pytest.raises(PlansError, match="mapping"):
        ZScoreNormalization(True, [1, 2])


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("CT", CTNormalization),
        ("ct", CTNormalization),
        ("noNorm", NoNormalization),
        ("Rescale_to_0_1", RescaleTo01Normalization),
        ("RGB_to_0_1", RGBTo01Normalization),
        ("zscore", ZScoreNormalization),
        ("T1", ZScoreNormalization),
        ("", ZScoreNormalization),
    ],
)
def test_channel_names_choose_the_scheme_whatever_their_case(name, scheme):
    assert get_normalization_scheme(name) is scheme


def test_own_schemes_need_only_run():
    class Doubled(ImageNormalization):
        def run(self, image, seg=None):
            return 2 * image

    assert Doubled().run(np.ones(2)).tolist() == [2, 2]
