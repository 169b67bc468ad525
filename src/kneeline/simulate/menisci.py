"""The menisci: two C-shaped wedges that fill the gap between the femur's and the tibia's cartilage.

Each is described in its own bent coordinates: the angle phi along the C (0 at the body, +90 deg in front), the depth
from the outer margin inwards, and the distances to the inferior and superior articular surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kneeline.simulate.bones import Bones
from kneeline.simulate.parameters import Knee
from kneeline.simulate.shapes import Grid, smooth_step

_CLEAR_MM = 0.12  # of the cartilage surfaces
_RIM_MM, _DROP_MM = -8.0, 3.0  # what lies lower is the tibia's side; so far below the middle level the plateau ends
REGION_CENTRES = {"anterior_horn": 0.62, "body": 0.0, "posterior_horn": -0.62}  # share of the half arc


@dataclass(frozen=True)
class Meniscus:
    """One meniscus on a part of the grid (`box`); fields in mm except `phi_deg`."""

    box: tuple[slice, slice, slice]
    inside: np.ndarray
    phi_deg: np.ndarray
    depth_mm: np.ndarray  # from the outer margin inwards
    width_mm: np.ndarray  # of the wedge at this phi
    arc_mm: np.ndarray  # along the C, measured halfway through the wedge, 0 at the body
    inferior_mm: np.ndarray  # to the inferior surface
    superior_mm: np.ndarray  # to the superior surface
    half_arc_deg: float

    @property
    def region(self) -> np.ndarray:
        """0 anterior horn, 1 body, 2 posterior horn: thirds of the arc."""
        third = self.half_arc_deg / 3
        return np.where(self.phi_deg > third, 0, np.where(self.phi_deg < -third, 2, 1)).astype(np.int8)


def _underside(above: np.ndarray, z: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Level of the plateau in each column, (X, Y, 1) mm; beside the plateau that of its nearest rim.

    Parameters
    ----------
    above
        Distance to the tibial surface, (X, Y, Z) mm.
    """
    top = np.where((above <= 0).any(2), z[above.shape[2] - 1 - (above <= 0)[:, :, ::-1].argmax(2)], -np.inf)
    on_plateau = top > np.quantile(top[top > _RIM_MM], 0.5) - _DROP_MM
    nearest = ndimage.distance_transform_edt(
        ~on_plateau, sampling=spacing_mm, return_distances=False, return_indices=True
    )
    return top[tuple(nearest)][:, :, None].astype(np.float32)


def build_meniscus(knee: Knee, bones: Bones, grid: Grid, side: int) -> Meniscus:
    """`side` is -1 for the medial and +1 for the lateral meniscus (of a right knee)."""
    half, depth, s = knee.tibial_width_ratio * knee.epicondylar_width_mm / 2, knee.tibial_depth_mm / 2, knee.scale
    if side < 0:
        outer, ax, ay, cy = half - 0.3 + knee.medial_extrusion_mm, 0.50 * half, 0.88 * depth, 0.3
        opening = knee.medial_opening_deg
        widths = knee.medial_anterior_width_mm, knee.medial_body_width_mm, knee.medial_posterior_width_mm
        heights = 0.92, 0.95, 1.08
    else:
        outer, ax, ay, cy = half - 0.6, 0.44 * half, 0.73 * depth, -1.6 * s
        opening = knee.lateral_opening_deg
        widths = (knee.lateral_width_mm,) * 3
        heights = 0.95, 1.0, 1.0
    cx = outer - ax
    low, high = sorted((side * (outer + 3), side * -2.0))
    box = grid.box((low, -depth - 12, -12), (high, depth + 12, 18))
    part = grid.crop(box)
    y, _ = bones.pose.tibia.coordinates(part)
    dx, dy = side * part.x - np.float32(cx), y - np.float32(cy)
    reach = np.hypot(dx / np.float32(ax), dy / np.float32(ay))
    radius = np.hypot(dx, dy)
    edge = radius / np.maximum(reach, 1e-3)  # centre to margin in this direction
    phi = np.rad2deg(np.arctan2(dy / np.float32(ay), dx / np.float32(ax))).astype(np.float32)
    into = edge - radius
    width = np.interp(phi, [-95, -20, 20, 80], [widths[2], widths[1], widths[1], widths[0]]).astype(np.float32)
    tall = np.interp(phi, [-80, 0, 80], heights[::-1]).astype(np.float32) * np.float32(knee.meniscus_height_mm)
    root = smooth_step(np.abs(phi), opening, opening - 26).astype(np.float32)
    width = width * (0.45 + 0.55 * root)
    tall = tall * (0.35 + 0.65 * root)
    q = 1 - into / width

    above = bones.tibia[box] - bones.tibial_thickness[box] - np.float32(_CLEAR_MM)
    # What overhangs the rim of the plateau goes on at the plateau's level: it does not hang down the side of the tibia.
    inferior = np.minimum(above, part.z - _underside(above, part.z.ravel(), grid.spacing_mm))
    femoral = bones.femur[box] - bones.femoral_thickness[box] - np.float32(_CLEAR_MM)
    # Free upper face, where the femur lies further off than the wedge is tall; its outer shoulder is rounded.
    rim = np.clip(into / 1.6, 0, 1)
    lid = tall * np.clip(q, 0, 1) ** 0.85 * (0.72 + 0.28 * np.sqrt(rim * (2 - rim))) + np.float32(0.55)
    superior = np.minimum(femoral, lid - inferior)
    inside = (inferior > 0) & (superior > 0) & (into > 0) & (q > 0) & (np.abs(phi) < opening)
    inside &= (part.z > -8) & (bones.femur[box] > 0)
    middle = np.maximum(edge - width / 2, 4)
    arc = np.deg2rad(phi) * middle
    full = np.broadcast_to
    return Meniscus(
        box,
        inside,
        full(phi, inside.shape),
        full(into, inside.shape),
        full(width, inside.shape),
        full(arc, inside.shape),
        inferior,
        superior,
        opening,
    )
