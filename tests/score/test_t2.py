"""T2 of simulated Rician decays."""

import numpy as np
import pytest

from kneeline.score.t2 import fit_t2, noise_sd

TE = np.arange(1, 9) * 6.3


def decay(t2, sd, n=4000, amplitude=1000.0, seed=0):
    rng = np.random.default_rng(seed)
    clean = amplitude * np.exp(-TE / t2)
    return np.hypot(clean + rng.normal(0, sd, (n, len(TE))), rng.normal(0, sd, (n, len(TE))))


@pytest.mark.parametrize("t2", [8.0, 12.0, 40.0, 80.0])
def test_without_noise_it_is_exact(t2):
    fit = fit_t2(np.exp(-TE / t2)[None], TE)
    assert fit.t2_ms == pytest.approx([t2])
    assert fit.amplitude == pytest.approx([1.0])
    assert fit.se_ms == pytest.approx([0.0], abs=1e-6)


@pytest.mark.parametrize(("t2", "sd"), [(10.0, 8.0), (12.0, 15.0), (40.0, 25.0)])
def test_median_is_unbiased_in_rician_noise(t2, sd):
    fit = fit_t2(decay(t2, sd), TE, sd)
    assert np.median(fit.t2_ms) == pytest.approx(t2, rel=0.03)


def test_ignoring_the_noise_floor_would_bias_short_t2():
    signal = decay(10.0, 15.0)
    naive, aware = (np.median(fit_t2(signal, TE, sd).t2_ms) for sd in (0.0, 15.0))
    assert abs(aware - 10) < 0.4
    assert naive - 10 > 1


def test_standard_error_matches_the_spread():
    fit = fit_t2(decay(40.0, 10.0), TE, 10.0)
    assert np.sqrt(np.mean(fit.se_ms**2)) == pytest.approx(np.std(fit.t2_ms), rel=0.15)


def test_the_first_echo_is_left_out():
    signal = np.exp(-TE / 20)[None].copy()
    signal[:, 0] *= 0.8  # lacks the stimulated echo
    assert fit_t2(signal, TE).t2_ms == pytest.approx([20])
    assert fit_t2(signal, TE, skip=0).t2_ms[0] != pytest.approx(20, rel=0.02)


def test_pure_noise_is_shorter_and_growth_longer_than_can_be_measured():
    growing = fit_t2(np.exp(TE / 20)[None], TE)
    assert growing.t2_ms.tolist() == [np.inf]
    assert np.isnan(growing.se_ms).all()
    assert np.isnan(growing.amplitude).all()
    assert (fit_t2(decay(10, 10.0, n=500, amplitude=0.0), TE, 10.0).t2_ms == 0).mean() > 0.9


def test_voxels_lost_in_noise_do_not_lengthen_the_median():
    """At 6 ms most voxels leave one echo to use; those that can be measured would give 7 ms and more."""
    t2 = fit_t2(decay(6.0, 30.0, amplitude=1000.0), TE, 30.0).t2_ms
    assert (t2 == 0).mean() > 0.5
    assert np.median(t2[t2 > 0]) > 7
    assert np.median(t2) == 0


def test_noise_from_the_air():
    rng = np.random.default_rng(1)
    image = np.zeros((20, 60, 60, 8))
    image[:, 30:] = 1000 * np.exp(-TE / 40)
    noisy = np.hypot(image + rng.normal(0, 12, image.shape), rng.normal(0, 12, image.shape))
    assert noise_sd(noisy) == pytest.approx(12, rel=0.2)
    assert noise_sd(np.where(image > 0, image, 0)[:, 30:]) >= 0
