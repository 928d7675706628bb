import sys

import blosc2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunetv2.errors import FileContentError
from nnunetv2.storage.blosc2_store import comp_blosc2_params, nnUNetDatasetBlosc2, open_array, write_array
from tests.storage.conftest import make_case

CUBE = (128, 128, 128)


@pytest.mark.parametrize(
    ("image", "patch", "itemsize", "block", "chunk"),
    [
        ((1, 120, 400, 400), CUBE, 4, (1, 32, 32, 32), (1, 96, 128, 128)),
        ((1, 120, 400, 400), CUBE, 2, (1, 32, 64, 32), (1, 96, 192, 160)),
        ((4, 140, 171, 137), CUBE, 4, (1, 32, 32, 32), (1, 128, 128, 96)),
        ((1, 30, 512, 512), (20, 320, 256), 4, (1, 8, 64, 64), (1, 16, 384, 256)),
        ((1, 30, 512, 512), (512, 512), 4, (1, 1, 256, 128), (1, 1, 512, 512)),
        ((3, 1, 600, 800), (512, 512), 4, (1, 1, 128, 256), (1, 1, 600, 768)),
        ((1, 40, 40, 40), CUBE, 4, (1, 32, 32, 32), (1, 40, 40, 40)),
    ],
)
def test_blocks_and_chunks_of_known_sizes(image, patch, itemsize, block, chunk):
    assert comp_blosc2_params(image, patch, itemsize) == (block, chunk)
    assert nnUNetDatasetBlosc2.comp_blosc2_params(image, patch, itemsize, l1_cache_size_per_core_in_bytes=1)[1] == chunk


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.tuples(*[st.integers(1, 600)] * 3),
    st.one_of(st.tuples(*[st.integers(1, 300)] * 3), st.tuples(*[st.integers(1, 600)] * 2)),
    st.sampled_from([2, 4]),
)
def test_blocks_fit_into_chunks_into_the_image_and_into_the_caches(size, patch, itemsize):
    block, chunk = comp_blosc2_params((3, *size), patch, itemsize)
    assert block[0] == chunk[0] == 1
    assert all(1 <= b <= c <= s for b, c, s in zip(block[1:], chunk[1:], size))
    assert np.prod(block) * itemsize <= 128 * 1024
    assert np.prod(chunk) * itemsize <= 6 * 1024 * 1024


def test_files_are_written_with_the_agreed_compression(tmp_path, case):
    data, seg, properties = case
    blocks, chunks = comp_blosc2_params(data.shape, (8, 8, 8))
    path = str(tmp_path / "case")
    nnUNetDatasetBlosc2.save_case(data, seg, properties, path, chunks=chunks, blocks=blocks)
    array = open_array(path + ".b2nd")
    assert array.blocks == blocks
    assert array.chunks == chunks
    assert array.schunk.cparams.codec == blosc2.Codec.LZ4HC
    assert array.schunk.cparams.clevel == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case.b2nd", "case.pkl", "case_seg.b2nd"]


def filters(path):
    return {f for f in open_array(path).schunk.cparams.filters if f != blosc2.Filter.NOFILTER}


def test_the_better_of_no_filter_and_shuffling_is_used(tmp_path):
    smooth = np.arange(40 * 50 * 60, dtype=np.float32).reshape(1, 40, 50, 60)
    write_array(smooth, tmp_path / "smooth.b2nd")
    assert filters(tmp_path / "smooth.b2nd") == {blosc2.Filter.SHUFFLE}
    pattern = np.random.RandomState(0).rand(16).astype(np.float32)
    repeating = np.tile(pattern, 2000).reshape(1, 1, 1, -1)
    write_array(repeating, tmp_path / "repeating.b2nd")
    assert filters(tmp_path / "repeating.b2nd") == set()
    for name, array in (("smooth", smooth), ("repeating", repeating)):
        assert np.array_equal(open_array(tmp_path / f"{name}.b2nd")[:], array)


def test_files_of_earlier_versions_are_read_too(tmp_path):
    data = make_case()[0]
    blosc2.asarray(
        data, urlpath=str(tmp_path / "old.b2nd"), cparams={"codec": blosc2.Codec.ZSTD, "clevel": 8}, mode="w"
    )
    assert np.array_equal(open_array(tmp_path / "old.b2nd")[:], data)


def test_views_are_stored_like_copies(tmp_path):
    data = make_case()[0].transpose(0, 2, 1, 3)
    write_array(data, tmp_path / "view.b2nd")
    assert np.array_equal(open_array(tmp_path / "view.b2nd")[:], data)


def test_unpacking_needs_nothing(tmp_path):
    nnUNetDatasetBlosc2.unpack_dataset(str(tmp_path), overwrite_existing=True, num_processes=1, verify=True)
    assert list(tmp_path.iterdir()) == []


def test_the_store_does_not_load_torch():
    import subprocess

    code = "import sys, nnunetv2.training.dataloading.nnunet_dataset; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("kept", [0, 10, 200, -1])
def test_a_file_shorter_than_its_header_says_is_refused_before_it_is_mapped(kept, tmp_path):
    write_array(np.arange(6000, dtype=np.int16).reshape(1, 10, 20, 30), tmp_path / "a.b2nd")
    content = (tmp_path / "a.b2nd").read_bytes()
    (tmp_path / "a.b2nd").write_bytes(content[:kept])
    with pytest.raises(FileContentError, match=r"a\.b2nd is not a readable blosc2 file"):
        open_array(tmp_path / "a.b2nd")
