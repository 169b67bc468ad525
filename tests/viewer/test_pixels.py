"""Pixels come back as they went in; where they cannot, within half a step."""

import zlib

import numpy as np
import pytest

from kneeline.viewer.pixels import deflate, pack


def unpack(packed, shape):
    """The page's unpacking (pixels.js), written once more, pixel by pixel."""
    stored = zlib.decompress(packed)
    count = int(np.prod(shape))
    out = np.zeros(shape, np.int64)
    for at, where in enumerate(np.ndindex(*shape)):
        folded = stored[at] + 256 * stored[count + at]
        s, r, c = where
        left = out[s, r, c - 1] if c else 0
        above = out[s, r - 1, c] if r else 0
        rest = folded // 2 if folded % 2 == 0 else -(folded + 1) // 2
        out[where] = ((left + above) // 2 + rest) % 65536
    return out


@pytest.mark.parametrize("highest", [1, 255, 4095, 65535])
def test_whole_numbers_come_back_exactly(highest):
    numbers = np.random.default_rng(1).integers(0, highest + 1, (3, 9, 7)).astype(np.uint16)
    numbers[0, 0, :2] = 0, highest
    assert (unpack(deflate(numbers), numbers.shape) == numbers).all()


def test_a_scan_of_whole_numbers_is_exact_whatever_its_offset():
    array = np.random.default_rng(2).integers(-300, 2800, (3, 9, 7)).astype(np.int16)
    packed = pack(array)
    assert packed.exact
    assert (packed.low + packed.step * unpack(packed.data, array.shape) == array).all()
    assert packed.highest == array.max() - array.min()


def test_floats_are_kept_to_twelve_bits_and_what_is_no_number_is_dark():
    array = np.random.default_rng(3).normal(0.02, 0.01, (2, 8, 8)).astype(np.float32)
    array[0, 0, 0] = np.nan
    packed = pack(array)
    back = packed.low + packed.step * unpack(packed.data, array.shape)
    assert not packed.exact
    assert np.nanmax(np.abs(back - array)) <= packed.step / 2 * (1 + 1e-6)
    assert packed.step <= np.ptp(array[np.isfinite(array)]) / 4000
    assert back[0, 0, 0] == packed.low


def test_too_large_a_scan_is_rounded_just_enough_to_fit():
    noise = np.random.default_rng(4).integers(0, 3000, (4, 60, 60)).astype(np.uint16)
    limit = 12_000
    packed = pack(noise, limit)
    assert limit * 0.9 < len(packed.data) <= limit
    back = packed.low + packed.step * unpack(packed.data, noise.shape)
    assert np.abs(back - noise).max() <= packed.step / 2


@pytest.mark.parametrize("array", [np.zeros((2, 3, 3), np.int16), np.full((2, 3, 3), np.nan, np.float32)])
def test_an_image_of_one_value_packs(array):
    packed = pack(array)
    assert packed.highest == 0
    assert (unpack(packed.data, array.shape) == 0).all()
