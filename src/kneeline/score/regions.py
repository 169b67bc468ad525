"""Anterior horn, body and posterior horn of a meniscus, by its own curved centre line.

The meniscus is seen from above, in the plane fitted to it. A circle fitted to the C gives its centre; the angle about
that centre, from the middle of the C's opening, orders the tissue from one tip to the other. The centre line is the
mean radius at each angle, and its arc length is cut into thirds. All of it moves with the knee, so turning the knee
in the scanner changes nothing. Which end is the anterior horn, the world's anterior axis tells.
"""

from __future__ import annotations

import numpy as np

from kneeline.grading import REGIONS

# Angular resolution of the centre line.
BIN_DEGREES = 3.0
# Degree of the curve that the radius follows along the C.
CURVE_DEGREE = 4
# Share of tissue left out at each tip when the C's ends are sought: ragged voxels there must not set its length.
TIP_SHARE = 0.005
# Shares of the centre line at which anterior horn, body and posterior horn meet.
CUTS = (1 / 3, 2 / 3)


def meniscus_regions(points: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Region of each voxel of a meniscus.

    Parameters
    ----------
    points
        Voxel centres, (N, 3) mm, RAS+.
    inner
        A point, (3,) mm, on the side to which the C opens: the centre of the tibial plateau, or of both menisci.

    Returns
    -------
    regions : (N,) int array, index into `grading.REGIONS`.

    Examples
    --------
    >>> turn = np.radians(np.arange(-120, 121, 1.0))  # a C that opens to -x
    >>> c = 15 * np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    >>> [REGIONS[r] for r in meniscus_regions(c, np.array([-20.0, 0, 0]))[[0, 120, 240]]]
    ['posterior_horn', 'body', 'anterior_horn']
    """
    if len(points) < 3:
        return np.full(len(points), REGIONS.index("body"))
    along = centre_line_position(points, inner)
    return np.digitize(along, CUTS)


def centre_line_position(points: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Place of each voxel along the centre line, 0 at the anterior tip to 1 at the posterior tip; (N,)."""
    flat, axes = _from_above(points)
    centre = _circle_centre(flat)
    opening = (np.asarray(inner) - points.mean(0)) @ axes.T + flat.mean(0) - centre
    anterior = axes @ np.array([0.0, 1.0, 0.0])
    offset = flat - centre
    # Angle from the side opposite the opening, positive towards anterior: -pi ... pi, the C's gap at the ends.
    outward = -opening / np.linalg.norm(opening)
    forward = np.array([-outward[1], outward[0]])
    forward *= 1.0 if forward @ anterior >= 0 else -1.0
    angle = np.arctan2(offset @ forward, offset @ outward)
    first, last = np.quantile(angle, [TIP_SHARE, 1 - TIP_SHARE])
    n_bins = max(int(np.ceil(np.degrees(last - first) / BIN_DEGREES)), 1)
    edges = np.linspace(first, last, n_bins + 1)
    radius = _mean_radius(np.hypot(*offset.T), angle, edges)
    steps = np.hypot(np.gradient(radius) if n_bins > 1 else 0, radius * np.diff(edges))
    length = np.concatenate([[0], np.cumsum(steps)])
    return 1 - np.interp(angle, edges, length) / length[-1]


def _from_above(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points in the plane fitted to them, (N, 2), and that plane's axes, (2, 3)."""
    centred = points - points.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, [2, 1]].T
    # Sums of many voxels differ in the last bits between machines; the axes' signs are fixed, not left to chance.
    axes *= np.where(axes[np.arange(2), np.abs(axes).argmax(1)] < 0, -1.0, 1.0)[:, None]
    return centred @ axes.T, axes


def _circle_centre(flat: np.ndarray) -> np.ndarray:
    """Centre of the circle that fits best (algebraic least squares, Kasa 1976), (2,)."""
    matrix = np.column_stack([2 * flat, np.ones(len(flat))])
    return np.linalg.lstsq(matrix, (flat**2).sum(1), rcond=None)[0][:2]


def _mean_radius(radius: np.ndarray, angle: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Radius of the centre line at each bin: a smooth curve through the bins' means.

    Bin by bin the radius jumps where thick images leave few voxels, and each jump would count as length.
    """
    n_bins = len(edges) - 1
    index = np.clip(np.digitize(angle, edges) - 1, 0, n_bins - 1)
    count = np.bincount(index, minlength=n_bins)
    mean = np.bincount(index, radius, minlength=n_bins) / np.maximum(count, 1)
    degree = min(CURVE_DEGREE, np.count_nonzero(count) - 1)
    middle = np.linspace(-1, 1, n_bins)
    curve = np.polynomial.legendre.Legendre.fit(middle, mean, degree, domain=[-1, 1], w=np.sqrt(count))
    return np.clip(curve(middle), mean[count > 0].min(), mean[count > 0].max())
