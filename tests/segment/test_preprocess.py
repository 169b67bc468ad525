"""Grids there and back, and the context of a slice."""

from __future__ import annotations

import numpy as np
import pytest

from kneeline.segment import preprocess
from kneeline.segment.classes import CERTAIN
from kneeline.volume import Volume


def ramp(shape=(20, 200, 180), spacing=(3.0, 0.5, 0.5)) -> Volume:
    """Canonical image whose grey value is a plane: interpolation must keep it exactly."""
    _, z, y = np.indices(shape)
    array = 100 + z * spacing[1] + 2 * y * spacing[2]
    return Volume(array.astype(np.float32), np.diag([spacing[0], -spacing[1], -spacing[2], 1])[:, [0, 2, 1, 3]])


@pytest.mark.parametrize("pixel", [0.3, 0.5, 0.65, 0.9])
def test_there_and_back_keeps_a_plane(pixel):
    image = ramp((12, round(120 / pixel), round(110 / pixel)), (3.0, pixel, pixel))
    slices = preprocess.prepare(image)
    back = (slices.to_columns @ (slices.to_rows @ slices.array[6]).T).T
    ratio, back = (back / image.array[6])[10:-10, 10:-10], back[10:-10, 10:-10]
    inner = ratio[back < 0.999]  # brighter values are compressed
    assert inner.size > 0.9 * ratio.size
    assert inner.max() / inner.min() == pytest.approx(1, abs=2e-3)


def test_network_pixels_have_their_size():
    slices = preprocess.prepare(ramp())
    n, h, w = slices.array.shape
    assert n == 20
    assert (h, w) == (round(100 / 0.65), round(90 / 0.65))


@pytest.mark.parametrize(("spacing", "neighbour"), [(0.7, 5), (1.5, 2), (3.3, 1), (4.4, 1)])
def test_the_neighbour_is_about_three_and_a_half_millimetres_away(spacing, neighbour):
    n = round(60 / spacing)
    slices = preprocess.prepare(ramp((n, 200, 180), (spacing, 0.5, 0.5)))
    assert slices.neighbour == neighbour
    inputs = slices.inputs(0, n)
    middle = n // 2
    h, w = (s.stop - s.start for s in slices.box)
    assert np.array_equal(inputs[middle, 0, :h, :w], slices.array[(middle - neighbour, *slices.box)])
    assert np.array_equal(inputs[middle, 2, :h, :w], slices.array[(middle + neighbour, *slices.box)])
    assert np.array_equal(inputs[0, 0], inputs[0, 1])  # beyond the end: the slice itself
    assert inputs.shape[2] % preprocess.STRIDE == inputs.shape[3] % preprocess.STRIDE == 0


def test_brightness_is_scaled_and_negative_values_are_harmless():
    image = ramp()
    array = image.array.copy()
    array[3, 60, 60] = -500
    slices = preprocess.prepare(image.with_array(array))
    assert np.isfinite(slices.array).all()
    assert slices.array.min() >= 0
    assert slices.array.max() <= 2
    assert np.quantile(slices.array, 0.9) == pytest.approx(1, abs=0.2)


def test_air_is_not_shown_to_the_network():
    array = np.zeros((20, 300, 300), np.float32)
    array[:, :, 120:220] = 100
    slices = preprocess.prepare(Volume(array, ramp().affine))
    columns = slices.box[1]
    left, right = round(60 / 0.65), round(110 / 0.65)
    assert columns.start <= left
    assert columns.stop >= right
    assert columns.stop - columns.start < slices.array.shape[2]


def fine_by_brute_force(slices, probability, classes, changed):
    """Every class interpolated at every image pixel."""
    out = np.zeros(slices.canonical.shape, np.uint8)
    for index, cleaned in enumerate(classes):
        scores = []
        for cls in range(probability.shape[1]):
            certain = np.where(changed[index], CERTAIN * (cleaned == cls), probability[index, cls]).astype(np.float32)
            scores.append(
                slices.to_rows @ certain @ slices.to_columns.T if (cleaned == cls).any() else out[index] - 1.0
            )
        out[index] = np.argmax(scores, 0)
    return out


@pytest.mark.parametrize("pixel", [0.3, 0.65, 0.9, 1.4])
def test_fine_classes_are_those_of_interpolating_everything(pixel):
    slices = preprocess.prepare(ramp((20, round(70 / pixel), round(60 / pixel)), (3.0, pixel, pixel)))
    rng = np.random.default_rng(0)
    shape = slices.array.shape
    # Smooth random probabilities of ten classes; here and there clean-up decided otherwise.
    logits = rng.normal(size=(shape[0], 10, shape[1] // 6 + 1, shape[2] // 6 + 1)).repeat(6, 2).repeat(6, 3)
    logits = 6 * logits[:, :, : shape[1], : shape[2]] + rng.normal(size=(shape[0], 10, *shape[1:]))
    probability = (CERTAIN * np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.uint16)
    raw = probability.argmax(1).astype(np.uint8)
    cleaned = np.where(rng.random(shape) < 0.02, 0, raw).astype(np.uint8)
    cleaned[0] = 3  # a slice of one class
    cleaned[1][cleaned[1] == 5] = 0  # a class that a slice may not get back
    fine = preprocess.fine_classes(slices, probability, cleaned, cleaned != raw)
    expected = fine_by_brute_force(slices, probability, cleaned, cleaned != raw)
    # Sums in another order: a tie may fall either way.
    assert (fine != expected).mean() < 1e-4
    assert (fine[0] == 3).all()
    assert not (fine[1] == 5).any()


def test_compression_keeps_ordinary_grey_values_and_the_order_of_bright_ones():
    values = np.array([0.0, 0.3, 1.0, 2.0, 5.0, 20.0, 500.0], np.float32)
    out = preprocess.compress(values)
    np.testing.assert_array_equal(out[:3], values[:3])
    np.testing.assert_allclose(out[3:5], 1 + np.log([2, 5]), rtol=1e-6)
    assert (np.diff(out[:6]) > 0).all()
    assert out[-1] == 4
    assert out.dtype == np.float32
