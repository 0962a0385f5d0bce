"""The idx reader believes no header: a file is read exactly, or refused in one line."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from frugal.data.idx import read_idx
from frugal.data.sources import idx
from frugal.errors import FrugalError

IMAGES = np.arange(2 * 3 * 4).reshape(2, 3, 4)


def packed(content, suffix):
    return gzip.compress(content) if suffix == ".gz" else content


@given(array=arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=9)))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_was_written_is_read_back(array, to_idx, tmp_path):
    for suffix in ("", ".gz"):
        path = tmp_path / f"array{suffix}"
        path.write_bytes(packed(to_idx(array), suffix))
        np.testing.assert_array_equal(read_idx(path, (array.ndim,)), array)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_file_cut_off_anywhere_or_with_bytes_too_many_is_refused(to_idx, tmp_path, suffix):
    whole = packed(to_idx(IMAGES), suffix)
    path = tmp_path / f"images{suffix}"
    for wrong in [whole[:length] for length in range(len(whole))] + [whole + b"\1", whole + whole]:
        path.write_bytes(wrong)
        with pytest.raises(FrugalError, match="images.* is damaged or no idx file"):
            read_idx(path, (3,))


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "starts with two zero bytes, this one with nothing"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "this one with 89 50 4e 47"),
        (struct.pack(">BBBBI", 0, 0, 0x0D, 1, 4) + bytes(16), "type 0x0d"),
        (struct.pack(">BBBB", 0, 0, 8, 0), "says 0 dimensions, expected 1 or 3"),
        (struct.pack(">BBBB255I", 0, 0, 8, 255, *[1] * 255) + b"\0", "says 255 dimensions"),
        (struct.pack(">BBBBI", 0, 0, 8, 1, 100) + bytes(99), r"100 = 100 bytes, it holds 99;"),
        (struct.pack(">BBBBI", 0, 0, 8, 1, 100) + bytes(101), "100 = 100 bytes, it holds more"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**32 - 1] * 3) + bytes(9), "more than half of this machine's memory"),
    ],
)
def test_a_lying_header_is_refused_without_allocating_what_it_claims(tmp_path, content, says, suffix):
    path = tmp_path / f"labels{suffix}"
    path.write_bytes(packed(content, suffix))
    tracemalloc.start()
    try:
        with pytest.raises(FrugalError, match=says) as refused:
            read_idx(path, (1, 3))
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FrugalError, match="nothing-here is missing"):
        read_idx(tmp_path / "nothing-here", (1,))


@pytest.mark.parametrize(
    ("train", "test", "shift"),
    [
        ([1, 2, 3, 1], [3, 1], 1),
        ([1, 2, 3, 1], [3, 3], 1),
        ([1, 2, 3, 1], [0, 1], 0),  # the test set has a class that training lacks: refused later, with both named
        ([1, 2, 3, 1], [4, 1], 0),
        ([1, 3, 3, 1], [1, 3], 0),
        ([0, 1, 2, 1], [1, 2], 0),
        ([2, 3, 4, 2], [2, 3], 0),
    ],
)
def test_labels_that_count_from_1_in_both_sets_count_from_0_and_it_is_said(train, test, shift, to_idx, tmp_path):
    for name, array in zip(idx.FILES, (np.zeros((4, 2, 2)), train, np.ones((2, 2, 2)), test), strict=True):
        (tmp_path / name).write_bytes(gzip.compress(to_idx(np.array(array))))
    arrays = idx.read(tmp_path, tmp_path)
    assert arrays.train_labels.tolist() == [label - shift for label in train]
    assert arrays.test_labels.tolist() == [label - shift for label in test]
    assert ("labels count from 1 to 3 in the files and from 0 here" in arrays.notes) == bool(shift)
