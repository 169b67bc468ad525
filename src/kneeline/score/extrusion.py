"""The meniscus as a whole: volume, thickness, extrusion from the joint, and how much of the plateau it covers.

Extrusion and coverage are measured in the tibia's own frame, so that turning the knee in the scanner changes nothing:
up is the normal of the plane through both tibial plates, outward runs across the joint from one plate's centre to the
other's. Plate, meniscus and tibia are looked at from above, on a fine grid along these axes.

Extrusion is how much further out the meniscus reaches than the plate (`extrusion_mm`, the definition of pymskt's
`compute_meniscal_extrusion`) or than the bony margin of the plateau (`margin_extrusion_mm`, as a reader measures it on
a coronal image), both in a band over the middle tenth of the plate's antero-posterior length, at each its outermost
place there. Negative means that the meniscus ends inside. Coverage is the share of the plate's surface that has
meniscus above it.

In thick sagittal slices the outermost place lies somewhere between the last slice that shows a structure and the next,
3 to 4 mm away. Seen from above the rims of plate, tibia and meniscus are round: near its outermost place, a rim of
radius r is cut by a slice at depth d in a chord of length L, L^2 = 8 r d (a parabola). So the chords of the last two
slices, whose lengths are known to a pixel, tell how far the rim goes on (`rim_mm`). Coverage and thickness come from
outlines interpolated between slices (signed distances, Herman 1992).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kneeline.grading import THICK_SLICE_MM, highest_grade
from kneeline.labels import MENISCI, Label
from kneeline.score.frame import INTERPOLATE_ABOVE_MM, Knee, distance_in_images
from kneeline.score.rows import as_stored
from kneeline.tables import Row
from kneeline.volume import Geometry, resample

PLATES = {"medial": Label.MEDIAL_TIBIAL_CARTILAGE, "lateral": Label.LATERAL_TIBIAL_CARTILAGE}
# Grid on which plate and meniscus are seen from above, and the smoothing (SD) of masks on it: without it the last
# ragged voxel of an outline would be its edge. It is what pymskt smooths its masks by.
GRID_MM = 0.5
SMOOTH_MM = 0.4
# Share of the plate's antero-posterior length, around its middle, in which edges are compared.
BAND = 0.1
# The bony margin is looked for from the level of the plate's edge down to this depth: below, the tibia narrows to its
# shaft or flares into the fibular facet.
MARGIN_DEPTH_MM = 5.0
# Room around plate and meniscus for their smoothed borders.
ROOM_MM = 3.0
# Usual radius of the rims, which the two chords correct, and the weight of that prior against them. From ten simulated
# knees and a real label map (menisci and plates 14 to 24 mm, tibia 20 to 32 mm). Smoothing (SD) of outlines within
# thick images: a feathered edge thinner than a pixel must not lengthen a chord.
RIM_RADIUS_MM = {Label.TIBIA: 26.0}
USUAL_RADIUS_MM = 20.0
RIM_PRIOR_WEIGHT = 0.5
THICK_SMOOTH_MM = 0.6
# A plate or meniscus with fewer voxels than this has no edges worth measuring.
MIN_VOXELS = 50

_SIZES = ("volume_mm3", "thickness_mean_mm", "thickness_max_mm")
_PLACES = ("extrusion_mm", "margin_extrusion_mm", "coverage_pct")


@dataclass(frozen=True)
class Frame:
    """Directions to measure along: rows of `turn` are unit vectors (outward, anterior, up), from `centre_mm`."""

    turn: np.ndarray
    centre_mm: np.ndarray

    def of(self, world: np.ndarray) -> np.ndarray:
        return (world - self.centre_mm) @ self.turn.T


def measure_extrusion(knee: Knee, regions: list[Row]) -> list[Row]:
    """Rows of tables.EXTRUSION without knee keys: medial, lateral.

    `regions` are the rows of tables.MENISCUS of the same knee; a meniscus' grade is the highest of its regions. A
    meniscus that is not outlined has the flag `not_segmented`; without tibia and both plates there is nothing to
    measure extrusion from (`no_plateau`); where meniscus or plate runs into the border of the image its edge is not
    seen (`edge_not_in_view`), and where fewer than two thick images show a structure it cannot be told (`no_edge`).
    What is measured of its place is `experimental`: it hangs on outlines far more exact than a network's.
    """
    joint = _joint(knee)
    plateau = None if joint is None else plateau_frame(joint)
    rows = []
    for name, label in MENISCI.items():
        row: Row = {"meniscus": name} | dict.fromkeys((*_SIZES, *_PLACES))
        row["signal_grade"] = highest_grade(r["signal_grade"] for r in regions if r["meniscus"] == name)
        if joint is None or not joint.holds(label):
            rows.append(row | {"flags": "not_segmented"})
            continue
        flags = ["thick_slices"] if knee.slice_spacing_mm > THICK_SLICE_MM else []
        if knee.slice_spacing_mm > INTERPOLATE_ABOVE_MM:
            flags.append("interpolated_outlines")
        row |= dict(zip(_SIZES, measure_size(joint, label), strict=True))
        if plateau is None:
            flags.append("no_plateau")
        elif _cut_off(knee, label) or _cut_off(knee, PLATES[name]):
            flags.append("edge_not_in_view")
        else:
            row |= dict(zip(_PLACES, measure_place(joint, name, plateau), strict=True))
            flags.insert(0, "experimental")
            if None in (row["extrusion_mm"], row["margin_extrusion_mm"]):
                flags.append("no_edge")
        rows.append(as_stored(row) | {"flags": ",".join(flags) or None})
    return rows


def _joint(knee: Knee) -> Knee | None:
    """The part of a knee that holds menisci and plates; None without menisci."""
    if not knee.holds(*MENISCI.values()):
        return None
    return knee.crop(knee.box(*MENISCI.values(), *PLATES.values(), margin_mm=2 * ROOM_MM + MARGIN_DEPTH_MM))


def plateau_frame(knee: Knee) -> Frame | None:
    """The tibia's frame, outward being lateral: None if the tibia or one of its plates is not outlined."""
    masks = [knee.mask(plate) for plate in PLATES.values()]
    if min(mask.sum() for mask in masks) < MIN_VOXELS or not knee.mask(Label.TIBIA).any():
        return None
    medial, lateral = (knee.world(mask) for mask in masks)
    both = np.concatenate([medial, lateral])
    centred = both - both.mean(0)
    up = np.linalg.eigh(centred.T @ centred)[1][:, 0]
    # The bone lies beneath its cartilage.
    beneath = knee.world(knee.mask(Label.TIBIA), at_most=100_000).mean(0)
    up *= 1.0 if (both.mean(0) - beneath) @ up > 0 else -1.0
    outward = lateral.mean(0) - medial.mean(0)
    outward -= up * (outward @ up)
    outward /= np.linalg.norm(outward)
    return Frame(np.stack([outward, np.cross(up, outward), up]), both.mean(0))


def measure_size(knee: Knee, label: Label) -> tuple[float, float | None, float | None]:
    """Volume (mm3) of the outlined voxels; mean and greatest thickness (mm) across the meniscus' own plane.

    Mean thickness is volume over the area seen from above. None for a meniscus of a few voxels.
    """
    mask = knee.mask(label)
    volume = float(mask.sum()) * knee.labels.voxel_mm3
    points = knee.world(mask)
    if len(points) < MIN_VOXELS:
        return volume, None, None
    centred = points - points.mean(0)
    frame = Frame(np.linalg.eigh(centred.T @ centred)[1].T[::-1], points.mean(0))
    grid = _grid(frame.of(points), frame)
    share = _on_grid(knee, (label,), label, grid)
    height, area = share.sum(2) * GRID_MM, (share.max(2) >= 0.5).sum()
    if not area:
        return volume, None, None
    return volume, float(height.sum() / area), float(height.max())


def measure_place(knee: Knee, name: str, plateau: Frame) -> tuple[float | None, float | None, float | None]:
    """Extrusion from the plate's edge and from the bony margin (mm), and coverage of the plate (%)."""
    meniscus_label, plate_label = MENISCI[name], PLATES[name]
    outward = plateau.turn * np.array([[1.0 if name == "lateral" else -1.0], [1.0], [1.0]])
    frame = Frame(outward, plateau.centre_mm)
    around = (meniscus_label, plate_label)
    grid = _grid(frame.of(knee.world(knee.mask(*around))), frame, below_mm=MARGIN_DEPTH_MM)
    meniscus, plate, tibia = (_on_grid(knee, around, x, grid) for x in (meniscus_label, plate_label, Label.TIBIA))
    from_above = plate.max(2)
    footprint = from_above >= 0.5
    if not footprint.any():
        return None, None, None
    covered = meniscus.max(2)
    bottom = (plate >= 0.5).argmax(2)
    rows = _band(footprint)
    # Where a plate is worn through there is no rim.
    rim = [bottom[np.flatnonzero(footprint[:, j])[-1], j] for j in rows if footprint[:, j].any()]
    if not rim:
        return None, None, None
    level = int(np.median(rim))
    if _edges_across_slices(knee, frame):
        middle = frame.of(grid.to_world(np.array([0, rows.mean(), level])))
        edges = [rim_mm(knee, x, frame, middle) for x in (meniscus_label, plate_label, Label.TIBIA)]
    else:
        margin = tibia[:, :, max(level - round(MARGIN_DEPTH_MM / GRID_MM), 0) : level + 1].max(2)
        edges = [outermost_mm(x[:, rows]) for x in (covered, from_above, margin)]
    reach, *inner = edges
    extrusion, from_margin = (None if reach is None or edge is None else reach - edge for edge in inner)
    area = _surface(bottom * GRID_MM, footprint)
    return extrusion, from_margin, 100 * float(area[footprint & (covered >= 0.5)].sum() / area[footprint].sum())


def _edges_across_slices(knee: Knee, frame: Frame) -> bool:
    """Whether slices are thick and lie one beyond the other in the direction of extrusion."""
    across = frame.turn @ knee.labels.affine[:3, knee.slice_axis] / knee.slice_spacing_mm
    return knee.slice_spacing_mm > INTERPOLATE_ABOVE_MM and abs(across[0]) > 0.7


def rim_mm(knee: Knee, label: Label, frame: Frame, middle: np.ndarray) -> float | None:
    """Outermost place of a structure in thick slices (mm along the frame), from the chords of its last two slices.

    middle: a point of the frame, (3,); slices are placed where they pass it from front to back, and of the tibia only
    the `MARGIN_DEPTH_MM` beneath it count. None with fewer than two slices.
    """
    sigma = [THICK_SMOOTH_MM / s for s in knee.spacing_mm]
    sigma[knee.slice_axis] = 0
    inside = np.argwhere(ndimage.gaussian_filter(knee.mask(label).astype(np.float32), sigma) >= 0.5)
    local = frame.of(knee.labels.geometry.to_world(inside))
    if label == Label.TIBIA:
        near = (local[:, 2] <= middle[2]) & (local[:, 2] >= middle[2] - MARGIN_DEPTH_MM)
        inside, local = inside[near], local[near]
    chords = [_chord(knee, local[inside[:, knee.slice_axis] == k], frame, middle) for k in _ends(inside, knee, frame)]
    if len(chords) < 2:
        return None
    (place, last), (before, longer) = chords
    step = place - before
    if step <= 0:
        return None
    # Least squares of L^2 = slope * (rim - place) through both chords, the slope held near that of the usual radius.
    prior, weight = 8 * RIM_RADIUS_MM.get(label, USUAL_RADIUS_MM), 2 * RIM_PRIOR_WEIGHT
    slope = ((longer**2 - last**2) / step + weight * prior) / (1 + weight)
    rim = (place + before) / 2 + (last**2 + longer**2) / 2 / max(slope, prior / 4)
    # It cannot lie inside the last slice's middle, nor beyond the next slice, which does not show it.
    return float(np.clip(rim, place, place + step))


def _ends(inside: np.ndarray, knee: Knee, frame: Frame) -> list[int]:
    """The two outermost slices that show a structure, the last first."""
    slices = np.unique(inside[:, knee.slice_axis])
    outward = (frame.turn @ knee.labels.affine[:3, knee.slice_axis])[0] > 0
    return (slices[::-1] if outward else slices)[:2].tolist()


def _chord(knee: Knee, local: np.ndarray, frame: Frame, middle: np.ndarray) -> tuple[float, float]:
    """Where a slice passes the middle of the plate (mm outward), and the length of a structure in it (mm)."""
    in_plane = [axis for axis in range(3) if axis != knee.slice_axis]
    normal = frame.turn @ np.cross(*knee.labels.affine[:3, in_plane].T)
    at = np.array([0.0, middle[1], local[:, 2].mean()])
    place = (normal @ local[0] - normal[1:] @ at[1:]) / normal[0]
    return float(place), float(np.ptp(local[:, 1]) + knee.pixel_mm)


def outermost_mm(share: np.ndarray) -> float | None:
    """Where occupancy, (outward, rows), falls below a half for the last time, the furthest of all rows; in mm.

    Examples
    --------
    >>> outermost_mm(np.array([[1.0], [1.0], [0.75], [0.25], [0.0]])) == 2.5 * GRID_MM
    True
    """
    places = [
        i + (share[i, j] - 0.5) / (share[i, j] - share[i + 1, j])
        for j in range(share.shape[1])
        for i in np.flatnonzero(share[:-1, j] >= 0.5)[-1:]
        if share[i + 1, j] < 0.5
    ]
    return GRID_MM * float(max(places)) if places else None


def _band(footprint: np.ndarray) -> np.ndarray:
    """Rows in the middle `BAND` of a plate's antero-posterior length; at least one."""
    used = np.flatnonzero(footprint.any(0))
    middle, half = (used[0] + used[-1]) / 2, max(BAND / 2 * (used[-1] - used[0] + 1), 0.5)
    rows = np.arange(footprint.shape[1])
    return rows[np.abs(rows - middle) <= half]


def _surface(height_mm: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Area of the surface under each cell of the grid (relative): steep parts are larger than they look from above."""
    weight = ndimage.gaussian_filter(footprint.astype(float), 1.0)
    smooth = ndimage.gaussian_filter(np.where(footprint, height_mm, 0.0), 1.0) / np.maximum(weight, 1e-3)
    slopes = np.gradient(smooth, GRID_MM)
    return np.sqrt(1 + slopes[0] ** 2 + slopes[1] ** 2)


def _grid(local: np.ndarray, frame: Frame, below_mm: float = 0.0) -> Geometry:
    """Grid along a frame around points given in them, (N, 3) mm."""
    low = local.min(0) - ROOM_MM - np.array([0, 0, below_mm])
    high = local.max(0) + ROOM_MM
    # Grid points stay in place when the outline grows by a voxel.
    low = np.floor(low / GRID_MM) * GRID_MM
    affine = np.eye(4)
    affine[:3, :3] = frame.turn.T * GRID_MM
    affine[:3, 3] = frame.centre_mm + low @ frame.turn
    return Geometry(tuple(int(n) for n in np.ceil((high - low) / GRID_MM) + 1), affine)


def _on_grid(knee: Knee, around: tuple[Label, ...], label: Label, grid: Geometry) -> np.ndarray:
    """How much of each grid cell is `label`, 0-1, smoothed; float32. Only what lies near `around` is looked at."""
    part = knee.crop(knee.box(*around, margin_mm=2 * ROOM_MM + MARGIN_DEPTH_MM))
    mask = part.mask(label)
    if knee.slice_spacing_mm <= INTERPOLATE_ABOVE_MM or not mask.any():
        share = resample(part.labels.with_array(mask.astype(np.float32)), grid).array
    else:
        limit = knee.slice_spacing_mm
        height = part.labels.with_array(_height(mask, part).clip(-limit, limit).astype(np.float32))
        share = np.clip(resample(height, grid, outside=-limit).array / knee.pixel_mm + 0.5, 0, 1)
    return ndimage.gaussian_filter(share, SMOOTH_MM / GRID_MM)


def _height(mask: np.ndarray, knee: Knee) -> np.ndarray:
    """Signed distance to the outline within each image (mm), positive inside; the border lies between pixels."""
    inside, outside = (distance_in_images(m, knee) for m in (~mask, mask))
    return np.where(mask, inside - 0.5 * knee.pixel_mm, 0.5 * knee.pixel_mm - outside)


def _cut_off(knee: Knee, label: Label) -> bool:
    """Whether a structure runs into the first or last image, or the border of images."""
    return any((knee.labels.array.take(end, axis) == label).any() for axis in range(3) for end in (0, -1))
