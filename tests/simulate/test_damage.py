"""Damage of known size to images of known content."""

import numpy as np
import pytest

from kneeline.simulate.damage import blur, drown, move
from kneeline.volume import Volume

SPACING = (3.0, 0.5, 0.5)
AFFINE = np.diag([SPACING[0], -SPACING[1], -SPACING[2], 1.0])[:, [0, 2, 1, 3]]


def spot(row: int = 64, column: int = 64) -> Volume:
    array = np.zeros((2, 128, 128), np.float32)
    array[:, row, column] = 100
    return Volume(array, AFFINE)


def test_a_spot_is_blurred_to_a_gaussian_within_its_slice():
    out = blur(spot(), 1.5)
    plane = out.array[0].astype(float)
    rows = (np.arange(128) - 64) * SPACING[1]
    assert plane.sum() == pytest.approx(100, rel=1e-3)
    assert np.sqrt((plane.sum(1) * rows**2).sum() / plane.sum()) == pytest.approx(1.5, rel=0.02)
    assert np.array_equal(out.array[0], out.array[1])


def test_one_position_throughout_leaves_the_image(monkeypatch):
    monkeypatch.setattr("kneeline.simulate.damage._SPAN", (128, 129))
    assert np.allclose(move(spot(), 6.0, seed=1).array, spot().array, atol=1e-3)


def test_a_moved_image_is_not_displaced():
    """The middle of a disc, by its low frequencies, stays where it was."""
    at = np.arange(128) - 63.5
    disc = spot().with_array(np.repeat((np.hypot(at[:, None], at) < 40)[None].astype(np.float32), 2, 0))
    for seed in range(5):
        for before, after in zip(disc.array, move(disc, 6.0, seed).array, strict=True):
            turn = np.fft.fft(after.sum(0))[1] / np.fft.fft(before.sum(0))[1]
            assert abs(np.angle(turn)) * 128 / (2 * np.pi) * SPACING[2] < 0.5


def test_motion_ghosts_run_front_to_back_and_energy_stays():
    still, moved = spot(), move(spot(), 6.0)
    assert moved.array[:, 64].max(1).max() < 90
    assert np.delete(moved.array, 64, axis=1).max() < 1e-3
    assert (moved.array.astype(float) ** 2).sum() == pytest.approx((still.array.astype(float) ** 2).sum(), rel=1e-4)
    assert np.array_equal(move(spot(), 6.0).array, moved.array)
    assert np.allclose(move(spot(), 0.0).array, still.array, atol=1e-3)


def test_noise_has_the_size_asked_for():
    image = Volume(np.full((2, 128, 128), 50.0, np.float32), AFFINE)
    assert drown(image, 0.1).array.std() == pytest.approx(5.0, rel=0.05)
    air = drown(image.with_array(np.r_[image.array[:1], 0 * image.array[:1]]), 0.1).array[1]
    assert air.mean() == pytest.approx(5.0 * np.sqrt(np.pi / 2), rel=0.05)
