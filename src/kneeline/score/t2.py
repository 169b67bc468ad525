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
# Passes that renew the weights.
REWEIGHTINGS = 3
# Edge of the blocks in which noise is looked for; mean over SD, and mean, of Rayleigh noise of SD 1 in each channel;
# least share of blocks that must look like air.
BLOCK = 4
RAYLEIGH_RATIO, RAYLEIGH_MEAN = 1.913, 1.2533
AIR_SHARE = 0.02
# Longer T2 cannot be told from none with echoes of usual length.
MAX_T2_MS = 500.0


@dataclass(frozen=True, eq=False)
class T2Fit:
    """T2, its standard error and the amplitude at time 0 of each voxel, (N,).

    t2_ms is 0 where the signal was lost in noise before it could be measured, and inf where no decay was seen: such
    voxels have their place in a median. se_ms and amplitude are NaN there (se also with two echoes).
    """

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
    power, usable = usable_power(signal[:, skip:], noise_sd)
    floor = (NOISE_FLOOR_SD * noise_sd) ** 2
    weight = np.where(usable, power, 0.0)
    line = _weighted_line(te, power, weight)
    for _ in range(REWEIGHTINGS if noise_sd else 0):
        # Weights from the fitted decay: those from the signal itself favour echoes that noise has raised.
        fitted = np.exp(2 * np.clip(line.level[:, None] + line.slope[:, None] * te, -300, 300))
        weight = np.where((fitted > floor) & (power > 0), fitted, 0.0)
        line = _weighted_line(te, power, weight)
    n = (weight > 0).sum(1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        t2 = -1 / line.slope
        se = np.where(n > 2, np.sqrt(line.residual / (n - 2) / line.spread) * t2**2, np.nan)
        good = (n >= MIN_ECHOES) & (line.slope < 0) & (t2 <= MAX_T2_MS)
        amplitude = np.exp(line.level)
    beyond = np.where(n >= MIN_ECHOES, np.inf, 0.0)
    return T2Fit(np.where(good, t2, beyond), np.where(good, se, np.nan), np.where(good, amplitude, np.nan))


def usable_power(signal: np.ndarray, noise_sd: float) -> tuple[np.ndarray, np.ndarray]:
    """Squared signal without the noise's share, and which echoes stand above the noise; (N, echoes) each."""
    power = np.square(np.asarray(signal, float)) - 2 * noise_sd**2
    # After the first echo lost in noise nothing later is believed: noise alone rises above the floor now and then.
    return power, np.logical_and.accumulate((power > (NOISE_FLOOR_SD * noise_sd) ** 2) & (power > 0), axis=1)


@dataclass(frozen=True, eq=False)
class _Line:
    """Weighted least-squares lines through ln A: level at time 0, slope, weighted spread of times and of residuals."""

    level: np.ndarray
    slope: np.ndarray
    spread: np.ndarray
    residual: np.ndarray


def _weighted_line(te: np.ndarray, power: np.ndarray, weight: np.ndarray) -> _Line:
    log_amplitude = 0.5 * np.log(np.where(weight > 0, power, 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = weight / weight.max(1, keepdims=True)
        total = weight.sum(1)
        t_mean = (weight @ te) / total
        y_mean = (weight * log_amplitude).sum(1) / total
        t = te - t_mean[:, None]
        y = log_amplitude - y_mean[:, None]
        spread = (weight * t**2).sum(1)
        slope = (weight * t * y).sum(1) / spread
        residual = (weight * (y - slope[:, None] * t) ** 2).sum(1)
    return _Line(y_mean - slope * t_mean, slope, spread, residual)


def noise_sd(echoes: np.ndarray) -> float:
    """Noise SD (each channel) of a multi-echo image, (I, J, K, echoes), from the last echo.

    Blocks of 4 x 4 pixels in air have the Rayleigh ratio of mean to SD, 1.91; the darkest such blocks give the noise
    by their mean. In an image without air the smoothest blocks of tissue give it by their SD.
    """
    last = np.asarray(echoes[..., -1], float)
    rows, columns = (n // BLOCK for n in last.shape[1:3])
    if not rows or not columns:
        return 0.0
    last = last[:, : rows * BLOCK, : columns * BLOCK].reshape(-1, rows, BLOCK, columns, BLOCK)
    blocks = last.transpose(0, 1, 3, 2, 4).reshape(-1, BLOCK**2)
    blocks = blocks[(blocks > 0).all(1)]  # zeros were masked by the scanner
    if not len(blocks):
        return 0.0
    mean, spread = blocks.mean(1), blocks.std(1, ddof=1)
    air = mean[np.abs(mean - RAYLEIGH_RATIO * spread) <= 0.4 * spread]
    if len(air) >= AIR_SHARE * len(blocks):
        dark = air[air <= 2 * np.quantile(air, 0.1)]
        return float(np.median(dark)) / RAYLEIGH_MEAN
    return float(np.quantile(spread, 0.1))
