"""Focal defects of a cartilage plate: places that are thinner than the plate around them.

What a place should be is not the plate's mean: a plate is thicker in its middle and tapers towards its rim. The
reference is the morphological closing of the thickness map over the bone's surface (Serra 1982) by a disc: it fills
pits narrower than the disc and leaves slopes, domes and the taper as they are, because outside the plate the map goes
on with bare bone. A pit that the disc does not span, or a plate that is thin all over, is no focal defect.

Near the rim nothing is judged: a defect that opens to the rim and an outline with a bay look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from kneeline.grading import CARTILAGE, CartilageRule

if TYPE_CHECKING:
    from kneeline.score.cartilage import ThicknessMap

# The map is read at places this far apart, each the mean of its surroundings (SD): the noise of an outline is a pixel.
NODE_MM, SMOOTH_MM = 1.2, 1.0
# Radius of the disc: pits up to twice as wide are filled.
CLOSING_MM = 7.0
# Nothing is judged within this distance of the plate's rim.
RIM_MM = 3.0
# Bare bone up to this area is a hole in the plate, more is the world outside it.
MAX_HOLE_MM2 = 200.0
# A hole joined to the outside by a passage narrower than this is still a hole.
NECK_MM = 4.0
# Such a hole's middle, half a neck from its edge, is at least this large and this round (a disc is 0.79).
MIN_CORE_MM2, ROUND = 8.0, 0.4
# Thinner than this counts as bare where holes and rim are told apart.
BARE_MM = 0.4
# Thinning below this is the outline's own error, whatever share of a thin plate it is.
MIN_THINNING_MM = 0.6


@dataclass(frozen=True, eq=False)
class Defects:
    """Counted defects of a plate: their area together, depth of the deepest as a share of its surroundings (%), and how
    much of the plate could be judged (%).

    `reference_mm` (N,) and `defect` (N,) belong to the points of the map.
    """

    area_mm2: float
    depth_pct: float
    judged_pct: float
    reference_mm: np.ndarray
    defect: np.ndarray


def find_defects(surface: ThicknessMap, rule: CartilageRule = CARTILAGE) -> Defects:
    """Defects of at least the rule's area, each a connected area thinned by at least the rule's share."""
    place, points, normals, area = _nodes(surface)
    thickness = _smoothed(surface, points, normals)
    pairs = _neighbours(points, normals, CLOSING_MM)
    reference = -_dilated(-_dilated(thickness, pairs), pairs)
    beside = pairs[np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1) <= 1.8 * NODE_MM]
    thinning = reference - thickness
    share = thinning / np.maximum(reference, 1e-6)
    thin = (share >= rule.min_depth_pct / 100) & (thinning >= MIN_THINNING_MM)
    seen = np.bincount(place, surface.seen) > 0.5 * np.bincount(place)
    judged = seen & ~_near_rim(points, thickness, area, beside)
    thin &= judged
    counted = thin & (_sums(area, thin, beside) >= rule.min_area_mm2)
    depth = 100 * float(share[counted].max()) if counted.any() else 0.0
    own = reference >= BARE_MM
    return Defects(
        area_mm2=float(area[counted].sum()),
        depth_pct=min(depth, 100.0),
        judged_pct=100 * float(area[judged & own].sum() / max(area[own].sum(), 1e-9)),
        reference_mm=reference[place],
        defect=counted[place],
    )


def _nodes(surface: ThicknessMap) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Evenly spread places: the node of each vertex (N,), and of each node its point, normal and area."""
    cell = np.floor(surface.points_mm / NODE_MM).astype(int)
    place = np.unique(cell, axis=0, return_inverse=True)[1].ravel()
    count = np.bincount(place)
    points, normals = (
        np.stack([np.bincount(place, values[:, a]) / count for a in range(3)], axis=1)
        for values in (surface.points_mm, surface.normals)
    )
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return place, points, normals, np.bincount(place, surface.area_mm2)


def _smoothed(surface: ThicknessMap, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Mean thickness around each node, weighted by area and a Gaussian of the distance, on the same side of a ridge."""
    near = min(32, len(surface.points_mm))
    distance, index = cKDTree(surface.points_mm).query(points, near, distance_upper_bound=3 * SMOOTH_MM)
    found = np.isfinite(distance)
    index = np.where(found, index, 0)
    weight = np.where(found, np.exp(-0.5 * (distance / SMOOTH_MM) ** 2) * surface.area_mm2[index], 0)
    weight *= np.einsum("nkc,nc->nk", surface.normals[index], normals) > 0
    return (weight * surface.thickness_mm[index]).sum(1) / np.maximum(weight.sum(1), 1e-9)


def _neighbours(points: np.ndarray, normals: np.ndarray, reach_mm: float) -> np.ndarray:
    """Pairs of nodes within reach that face the same way: not through a thin bone, not round a sharp edge."""
    pairs = cKDTree(points).query_pairs(reach_mm, output_type="ndarray")
    return pairs[np.einsum("nc,nc->n", normals[pairs[:, 0]], normals[pairs[:, 1]]) > 0]


def _dilated(values: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    out = values.copy()
    np.maximum.at(out, pairs[:, 0], values[pairs[:, 1]])
    np.maximum.at(out, pairs[:, 1], values[pairs[:, 0]])
    return out


def _near_rim(points: np.ndarray, thickness: np.ndarray, area: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """Nodes outside the plate or within RIM_MM of its outside; holes in the plate are inside."""
    bare = thickness < BARE_MM
    outside = bare & (_sums(area, bare, beside) > MAX_HOLE_MM2)
    hole = _joined_holes(points, outside, bare, area, beside)
    outside &= _distance(points, points[hole]) > NECK_MM / 2 + NODE_MM / 2
    return _distance(points, points[outside]) <= RIM_MM


def _joined_holes(
    points: np.ndarray, outside: np.ndarray, bare: np.ndarray, area: np.ndarray, beside: np.ndarray
) -> np.ndarray:
    """Nodes in the middle of round holes that only a narrow neck joins to the outside.

    What reaches the map's end, where the image cuts the bone, is no hole.
    """
    core = outside & (_distance(points, points[~bare]) > NECK_MM / 2)
    size = _sums(area, core, beside)
    ends = _sums(_at_the_end(points, beside).astype(float), core, beside)
    hole = core & (size >= MIN_CORE_MM2) & (size <= MAX_HOLE_MM2) & (ends < 3)
    piece = _pieces(core, beside)
    for number in np.unique(piece[hole]):
        own = piece == number
        longest = float(np.ptp(points[own], axis=0).max()) + NODE_MM
        if size[own][0] < ROUND * longest**2:
            hole &= ~own
    return hole


def _sums(values: np.ndarray, mask: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """Sum of values over the connected piece of each node of the mask; 0 elsewhere."""
    piece = _pieces(mask, beside)
    return np.where(mask, np.bincount(piece[mask], values[mask], piece.max() + 1)[piece], 0)


def _at_the_end(points: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """Nodes at the end of the map, where an image cuts the bone: their neighbours lie on one side."""
    offset, count = np.zeros_like(points), np.bincount(beside.ravel(), minlength=len(points))
    step = points[beside[:, 1]] - points[beside[:, 0]]
    np.add.at(offset, beside[:, 0], step)
    np.add.at(offset, beside[:, 1], -step)
    return np.linalg.norm(offset, axis=1) > 0.5 * NODE_MM * np.maximum(count, 1)


def _distance(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """From each point to the nearest of the others; infinite if there are none."""
    return cKDTree(others).query(points)[0] if len(others) else np.full(len(points), np.inf)


def _pieces(mask: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """Number of the connected piece of each node; nodes outside the mask are pieces of their own."""
    links = beside[mask[beside].all(1)]
    graph = sparse.coo_matrix((np.ones(len(links)), (links[:, 0], links[:, 1])), (len(mask), len(mask)))
    return connected_components(graph, directed=False)[1]
