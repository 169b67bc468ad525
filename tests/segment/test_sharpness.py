"""Width of edges whose blur is known."""

import numpy as np
import pytest
from scipy import ndimage

from kneeline.segment.sharpness import edge_width_mm

PIXEL = 0.5


def disc(sd_mm: float, noise: float = 0.0, gain: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A bright disc of 60 mm in each of 4 slices, in-plane blur of that SD."""
    at = np.arange(-50, 50, PIXEL)
    plane = (np.hypot(*np.meshgrid(at, at, indexing="ij")) < 30).astype(np.float32)
    blurred = ndimage.gaussian_filter(plane, sd_mm / PIXEL) if sd_mm else plane
    image = np.stack([blurred] * 4)
    return gain * (image + np.random.default_rng(0).normal(0, noise, image.shape)), np.stack([plane > 0] * 4)


@pytest.mark.parametrize("sd_mm", [0.4, 0.8, 1.2])
def test_the_width_is_that_of_a_blurred_step(sd_mm):
    expected = np.sqrt(2 * np.pi) * np.hypot(sd_mm, 0.65)
    assert edge_width_mm(*disc(sd_mm), PIXEL) == pytest.approx(expected, rel=0.1)


def test_contrast_and_its_sign_do_not_matter():
    image, bone = disc(0.8)
    assert edge_width_mm(-7 * image + 100, bone, PIXEL) == pytest.approx(edge_width_mm(image, bone, PIXEL), rel=1e-4)


def test_noise_moves_it_little_against_blur():
    sharp, noisy, blurred = (edge_width_mm(*disc(*case), PIXEL) for case in ((0.4, 0.0), (0.4, 0.1), (2.0, 0.1)))
    assert noisy == pytest.approx(sharp, rel=0.2)
    assert blurred > 1.7 * noisy


def test_an_outline_a_pixel_off_changes_nothing_much():
    image, bone = disc(0.8)
    shifted = np.roll(bone, 2, 1)
    assert edge_width_mm(image, shifted, PIXEL) == pytest.approx(edge_width_mm(image, bone, PIXEL), rel=0.1)


def test_too_little_border_is_not_measured():
    image, bone = disc(0.8)
    assert edge_width_mm(image, np.zeros_like(bone), PIXEL) is None
    speck = np.zeros_like(bone)
    speck[1, 90:94, 90:94] = True
    assert edge_width_mm(image, speck, PIXEL) is None
    assert edge_width_mm(np.ones_like(image), bone, PIXEL) is None
