import numpy as np
import pytest

from nnunetv2.preprocessing.compact_labels import compact_labels


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([0, 1, 127], np.int8), ([-1, 0, 5], np.int8), ([0, 128], np.int16), ([-32768, 32767], np.int16)],
)
@pytest.mark.parametrize("given", [np.float32, np.int32])
def test_whole_numbers_become_the_smallest_type_that_holds_them(values, dtype, given):
    seg = np.array(values, given).reshape(1, -1, 1, 1)
    compact = compact_labels(seg)
    assert compact.dtype == dtype
    assert np.array_equal(compact, seg)


@pytest.mark.parametrize("values", [[0, 0.5], [0, 40000], [0, np.nan], []])
def test_what_would_change_stays_as_it_is(values):
    seg = np.array(values, np.float32).reshape(1, -1, 1, 1)
    assert compact_labels(seg) is seg
