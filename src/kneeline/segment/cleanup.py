"""What a knee looks like: removes what cannot be, and names the sides. It never adds a structure.

All arrays are canonical ("RIP": axis 0 grows to the Right, 1 inferior, 2 posterior) with their spacing in mm.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from kneeline.labels import Label
from kneeline.segment import masks
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
    tibia = _largest(out, Class.TIBIA, voxel, lambda piece: femur is None or piece[1] > masks.middle(femur)[1])
    patella = _largest(out, Class.PATELLA, voxel, lambda piece: femur is None or piece[2] < masks.middle(femur)[2])
    _largest(out, Class.FIBULA, voxel, lambda piece: tibia is None or _beside_shank(piece, tibia, spacing_mm))
    for cls, bone in (
        (Class.FEMORAL_CARTILAGE, femur),
        (Class.TIBIAL_CARTILAGE, tibia),
        (Class.PATELLAR_CARTILAGE, patella),
    ):
        where = None if bone is None else _near(bone, spacing_mm, CARTILAGE_MM, _box_of_large(out, cls, voxel))
        _keep(out, cls, where, voxel, crumbs=CRUMB_SHARE)
    between = None
    if femur is not None and tibia is not None:
        box, reach = _box_of_large(out, Class.MENISCUS, voxel), MENISCUS_TO_BONE_MM
        between = _near(femur, spacing_mm, reach, box) & _near(tibia, spacing_mm, reach, box)
    _keep(out, Class.MENISCUS, between, voxel, whole=True, crumbs=CRUMB_SHARE)
    joint = np.isin(out, (Class.FEMUR, Class.PATELLA, Class.FEMORAL_CARTILAGE, Class.PATELLAR_CARTILAGE))
    box = _box_of_large(out, Class.JOINT_FLUID, voxel)
    near, touching = (
        _near(joint, spacing_mm, reach, box) if joint.any() else None for reach in (FLUID_TO_JOINT_MM, FLUID_TOUCH_MM)
    )
    _keep(out, Class.JOINT_FLUID, near, voxel, touching=touching)
    for bone in (Class.FEMUR, Class.TIBIA, Class.PATELLA, Class.FIBULA):
        _fill(out, bone)
    return out


def _box_of_large(out: np.ndarray, cls: Class, voxel: float) -> tuple[slice, ...] | None:
    """The smallest box that holds all pieces of a class that are large enough to be kept."""
    mask = out == cls
    box = masks.bounding_box(mask)
    if box is None:
        return None
    pieces, _ = ndimage.label(mask[box], np.ones((3, 3, 3)))
    large = np.bincount(pieces.ravel()) * voxel >= MIN_MM3[cls]
    large[0] = False
    inner = masks.bounding_box(large[pieces])
    return inner and tuple(
        slice(outer.start + side.start, outer.start + side.stop) for outer, side in zip(box, inner, strict=True)
    )


def _largest(out: np.ndarray, cls: Class, voxel: float, plausible=lambda centre: True) -> np.ndarray | None:
    """Keep the largest plausible piece of a bone in `out`; its mask, or None when there is none."""
    box = masks.bounding_box(out == cls)
    if box is None:
        return None
    inside = out[box]
    pieces, _ = ndimage.label(inside == cls, _TOUCH)
    sizes = np.bincount(pieces.ravel())
    for piece in np.argsort(-sizes[1:], kind="stable")[:8] + 1:
        if sizes[piece] * voxel < MIN_MM3[cls]:
            break
        mask = pieces == piece
        if plausible(masks.middle(mask) + [side.start for side in box]):
            inside[(pieces > 0) & ~mask] = Class.BACKGROUND
            whole = np.zeros(out.shape, bool)
            whole[box] = mask
            return whole
    inside[pieces > 0] = Class.BACKGROUND
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
    box = masks.bounding_box(out == cls)
    if box is None:
        return
    inside = out[box]
    mask = inside == cls
    kept = np.zeros_like(mask)
    if where is not None:
        where = where[box]
        pieces, n = ndimage.label(mask if whole else mask & where, np.ones((3, 3, 3)))
        sizes = np.bincount(pieces.ravel(), minlength=n + 1)
        sizes[0] = 0
        good = sizes * voxel >= MIN_MM3[cls]
        if whole:
            good &= 2 * np.bincount(pieces[where], minlength=n + 1) > sizes
        if touching is not None:
            reaches = np.zeros_like(good)
            reaches[np.unique(pieces[touching[box]])] = True
            good &= reaches
        good &= sizes >= crumbs * sizes.max(initial=0, where=good)
        good[0] = False
        kept = good[pieces]
    inside[mask & ~kept] = Class.BACKGROUND


def _near(mask: np.ndarray, spacing_mm, reach_mm: float, box: tuple[slice, ...] | None) -> np.ndarray:
    """Voxels of a box within reach of a mask; computed at half the in-plane resolution, exact to about a millimetre."""
    out = np.zeros(mask.shape, bool)
    if box is None:
        return out
    # Widened by the reach: nothing farther can be near. Rows and columns start even: everywhere the same halves.
    wide = []
    for axis, side in enumerate(box):
        margin, grid = int(np.ceil(reach_mm / spacing_mm[axis])) + 2, 1 if axis == 0 else 2
        wide.append(slice(max(0, side.start - margin) // grid * grid, side.stop + margin))
    part = mask[tuple(wide)]
    n, h, w = part.shape
    even = np.zeros((n, h + h % 2, w + w % 2), bool)
    even[:, :h, :w] = part
    coarse = even.reshape(n, even.shape[1] // 2, 2, even.shape[2] // 2, 2).any((2, 4))
    if coarse.any():
        step = (spacing_mm[0], 2 * spacing_mm[1], 2 * spacing_mm[2])
        near = ndimage.distance_transform_edt(~coarse, sampling=step) <= reach_mm
        inner = tuple(slice(side.start - w.start, side.stop - w.start) for side, w in zip(box, wide, strict=True))
        out[box] = near.repeat(2, 1).repeat(2, 2)[inner]
    return out


def _fill(out: np.ndarray, bone: Class) -> None:
    """Fill background and fluid that a bone encloses in a slice: a cyst or a bone island is part of the bone."""
    for plane in out:
        box = masks.bounding_box(plane == bone)
        if box is not None:
            inside = plane[box]
            mask = inside == bone
            holes = ndimage.binary_fill_holes(mask) & ~mask
            inside[holes & ((inside == Class.BACKGROUND) | (inside == Class.JOINT_FLUID))] = bone


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
    inner, outer = np.zeros(len(Class), np.uint8), np.zeros(len(Class), np.uint8)
    for cls, label in _SINGLE.items():
        inner[cls] = outer[cls] = label
    for cls, pair in _PAIRED.items():
        inner[cls], outer[cls] = pair
    out = np.empty(classes.shape, np.uint8)
    # Indices grow to the Right, so the sign of world x in which medial lies is the sign along axis 0.
    medial = (np.arange(len(classes)) - middle) * medial_sign(laterality) > 0
    for plane, of_class, is_medial in zip(out, classes, medial, strict=True):
        plane[...] = (inner if is_medial else outer)[of_class]
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
