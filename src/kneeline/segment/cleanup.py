"""What a knee looks like: removes what cannot be, and names the sides. It never adds a structure.

All arrays are canonical ("RIP": axis 0 grows to the Right, 1 inferior, 2 posterior) with their spacing in mm.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from kneeline.labels import Label
from kneeline.segment.classes import Class
from kneeline.volume import Laterality, medial_sign

# Distances and sizes beyond which a piece does not belong: generous, they are against nonsense, not for shape.
CARTILAGE_MM = 6.0  # from its bone; thickest cartilage is 5-6 mm
MENISCUS_TO_BONE_MM = 8.0  # from femur and from tibia: most of a meniscus, its anterior horn may reach out
FLUID_TO_JOINT_MM = 25.0  # from femur or patella: gutters and popliteal cysts included
FLUID_TOUCH_MM = 2.5  # every pool of joint fluid comes this near to femur, patella or their cartilage
MIN_MM3 = {
    Class.FEMUR: 3000.0,
    Class.TIBIA: 3000.0,
    Class.PATELLA: 500.0,
    Class.FIBULA: 300.0,
    Class.FEMORAL_CARTILAGE: 100.0,
    Class.TIBIAL_CARTILAGE: 60.0,
    Class.PATELLAR_CARTILAGE: 60.0,
    Class.MENISCUS: 80.0,
    Class.JOINT_FLUID: 40.0,
}
# Cartilage and meniscus are a sheet and two crescents: pieces smaller than this share of the largest are crumbs.
CRUMB_SHARE = 0.05
# The fibula speaks for a side when so much of it lies so far from the tibia's middle, nearly all on one side.
FIBULA_MM3 = 800.0
FIBULA_OFF_CENTRE_MM = 9.0
FIBULA_SHARE = 0.85

_TOUCH = ndimage.generate_binary_structure(3, 1)


def clean(classes: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Classes with stray pieces set to background and holes in bones filled."""
    out = classes.copy()
    voxel = float(np.prod(spacing_mm))
    femur = _largest(out, Class.FEMUR, voxel)
    tibia = _largest(out, Class.TIBIA, voxel, lambda piece: femur is None or piece[1] > _centre(femur)[1])
    patella = _largest(out, Class.PATELLA, voxel, lambda piece: femur is None or piece[2] < _centre(femur)[2])
    _largest(out, Class.FIBULA, voxel, lambda piece: tibia is None or _beside_shank(piece, tibia, spacing_mm))
    for cls, bone in (
        (Class.FEMORAL_CARTILAGE, femur),
        (Class.TIBIAL_CARTILAGE, tibia),
        (Class.PATELLAR_CARTILAGE, patella),
    ):
        _keep(out, cls, None if bone is None else _near(bone, spacing_mm, CARTILAGE_MM), voxel, crumbs=CRUMB_SHARE)
    between = None
    if femur is not None and tibia is not None:
        between = _near(femur, spacing_mm, MENISCUS_TO_BONE_MM) & _near(tibia, spacing_mm, MENISCUS_TO_BONE_MM)
    _keep(out, Class.MENISCUS, between, voxel, whole=True, crumbs=CRUMB_SHARE)
    joint = np.isin(out, (Class.FEMUR, Class.PATELLA, Class.FEMORAL_CARTILAGE, Class.PATELLAR_CARTILAGE))
    near = _near(joint, spacing_mm, FLUID_TO_JOINT_MM) if joint.any() else None
    _keep(
        out, Class.JOINT_FLUID, near, voxel, touching=_near(joint, spacing_mm, FLUID_TOUCH_MM) if joint.any() else None
    )
    for bone in (Class.FEMUR, Class.TIBIA, Class.PATELLA, Class.FIBULA):
        _fill(out, bone)
    return out


def _centre(mask: np.ndarray) -> np.ndarray:
    return np.array(ndimage.center_of_mass(mask))


def _largest(out: np.ndarray, cls: Class, voxel: float, plausible=lambda centre: True) -> np.ndarray | None:
    """Keep the largest plausible piece of a bone in `out`; its mask, or None when there is none."""
    pieces, n = ndimage.label(out == cls, _TOUCH)
    if n == 0:
        return None
    sizes = np.bincount(pieces.ravel())
    for piece in np.argsort(-sizes[1:], kind="stable")[:8] + 1:
        if sizes[piece] * voxel < MIN_MM3[cls]:
            break
        mask = pieces == piece
        if plausible(_centre(mask)):
            out[(pieces > 0) & ~mask] = Class.BACKGROUND
            return mask
    out[pieces > 0] = Class.BACKGROUND
    return None


def _beside_shank(piece: np.ndarray, tibia: np.ndarray, spacing_mm) -> bool:
    """A fibula lies below the plateau and behind the tibia's front."""
    rows = np.flatnonzero(tibia.any((0, 2)))
    columns = np.flatnonzero(tibia.any((0, 1)))
    below = (piece[1] - rows[0]) * spacing_mm[1] > 3
    behind = piece[2] > columns[0] + 0.3 * (columns[-1] - columns[0])
    return bool(below and behind)


def _keep(
    out: np.ndarray,
    cls: Class,
    where: np.ndarray | None,
    voxel: float,
    *,
    touching: np.ndarray | None = None,
    whole: bool = False,
    crumbs: float = 0.0,
) -> None:
    """Keep the pieces of a class that lie where they may, none when there is no such place.

    Parameters
    ----------
    where
        What lies outside is cut off; with `whole`, a piece that lies mostly inside is kept whole instead.
    touching
        A place that each piece must reach.
    crumbs
        Pieces below this share of the largest go, as do those below the class's least size.
    """
    mask = out == cls
    if not mask.any():
        return
    kept = np.zeros_like(mask)
    if where is not None:
        pieces, n = ndimage.label(mask if whole else mask & where, np.ones((3, 3, 3)))
        sizes = np.bincount(pieces.ravel(), minlength=n + 1)
        sizes[0] = 0
        good = sizes * voxel >= MIN_MM3[cls]
        if whole:
            good &= 2 * np.bincount(pieces[where], minlength=n + 1) > sizes
        if touching is not None:
            reaches = np.zeros_like(good)
            reaches[np.unique(pieces[touching])] = True
            good &= reaches
        good &= sizes >= crumbs * sizes.max(initial=0, where=good)
        good[0] = False
        kept = good[pieces]
    out[mask & ~kept] = Class.BACKGROUND


def _near(mask: np.ndarray, spacing_mm, reach_mm: float) -> np.ndarray:
    """Voxels within reach of a mask; computed at half the in-plane resolution, exact to about a millimetre."""
    n, h, w = mask.shape
    even = np.zeros((n, h + h % 2, w + w % 2), bool)
    even[:, :h, :w] = mask
    coarse = even.reshape(n, even.shape[1] // 2, 2, even.shape[2] // 2, 2).any((2, 4))
    distance = ndimage.distance_transform_edt(~coarse, sampling=(spacing_mm[0], 2 * spacing_mm[1], 2 * spacing_mm[2]))
    return (distance <= reach_mm).repeat(2, 1).repeat(2, 2)[:, :h, :w]


def _fill(out: np.ndarray, bone: Class) -> None:
    """Fill background and fluid that a bone encloses in a slice: a cyst or a bone island is part of the bone."""
    for plane in out:
        mask = plane == bone
        if mask.any():
            holes = ndimage.binary_fill_holes(mask) & ~mask
            plane[holes & ((plane == Class.BACKGROUND) | (plane == Class.JOINT_FLUID))] = bone


def fibula_laterality(classes: np.ndarray, spacing_mm: tuple[float, float, float]) -> Laterality | None:
    """The side by the fibula, which is lateral; None when too little of it is seen, or not clearly off the middle.

    Parameters
    ----------
    classes
        Cleaned classes, canonical orientation.
    """
    fibula = np.flatnonzero(classes == Class.FIBULA) // (classes.shape[1] * classes.shape[2])
    tibia = np.flatnonzero(classes == Class.TIBIA) // (classes.shape[1] * classes.shape[2])
    if fibula.size * np.prod(spacing_mm) < FIBULA_MM3 or not tibia.size:
        return None
    off = (fibula - tibia.mean()) * spacing_mm[0]
    if abs(off.mean()) < FIBULA_OFF_CENTRE_MM:
        return None
    if np.mean(np.sign(off) == np.sign(off.mean())) < FIBULA_SHARE:
        return None
    lateral = int(np.sign(off.mean()))  # axis 0 grows to the Right
    return "R" if lateral == -medial_sign("R") else "L"


def middle_slice(classes: np.ndarray, spacing_mm: tuple[float, float, float]) -> float:
    """Slice position (fractional index) between the medial and the lateral compartment.

    The middle of the tibial plateau's width, moved to where menisci and tibial cartilage are scarcest nearby:
    the intercondylar eminence.
    """
    tibia = classes == Class.TIBIA
    rows = np.flatnonzero(tibia.any((0, 2)))
    if not rows.size:
        filled = np.flatnonzero((classes > 0).any((1, 2)))
        return float(filled.mean()) if filled.size else (classes.shape[0] - 1) / 2
    plateau = tibia[:, rows[0] : rows[0] + round(25 / spacing_mm[1])].sum((1, 2)).astype(float)
    wide = np.flatnonzero(plateau > 0.15 * plateau.max())
    middle = (wide[0] + wide[-1]) / 2
    profile = np.isin(classes, (Class.MENISCUS, Class.TIBIAL_CARTILAGE)).sum((1, 2)).astype(float)
    profile = ndimage.gaussian_filter1d(profile, 1.5 / spacing_mm[0], mode="nearest")
    position = np.arange(len(profile))
    reach = 11 / spacing_mm[0]
    near = np.abs(position - middle) <= reach
    if not near.any() or profile[wide[0] : wide[-1] + 1].max() <= 0:
        return float(middle)
    # Distance from the middle breaks ties and keeps the answer there when there is no clear gap.
    cost = profile / profile.max() + 0.25 * (np.abs(position - middle) / reach) ** 2
    return float(position[near][np.argmin(cost[near])])


def name_sides(classes: np.ndarray, middle: float, laterality: Laterality) -> np.ndarray:
    """Labels (uint8): menisci and tibial cartilage told apart by the slice they lie in."""
    table = np.zeros(len(Class), np.uint8)
    for cls, label in _SINGLE.items():
        table[cls] = label
    out = table[classes]
    # Indices grow to the Right, so the sign of world x in which medial lies is the sign along axis 0.
    medial = (np.arange(classes.shape[0]) - middle) * medial_sign(laterality) > 0
    for cls, (inner, outer) in _PAIRED.items():
        mask = classes == cls
        out[mask & medial[:, None, None]] = inner
        out[mask & ~medial[:, None, None]] = outer
    return out


_SINGLE = {
    Class.FEMUR: Label.FEMUR,
    Class.TIBIA: Label.TIBIA,
    Class.PATELLA: Label.PATELLA,
    Class.FIBULA: Label.FIBULA,
    Class.FEMORAL_CARTILAGE: Label.FEMORAL_CARTILAGE,
    Class.PATELLAR_CARTILAGE: Label.PATELLAR_CARTILAGE,
    Class.JOINT_FLUID: Label.JOINT_FLUID,
}
_PAIRED = {
    Class.TIBIAL_CARTILAGE: (Label.MEDIAL_TIBIAL_CARTILAGE, Label.LATERAL_TIBIAL_CARTILAGE),
    Class.MENISCUS: (Label.MEDIAL_MENISCUS, Label.LATERAL_MENISCUS),
}
