"""Joint fluid: its volume by recess, how deep the suprapatellar pouch is, and whether all of that is in the image.

Without contrast agent fluid cannot be told from synovium, so all of it is "effusion-synovitis".

Everything is measured along the femur's own axes (`axes`), so that it does not depend on how the knee lies in the
scanner. Suprapatellar is what lies above the patella's upper pole along the femur. Depth is antero-posterior, across
the long axis (perpendicular to the femur's anterior cortex). The midline is the patella's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kneeline.grading import (
    EFFUSION_DEPTH,
    EFFUSION_VOLUME,
    RECESSES,
    THICK_SLICE_MM,
    grade_effusion_depth,
    grade_effusion_volume,
)
from kneeline.labels import Label
from kneeline.score.axes import Axes, knee_axes
from kneeline.score.frame import FAT_BRIGHT, Knee
from kneeline.score.outside import behind_in_view, bursa_voxels, cyst_voxels
from kneeline.score.places import Place
from kneeline.score.pouch import measure_depths, near_border, pouch_in_view
from kneeline.score.recesses import SUPRAPATELLAR, Cells, Patella, Recesses, divide, find_patella, make_cells
from kneeline.score.rows import as_stored
from kneeline.tables import EFFUSION, KNEE_KEYS, Row

# Less fluid than this in front of the patella is not worth a flag.
BURSA_ML = 0.5
# No more than this of a recess near the image's border is a speck, not fluid that goes on beyond it.
BORDER_MM3 = 30.0
# A femur smaller than this is none, and shows neither axis nor sides.
LEAST_FEMUR_ML = 1.0


@dataclass(frozen=True, eq=False)
class Fluid:
    """A knee's fluid voxels and where each belongs.

    voxels: (N, 3) indices; recess: (N,) 1.. in the order of grading.RECESSES, 0 without a patella; cyst, bursa: (N,)
    bool, behind and in front of the joint and not of it. parts and patella are None without a patella.
    """

    axes: Axes
    cells: Cells
    voxels: np.ndarray
    cyst: np.ndarray
    bursa: np.ndarray
    recess: np.ndarray
    parts: Recesses | None
    patella: Patella | None

    @property
    def of_joint(self) -> np.ndarray:
        return ~(self.cyst | self.bursa)

    def of(self, recess: int) -> np.ndarray:
        """Voxels of the joint's fluid in one recess, (N, 3)."""
        return self.voxels[self.of_joint & (self.recess == recess)]


def find_fluid(knee: Knee) -> Fluid:
    """Divide the fluid of a knee whose femur is labelled."""
    axes, mask = knee_axes(knee), knee.mask(Label.JOINT_FLUID)
    cells, patella = make_cells(knee, axes), find_patella(knee, axes)
    voxels = np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape), axis=-1)
    coordinates = axes.coordinates(knee.labels.geometry.to_world(voxels))
    parts = divide(cells, patella) if patella else None
    recess = np.zeros(len(voxels), np.uint8)
    if parts:
        recess = parts.recess[cells.at(coordinates)]
        # The level of the pole is known better than to a cell.
        above = coordinates[:, 2] > patella.pole
        recess = _level_out(recess, above, coordinates, parts, patella)
    cyst, bursa = (find(mask, knee.spacing_mm, cells, voxels, coordinates) for find in (cyst_voxels, bursa_voxels))
    return Fluid(axes, cells, voxels, cyst, bursa, recess, parts, patella)


def _level_out(recess, above, coordinates, parts: Recesses, patella: Patella) -> np.ndarray:
    """Recesses with the border at the upper pole where it is, not where the cells' borders are."""
    wrong = above != (recess == SUPRAPATELLAR)
    wrong &= np.abs(coordinates[:, 2] - patella.pole) < 2.0
    moved = coordinates[wrong]
    moved[:, 2] += np.where(above[wrong], 2.0, -2.0)
    recess = recess.copy()
    recess[wrong] = parts.recess[parts.cells.at(moved)]
    return recess


def measure_effusion(knee: Knee, contrast: str | None = None) -> Row:
    """The row of `find_effusion` alone."""
    return find_effusion(knee, contrast)[0]


def find_effusion(knee: Knee, contrast: str | None = None) -> tuple[Row, list[Place]]:
    """A row of tables.EFFUSION without knee keys; missing (None) where bones needed for it are absent. With the
    lines along which both depths were measured.

    `contrast` is the contrast class of the image: where fat is bright, the row has the flag `not_fat_suppressed`.

    The recesses that are not missing add up to `fluid_ml`.
    """
    row: Row = dict.fromkeys(name for name in EFFUSION.header if name not in (*KNEE_KEYS, "verdict"))
    ml = knee.image.voxel_mm3 / 1000
    if knee.count(Label.FEMUR) * ml < LEAST_FEMUR_ML:
        return row | {"flags": "not_segmented"}, []
    places: list[Place] = []
    fluid = find_fluid(knee)
    flags = [] if len(fluid.voxels) else ["no_fluid_found"]
    cyst_ml, bursa_ml = (float(np.count_nonzero(part) * ml) for part in (fluid.cyst, fluid.bursa))
    row["fluid_ml"] = float(fluid.of_joint.sum() * ml)
    row["popliteal_cyst_ml"] = cyst_ml if cyst_ml or behind_in_view(knee, fluid.axes, fluid.cells) else None
    if cyst_ml:
        flags.append("popliteal_cyst_excluded")
    if bursa_ml >= BURSA_ML:
        flags.append("prepatellar_fluid_excluded")
    if fluid.patella is None:
        flags.append("no_patella")
    else:
        row["prepatellar_ml"] = bursa_ml
        pouch, places = _pouch(knee, fluid, flags)
        row |= pouch
        cut_off = _cut_off(knee, fluid)
        row |= _recess_volumes(fluid, ml, cut_off)
        row["fluid_in_view"] = row["pouch_in_view"] and not cut_off - {SUPRAPATELLAR}
        flags += [f"{RECESSES[k - 1]}_cut_off" for k in sorted(cut_off - {SUPRAPATELLAR})]
    if fluid.axes.source == "scanner":
        flags.append("axis_of_scanner")
    if knee.slice_spacing_mm > THICK_SLICE_MM:
        flags.append("thick_slices")
    if contrast in FAT_BRIGHT:
        flags.append("not_fat_suppressed")
    return grade_row(as_stored(row)) | {"flags": ",".join(flags) or None}, places


def _cut_off(knee: Knee, fluid: Fluid) -> set[int]:
    """Recesses that the image does not show, or whose fluid runs into its border."""
    found = {k for k, name in enumerate(RECESSES, start=1) if not fluid.parts.in_view(name)}
    for k in range(1, len(RECESSES) + 1):
        before, after = near_border(knee, fluid.of(k))
        if np.count_nonzero((before | after).any(1)) * knee.labels.voxel_mm3 > BORDER_MM3:
            found.add(k)
    return found


def _recess_volumes(fluid: Fluid, ml: float, cut_off: set[int]) -> Row:
    counts = {k: len(fluid.of(k)) for k in range(1, len(RECESSES) + 1)}
    return {f"{RECESSES[k - 1]}_ml": float(n * ml) if n or k not in cut_off else None for k, n in counts.items()}


def _pouch(knee: Knee, fluid: Fluid, flags: list[str]) -> tuple[Row, list[Place]]:
    voxels = fluid.of(SUPRAPATELLAR)
    pouch = np.zeros(knee.labels.shape, bool)
    pouch[tuple(voxels.T)] = True
    depths = dict(
        zip(
            ("midline_depth_mm", "lateral_depth_mm"),
            measure_depths(knee, fluid.axes, fluid.parts, fluid.patella, pouch, voxels),
            strict=True,
        )
    )
    in_view = pouch_in_view(knee, fluid.axes, fluid.patella, voxels)
    if not fluid.patella.whole:
        flags.append("patella_cut_off")
    if not in_view:
        flags.append("pouch_truncated")
    row = {name: None if depth is None else depth.mm for name, depth in depths.items()}
    places = [Place("effusion", name, [{}], line=d.line) for name, d in depths.items() if d and d.line is not None]
    return row | {"pouch_in_view": in_view}, places


def grade_row(row: Row) -> Row:
    """Both grades, from the row's own measurements."""
    return row | {
        "effusion_grade": grade_effusion_depth(
            row["midline_depth_mm"], row["lateral_depth_mm"], EFFUSION_DEPTH, pouch_in_view=row["pouch_in_view"]
        ),
        "effusion_grade_volume": grade_effusion_volume(
            row["fluid_ml"], EFFUSION_VOLUME, fluid_in_view=row["fluid_in_view"]
        ),
    }
