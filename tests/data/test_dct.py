import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import fft

from frugal.data import dct
from frugal.data.decoder import Decoder, cosine_basis
from frugal.errors import FrugalError


def images(channels, size, count=6, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, channels, size, size), dtype=np.uint8)


@given(size=st.integers(1, 40))
def test_our_basis_is_the_orthonormal_dct_of_scipy(size):
    block = np.random.default_rng(size).normal(size=(size, size))
    basis = cosine_basis(size)
    np.testing.assert_allclose(basis @ block @ basis.T, fft.dctn(block, norm="ortho"), atol=1e-10)
    np.testing.assert_allclose(basis @ basis.T, np.eye(size), atol=1e-10)


@given(channels=st.integers(1, 4), size=st.integers(1, 20), data=st.data())
def test_a_level_is_a_prefix_that_holds_exactly_its_corner(channels, size, data):
    level = data.draw(st.integers(1, size))
    prefix = dct.shell_order(channels, size)[: dct.prefix_length(channels, level)]
    channel, u, v = np.unravel_index(prefix, (channels, size, size))
    assert len(set(prefix)) == channels * level**2
    assert u.max(initial=0) < level
    assert v.max(initial=0) < level


@pytest.mark.parametrize(("bits", "most"), [(8, 6.0), (16, 0.03)])
def test_integer_storage_loses_no_more_than_it_says(bits, most):
    pixels = images(3, 16, 40)
    quantiser = dct.fit(pixels, bits)
    restored = dct.decode(dct.encode(pixels, quantiser), quantiser, 16)
    about = dct.about(pixels, quantiser)
    assert about["max_error"] == pytest.approx(np.abs(restored - pixels).max(), abs=1e-3)
    assert about["rms_error"] == pytest.approx(np.sqrt(np.square(restored - pixels).mean()), abs=1e-3)
    assert about["rms_error"] < most


@given(channels=st.integers(1, 3), size=st.integers(2, 20), spectral=st.booleans(), data=st.data())
def test_device_decoding_equals_the_reference(channels, size, spectral, data):
    level = data.draw(st.integers(1, size))
    pixels = images(channels, size)
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))
    quantiser = dct.fit(pixels)
    stored = dct.encode(pixels, quantiser)
    decoder = Decoder(quantiser.step, quantiser.offset, mean, std, torch.device("cpu"))
    prefix = torch.from_numpy(stored)[:, : dct.prefix_length(channels, level)]
    decoded = decoder(prefix, level, spectral).numpy() * std[:, None, None] + mean[:, None, None]
    if spectral:
        # The same k x k corner seen at k x k pixels: scipy's inverse at that size, scaled by k/N.
        coefficients = fft.dctn(dct.decode(stored, quantiser, size), axes=(-2, -1), norm="ortho")
        expected = fft.idctn(coefficients[..., :level, :level], axes=(-2, -1), norm="ortho") * level / size
    else:
        expected = dct.decode(stored, quantiser, level)
    np.testing.assert_allclose(decoded, expected, atol=0.02)


def test_unread_coefficients_are_zeros():
    pixels = images(2, 12)
    quantiser = dct.fit(pixels)
    stored = torch.from_numpy(dct.encode(pixels, quantiser))
    decoder = Decoder(quantiser.step, quantiser.offset, np.ones(2), np.ones(2), torch.device("cpu"))
    low = stored[:, : 2 * 5 * 5]
    padded = torch.zeros(len(stored), 2 * 9 * 9, dtype=stored.dtype)
    padded[:, : 2 * 5 * 5] = low
    torch.testing.assert_close(decoder(padded, 9), decoder(low, 5), atol=1e-4, rtol=0)


def test_images_that_are_not_square_are_refused():
    with pytest.raises(FrugalError, match="square images, these are 4x5"):
        dct.fit(np.zeros((2, 1, 4, 5), np.uint8))
