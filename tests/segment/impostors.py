"""Images that are no sagittal knee, by arithmetic: canonical (RIP), 16 slices of 5 mm, 140 mm in plane at 1 mm.

Grey values are those of a proton-density image where the picture is of a body (fat bright, muscle middling, cortical
bone dark), with Rician noise everywhere.
"""

from __future__ import annotations

import numpy as np

from kneeline.volume import Volume

SHAPE, SPACING = (16, 140, 140), (5.0, 1.0, 1.0)
FAT, MUSCLE, CORTEX, MARROW, CARTILAGE, FLUID = 1.0, 0.4, 0.05, 0.9, 0.6, 0.7


def grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """mm to the Right, inferior, posterior of the middle."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(SHAPE, SPACING, strict=True)]
    return tuple(np.meshgrid(*axes, indexing="ij"))


def image(clean: np.ndarray, noise: float = 0.03) -> Volume:
    rng = np.random.default_rng(0)
    real, imaginary = (rng.normal(0, noise, clean.shape) for _ in range(2))
    affine = np.diag([SPACING[0], -SPACING[1], -SPACING[2], 1.0])[:, [0, 2, 1, 3]]
    return Volume((1000 * np.hypot(clean + real, imaginary)).astype(np.float32), affine)


def noise() -> Volume:
    return image(np.zeros(SHAPE), 0.5)


def gradient() -> Volume:
    x, z, y = grid()
    return image((z - z.min()) / np.ptp(z) + 0.3 * (y - y.min()) / np.ptp(y))


def checkerboard() -> Volume:
    return image((sum(np.floor(v / 15) for v in grid()) % 2) * 0.8 + 0.1)


def bottle() -> Volume:
    """A phantom: a bright upright cylinder of 80 mm."""
    x, _, y = grid()
    return image(np.where(np.hypot(x, y) < 40, 1.0, 0.0))


def head() -> Volume:
    """Scalp, skull, brain and ventricles as ellipsoids."""
    x, z, y = grid()
    radius = np.sqrt((x / 50) ** 2 + (z / 65) ** 2 + (y / 68) ** 2)
    out = np.select([radius < 0.84, radius < 0.92, radius < 1], [0.55, CORTEX, FAT], 0.0)
    out[np.sqrt((np.abs(x) - 10) ** 2 / 30 + (z + 5) ** 2 / 150 + y**2 / 600) < 1] = 0.1
    return image(out)


def limb(radius: float, thickness: float = 8.0) -> np.ndarray:
    x, _, y = grid()
    r = np.hypot(x, y)
    return np.select([r < radius - thickness, r < radius], [MUSCLE, FAT], 0.0)


def bone(out: np.ndarray, where: np.ndarray, core: np.ndarray) -> None:
    out[where] = CORTEX
    out[core] = MARROW


def elbow() -> Volume:
    """A humerus of 24 mm that widens to a spool across, an ulna hooked behind it and a radius: half a knee's size."""
    x, z, y = grid()
    out = limb(42)
    for inset in (0, 2.5):
        value = CORTEX if inset == 0 else MARROW
        humerus = (np.hypot(x, y) < 12 - inset) & (z < 0) | (np.hypot(z, y) < 11 - inset) & (np.abs(x) < 30 - inset)
        ulna = (np.hypot(x + 8, y - 14) < 9 - inset) & (z > -14)
        radius = (np.hypot(x - 12, y) < 8 - inset) & (z > 13)
        out[humerus | ulna | radius] = value
    return image(out)


def ankle() -> Volume:
    """A slender tibia on a talus, a heel bone behind and the foot in front."""
    x, z, y = grid()
    out = limb(30)
    foot = (z > 15) & (z < 62) & (np.abs(x) < 32)
    out[foot] = FAT
    out[foot & (z < 56) & (np.abs(x) < 26)] = MUSCLE
    for inset in (0, 2.0):
        value = CORTEX if inset == 0 else MARROW
        shin = (np.hypot(x, y) < 13 - inset + np.clip((z + 15) / 4, 0, 5)) & (z < 5 - inset)
        talus = ((x / (20 - inset)) ** 2 + ((z - 17) / (10 - inset)) ** 2 + ((y + 5) / (25 - inset)) ** 2) < 1
        heel = ((x / (18 - inset)) ** 2 + ((z - 40) / (13 - inset)) ** 2 + ((y - 22) / (32 - inset)) ** 2) < 1
        out[shin | talus | heel] = value
    return image(out)


def two_blocks() -> Volume:
    """Bone-bright blocks above each other with a dark gap: the least that resembles a joint."""
    x, z, y = grid()
    out = limb(60)
    for inset in (0, 3):
        inside = (np.abs(x) < 34 - inset) & (np.abs(y) < 28 - inset) & (np.abs(z) > 4 + inset) & (np.abs(z) < 60)
        out[inside] = CORTEX if inset == 0 else MARROW
    return image(out)


ALL = (noise, gradient, checkerboard, bottle, head, elbow, ankle, two_blocks)
