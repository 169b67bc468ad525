"""A knee of blocks, an ellipsoid and a shaft, with fluid in known places: truth by construction for effusion.

Knee's own coordinates (right knee, mm): femur |x| < 40, |y| < 28, 0 < z < 30 with a shaft of radius 13 above it; tibia
below z = -6; patella in front, upper pole at z = 40, |x| < 20, its back at y = 33 over the middle of the femur.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kneeline.labels import Label
from kneeline.score.frame import Knee, canonical
from kneeline.volume import Volume, mirror

Block = tuple[tuple[float, float, float], tuple[float, float, float]]  # low and high corner
Shape = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

BLOCKS: dict[str, Block] = {
    "suprapatellar": ((-20, 20, 45), (20, 30, 67)),
    "patellofemoral": ((-14, 28, 4), (14, 32, 30)),
    "medial_gutter": ((-46, -5, 4), (-40, 20, 26)),
    "lateral_gutter": ((40, -5, 4), (48, 20, 26)),
    "femorotibial": ((-34, -20, -5), (34, 20, -1)),
    "posterior": ((-34, -35, 6), (-6, -28, 28)),
}


def phantom(
    fluid: Sequence[Block | Shape] = (),
    *,
    spacing=(3.3, 0.6, 0.6),
    top=90.0,
    patella=True,
    tilt=0.0,
    turn: np.ndarray | None = None,
    width=(-52.0, 52.0),
    back=-60.0,
    side="R",
) -> Knee:
    """Build and label the knee. tilt: degrees by which the shaft alone leans forward; turn: (3, 3) rotation of the
    whole knee in the scanner, whose box stays straight."""
    low, high = np.array([width[0], back, -30]), np.array([width[1], 62.0, top])
    shape = tuple(np.round((high - low) / spacing).astype(int))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low + np.array(spacing) / 2
    axes = [(affine[a, 3] + spacing[a] * np.arange(shape[a])).astype(np.float32) for a in range(3)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    if turn is not None:
        x, y, z = (
            np.float32(turn[0, a]) * x + np.float32(turn[1, a]) * y + np.float32(turn[2, a]) * z for a in range(3)
        )
    shaft_y = y - np.tan(np.radians(tilt)) * (z - 30)
    label = np.zeros(shape, np.uint8)
    label[(np.abs(x) < 40) & (np.abs(y) < 28) & (z > 0) & (z < 30)] = Label.FEMUR
    label[(np.hypot(x, shaft_y) < 13) & (z >= 30)] = Label.FEMUR
    label[(np.abs(x) < 38) & (np.abs(y) < 25) & (z < -6)] = Label.TIBIA
    for way, cartilage in ((-1, Label.MEDIAL_TIBIAL_CARTILAGE), (1, Label.LATERAL_TIBIAL_CARTILAGE)):
        label[(np.abs(x - 20 * way) < 14) & (np.abs(y) < 20) & (z >= -8) & (z < -6)] = cartilage
    if patella:
        label[((x / 20) ** 2 + ((y - 42) / 9) ** 2 + ((z - 20) / 20) ** 2) < 1] = Label.PATELLA
    for part in fluid:
        inside = part(x, y, z) if callable(part) else _inside(part, x, y, z)
        label[inside & (label == 0)] = Label.JOINT_FLUID
    labels = Volume(label, affine)
    return canonical(labels, labels, "R") if side == "R" else canonical(mirror(labels), mirror(labels), "L")


def _inside(block: Block, x, y, z) -> np.ndarray:
    (ax, bx), (ay, by), (az, bz) = zip(*block, strict=True)
    return (x >= ax) & (x < bx) & (y >= ay) & (y < by) & (z >= az) & (z < bz)


def labelled_ml(knee: Knee, block: Block, turn: np.ndarray | None = None) -> float:
    """How much of a block became fluid voxels of a right knee, whatever the division says (mL)."""
    places = knee.world(knee.mask(Label.JOINT_FLUID))
    x, y, z = (places if turn is None else places @ turn).astype(np.float32).T
    return float(np.count_nonzero(_inside(block, x, y, z)) * knee.labels.voxel_mm3 / 1000)


def ellipsoid(centre, half) -> Shape:
    (cx, cy, cz), (a, b, c) = centre, half
    return lambda x, y, z: ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 + ((z - cz) / c) ** 2 < 1


def millilitres(block: Block) -> float:
    return float(np.prod(np.subtract(block[1], block[0]))) / 1000


def turned(axis: str, degrees: float) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
