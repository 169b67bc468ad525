"""Echo trains against a closed form, and T2 of simulated trains whose pulses are not 180 degrees."""

import numpy as np
import pytest

from kneeline.score import stimulated
from kneeline.score.stimulated import echo_trains, find_refocusing, fit_stimulated, spacing_of
from kneeline.score.t2 import fit_t2

SPACING = 6.3
TE = SPACING * np.arange(1, 9)


def closed_form(t2, angle_deg, n, t1):
    """Echo amplitudes as Taylor coefficients of their generating function (Lukzen and Savelov, J Magn Reson 2006).

    F(z) = 1/2 + 1/2 sqrt(P / Q), P = (1 + z E2)(1 - z (E1 + E2) cos a + z^2 E1 E2),
    Q = (1 - z E2)(1 - z (E1 - E2) cos a - z^2 E1 E2).
    """
    e1, e2, cosine = np.exp(-SPACING / t1), np.exp(-SPACING / t2), np.cos(np.radians(angle_deg))
    z = 0.9 * np.exp(2j * np.pi * np.arange(1024) / 1024)
    above = (1 + z * e2) * (1 - z * (e1 + e2) * cosine + z**2 * e1 * e2)
    below = (1 - z * e2) * (1 - z * (e1 - e2) * cosine - z**2 * e1 * e2)
    # The square root continued along the circle, from its value near 1.
    root = np.sqrt(above / below)
    for k in range(1, len(root)):
        root[k] *= 1 if abs(root[k] - root[k - 1]) <= abs(root[k] + root[k - 1]) else -1
    coefficients = np.fft.fft((1 + root) / 2).real / 1024 / 0.9 ** np.arange(1024)
    return coefficients[1 : n + 1]


def noisy(t2, angle, sd, n=3000, amplitude=1500.0, seed=0):
    rng = np.random.default_rng(seed)
    clean = amplitude * echo_trains(np.full(n, t2), angle, SPACING, len(TE))
    return np.hypot(clean + rng.normal(0, sd, clean.shape), rng.normal(0, sd, clean.shape))


@pytest.mark.parametrize("t2", [8.0, 40.0, 1e6])
def test_pulses_of_180_degrees_give_the_exponential(t2):
    assert echo_trains(np.array([t2]), 180.0, SPACING, 8)[0] == pytest.approx(np.exp(-TE / t2), abs=1e-12)


@pytest.mark.parametrize("angle", [60.0, 120.0, 150.0, 175.0])
@pytest.mark.parametrize(("t2", "t1"), [(10.0, 1000.0), (50.0, 300.0), (1e6, 1e6)])
def test_echoes_agree_with_the_generating_function(angle, t2, t1):
    found = echo_trains(np.array([t2]), angle, SPACING, 8, t1)[0]
    assert found == pytest.approx(closed_form(t2, angle, 8, t1), abs=1e-6)


def test_without_relaxation_the_train_settles_at_the_sine_of_half_the_angle():
    """Pseudo-steady state of a CPMG train (Hennig); its first echo is the square of that sine."""
    train = echo_trains(np.array([1e9]), 120.0, SPACING, 60, 1e9)[0]
    assert train[0] == pytest.approx(np.sin(np.radians(60)) ** 2)
    assert train[-10:].mean() == pytest.approx(np.sin(np.radians(60)), abs=0.01)


@pytest.mark.parametrize("angle", [125.0, 145.0, 159.0, 172.0])
def test_angle_and_noise_are_found_in_cartilage(angle):
    found = find_refocusing(noisy(45.0, angle, 40.0), TE)
    assert found.angle_deg == pytest.approx(angle, abs=3)
    assert found.noise_sd == pytest.approx(40.0, rel=0.08)


def test_a_pure_exponential_has_no_stimulated_echoes():
    assert find_refocusing(noisy(45.0, 180.0, 20.0), TE).angle_deg > 170


@pytest.mark.parametrize("t2", [6.0, 11.0, 40.0, 120.0])
@pytest.mark.parametrize("angle", [140.0, 160.0])
def test_t2_is_exact_without_noise(t2, angle):
    assert fit_stimulated(np.abs(echo_trains(np.array([t2]), angle, SPACING, 8)), TE, angle) == pytest.approx(
        [t2], rel=0.01
    )


def test_t2_of_menisci_is_unbiased_where_the_plain_fit_is_not():
    signal = noisy(11.0, 140.0, 25.0)
    assert np.median(fit_stimulated(signal, TE, 140.0, 25.0)) == pytest.approx(11.0, rel=0.03)
    assert abs(np.median(fit_t2(signal, TE, 25.0).t2_ms) - 11.0) > 0.4
    assert np.median(fit_t2(signal, TE, 25.0, skip=0).t2_ms) > 11.6


def test_t1_hardly_matters_for_menisci():
    for t1 in (700.0, 1500.0):
        train = echo_trains(np.array([11.0]), 150.0, SPACING, 8, t1)
        assert fit_stimulated(np.abs(train), TE, 150.0) == pytest.approx([11.0], rel=0.01)


def test_beyond_what_can_be_measured():
    assert (fit_stimulated(noisy(11.0, 160.0, 25.0, amplitude=0.0), TE, 160.0, 25.0) == 0).mean() > 0.9
    assert fit_stimulated(np.ones((1, 8)), TE, 180.0).tolist() == [np.inf]


def test_trains_it_does_not_describe():
    assert spacing_of(TE) == pytest.approx(SPACING)
    assert spacing_of(TE[:4]) is None
    assert spacing_of(TE + 5) is None
    assert spacing_of(np.array([6.3, 12.6, 25.2, 37.8, 63.0])) is None
    assert find_refocusing(noisy(45.0, 150.0, 20.0), TE + 5) is None
    assert find_refocusing(noisy(45.0, 150.0, 20.0, n=stimulated.MIN_VOXELS - 1), TE) is None
    with pytest.raises(ValueError, match="equally spaced"):
        fit_stimulated(np.ones((1, 8)), TE + 5, 160.0)
