"""Signal-to-noise of images whose noise is known, and the flags."""

import numpy as np
import pytest
from tests.ingest import faults

from kneeline.ingest.quality import otsu_threshold, quality_flags, quality_row, signal_to_noise
from kneeline.volume import Geometry


def knee_with_noise(sigma: float, blanked: bool) -> np.ndarray:
    """A leg of signal 400 with Rician noise, in air or in air set to zero."""
    clean = faults.leg(shape=(24, 128, 128), spacing=(4, 1.1, 1.1))
    inside = clean.array > 200
    rng = np.random.default_rng(1)
    real, imaginary = rng.normal(0, sigma, (2, *inside.shape))
    image = np.hypot(np.where(inside, 400, 0) + real, imaginary)
    return np.where(inside, image, 0) if blanked else image


@pytest.mark.parametrize("blanked", [False, True])
@pytest.mark.parametrize("sigma", [5.0, 20.0, 40.0])
def test_snr_is_signal_over_the_noise_that_was_added(sigma, blanked):
    assert signal_to_noise(knee_with_noise(sigma, blanked)) == pytest.approx(400 / sigma, rel=0.06)


def test_snr_does_not_change_with_the_scale_of_intensities():
    image = knee_with_noise(20, False)
    assert signal_to_noise(image * 7) == pytest.approx(signal_to_noise(image), rel=1e-3)


def test_a_constant_or_noiseless_image_has_no_ratio():
    assert signal_to_noise(np.full((12, 8, 8), 5)) is None
    assert signal_to_noise(np.where(np.arange(8) < 4, 100, 0) * np.ones((12, 8, 1))) is None


def test_otsu_lies_between_two_classes_and_agrees_with_scikit_image():
    from skimage.filters import threshold_otsu

    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(20, 8, 5000), rng.normal(300, 40, 3000)])
    bin_width = np.ptp(values) / 256
    assert otsu_threshold(values) == pytest.approx(threshold_otsu(values), abs=1.01 * bin_width)


def test_the_row_follows_the_slice_axis():
    array = np.random.default_rng(0).normal(500, 20, (40, 30, 20))
    row = quality_row(array, Geometry((40, 30, 20), np.diag([0.5, 0.6, 3.5, 1])), 2, "PD", 3.0)
    assert (row["n_slices"], row["slice_spacing_mm"], row["pixel_mm"], row["coverage_mm"]) == (20, 3.5, 0.6, 70)
    assert row["in_plane_mm"] == pytest.approx(18)


GOOD = {"slice_thickness_mm": 3.0, "slice_spacing_mm": 3.3, "pixel_mm": 0.4, "snr": 20.0}


@pytest.mark.parametrize(
    ("change", "flags"),
    [
        ({}, []),
        ({"slice_thickness_mm": 4.0, "slice_spacing_mm": 4.05}, []),
        ({"slice_thickness_mm": 4.5, "slice_spacing_mm": 4.5}, ["thick_slices"]),
        ({"slice_spacing_mm": 4.6}, ["thick_slices", "wide_gaps"]),
        ({"slice_thickness_mm": None, "slice_spacing_mm": 4.5}, ["thick_slices"]),
        ({"pixel_mm": 0.9}, ["low_resolution"]),
        ({"snr": 5.0}, ["low_snr"]),
        ({"snr": None}, []),
    ],
)
def test_flags(change, flags):
    assert quality_flags(GOOD | change) == flags
