"""T2 from a multi-echo train whose refocusing pulses are not 180 degrees.

Such pulses store part of the magnetisation along the field, where it decays with T1 and not with T2, and bring it back
later: stimulated echoes. They lift the second echo above the first one's exponential (which is why a plain fit leaves
the first out), make odd and even echoes alternate, and lengthen the apparent T2. A slice-selective pulse is never 180
degrees all over its slice, so every 2-D train has them.

Echoes are computed with extended phase graphs (Hennig, J Magn Reson 1988;78:397; Weigel, JMRI 2015;41:266) for one
effective angle, and T2 is that of the best of many trains. The angle cannot be told from menisci (they are over after
three or four echoes), but from cartilage, whose T2 is long: one angle for the knee.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeline.score.t2 import MIN_ECHOES as MIN_ECHOES_USED
from kneeline.score.t2 import NOISE_FLOOR_SD, REWEIGHTINGS, usable_power

# T1 of meniscus and cartilage at 3 T lies around this; a third more or less changes a meniscus' T2 by under 1 %.
T1_MS = 1000.0
# Trains that are compared; a T2 at either end of them is not known.
T2_GRID_MS = np.geomspace(3.0, 400.0, 72)
ANGLES_DEG = np.arange(100.0, 181.0, 2.0)
# Echoes count as equally spaced, and the first as one spacing after excitation, within this share of the spacing.
SAME_SPACING = 0.05
# Fewer echoes than this do not show the alternation; fewer voxels do not average it out of the noise.
MIN_ECHOES, MIN_VOXELS = 5, 100


@dataclass(frozen=True)
class Refocusing:
    """Effective angle of the refocusing pulses, and the noise SD that is left in each channel when it is fitted."""

    angle_deg: float
    noise_sd: float


def echo_trains(
    t2_ms: np.ndarray, angle_deg: float, spacing_ms: float, n_echoes: int, t1_ms: float = T1_MS
) -> np.ndarray:
    """Amplitudes of the echoes of a train with equal refocusing pulses in the CPMG arrangement, (T2s, echoes).

    Relative to the magnetisation right after a 90 degree excitation.

    Examples
    --------
    >>> echo_trains(np.array([20.0]), 180.0, 10.0, 3).round(4).tolist()  # exp(-t / 20)
    [[0.6065, 0.3679, 0.2231]]
    """
    t2 = np.asarray(t2_ms, float)
    e2, e1 = np.exp(-0.5 * spacing_ms / t2)[:, None], np.exp(-0.5 * spacing_ms / t1_ms)
    angle = np.radians(angle_deg)
    stays, turns, mixes = np.cos(angle / 2) ** 2, np.sin(angle / 2) ** 2, np.sin(angle)
    orders = 2 * n_echoes + 1
    # Real amplitudes: magnetisation lies along the axis of the refocusing pulses. Columns are dephasing orders.
    dephased, rephasing, stored = (np.zeros((len(t2), orders)) for _ in range(3))
    dephased[:, 0] = rephasing[:, 0] = 1.0
    echoes = np.empty((len(t2), n_echoes))
    for echo in range(n_echoes):
        _half_spacing(dephased, rephasing, stored, e2, e1)
        plus = stays * dephased + turns * rephasing + mixes * stored
        minus = turns * dephased + stays * rephasing - mixes * stored
        stored = np.cos(angle) * stored - 0.5 * mixes * (dephased - rephasing)
        dephased, rephasing = plus, minus
        _half_spacing(dephased, rephasing, stored, e2, e1)
        echoes[:, echo] = dephased[:, 0]
    return echoes


def _half_spacing(dephased: np.ndarray, rephasing: np.ndarray, stored: np.ndarray, e2: np.ndarray, e1: float) -> None:
    """Half a spacing of relaxation and dephasing by one order, in place."""
    dephased[:, 1:] = dephased[:, :-1].copy()
    rephasing[:, :-1] = rephasing[:, 1:].copy()
    rephasing[:, -1] = 0
    dephased[:, 0] = rephasing[:, 0]
    dephased *= e2
    rephasing *= e2
    stored *= e1


def spacing_of(echo_times_ms: np.ndarray) -> float | None:
    """Spacing (ms) of a train that this model describes; None if its echoes are too few or not equally spaced."""
    times = np.asarray(echo_times_ms, float)
    if len(times) < MIN_ECHOES:
        return None
    spacing = float(times[-1] / len(times))
    even = np.abs(times - spacing * np.arange(1, len(times) + 1)) <= SAME_SPACING * spacing
    return spacing if spacing > 0 and even.all() else None


def find_refocusing(signal: np.ndarray, echo_times_ms: np.ndarray) -> Refocusing | None:
    """The angle that explains a tissue of long T2 best; signal: (N, echoes). None if it cannot be told.

    Each voxel has its own T2 and amplitude. What is then left over is noise: where the receiver combines many coils it
    is larger in the body than in the air beside it.
    """
    spacing = spacing_of(echo_times_ms)
    if spacing is None or len(signal) < MIN_VOXELS:
        return None
    signal = np.asarray(signal, float)
    total = np.square(signal).sum(1)
    left = []
    for angle in ANGLES_DEG:
        trains = np.abs(echo_trains(T2_GRID_MS, angle, spacing, signal.shape[1]))
        trains /= np.linalg.norm(trains, axis=1, keepdims=True)
        left.append(np.median(total - np.square(signal @ trains.T).max(1)))
    best = int(np.argmin(left))
    freedom = signal.shape[1] - 2
    # The median of chi-squared (Wilson and Hilferty 1931).
    typical = freedom * (1 - 2 / (9 * freedom)) ** 3
    return Refocusing(_lowest(ANGLES_DEG, np.array(left), best), float(np.sqrt(max(left[best], 0) / typical)))


def _lowest(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """Place of the minimum of the parabola through three equally spaced points around index k."""
    if not 0 < k < len(x) - 1:
        return float(x[k])
    curvature = y[k - 1] - 2 * y[k] + y[k + 1]
    return float(x[k] + (x[1] - x[0]) * 0.5 * (y[k - 1] - y[k + 1]) / curvature) if curvature > 0 else float(x[k])


def fit_stimulated(
    signal: np.ndarray, echo_times_ms: np.ndarray, refocusing_deg: float, noise_sd: float = 0.0
) -> np.ndarray:
    """T2 (ms) of each voxel, (N,), from all echoes of its magnitude train.

    As in `t2.fit_t2` it is 0 where the signal was lost in noise at once, and inf where no decay was seen.

    Parameters
    ----------
    signal
        (N, echoes), magnitude.
    echo_times_ms
        (echoes,), equally spaced (`spacing_of`).
    refocusing_deg
        Effective angle of the refocusing pulses.
    noise_sd
        SD of the noise in each of the two channels behind the magnitude; echoes that the fit puts under three of them
        are not used.
    """
    spacing = spacing_of(echo_times_ms)
    if spacing is None:
        raise ValueError(f"expected at least {MIN_ECHOES} equally spaced echoes, got times {list(echo_times_ms)}")
    # Late echoes of short T2 can be negative; images show magnitudes.
    trains = np.abs(echo_trains(T2_GRID_MS, refocusing_deg, spacing, signal.shape[1])).astype(np.float32)
    power, usable = usable_power(signal, noise_sd)
    amplitude = np.sqrt(np.maximum(power, 0)).astype(np.float32)
    every = np.arange(len(amplitude))
    weight = usable.astype(np.float32)
    for _ in range(REWEIGHTINGS if noise_sd else 1):
        product = (weight * amplitude) @ trains.T
        energy = np.maximum(weight @ np.square(trains).T, 1e-12)
        explained = np.where(product > 0, np.square(product) / energy, 0)
        best = explained.argmax(1)
        fitted = (product[every, best] / energy[every, best])[:, None] * trains[best]
        if noise_sd:
            weight = (fitted > NOISE_FLOOR_SD * noise_sd).astype(np.float32)
    last = len(T2_GRID_MS) - 1
    lost = (best == 0) | (weight.sum(1) < MIN_ECHOES_USED)
    k = np.clip(best, 1, last - 1)
    before, here, after = (explained[every, k + step].astype(float) for step in (-1, 0, 1))
    curvature = before - 2 * here + after
    offset = np.where(curvature < 0, 0.5 * (before - after) / np.where(curvature < 0, curvature, -1), 0)
    ratio = T2_GRID_MS[1] / T2_GRID_MS[0]
    t2 = T2_GRID_MS[k] * ratio ** np.clip(offset, -0.5, 0.5)
    return np.where(lost, 0.0, np.where(best == last, np.inf, t2))
