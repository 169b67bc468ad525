"""Joint fluid: volume, the suprapatellar part, its depth, and whether the suprapatellar pouch is in the image.

Without contrast agent fluid cannot be told from synovium, so all of it is "effusion-synovitis".

Up is the world's superior axis, turned by at most `MAX_TILT_DEGREES` to the femur's long axis where enough of the
shaft is seen. Suprapatellar is what lies above the patella's upper pole along that axis. Depth is antero-posterior,
across the long axis within sagittal images (perpendicular to the femur's anterior cortex): the longest unbroken run
of fluid on any line. The midline is the patella's; lateral are the images beside it on the lateral side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from kneeline.grading import EFFUSION_DEPTH, EFFUSION_VOLUME, grade_effusion_depth, grade_effusion_volume
from kneeline.labels import Label
from kneeline.score.frame import THICK_SLICE_MM, Knee, box_around
from kneeline.score.rows import as_stored
from kneeline.tables import Row

# The pouch reaches 4-6 cm above the patella when full; with less image than this above the upper pole, or with fluid
# this close to the image's top, its end may be cut off.
MIN_HEADROOM_MM = 20.0
TOP_MARGIN_MM = 3.0
# Half width of the midline band, and where "lateral" begins, from the patella's midline.
MIDLINE_MM = 4.0
LATERAL_FROM_MM = 8.0
# A dark fold or a noisy pixel this wide does not break a run of fluid.
FOLD_MM = 1.0
# A separate fluid collection of at least this volume behind the femoral condyles, and nowhere this near to them, is a
# popliteal (Baker's) cyst: fluid of the joint's own posterior recesses lies on the condyles.
CYST_ML = 1.0
CYST_GAP_MM = 4.0
# A shaft shorter than this tells no axis, and an axis further from the scanner's is not believed.
MIN_SHAFT_MM = 30.0
MAX_TILT_DEGREES = 25.0
# A bone is described as well by this many of its voxels as by all.
ENOUGH_POINTS = 100_000


@dataclass(frozen=True, eq=False)
class Axes:
    """Unit vectors of the knee in its (right-knee) world: up along the femur, forward across it; x stays lateral."""

    up: np.ndarray
    forward: np.ndarray


def measure_effusion(knee: Knee) -> Row:
    """A row of tables.EFFUSION without knee keys; missing (None) where bones needed for it are absent."""
    names = ("fluid_ml", "suprapatellar_ml", "midline_depth_mm", "lateral_depth_mm", "pouch_in_view")
    row: Row = dict.fromkeys((*names, "effusion_grade", "effusion_grade_volume", "flags"))
    if not knee.mask(Label.FEMUR).any():
        return row | {"flags": "not_segmented"}
    flags = []
    fluid, cyst_ml = _without_cyst(knee)
    if not knee.mask(Label.JOINT_FLUID).any():
        flags.append("no_fluid_found")
    if cyst_ml:
        flags.append("popliteal_cyst_excluded")
    row["fluid_ml"] = float(fluid.sum()) * knee.image.voxel_mm3 / 1000
    patella = knee.world(knee.mask(Label.PATELLA))
    if not len(patella):
        flags.append("no_patella")
    else:
        axes = knee_axes(knee)
        voxels = np.argwhere(fluid)
        points = knee.labels.geometry.to_world(voxels)
        # Rounding must not lift the level of the pole above itself.
        pole, middle = np.quantile(patella @ axes.up, 0.995) + 1e-6, np.median(patella[:, 0])
        above = points @ axes.up > pole
        voxels, points = voxels[above], points[above]
        imaged = _sparse_points(knee)
        imaged = imaged[imaged @ axes.up > pole]
        if len(imaged):
            row["suprapatellar_ml"] = len(points) * knee.image.voxel_mm3 / 1000
        half_width = max(MIDLINE_MM, 0.51 * knee.spacing_mm[0])
        for name, low, high in (
            ("midline_depth_mm", -half_width, half_width),
            ("lateral_depth_mm", LATERAL_FROM_MM, np.inf),
        ):
            chosen, reached = ((low <= x) & (x <= high) for x in (points[:, 0] - middle, imaged[:, 0] - middle))
            # Without an image there, no fluid was seen because nothing was.
            if reached.any():
                row[name] = _depth(voxels[chosen, 0], points[chosen], axes, knee)
        if row["lateral_depth_mm"] is None:
            flags.append("lateral_not_in_view")
        row["pouch_in_view"] = _pouch_in_view(knee, voxels, patella, axes)
        if not row["pouch_in_view"]:
            flags.append("pouch_truncated")
        if knee.spacing_mm[0] > THICK_SLICE_MM:
            flags.append("thick_slices")
    return grade_row(as_stored(row)) | {"flags": ",".join(flags) or None}


def grade_row(row: Row) -> Row:
    """Both grades, from the row's own measurements."""
    seen = row["pouch_in_view"]
    return row | {
        "effusion_grade": grade_effusion_depth(
            row["midline_depth_mm"], row["lateral_depth_mm"], EFFUSION_DEPTH, pouch_in_view=seen
        ),
        "effusion_grade_volume": grade_effusion_volume(row["fluid_ml"], EFFUSION_VOLUME, pouch_in_view=seen),
    }


def knee_axes(knee: Knee) -> Axes:
    """Up from the middle line of the femoral shaft, where it is long enough; else the scanner's superior axis."""
    scanner_up = np.array([0.0, 0.0, 1.0])
    up = scanner_up
    femur = knee.world(knee.mask(Label.FEMUR), at_most=ENOUGH_POINTS)
    # Above the condyles: the femur's own height tells where they end (condyles and flare: about 55 mm).
    level = femur[:, 2]
    shaft = femur[level > level.min() + 55.0]
    if len(shaft) and np.ptp(shaft[:, 2]) >= MIN_SHAFT_MM:
        centres = _level_centres(shaft)
        slope = np.polyfit(centres[:, 2], centres[:, 1], 1)[0]
        candidate = np.array([0.0, slope, 1.0]) / np.hypot(slope, 1)
        if np.degrees(np.arccos(candidate @ scanner_up)) <= MAX_TILT_DEGREES:
            up = candidate
    return Axes(up, np.array([0.0, up[2], -up[1]]))


def _level_centres(points: np.ndarray, step_mm: float = 3.0) -> np.ndarray:
    """Midpoints of the front and back of a bone at levels `step_mm` apart, (L, 3)."""
    level = np.floor((points[:, 2] - points[:, 2].min()) / step_mm).astype(int)
    centres = []
    for k in np.unique(level):
        here = points[level == k]
        centres.append([np.median(here[:, 0]), here[:, 1].min() / 2 + here[:, 1].max() / 2, here[:, 2].mean()])
    return np.array(centres)


def _without_cyst(knee: Knee) -> tuple[np.ndarray, float]:
    """Joint fluid without separate collections behind the femoral condyles, and what was left out (mL)."""
    fluid = knee.mask(Label.JOINT_FLUID)
    box = box_around(fluid, knee.spacing_mm, 0)
    if box is None:
        return fluid, 0.0
    labelled = np.zeros(fluid.shape, np.int32)
    labelled[box], _ = ndimage.label(fluid[box], np.ones((3, 3, 3)))
    volume_ml = np.bincount(labelled.ravel()) * knee.image.voxel_mm3 / 1000
    cyst_ml, femur = 0.0, None
    for k in np.flatnonzero(volume_ml[1:] >= CYST_ML) + 1:
        if femur is None:
            mask = knee.mask(Label.FEMUR, Label.FEMORAL_CARTILAGE)
            femur = knee.world(mask, at_most=ENOUGH_POINTS)
            back, reach = np.quantile(femur[:, 1], 0.005), cKDTree(femur)
        points = knee.world(labelled == k)
        if np.median(points[:, 1]) < back and reach.query(points[::7])[0].min() > CYST_GAP_MM:
            fluid = fluid & (labelled != k)
            cyst_ml += float(volume_ml[k])
    return fluid, cyst_ml


def _sparse_points(knee: Knee, steps: int = 33) -> np.ndarray:
    """World points of every image, on `steps` rows and columns of it including the outermost, (N, 3) mm."""
    i, j, k = knee.image.shape
    index = np.meshgrid(np.arange(i), np.linspace(0, j - 1, steps), np.linspace(0, k - 1, steps), indexing="ij")
    return knee.image.geometry.to_world(np.stack(index, axis=-1).reshape(-1, 3))


def _depth(image: np.ndarray, points: np.ndarray, axes: Axes, knee: Knee) -> float:
    """Longest antero-posterior run of fluid (mm) over sagittal images and levels; image: each point's image, (N,)."""
    if not len(points):
        return 0.0
    along, level = points @ axes.forward, points @ axes.up
    pixel = max(knee.spacing_mm[1], knee.spacing_mm[2])
    line = np.floor((level - level.min()) / pixel).astype(int)
    order = np.lexsort((along, line, image))
    along, line, image = along[order], line[order], image[order]
    breaks = (np.diff(image) != 0) | (np.diff(line) != 0) | (np.diff(along) > FOLD_MM + 1.5 * pixel)
    starts = np.concatenate([[0], np.flatnonzero(breaks) + 1])
    ends = np.concatenate([np.flatnonzero(breaks), [len(along) - 1]])
    return float((along[ends] - along[starts]).max() + knee.spacing_mm[2])


def _pouch_in_view(knee: Knee, fluid: np.ndarray, patella: np.ndarray, axes: Axes) -> bool:
    """Whether the image goes on above the pouch: enough of it above the patella, and fluid ends before it does.

    fluid: voxels of suprapatellar fluid, (N, 3); array axis 1 grows downwards from the image's upper edge.
    """
    corner = knee.image.geometry.to_voxel(patella.mean(0))
    corner[1] = -0.5
    top = float(knee.image.geometry.to_world(corner) @ axes.up)
    if top - np.quantile(patella @ axes.up, 0.995) < MIN_HEADROOM_MM:
        return False
    return not len(fluid) or bool(fluid[:, 1].min() * knee.spacing_mm[1] > TOP_MARGIN_MM)
