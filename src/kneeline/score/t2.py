"""T2 from a multi-echo train: mono-exponential, weighted, aware of the noise floor, all voxels at once.

The first echo of a multi-echo spin-echo train misses the stimulated echoes that later ones carry, and is left out.
In magnitude images noise adds to the squared signal (S^2 = A^2 + 2 sigma^2, Gudbjartsson and Patz 1995): it is taken
away, and echoes too close to it are not used. ln A is then fitted by least squares with weights A^2, the inverse
variance of ln A.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# An echo counts in a voxel while its signal is this many noise SDs high.
NOISE_FLOOR_SD = 3.0
# A fit needs this many echoes; with two the standard error is unknown.
MIN_ECHOES = 2
# Longer T2 cannot be told from none with echoes of usual length.
MAX_T2_MS = 500.0


@dataclass(frozen=True, eq=False)
class T2Fit:
    """t2_ms, se_ms and amplitude of each voxel, (N,); NaN where no decay could be fitted (se also with two echoes)."""

    t2_ms: np.ndarray
    se_ms: np.ndarray
    amplitude: np.ndarray


def fit_t2(signal: np.ndarray, echo_times_ms: np.ndarray, noise_sd: float = 0.0, *, skip: int = 1) -> T2Fit:
    """Fit T2 to magnitude signals.

    Parameters
    ----------
    signal
        (N, echoes), magnitude.
    echo_times_ms
        (echoes,), in the order of the echoes.
    noise_sd
        SD of the noise in each of the two channels behind the magnitude, in signal units.
    skip
        First echoes left out; never so many that fewer than three stay.

    Examples
    --------
    >>> te = np.array([10.0, 20, 30, 40])
    >>> fit_t2(np.exp(-te / 12)[None], te).t2_ms.round(6).tolist()
    [12.0]
    """
    te = np.asarray(echo_times_ms, float)
    skip = max(min(skip, len(te) - 3), 0)
    te = te[skip:]
    power = np.square(np.asarray(signal, float)[:, skip:]) - 2 * noise_sd**2
    usable = power > (NOISE_FLOOR_SD * noise_sd) ** 2
    # After the first echo lost in noise nothing later is believed: noise alone rises above the floor now and then.
    usable = np.logical_and.accumulate(usable & (power > 0), axis=1)
    power = np.where(usable, power, 1.0)
    scale = np.maximum(power.max(1, keepdims=True), 1e-30)
    weight = np.where(usable, power / scale, 0.0)
    log_amplitude = 0.5 * np.log(power)
    s0 = weight.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t_mean = (weight * te).sum(1) / s0
        y_mean = (weight * log_amplitude).sum(1) / s0
        spread = (weight * (te - t_mean[:, None]) ** 2).sum(1)
        slope = (weight * (te - t_mean[:, None]) * (log_amplitude - y_mean[:, None])).sum(1) / spread
        t2 = -1 / slope
        n = usable.sum(1)
        residual = log_amplitude - y_mean[:, None] - slope[:, None] * (te - t_mean[:, None])
        variance = (weight * residual**2).sum(1) / (n - 2) / spread
        se = np.where(n > 2, np.sqrt(variance) * t2**2, np.nan)
        good = (n >= MIN_ECHOES) & (slope < 0) & (t2 <= MAX_T2_MS)
        amplitude = np.exp(y_mean - slope * t_mean)
    nan = np.nan
    return T2Fit(np.where(good, t2, nan), np.where(good, se, nan), np.where(good, amplitude, nan))


def noise_sd(echoes: np.ndarray) -> float:
    """Noise SD (each channel) of a multi-echo image, (I, J, K, echoes), from its air in the last echo.

    The mode of Rayleigh noise is its SD; air is the darkest populated part of the image. Exact zeros (masked by the
    scanner) are left out; 0 when nothing is left or the image has no air.
    """
    last = np.asarray(echoes[..., -1], float).ravel()[:: _stride(echoes)]
    last = last[last > 0]
    if last.size < 1000:
        return 0.0
    dark = last[last <= np.quantile(last, 0.5)]
    density, edges = np.histogram(dark, bins=64)
    density = np.convolve(density, np.ones(5) / 5, mode="same")
    peak = int(density.argmax())
    return float(0.5 * (edges[peak] + edges[peak + 1]))


def _stride(echoes: np.ndarray, wanted: int = 200_000) -> int:
    """Stride that keeps about `wanted` voxels of one echo."""
    return max(int(np.prod(echoes.shape[:3]) // wanted), 1)
