"""The multi-echo train of a knee and the T2 of a region in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kneeline.labels import CARTILAGES, MENISCI
from kneeline.score.frame import Knee, canonical, is_one_of
from kneeline.score.references import in_plane_depth
from kneeline.score.stimulated import find_refocusing, fit_stimulated
from kneeline.score.t2 import fit_t2, noise_sd
from kneeline.tables import Row
from kneeline.volume import Volume

# Cartilage voxels that are enough to find the refocusing angle and the noise in tissue.
MAX_SAMPLE = 4000


@dataclass(frozen=True, eq=False)
class EchoTrain:
    """Echoes on the grid of the knee, (I, J, K, echoes), in order of their times.

    noise_sd: of each channel, in tissue where that could be measured. refocusing_deg: effective angle of the refocusing
    pulses; None where it cannot be told (few or unequal echoes, no cartilage).
    """

    echoes: np.ndarray
    times_ms: np.ndarray
    noise_sd: float
    refocusing_deg: float | None = None


def read_train(
    knee: Knee, image: Volume, laterality: str, echoes: np.ndarray | None, echo_times_ms: Sequence[float] | None
) -> EchoTrain | None:
    """The train of a knee in the canonical frame; None without at least three echoes.

    image and echoes, (I, J, K, echoes), lie as they came; `knee` is the same in the canonical frame.
    """
    if echoes is None or echo_times_ms is None or len(echo_times_ms) < 3:
        return None
    order = np.argsort(echo_times_ms, kind="stable")
    times = np.asarray(echo_times_ms, float)[order]
    volumes = [image.with_array(echoes[..., k]) for k in order]
    aligned = np.stack([canonical(v, v, laterality).image.array for v in volumes], axis=-1, dtype=np.float32)
    cartilage = knee.mask(*CARTILAGES)
    core = np.flatnonzero(cartilage & (in_plane_depth(cartilage, knee) >= knee.pixel_mm))
    sample = aligned.reshape(-1, len(times))[core[:: max(len(core) // MAX_SAMPLE, 1)]]
    refocusing = find_refocusing(sample, times)
    in_air = noise_sd(aligned)
    if refocusing is None:
        return EchoTrain(aligned, times, in_air)
    return EchoTrain(aligned, times, max(in_air, refocusing.noise_sd), refocusing.angle_deg)


def region_t2(train: EchoTrain | None, box: tuple[slice, slice, slice], inside: np.ndarray) -> Row:
    """Columns `t2_ms`, `t2_se_ms` and `t2_epg_ms` of a region; inside: mask of its voxels in the box."""
    row: Row = dict.fromkeys(("t2_ms", "t2_se_ms", "t2_epg_ms"))
    if train is None or not inside.any():
        return row
    signal = train.echoes[box][inside]
    row["t2_ms"], row["t2_se_ms"] = median_and_error(fit_t2(signal, train.times_ms, train.noise_sd).t2_ms)
    if train.refocusing_deg is not None:
        t2 = fit_stimulated(signal, train.times_ms, train.refocusing_deg, train.noise_sd)
        row["t2_epg_ms"], _ = median_and_error(t2)
    return row


def t2_map(train: EchoTrain | None, image: Volume, labels: Volume, echoes: np.ndarray, times_ms) -> np.ndarray | None:
    """T2 (s) of each voxel of menisci and cartilage on the scan's own grid, by the fit behind `t2_ms`; float32.

    0 outside them and where T2 could not be measured. None without a train.
    """
    if train is None:
        return None
    order = np.argsort(times_ms, kind="stable")
    inside = is_one_of(labels.array, (*MENISCI.values(), *CARTILAGES))
    found = fit_t2(np.asarray(echoes[inside], np.float32)[:, order], train.times_ms, train.noise_sd).t2_ms
    seconds = np.zeros(image.shape, np.float32)
    seconds[inside] = np.where(np.isfinite(found), found / 1000, 0)
    return seconds


def median_and_error(values: np.ndarray) -> tuple[float | None, float | None]:
    """Median of T2s, and its standard error; None where they lie beyond what could be measured (0 and inf).

    The error is half the distance of the two order statistics between which the true median lies with 68 %
    probability (binomial; nothing is assumed about the distribution). Voxels count as independent, which neighbours
    are not quite. None for fewer than five values.

    Examples
    --------
    >>> median_and_error(np.array([0.0, 9, 10, 11, 12, 13, np.inf]))
    (11.0, 2.0)
    """
    if not len(values):
        return None, None
    ordered = np.sort(values)
    median = float(np.median(ordered))
    if not 0 < median < np.inf:
        return None, None
    if len(ordered) < 5:
        return median, None
    place = (len(ordered) - 1) / 2 + np.array([-0.5, 0.5]) * np.sqrt(len(ordered))
    low, high = ordered[int(np.floor(place[0]))], ordered[int(np.ceil(place[1]))]
    return median, float(high - low) / 2 if low > 0 and high < np.inf else None
