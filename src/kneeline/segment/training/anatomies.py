"""Anatomies to train on: knees as one volume of material codes each, on one common grid.

The grid is canonical "RIP" (array[i] is a sagittal slice), `GRID_MM` isotropic, centred on the tibial plateau; every
knee is stored as a right one (the world mirrors at random). A code is an index into `MATERIALS`: what the network must
answer (Class) and what the scanner sees (Fabric), together.

Sources: label maps of real knees (read in place from a folder given by the user, see the model card for licences),
whose missing soft tissue is warped in from the one map that has it and completed by `dress`; and the parametric
knees of `kneeline.simulate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from scipy import ndimage

from kneeline.segment.classes import CLASS_OF, Class
from kneeline.simulate.tissues import Tissue

GRID_MM = 0.65
SHAPE = (230, 308, 246)


class Fabric(IntEnum):
    """Tissues as far as they can differ in grey value within one image: `Tissue` and finer divisions of it."""

    AIR = 0
    MARROW = 1
    CORTEX = 2
    CARTILAGE = 3
    MENISCUS = 4
    MENISCAL_SIGNAL = 5
    FLUID = 6
    LIGAMENT = 7
    MUSCLE = 8
    FAT = 9
    SKIN = 10
    VESSEL = 11
    NERVE = 12
    SYNOVIUM = 13
    RED_MARROW = 14
    MARROW_LESION = 15
    MUSCLE_B = 16
    CRUCIATE = 17  # striated, brighter than tendon
    FAT_PAD = 18
    PHYSIS = 19  # scar of the growth plate


TISSUE_OF = {f: Tissue(f) if f < 16 else None for f in Fabric} | {
    Fabric.MUSCLE_B: Tissue.MUSCLE,
    Fabric.CRUCIATE: Tissue.LIGAMENT,
    Fabric.FAT_PAD: Tissue.FAT,
    Fabric.PHYSIS: Tissue.CORTEX,
}

_BONE_FABRICS = (Fabric.MARROW, Fabric.CORTEX, Fabric.RED_MARROW, Fabric.MARROW_LESION, Fabric.PHYSIS)
_BONES = (Class.FEMUR, Class.TIBIA, Class.PATELLA, Class.FIBULA)
_CARTILAGES = (Class.FEMORAL_CARTILAGE, Class.TIBIAL_CARTILAGE, Class.PATELLAR_CARTILAGE)
MATERIALS: tuple[tuple[Class, Fabric], ...] = (
    *((Class.BACKGROUND, f) for f in Fabric),
    *((bone, f) for bone in _BONES for f in _BONE_FABRICS),
    *((cartilage, Fabric.CARTILAGE) for cartilage in _CARTILAGES),
    (Class.MENISCUS, Fabric.MENISCUS),
    (Class.MENISCUS, Fabric.MENISCAL_SIGNAL),
    (Class.JOINT_FLUID, Fabric.FLUID),
    (Class.JOINT_FLUID, Fabric.SYNOVIUM),
)
CODE = {pair: code for code, pair in enumerate(MATERIALS)}
CLASS_BY_CODE = np.array([int(c) for c, _ in MATERIALS], np.uint8)
FABRIC_BY_CODE = np.array([int(f) for _, f in MATERIALS], np.uint8)

# --- label maps of real knees, as structures numbered like the richest of them (the colour table of the SPL atlas) ---

LATERAL_MENISCUS, MEDIAL_MENISCUS = 81, 82
FEMORAL_CARTILAGE, LATERAL_TIBIAL_CARTILAGE, MEDIAL_TIBIAL_CARTILAGE, PATELLAR_CARTILAGE = 83, 84, 85, 86
FEMUR, TIBIA, FIBULA, PATELLA = 95, 96, 97, 98
QUADRICEPS_TENDON, VASTUS_INTERMEDIUS = 50, 11  # not in the atlas: added by `dress`
FAT_PAD, PATELLAR_LIGAMENT = 9, 35

_CLASS_OF_STRUCTURE = {
    FEMUR: Class.FEMUR,
    TIBIA: Class.TIBIA,
    FIBULA: Class.FIBULA,
    PATELLA: Class.PATELLA,
    FEMORAL_CARTILAGE: Class.FEMORAL_CARTILAGE,
    LATERAL_TIBIAL_CARTILAGE: Class.TIBIAL_CARTILAGE,
    MEDIAL_TIBIAL_CARTILAGE: Class.TIBIAL_CARTILAGE,
    PATELLAR_CARTILAGE: Class.PATELLAR_CARTILAGE,
    LATERAL_MENISCUS: Class.MENISCUS,
    MEDIAL_MENISCUS: Class.MENISCUS,
}


def _fabric_of_structure(s: int) -> Fabric:
    if s in (31, 32):
        return Fabric.CRUCIATE
    if s == FAT_PAD:
        return Fabric.FAT_PAD
    if 11 <= s <= 26:
        return Fabric.MUSCLE_B if s in (16, 21, 24, 26, 12) else Fabric.MUSCLE
    if 31 <= s <= 50:
        return Fabric.LIGAMENT
    if 61 <= s <= 64:
        return Fabric.NERVE
    if 71 <= s <= 78:
        return Fabric.VESSEL
    raise ValueError(f"structure {s} has no fabric")


_DESS = {
    1: FEMORAL_CARTILAGE,
    2: MEDIAL_TIBIAL_CARTILAGE,
    3: LATERAL_TIBIAL_CARTILAGE,
    4: PATELLAR_CARTILAGE,
    5: FEMUR,
    6: TIBIA,
    7: PATELLA,
    8: FIBULA,
    9: LATERAL_MENISCUS,
    10: MEDIAL_MENISCUS,
}


@dataclass(frozen=True)
class _Map:
    file: str
    axes: tuple[int, int, int]  # array axes in the order x, z, y
    flip: tuple[bool, bool, bool]  # so that they grow lateral (a right knee's Right), inferior, posterior
    spacing_mm: tuple[float, float, float]
    smooth_mm: tuple[float, float, float]
    names: dict[int, int] | None = None


MAPS = {
    "spl_left": _Map("spl_left.nrrd", (0, 2, 1), (False, True, True), (0.27734, 1.0, 0.27734), (0.5, 1.3, 0.5)),
    "pymskt_dess_right": _Map(
        "pymskt_dess_right.nrrd", (2, 1, 0), (False, False, False), (0.7, 0.36458, 0.36458), (0.6, 0.3, 0.3), _DESS
    ),
    "mskt_right": _Map(
        "mskt_right.nrrd", (2, 1, 0), (False, False, False), (0.7, 0.36458, 0.36458), (0.6, 0.3, 0.3), _DESS
    ),
    "mskt_left_iso": _Map(
        "mskt_left_iso.nrrd", (2, 1, 0), (True, False, False), (0.35, 0.35, 0.35), (0.3, 0.3, 0.3), _DESS
    ),
}


def read_structures(folder: Path, name: str) -> np.ndarray:
    """A label map as structures on the common grid, uint8 `SHAPE`; shafts are continued beyond the map's ends."""
    import nrrd

    source = MAPS[name]
    array = nrrd.read(str(Path(folder) / source.file))[0].transpose(source.axes)
    array = np.flip(array, [a for a in range(3) if source.flip[a]])
    if source.names is None:
        array = np.where(array == 3, 0, array)  # a stray value of the atlas
    else:
        table = np.zeros(256, np.uint8)
        table[list(source.names)] = list(source.names.values())
        array = table[array]
    plateau = np.isin(array, (LATERAL_TIBIAL_CARTILAGE, MEDIAL_TIBIAL_CARTILAGE))
    centre = np.argwhere(plateau).mean(0)
    steps = [
        np.clip(centre[a] + (np.arange(SHAPE[a]) - (SHAPE[a] - 1) / 2) * GRID_MM / source.spacing_mm[a], 0, n - 1)
        for a, n in enumerate(array.shape)
    ]
    best = np.full(SHAPE, 0.4, np.float32)  # below a half: thin structures shrink when smoothed
    out = np.zeros(SHAPE, np.uint8)
    sigma = np.array(source.smooth_mm) / source.spacing_mm
    pad = np.ceil(4 * sigma).astype(int) + 1
    for value, box in enumerate(ndimage.find_objects(array.astype(np.int32)), start=1):
        if box is None:
            continue
        box = tuple(
            slice(max(b.start - p, 0), min(b.stop + p, n)) for b, p, n in zip(box, pad, array.shape, strict=True)
        )
        soft = ndimage.gaussian_filter((array[box] == value).astype(np.float32), sigma, truncate=3)
        into = []
        for axis, (step, b) in enumerate(zip(steps, box, strict=True)):
            inside = np.flatnonzero((step >= b.start) & (step <= b.stop - 1))
            into.append(slice(inside[0], inside[-1] + 1))
            soft = _linear(soft, axis, step[inside] - b.start)
        into = tuple(into)
        win = soft > best[into]
        best[into] = np.where(win, soft, best[into])
        out[into][win] = value
    return out


def _linear(array: np.ndarray, axis: int, at: np.ndarray) -> np.ndarray:
    """Values at fractional indices along one axis."""
    low = np.minimum(at.astype(int), array.shape[axis] - 1)
    high = np.minimum(low + 1, array.shape[axis] - 1)
    shape = [1, 1, 1]
    shape[axis] = len(at)
    weight = (at - low).astype(np.float32).reshape(shape)
    return np.take(array, low, axis) * (1 - weight) + np.take(array, high, axis) * weight


HARD = tuple(_CLASS_OF_STRUCTURE)


def _distance_mm(mask: np.ndarray, near_mm: float | None = None) -> np.ndarray:
    """Distance to a mask, mm; with `near_mm` only exact that near (computed in the mask's surroundings)."""
    if near_mm is None:
        return ndimage.distance_transform_edt(~mask).astype(np.float32) * GRID_MM
    out = np.full(mask.shape, np.float32(1e3))
    where = np.argwhere(mask)
    if len(where):
        pad = int(near_mm / GRID_MM) + 2
        low, high = where.min(0) - pad, where.max(0) + pad + 1
        box = tuple(slice(max(lo, 0), hi) for lo, hi in zip(low, high, strict=True))
        out[box] = ndimage.distance_transform_edt(~mask[box]) * GRID_MM
    return out


def _smooth_field(rng: np.random.Generator, shape, step: int) -> np.ndarray:
    """A smooth random field of unit variance."""
    coarse = rng.standard_normal([n // step + 4 for n in shape]).astype(np.float32)
    coarse = ndimage.gaussian_filter(coarse, 0.8)
    field = coarse
    for axis, n in enumerate(shape):
        field = _linear(field, axis, np.linspace(1, field.shape[axis] - 2.001, n))
    return field / field.std()


def _envelope(filled: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Distance (mm) outside the deep fascia (negative inside it), and the depth of the subcutaneous fat there."""
    step = 4
    coarse = filled[::step, ::step, ::step]
    mm = step * GRID_MM
    closing = 28.0 / mm
    pad = int(closing) + 2
    padded = np.pad(coarse, ((pad, pad), (0, 0), (pad, pad)))
    outside = ndimage.distance_transform_edt(~padded, sampling=(1, 1.6, 1))  # wider reach within a cross-section
    closed = ndimage.distance_transform_edt(outside <= closing) > closing
    closed |= padded
    signed = ndimage.distance_transform_edt(~closed) - ndimage.distance_transform_edt(closed)
    signed = ndimage.gaussian_filter(signed, 1.0)[pad:-pad, :, pad:-pad] * mm
    for axis, n in enumerate(filled.shape):
        signed = _linear(signed, axis, np.minimum(np.arange(n) / step, signed.shape[axis] - 1))
    fat = rng.uniform(3, 11) * (1 + 0.35 * _smooth_field(rng, filled.shape, 60))
    return signed, np.maximum(fat, 1.5)


def dress(structures: np.ndarray, seed: int, effusion: float) -> np.ndarray:
    """Material codes of a whole limb around the given structures.

    Adds what label maps leave out: skin, subcutaneous and intermuscular fat, deep fascia, quadriceps tendon and vastus
    intermedius, prefemoral and quadriceps fat pads with the suprapatellar recess between them, fluid in the joint line,
    gutters and behind the condyles, synovial lining, cortex, physeal scars.

    Parameters
    ----------
    structures
        uint8 `SHAPE`, numbered as above.
    effusion
        0 (dry: recesses collapsed to a dark line) to 1 (large, recess over 15 mm deep).
    """
    rng = np.random.default_rng(seed)
    s = structures.copy()
    _, iz, iy = np.indices(s.shape, np.int16, sparse=True)
    ix = np.arange(s.shape[0])[:, None, None]
    patella = np.argwhere(s == PATELLA)
    top = int(np.percentile(patella[:, 1], 0.5))
    upper = patella[patella[:, 1] < top + 8 / GRID_MM]
    px, py = np.median(upper[:, 0]), np.percentile(upper[:, 2], 35)
    half_width = (np.percentile(patella[:, 0], 98) - np.percentile(patella[:, 0], 2)) / 2

    # Quadriceps tendon: from the upper pole along the shaft, thin and broad; muscle takes over higher up.
    rise = (top - iz) * GRID_MM  # mm above the pole
    bow = 0.004 * np.maximum(rise, 0) ** 1.3
    lean = rng.uniform(-0.05, 0.16)
    centre_y = py + (lean * rise - bow) / GRID_MM
    across = np.abs(ix - px) / (half_width * np.clip(1 - rise / 140, 0.5, 1))
    depth = np.abs(iy - centre_y) * GRID_MM
    free = ~np.isin(s, HARD)
    thick = rng.uniform(2.4, 3.8) * np.sqrt(np.maximum(1 - across**2, 0))
    tendon = (rise > -5) & (depth < thick) & free
    s[tendon] = QUADRICEPS_TENDON
    start = rng.uniform(30, 60)
    behind = (iy - centre_y) * GRID_MM
    d_femur = _distance_mm(s == FEMUR)
    gap_fat = rng.uniform(2.0, 4.5)
    muscle = (rise > start + 8 * np.abs(ix - px) / half_width * rng.uniform(-1, 0.3)) & (behind > thick + 0.5)
    muscle = muscle & (d_femur > gap_fat) & (d_femur < 34) & (iy < np.median(iy) + 12) & (s == 0) & (across < 1.9)
    anterior_of_femur = iy < (np.argwhere(s == FEMUR)[:, 2].mean() + 4)
    s[muscle & anterior_of_femur] = VASTUS_INTERMEDIUS
    rectus = (rise > start + 15) & (behind < -thick) & (behind > -thick - np.clip((rise - start - 15) / 3, 0, 9))
    s[rectus & (across < 0.9) & (s == 0)] = VASTUS_INTERMEDIUS

    signed, fat_mm = _envelope(s > 0, rng)
    code = np.full(s.shape, CODE[Class.BACKGROUND, Fabric.FAT], np.uint8)
    code[signed > fat_mm] = CODE[Class.BACKGROUND, Fabric.SKIN]
    code[signed > fat_mm + rng.uniform(1.0, 2.2)] = CODE[Class.BACKGROUND, Fabric.AIR]
    fascia = (np.abs(signed) < rng.uniform(0.35, 0.9)) & (s == 0)
    code[fascia] = CODE[Class.BACKGROUND, Fabric.LIGAMENT]
    inner = (signed < 0) & (s == 0)

    _add_marrow_and_soft(code, s, rng)
    _add_fluid(code, s, inner, d_femur, rise, ix - px, half_width, effusion, rng)
    _add_cortex(code, s, rng)
    return code


def _add_marrow_and_soft(code, s, rng):
    for value in np.unique(s):
        if value == 0:
            continue
        where = s == value
        if value in _CLASS_OF_STRUCTURE:
            cls = _CLASS_OF_STRUCTURE[value]
            fabric = Fabric.MARROW if cls in _BONES else Fabric.MENISCUS if cls == Class.MENISCUS else Fabric.CARTILAGE
            code[where] = CODE[cls, fabric]
        else:
            fabric = Fabric.MUSCLE if value == VASTUS_INTERMEDIUS else _fabric_of_structure(int(value))
            code[where] = CODE[Class.BACKGROUND, fabric]


def _add_fluid(code, s, inner, d_femur, rise, beside, half_width, effusion, rng):
    """Fluid where it lies in a knee, between fat pads that stay; `beside` is x from the patella's middle in voxels."""
    fluid_code = CODE[Class.JOINT_FLUID, Fabric.FLUID]
    synovium = CODE[Class.BACKGROUND, Fabric.SYNOVIUM if rng.random() < 0.6 else Fabric.LIGAMENT]
    free = inner | np.isin(s, (FAT_PAD,))
    extensor = np.isin(s, (QUADRICEPS_TENDON, PATELLA, VASTUS_INTERMEDIUS, 12, 13))
    d_extensor = _distance_mm(extensor)
    femoral = _distance_mm(s == FEMORAL_CARTILAGE, 14)
    tibial = _distance_mm(np.isin(s, (LATERAL_TIBIAL_CARTILAGE, MEDIAL_TIBIAL_CARTILAGE)), 6)
    menisci = _distance_mm(np.isin(s, (LATERAL_MENISCUS, MEDIAL_MENISCUS)), 6)
    patellar = _distance_mm(np.isin(s, (PATELLAR_CARTILAGE, PATELLA)), 8)
    d_patellar = _distance_mm(s == PATELLAR_CARTILAGE, 8)
    wave = _smooth_field(rng, s.shape, 34)
    fine = _smooth_field(rng, s.shape, 12)

    # Suprapatellar recess: a sheet between two fat pads, at a fraction of the way from femur to extensor apparatus.
    gap = d_femur + d_extensor
    fraction = rng.uniform(0.35, 0.75) + 0.08 * wave
    height = rng.uniform(28, 60)
    width = half_width * rng.uniform(1.0, 1.5)
    shape = np.clip(1 - (np.maximum(rise, 0) / height) ** 3, 0, 1) * np.clip(1 - (np.abs(beside) / width) ** 4, 0, 1)
    deepest = {True: rng.uniform(0.0, 0.9), False: 1.0 + 18 * effusion ** rng.uniform(1.0, 1.6)}[effusion < 0.15]
    depth = deepest * shape * np.clip(1 + 0.35 * wave + 0.25 * fine, 0.2, 2)
    from_sheet = np.abs(d_femur - fraction * gap)
    pad_fat = rng.uniform(0.8, 3.5) * (1 - 0.6 * effusion)
    femur = np.argwhere(s == FEMUR)
    rows = np.arange(s.shape[1])
    axis_y = np.bincount(femur[:, 1], femur[:, 2], len(rows)) / np.maximum(
        np.bincount(femur[:, 1], minlength=len(rows)), 1
    )
    in_front = np.arange(s.shape[2])[None, None, :] < np.where(axis_y > 0, axis_y, s.shape[2])[None, :, None]
    in_recess = (
        free & in_front & (gap < 38) & (rise > -22) & (d_femur > pad_fat) & (d_extensor > rng.uniform(0.3, 3) * shape)
    )
    recess = in_recess & (from_sheet < depth / 2)
    lining = in_recess & (shape > 0.05) & ~recess & (from_sheet < depth / 2 + rng.uniform(0.4, 0.9))

    # Joint line, patellofemoral joint, around menisci and cruciates, behind the condyles, gutters.
    film = rng.uniform(0.4, 1.0) + 1.2 * effusion
    joint = free & (femoral < film + 0.5) & ((tibial < film + 1.0) | (menisci < film))
    joint |= free & (femoral < 0.8 + 1.5 * film) & (d_patellar < 0.8 + 1.5 * film)
    joint |= free & (menisci < film) & (fine > 0.9 - effusion) & (femoral < 6)
    behind = free & (femoral < (0.3 + 5 * effusion) * np.clip(0.6 + 0.6 * wave, 0, 2)) & (patellar > 6)
    gutter = (
        free & (d_femur < (0.2 + 5.5 * effusion) * np.clip(0.5 + 0.7 * wave + 0.3 * fine, 0, 2)) & (rise < 10)
        & (rise > -62) & (femoral < 13) & (d_extensor < 45)
    )  # fmt: skip
    notch = (
        free & (femoral < 12) & (fine + 0.5 * wave > 1.6 - 1.2 * effusion) & (tibial > 1) & (d_femur < 8) & (rise < -25)
    )
    hoffa = (s == FAT_PAD) & (femoral < 4 + 6 * effusion) & (fine > 1.7 - effusion)
    wet = joint | behind | gutter | notch | hoffa
    wall = ndimage.binary_dilation(wet, iterations=1) & free & ~wet
    code[wall] = synovium
    code[lining] = synovium
    code[wet | recess] = fluid_code


def _add_cortex(code, s, rng):
    """Dark shells of the bones, thick on shafts and thin under cartilage, and the scars of the growth plates."""
    plateau = SHAPE[1] // 2
    z = (np.arange(SHAPE[1])[None, :, None] - plateau) * GRID_MM  # mm below the plateau
    thin, shaft = rng.uniform(0.7, 1.2), rng.uniform(2.2, 4.0)
    for structure, cls in (
        (FEMUR, Class.FEMUR),
        (TIBIA, Class.TIBIA),
        (FIBULA, Class.FIBULA),
        (PATELLA, Class.PATELLA),
    ):
        bone = s == structure
        if not bone.any():
            continue
        inside = ndimage.distance_transform_edt(bone).astype(np.float32) * GRID_MM
        shell = thin + (shaft - thin) * np.clip((np.abs(z) - 38) / 35, 0, 1)
        if structure in (FIBULA, PATELLA):
            shell = np.full_like(shell, thin * rng.uniform(1.0, 1.5))
        # The first voxel layer is half outside: 0.3 mm of it do not count.
        code[bone & (inside - 0.3 < shell * (1 + 0.2 * _smooth_field(rng, s.shape, 30)))] = CODE[cls, Fabric.CORTEX]
        if structure in (FEMUR, TIBIA) and rng.random() < 0.8:
            level = -rng.uniform(24, 32) if structure == FEMUR else rng.uniform(13, 20)
            bend = 2.5 * _smooth_field(rng, (s.shape[0], 1, s.shape[2]), 24)
            scar = bone & (np.abs(z - level - bend) < rng.uniform(0.35, 0.7)) & (inside > shell)
            code[scar] = CODE[cls, Fabric.PHYSIS]


def from_simulated(labels: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    """Material codes of a simulated knee from its two volumes (`kneeline.labels.Label`, `Tissue`), any shape."""
    classes = np.zeros(256, np.uint8)
    for label, cls in CLASS_OF.items():
        classes[int(label)] = int(cls)
    pairs = np.zeros((len(Class), 256), np.uint8)
    for cls in Class:
        fallback = {c: code for (c, _), code in reversed(CODE.items())}[cls]
        pairs[cls] = fallback
        for tissue_value in Tissue:
            pairs[cls, tissue_value] = CODE.get((cls, Fabric(int(tissue_value))), fallback)
    return pairs[classes[labels], tissue]
