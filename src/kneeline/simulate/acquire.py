"""From a knee to the images a scanner would make of it: slices with partial volume, blur, bias, motion and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from kneeline.labels import Label
from kneeline.simulate.contrast import SEQUENCES, Sequence, signal_table
from kneeline.simulate.knee import SimulatedKnee
from kneeline.simulate.shapes import Grid
from kneeline.simulate.soft import Noise
from kneeline.simulate.tissues import Tissue
from kneeline.volume import Geometry, Volume, to_sitk

# Spread of the slowly varying brightness inside a tissue. Project decision.
_TEXTURE = {Tissue.MARROW: 0.045, Tissue.FAT: 0.05, Tissue.MUSCLE: 0.05, Tissue.CARTILAGE: 0.06, Tissue.FLUID: 0.03}
_TEXTURE_OTHER = 0.05
_SUB_SLICE_MM = 0.75  # thickness of the sheets that a slice is averaged from
_FULL_SCALE = 1400.0  # grey value of the brightest 0.1 %: what 12-bit scanners send


@dataclass(frozen=True)
class Acquisition:
    """A sagittal acquisition. Angles turn the stack about world x, y, z; the default is the commonest protocol."""

    sequence: Sequence = SEQUENCES["PDFS"]
    pixel_mm: float = 0.52
    matrix: int = 288
    n_slices: int = 30
    slice_thickness_mm: float = 3.0
    slice_gap_mm: float = 0.4
    angles_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    centre_mm: tuple[float, float, float] = (0.0, 2.0, 17.0)
    snr: float = 28.0  # of cartilage
    bias: float = 0.12  # largest relative deviation of the coil's sensitivity
    blur_px: float = 0.45  # standard deviation of the in-plane point spread, pixels
    ghost: float = 0.0  # motion: size of the ghosts relative to the image
    texture: float = 1.0

    @property
    def slice_spacing_mm(self) -> float:
        return self.slice_thickness_mm + self.slice_gap_mm

    def geometry(self) -> Geometry:
        """Grid of the images: index I across slices (Right), J Inferior, K Posterior, turned by the angles."""
        from scipy.spatial.transform import Rotation

        turn = Rotation.from_euler("xyz", self.angles_deg, degrees=True).as_matrix()
        axes = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, -1.0, 0]]) * [
            [self.slice_spacing_mm],
            [self.pixel_mm],
            [self.pixel_mm],
        ]
        affine = np.eye(4)
        affine[:3, :3] = turn @ axes.T
        shape = (self.n_slices, self.matrix, self.matrix)
        affine[:3, 3] = np.asarray(self.centre_mm) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
        return Geometry(shape, affine)


# 2-D protocols of clinical routine and the 3-D DESS of the Osteoarthritis Initiative.
PROTOCOLS = {
    "PDFS": Acquisition(),
    "PD": Acquisition(SEQUENCES["PD"]),
    "T2": Acquisition(SEQUENCES["T2"], snr=22.0),
    "T2FS": Acquisition(SEQUENCES["T2FS"], snr=22.0),
    "T1": Acquisition(SEQUENCES["T1"]),
    "DESS": Acquisition(
        SEQUENCES["DESS"], n_slices=150, slice_thickness_mm=0.7, slice_gap_mm=0.0, snr=18.0, blur_px=0.4
    ),
}


@dataclass(frozen=True, eq=False)
class Acquired:
    """Image (uint16) and true labels (uint8) on the image's grid."""

    image: Volume
    labels: Volume


def acquire(knee: SimulatedKnee, acquisition: Acquisition, seed: int) -> Acquired:
    """Image a knee. The same arguments give the same bytes."""
    rng = np.random.default_rng(seed)
    table = signal_table(acquisition.sequence, rng)
    signal = _textured(knee, table, acquisition.texture)
    clean = sample_slices(knee.tissue.with_array(signal), acquisition)
    labels = majority_labels(knee.labels, acquisition)
    if acquisition.blur_px > 0:
        clean = ndimage.gaussian_filter(clean, (0, acquisition.blur_px, acquisition.blur_px), truncate=3)
    if acquisition.ghost > 0:
        clean = add_ghosts(clean, acquisition.ghost, rng)
    clean = clean * bias_field(clean.shape, acquisition.bias, rng)
    noisy = rician(clean, float(table[Tissue.CARTILAGE]) / acquisition.snr, rng)
    grey = noisy * (_FULL_SCALE / np.percentile(noisy, 99.9))
    geometry = acquisition.geometry()
    image = np.clip(np.rint(grey), 0, 4095).astype(np.uint16)
    return Acquired(Volume(image, geometry.affine), Volume(labels, geometry.affine))


def _textured(knee: SimulatedKnee, table: np.ndarray, amount: float) -> np.ndarray:
    """Signal on the fine grid, (X, Y, Z) float32: tissues are a little uneven inside."""
    tissue = knee.tissue.array
    if not amount:
        return table[tissue]
    h = knee.tissue.spacing_mm[0]
    axes = [np.arange(n, dtype=np.float32) * np.float32(h) for n in tissue.shape]
    grid = Grid(axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :], h)
    noise = Noise(knee.parameters.texture_seed + 2, grid)
    spread = np.full(max(Tissue) + 1, np.float32(_TEXTURE_OTHER))
    for kind, value in _TEXTURE.items():
        spread[kind] = value
    uneven = noise.smooth(6.0, 0.75)
    uneven += noise.smooth(1.8, 0.65)
    if knee.parameters.laterality == "L":
        uneven = uneven[::-1]
    uneven *= (spread * np.float32(amount) * table)[tissue]
    uneven += table[tissue]
    return np.maximum(uneven, 0)


def slice_profile(acquisition: Acquisition, fine_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (mm) across a slice and weights that sum to 1: nearly square, with soft edges."""
    n = max(int(round(acquisition.slice_thickness_mm / fine_mm)), 1)
    offsets = (np.arange(n) - (n - 1) / 2) * acquisition.slice_thickness_mm / n
    weights = np.ones(n)
    if n >= 4:
        weights[[0, -1]] = 0.75
    return offsets, weights / weights.sum()


def _planes(volume: Volume, acquisition: Acquisition, offsets_mm: np.ndarray, interpolator):
    """The volume on planes beside the slice centres, each (I, J, K); beyond its border it goes on unchanged."""
    geometry = acquisition.geometry()
    source = to_sitk(volume)
    resampler = sitk.ResampleImageFilter()
    resampler.SetInterpolator(interpolator)
    resampler.UseNearestNeighborExtrapolatorOn()
    across = geometry.affine[:3, 0] / geometry.spacing_mm[0]
    for offset in offsets_mm:
        affine = geometry.affine.copy()
        affine[:3, 3] += across * offset
        resampler.SetReferenceImage(to_sitk(Volume(np.broadcast_to(np.uint8(0), geometry.shape), affine)))
        yield sitk.GetArrayFromImage(resampler.Execute(source)).transpose(2, 1, 0)


def sample_slices(signal: Volume, acquisition: Acquisition) -> np.ndarray:
    """Noise-free images: each slice is the mean of the signal over its profile, float32 (I, J, K)."""
    offsets, weights = slice_profile(acquisition, _SUB_SLICE_MM)
    shape = acquisition.geometry().shape
    total = np.zeros(shape[::-1], np.float32).transpose(2, 1, 0)  # the resampler's memory order
    for plane, weight in zip(_planes(signal, acquisition, offsets, sitk.sitkLinear), weights, strict=True):
        total += np.float32(weight) * plane
    return np.ascontiguousarray(total)


def majority_labels(labels: Volume, acquisition: Acquisition) -> np.ndarray:
    """The label that fills most of each voxel of the images, uint8; of equals the smaller.

    The sheets are odd in number: two labels that share a voxel never tie. With four sheets ties were so common where
    thin structures lie oblique to the slices that they lost a tenth of their volume to bone and background.
    """
    n = max(int(round(acquisition.slice_thickness_mm / _SUB_SLICE_MM)), 1) | 1
    offsets = (np.arange(n) - (n - 1) / 2) * acquisition.slice_thickness_mm / n
    planes = list(_planes(labels, acquisition, offsets, sitk.sitkNearestNeighbor))
    best = np.ascontiguousarray(planes[0])
    mixed = np.zeros(best.shape[::-1], bool).transpose(2, 1, 0)
    for plane in planes[1:]:
        mixed |= plane != planes[0]
    votes = np.stack([plane[mixed] for plane in planes])
    counts = np.stack([(votes == label).sum(0) for label in Label])
    best[mixed] = counts.argmax(0)
    return best


def bias_field(shape: tuple[int, int, int], size: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth positive field around 1, quadratic in position."""
    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in shape]
    i, j, k = axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]
    a = rng.uniform(-1, 1, 6).astype(np.float32)
    field = a[0] * i + a[1] * j + a[2] * k + 0.7 * (a[3] * j * j + a[4] * k * k + a[5] * j * k)
    return 1 + np.float32(size) * field / np.float32(np.abs(field).max())


def add_ghosts(image: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """Periodic motion: copies beside the image along the phase-encoding direction (K, the header's ROW)."""
    lines = np.arange(image.shape[2])
    phase = np.exp(2j * size * np.sin(2 * np.pi * lines / rng.uniform(4, 9) + rng.uniform(0, 6.28)))
    spectrum = np.fft.fft(image, axis=2) * phase
    return np.abs(np.fft.ifft(spectrum, axis=2)).astype(np.float32)


def rician(clean: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Magnitude of a signal with Gaussian noise of `sigma` in both channels."""
    real = clean + np.float32(sigma) * rng.standard_normal(clean.shape, np.float32)
    imaginary = np.float32(sigma) * rng.standard_normal(clean.shape, np.float32)
    return np.hypot(real, imaginary)
