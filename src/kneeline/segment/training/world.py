"""The world the network learns from: images simulated from anatomies, with their truth.

One call makes one stack of sagittal slices of one knee, as one scan of one contrast: anatomy, pose, bend and elastic
deformation, lesions, contrast, slice thickness with true partial volume, coil, blur, noise. Everything is drawn from
the generator given, so that a seed makes a stack.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from kneeline.segment.classes import Class
from kneeline.segment.preprocess import PIXEL_MM, compress
from kneeline.segment.training.anatomies import CLASS_BY_CODE, FABRIC_BY_CODE, GRID_MM, TISSUE_OF, Fabric
from kneeline.segment.training.lesions import Scene, add_lesions, add_linings
from kneeline.simulate.tissues import RELAXATION

SIDE = 192  # pixels of a training image
STACK = 8  # training images of a stack
WHOLE = 255  # parts of a pixel
_SAMPLES = 5  # of a pixel: even across the slice, at random over its area; odd, so that two classes never tie
_COARSE = 8  # the deformation is computed on every eighth pixel
_NOISE, _NOISE_MM = 128, 0.5  # side of the periodic noise volumes, voxels, and their voxel


@dataclass(frozen=True)
class Anatomy:
    name: str
    codes: np.ndarray  # (x, z, y), RIP, memory-mapped
    spacing_mm: float
    low_mm: np.ndarray  # box of bones and menisci about the centre, mm
    high_mm: np.ndarray

    @property
    def tensor(self) -> torch.Tensor:
        return torch.from_numpy(self.codes)


def load_anatomies(folder: Path) -> list[Anatomy]:
    out = []
    for path in sorted(Path(folder).glob("*.npy")):
        codes = np.load(path, mmap_mode="c")
        coarse = CLASS_BY_CODE[np.asarray(codes[::4, ::4, ::4])]
        joint = np.argwhere(np.isin(coarse, (Class.PATELLA, Class.FEMORAL_CARTILAGE, Class.MENISCUS, Class.FIBULA)))
        bones = np.argwhere((coarse > 0) & (coarse != Class.JOINT_FLUID))
        half = (np.array(codes.shape) - 1) / 2
        low, high = joint.min(0), joint.max(0)
        low[0], high[0] = bones.min(0)[0], bones.max(0)[0]
        out.append(Anatomy(path.stem, codes, GRID_MM, (low * 4 - half) * GRID_MM, (high * 4 - half) * GRID_MM))
    return out


def noise_bank(seed: int = 7) -> torch.Tensor:
    """Periodic noise volumes of unit variance, Gaussian correlation of 0.8, 1.6 and 3.2 mm."""
    rng = np.random.default_rng(seed)
    frequency = np.sqrt(
        sum(np.meshgrid(*[np.fft.fftfreq(_NOISE) ** 2] * 2, np.fft.rfftfreq(_NOISE) ** 2, indexing="ij"))
    )
    fields = []
    for size in np.array((0.8, 1.6, 3.2)) / _NOISE_MM:
        spectrum = np.fft.rfftn(rng.standard_normal((_NOISE,) * 3)) * np.exp(-2 * (np.pi * frequency * size) ** 2)
        field = np.fft.irfftn(spectrum, (_NOISE,) * 3, axes=(0, 1, 2))
        fields.append(field / field.std())
    return torch.tensor(np.stack(fields), dtype=torch.float32).reshape(3, -1)


# --- contrast --------------------------------------------------------------------------------------------------------

# TR and TE ranges (ms), share of fat signal that is left, relative weight.
FAMILIES = {
    "PD": ((1800, 4500), (8, 35), (1.0, 1.0), 4),
    "PDFS": ((2000, 4500), (15, 48), (0.04, 0.35), 5),
    "T2": ((2500, 5000), (45, 90), (0.9, 1.0), 3),
    "T2FS": ((2500, 5000), (48, 80), (0.04, 0.35), 3),
    "T1": ((450, 850), (8, 18), (1.0, 1.0), 2),
    "DESS": ((0, 0), (0, 0), (0.08, 0.4), 3),
}
_DARK = (Fabric.CORTEX, Fabric.MENISCUS, Fabric.LIGAMENT, Fabric.AIR)


def grey_values(rng: np.random.Generator, family: str | None = None) -> np.ndarray:
    """Grey value of each fabric in one image; `random` is a family of its own."""
    if family is None:
        families = [*FAMILIES, "random"]
        weights = np.array([*(w for *_, w in FAMILIES.values()), 4.0])
        family = families[rng.choice(len(families), p=weights / weights.sum())]
    if family == "random":
        values = rng.uniform(0.05, 1, len(Fabric))
        if rng.random() < 0.7:
            for fabric in _DARK:
                values[fabric] = rng.uniform(0.0, 0.22)
        values[Fabric.AIR] = rng.uniform(0, 0.04)
        values[Fabric.FAT_PAD] = values[Fabric.FAT] * rng.uniform(0.8, 1.1)
        return values
    tr_range, te_range, fat_range, _ = FAMILIES[family]
    tr, te, fat_left = rng.uniform(*tr_range), rng.uniform(*te_range), rng.uniform(*fat_range)
    values = np.zeros(len(Fabric))
    # Fast spin echo keeps fat bright and T2 decay short of theory: one factor an image.
    fast = rng.uniform(0.8, 1.5)
    for fabric in Fabric:
        r = RELAXATION[TISSUE_OF[fabric]]
        t1, t2 = r.t1_ms * rng.uniform(0.8, 1.25), r.t2_ms * rng.uniform(0.75, 1.3)
        pd = r.proton_density * rng.uniform(0.85, 1.15)
        if family == "DESS":
            # Echo sum at a steady state: T2/T1 weighting on top of density, fluid brightest.
            signal = pd * (0.25 + 1.1 * np.sqrt(t2 / t1)) * np.exp(-12 / t2)
        else:
            signal = pd * (1 - np.exp(-tr / t1)) * np.exp(-te / (t2 * fast))
        signal *= 1 - r.fat_fraction * (1 - fat_left)
        values[fabric] = signal
    # Fat is no darker than marrow, nearer to the coil and without trabeculae (seen: Hoffa's 1.4, popliteal 1.2).
    values[Fabric.FAT] = values[Fabric.MARROW] * rng.uniform(0.9, 1.5)
    values[Fabric.FAT_PAD] = values[Fabric.MARROW] * rng.uniform(0.85, 1.6)
    values[Fabric.PHYSIS] = values[Fabric.MARROW] * rng.uniform(0.35, 0.75)
    values[Fabric.CRUCIATE] = values[Fabric.LIGAMENT] * rng.uniform(1.0, 1.9)
    values[Fabric.SYNOVIUM] *= rng.uniform(0.4, 1.1)
    values[Fabric.MENISCUS] *= rng.uniform(0.25, 1.2)
    values[Fabric.LIGAMENT] *= rng.uniform(0.3, 1.2)
    if rng.random() < 0.5:  # long echo trains and driven equilibrium: fluid brighter than the equation says
        values[Fabric.FLUID] *= rng.uniform(1.0, 1.7)
    if rng.random() < 0.2:  # cartilage and fluid alike: shape has to decide
        mix = rng.uniform(0.3, 0.9)
        values[Fabric.CARTILAGE] += mix * (values[Fabric.FLUID] - values[Fabric.CARTILAGE])
    if rng.random() < 0.15:  # flowing blood is dark
        values[Fabric.VESSEL] = values[Fabric.AIR] + 0.05
    return values


# --- one stack -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Acquisition:
    """How one scan is made."""

    n_slices: int
    spacing_mm: float
    thickness_mm: float
    family: str | None = None


def draw_acquisition(rng: np.random.Generator) -> Acquisition:
    spacing = rng.uniform(2.8, 4.6)
    thickness = rng.uniform(0.6, 1.5) if rng.random() < 0.35 else min(rng.uniform(1.8, 4.2), spacing)
    return Acquisition(STACK + 2, spacing, thickness)


def _rotation(angles_deg: np.ndarray) -> np.ndarray:
    out = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(angles_deg)):
        c, s = np.cos(angle), np.sin(angle)
        i, j = [a for a in range(3) if a != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = c
        turn[i, j], turn[j, i] = -s, s
        out = turn @ out
    return out


def _deform(points: torch.Tensor, rng: np.random.Generator, strength: float) -> torch.Tensor:
    """Image points (..., 3) in mm (x, z, y about the joint) to anatomy points: turn, scale, bend, elastic."""
    angles = rng.uniform(-1, 1, 3) * (10, 16, 9) * strength  # about x: in the sagittal plane
    scale = rng.uniform(0.86, 1.16) ** strength
    linear = _rotation(angles) @ np.diag(rng.uniform(0.94, 1.06, 3) / scale)
    points = points @ torch.tensor(linear.T, dtype=torch.float32)
    # Bend at the joint line, as a knee flexes: the shank against the thigh.
    bend = np.deg2rad(rng.uniform(-7, 9)) * strength * torch.tanh(points[..., 1] / 25)
    z, y = points[..., 1], points[..., 2]
    points = torch.stack([points[..., 0], z * bend.cos() - y * bend.sin(), z * bend.sin() + y * bend.cos()], -1)
    for knots_mm, amplitude in ((40, 3.0), (16, 0.9)):
        n = int(220 / knots_mm)
        knots = torch.tensor(rng.standard_normal((1, 3, n, n, n)), dtype=torch.float32)
        field = F.grid_sample(
            knots, (points / 110).flip(-1)[None].reshape(1, 1, 1, -1, 3), padding_mode="border", align_corners=True
        )
        points = points + amplitude * strength * rng.uniform(0.2, 1.2) * field.reshape(3, -1).T.reshape(points.shape)
    return points


def simulate_stack(
    anatomy: Anatomy,
    acquisition: Acquisition,
    rng: np.random.Generator,
    bank: torch.Tensor,
    side: int = SIDE,
    centre_mm: np.ndarray | None = None,
    strength: float = 1.0,
    mirrored: bool | None = None,
    pixel_mm: float = PIXEL_MM,
    cropped: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (slices, side, side) of one scan and its truth, slices running lateral (medial when `mirrored`).

    The truth is (slices, 3, side, side) uint8: the class that fills most of a pixel, the next one, and the share of
    the first among both in parts of WHOLE. A network that learns shares knows where within a pixel a border lies.

    Parameters
    ----------
    centre_mm
        Middle of the stack, (x, z, y) about the joint; drawn when None.
    strength
        Of the deformation, 1 as in training, 0 none.
    cropped
        Sometimes let the field of view end inside the image.
    """
    n, subs = acquisition.n_slices, _SAMPLES
    if centre_mm is None:
        span = (n - 2) * acquisition.spacing_mm / 2
        low, high = anatomy.low_mm[0] - 8 + span, anatomy.high_mm[0] + 8 - span
        centre_mm = np.array([rng.uniform(min(low, high), max(low, high)), rng.uniform(-42, 26), rng.uniform(-26, 26)])
    mirrored = rng.random() < 0.5 if mirrored is None else mirrored
    at = (np.arange(n) - (n - 1) / 2) * acquisition.spacing_mm
    within = (np.arange(subs) - (subs - 1) / 2) * acquisition.thickness_mm / subs
    x = (at[:, None] + within[None, :]).ravel() * (-1 if mirrored else 1) + centre_mm[0]
    n_coarse = side // _COARSE + 1
    edge = torch.linspace(0, side, n_coarse) - (side - 1) / 2
    z, y = edge * pixel_mm + centre_mm[1], edge * pixel_mm + centre_mm[2]
    points = torch.stack(torch.meshgrid(torch.tensor(x, dtype=torch.float32), z, y, indexing="ij"), -1)
    points = _deform(points, rng, strength)
    points = F.interpolate(points.permute(0, 3, 1, 2), size=(side + 1, side + 1), mode="bilinear", align_corners=True)
    points = points[:, :, :side, :side]

    codes = anatomy.tensor
    half = (np.array(anatomy.codes.shape) - 1) / 2
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    index = torch.zeros(points[:, 0].shape, dtype=torch.int64)
    here, elsewhere = torch.zeros_like(index), torch.zeros_like(index)
    offsets = rng.integers(0, _NOISE, (3, 2))
    for axis in range(3):
        voxel = points[:, axis] / anatomy.spacing_mm + half[axis]
        spread = acquisition.thickness_mm / subs if axis == 0 else pixel_mm
        voxel += (torch.rand(voxel.shape, generator=generator) - 0.5) * (spread / anatomy.spacing_mm)
        size = anatomy.codes.shape[axis]
        index = index * size + voxel.round_().clamp_(0, size - 1).to(torch.int64)
        cell = ((points[:, axis] + 500) / _NOISE_MM).to(torch.int64)
        here = here * _NOISE + (cell + int(offsets[axis, 0])) % _NOISE
        elsewhere = elsewhere * _NOISE + (cell + int(offsets[axis, 1])) % _NOISE
    code = codes.reshape(-1)[index.reshape(-1)]
    here, elsewhere = here.reshape(-1), elsewhere.reshape(-1)
    places = points.permute(1, 0, 2, 3).reshape(3, -1)
    scene = Scene(code, places, here, elsewhere, bank, rng)
    add_linings(scene, side)
    add_lesions(scene, float(anatomy.high_mm[2]))

    classes = torch.from_numpy(CLASS_BY_CODE)[code.long()].reshape(n, subs, side, side)
    truth = _shares(classes)
    image = _shine(code, bank, here, elsewhere, rng, acquisition.family).reshape(n, subs, side, side).mean(1)
    image = _receive(image, rng, generator)
    return _crop(image, truth, rng) if cropped else (image, truth)


def _shares(classes: torch.Tensor) -> torch.Tensor:
    """Truth of `simulate_stack` from the classes of each pixel's samples, (n, subs, h, w)."""
    counts = torch.zeros(classes.shape[0], len(Class), *classes.shape[2:], dtype=torch.uint8)
    for sub in range(classes.shape[1]):
        counts.scatter_add_(1, classes[:, sub, None].long(), torch.ones_like(classes[:, sub, None]))
    most, first = counts.max(1, keepdim=True)
    counts.scatter_(1, first, 0)
    next_most, second = counts.max(1, keepdim=True)
    share = most.float() / (most + next_most) * WHOLE
    return torch.cat([first, second, share.round()], 1).to(torch.uint8)


# How much each fabric's grey value varies from place to place (relative).
_TEXTURE = np.full(len(Fabric), 0.06)
for _fabric, _value in (
    (Fabric.AIR, 0.0), (Fabric.FLUID, 0.04), (Fabric.MARROW, 0.07), (Fabric.MUSCLE, 0.08), (Fabric.MUSCLE_B, 0.08),
    (Fabric.LIGAMENT, 0.25), (Fabric.CRUCIATE, 0.3), (Fabric.MENISCUS, 0.2), (Fabric.SYNOVIUM, 0.25),
    (Fabric.VESSEL, 0.25), (Fabric.FAT, 0.1), (Fabric.FAT_PAD, 0.12), (Fabric.CARTILAGE, 0.1), (Fabric.CORTEX, 0.3),
    (Fabric.MENISCAL_SIGNAL, 0.3),
):  # fmt: skip
    _TEXTURE[_fabric] = _value


def _shine(code, bank, at, shifted, rng, family):
    values = grey_values(rng, family)
    fabric = torch.from_numpy(FABRIC_BY_CODE)[code.long()].long()
    grey = torch.tensor(values, dtype=torch.float32)[fabric]
    texture = torch.tensor(_TEXTURE * rng.uniform(0.3, 2.0, len(Fabric)), dtype=torch.float32)[fabric]
    fine, coarse = rng.uniform(0.2, 1.0), rng.uniform(0.2, 1.0)
    return grey * (1 + texture * (fine * bank[0][shifted] + coarse * bank[2][at])).clamp_(0.05, 3)


def _blur(image: torch.Tensor, sigma: float, stretch: float = 1.0) -> torch.Tensor:
    """Gaussian in plane; `stretch` times wider along the rows, narrower along the columns."""
    image = image[:, None]
    for axis, width in ((3, sigma * stretch), (2, sigma / stretch)):
        radius = max(1, int(np.ceil(2.5 * width)))
        x = torch.arange(-radius, radius + 1, dtype=torch.float32)
        kernel = torch.exp(-(x**2) / (2 * width**2))
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        pad = (radius, radius, 0, 0) if axis == 3 else (0, 0, radius, radius)
        image = F.conv2d(F.pad(image, pad, mode="replicate"), (kernel / kernel.sum()).view(shape))
    return image[:, 0]


def _truncate(image: torch.Tensor, shares) -> torch.Tensor:
    """Only the middle of k-space, these shares of its rows and columns: edges ring as in a scanner's images."""
    k = torch.fft.rfft2(image)
    h, w = k.shape[1:]
    rows = torch.fft.fftfreq(h).abs() <= shares[0] / 2
    columns = torch.arange(w) <= shares[1] * (w - 1)
    return torch.fft.irfft2(k * (rows[:, None] & columns[None, :]), s=image.shape[1:]).clamp_(min=0)


def _jpeg(image: torch.Tensor, step: float) -> torch.Tensor:
    """Loss as of archives that compress: cosine coefficients of 8 x 8 blocks, rounded more coarsely the finer they
    are. `step` is that of the coarsest, in units of bright tissue."""
    k = torch.arange(8.0)
    cosine = torch.cos(torch.pi / 8 * (k[None, :] + 0.5) * k[:, None]) / 2
    cosine[0] /= 2**0.5
    steps = step * (1 + k[:, None] + k[None, :])
    n, h, w = image.shape
    blocks = image.reshape(n, h // 8, 8, w // 8, 8).transpose(2, 3)
    blocks = cosine.T @ ((cosine @ blocks @ cosine.T / steps).round() * steps) @ cosine
    return blocks.transpose(2, 3).reshape(n, h, w)


def _ghosts(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Pulsation and motion repeat the image along the phase direction; a small field of view wraps into itself."""
    axis = int(rng.integers(1, 3))
    if rng.random() < 0.12:
        for repeat in range(1, int(rng.integers(2, 4))):
            for way in (-1, 1):
                shifted = image.roll(way * repeat * int(rng.integers(12, 60)), axis)
                image = image + rng.uniform(-0.07, 0.07) / repeat * shifted
    if rng.random() < 0.06:
        size, width = image.shape[axis], int(rng.integers(6, 30))
        wrapped = torch.zeros_like(image)
        source = image.narrow(axis, size - width, width)
        wrapped.narrow(axis, 0, width).copy_(source if rng.random() < 0.5 else source.flip(axis))
        image = image + rng.uniform(0.3, 0.9) * wrapped
    return image.clamp(min=0)


def _receive(image: torch.Tensor, rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
    """Resolution, coil sensitivity, noise, gain: what the scanner makes of the signal."""
    n, h, w = image.shape
    if rng.random() < 0.4:
        image = _truncate(image, rng.uniform(0.55, 0.95, 2))
    else:
        image = _blur(image, rng.uniform(0.3, 1.0), rng.uniform(0.8, 1.4))
    if rng.random() < 0.85:
        knots = torch.tensor(rng.standard_normal((1, 1, 4, 4, 4)), dtype=torch.float32)
        bias = F.interpolate(knots, size=(n, h, w), mode="trilinear", align_corners=True)[0, 0]
        image = image * torch.exp(rng.uniform(0.05, 0.35) * bias)
    if rng.random() < 0.5:  # the outer slices lie nearer to the coil
        off = torch.linspace(-1, 1, n) * rng.uniform(0.2, 1.0) - rng.uniform(-0.6, 0.6)
        image = image * (1 + rng.uniform(0, 0.5) * off[:, None, None] ** 2)
    if rng.random() < 0.5:  # a surface coil: brighter towards the skin, on one side more
        rows, columns = (torch.linspace(-1, 1, k) - rng.uniform(-0.5, 0.5) for k in (h, w))
        reach = rows[:, None] ** 2 * rng.uniform(0, 1) + columns[None, :] ** 2
        image = image * torch.exp(rng.uniform(0.0, 0.9) * reach)
    image = _ghosts(image, rng)
    top = image.flatten()[::7].quantile(0.97).clamp(min=1e-3)
    image = image / top
    sigma = np.exp(rng.uniform(np.log(0.003), np.log(0.07)))
    real = torch.randn(image.shape, generator=generator) * sigma
    imaginary = torch.randn(image.shape, generator=generator) * sigma
    if rng.random() < 0.5:  # interpolated by the scanner: correlated noise
        real, imaginary = _blur(real, 0.7) * 2, _blur(imaginary, 0.7) * 2
    image = torch.sqrt((image + real) ** 2 + imaginary**2)
    if rng.random() < 0.35:
        image = image.clamp(min=0) ** rng.uniform(0.75, 1.3)
    if rng.random() < 0.15:
        image = _jpeg(image, rng.uniform(0.01, 0.06))
    return image.clamp_(min=0) * rng.uniform(0.8, 1.25)


def _crop(image: torch.Tensor, truth: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Sometimes a field of view that ends inside the training image."""
    if rng.random() < 0.12:
        cut, edge = int(rng.integers(8, 50)), rng.integers(4)
        side = image.shape[-1]
        rows = (slice(0, cut), slice(side - cut, side), slice(None), slice(None))[edge]
        columns = (slice(None), slice(None), slice(0, cut), slice(side - cut, side))[edge]
        image[:, rows, columns] = 0
        truth[:, :, rows, columns] = 0
    return image, truth


def training_images(images: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each inner slice with its two neighbours, as inference shows them, (n, 3, side, side), and its truth."""
    images = torch.from_numpy(compress(images.numpy()))
    return torch.stack([images[:-2], images[1:-1], images[2:]], 1), truth[1:-1]
