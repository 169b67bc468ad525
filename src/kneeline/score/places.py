"""Where in the scan a number was measured, so that a picture can show it: lines in mm, components as voxels.

Taken from the very objects that gave the number; nothing is found a second time. Told in terms of the scan's own image:
world mm (RAS+), and voxel indices in the order of its file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kneeline.score.frame import Knee, to_scanner
from kneeline.tables import Row
from kneeline.volume import Geometry

# A thousandth of a millimetre is more than any outline knows.
DECIMALS = 3


@dataclass(frozen=True, eq=False)
class Place:
    """Where the number in a column of a score table was measured.

    table: such as `meniscus`; rows: the rows that it belongs to, each by its own keys (`{}` in a table of one row).
    line: (2, 3) mm in the right-knee world of `Knee`; points: (N, 3) mm there; voxels: (N, 3) indices in `Knee`. One of
    them is given.
    facts: what the row itself does not tell of the place.
    """

    table: str
    column: str
    rows: Sequence[Row]
    line: np.ndarray | None = None
    voxels: np.ndarray | None = None
    points: np.ndarray | None = None
    facts: Row = field(default_factory=dict)


def as_json(places: Sequence[Place], knee: Knee, image: Geometry, laterality: str) -> dict[str, Any]:
    """Lines (`from_mm`, `to_mm`, `length_mm`), components (`runs`: first voxel and how many along the last axis) and
    surfaces (`points_mm`)."""
    told: dict[str, Any] = {"lines": [], "components": [], "surfaces": []}
    for place in places:
        what = {"table": place.table, "column": place.column, "rows": list(place.rows), **place.facts}
        if place.line is not None:
            start, end = to_scanner(place.line, laterality)
            length = round(float(np.linalg.norm(end - start)), DECIMALS)
            told["lines"].append(what | {"length_mm": length, "from_mm": _rounded(start), "to_mm": _rounded(end)})
        elif place.points is not None:
            points = [_rounded(point) for point in to_scanner(place.points, laterality)]
            told["surfaces"].append(what | {"points_mm": points})
        else:
            world = to_scanner(knee.labels.geometry.to_world(place.voxels), laterality)
            own = np.rint(image.to_voxel(world)).astype(int)
            told["components"].append(what | {"runs": runs_of(own)})
    return told


def _rounded(point: np.ndarray) -> list[float]:
    return [round(float(v), DECIMALS) + 0.0 for v in point]


def runs_of(voxels: np.ndarray) -> list[list[int]]:
    """Voxels, (N, 3), as runs along the last axis: first voxel and number.

    >>> runs_of(np.array([[0, 1, 4], [0, 1, 3], [2, 0, 0], [0, 2, 5]]))
    [[0, 1, 3, 2], [0, 2, 5, 1], [2, 0, 0, 1]]
    """
    ordered = np.unique(voxels, axis=0)
    begins = np.ones(len(ordered), bool)
    begins[1:] = (np.diff(ordered, axis=0) != [0, 0, 1]).any(1)
    first = np.flatnonzero(begins)
    lengths = np.diff([*first, len(ordered)])
    return [[*map(int, ordered[at]), int(n)] for at, n in zip(first, lengths, strict=True)]
