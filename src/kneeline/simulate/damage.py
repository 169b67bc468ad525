"""What spoils an image after the anatomy and the sequence are given: blur, motion, noise.

Each takes an image and gives one with canonical sagittal axes ("RIP", axis 2 runs front to back), float32.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from kneeline.volume import SAGITTAL, Volume, reorient

_SPAN = (6, 20)  # lines of k-space that are measured in one position


def blur(image: Volume, sd_mm: float) -> Volume:
    """Smoothed within the slices by a Gaussian."""
    canonical = reorient(image, SAGITTAL)
    sigma = [0.0, *(sd_mm / mm for mm in canonical.spacing_mm[1:])]
    return canonical.with_array(ndimage.gaussian_filter(canonical.array.astype(np.float32), sigma))


def move(image: Volume, most_mm: float, seed: int = 0) -> Volume:
    """The knee lay elsewhere, `most_mm` at most, front to back, while spans of k-space lines were measured.

    A shift by d multiplies the line of spatial frequency f (1/mm) by exp(-2 pi i f d). Lines are measured in the order
    of f. The middle of k-space was measured where the knee is said to be: the image is spoilt, but not displaced.
    """
    canonical, rng = reorient(image, SAGITTAL), np.random.default_rng(seed)
    columns, spacing = canonical.shape[2], canonical.spacing_mm[2]
    frequency = np.fft.fftshift(np.fft.fftfreq(columns, spacing))
    out = np.empty(canonical.shape, np.float32)
    for plane, moved in zip(canonical.array.astype(np.float32), out, strict=True):
        span = int(rng.integers(*_SPAN))
        shift_mm = np.repeat(rng.uniform(-most_mm, most_mm, -(-columns // span)), span)[:columns]
        shift_mm[np.abs(np.arange(columns) - columns // 2) <= span // 2] = 0
        lines = np.fft.fftshift(np.fft.fft(plane, axis=1), 1) * np.exp(-2j * np.pi * frequency * shift_mm)
        moved[...] = np.abs(np.fft.ifft(np.fft.ifftshift(lines, 1), axis=1))
    return canonical.with_array(out)


def drown(image: Volume, share: float, seed: int = 0) -> Volume:
    """Rician noise whose SD is this share of bright tissue (the 97th percentile)."""
    canonical, rng = reorient(image, SAGITTAL), np.random.default_rng(seed)
    sd = share * np.quantile(canonical.array, 0.97)
    real, imaginary = (rng.normal(0, sd, canonical.shape).astype(np.float32) for _ in range(2))
    return canonical.with_array(np.hypot(canonical.array + real, imaginary))
