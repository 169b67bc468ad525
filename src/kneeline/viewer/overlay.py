"""What a page draws over the slices: outlines as labels voxel by voxel, T2, and where measurements were made.

For pages that show the machine's results. A blinded page brings none of this.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kneeline.labels import BONES, CARTILAGES, MENISCI, Label, color
from kneeline.viewer.knee import stack_of
from kneeline.volume import Volume

# A byte a voxel: T2 in steps of half a millisecond. Longer ones are shown as the longest.
T2_STEP_MS, T2_MOST = 0.5, 255
_GROUPS = (
    ("bone", BONES), ("cartilage", CARTILAGES), ("meniscus", tuple(MENISCI.values())), ("fluid", (Label.JOINT_FLUID,)),
)  # fmt: skip


def structures(labels: Volume) -> list[dict[str, Any]]:
    """What is outlined in a knee: value, name, colour and group, in the order in which a page lists them."""
    there = np.bincount(labels.array.ravel(), minlength=256)
    return [
        {"value": int(label), "name": label.words, "color": color(label), "group": group}
        for group, members in reversed(_GROUPS)
        for label in members
        if there[label]
    ]


def pack_labels(labels: Volume, laterality: str) -> bytes:
    """Labels of the stack as the page shows it, a byte a voxel, deflated."""
    return deflate_bytes(stack_of(labels, laterality).array)


def pack_t2(seconds: Volume, laterality: str) -> bytes:
    """T2 of the stack, a byte a voxel in steps of `T2_STEP_MS`, 0 where there is none; deflated."""
    steps = np.rint(stack_of(seconds, laterality).array * (1000 / T2_STEP_MS))
    return deflate_bytes(np.clip(steps, 0, T2_MOST))


def deflate_bytes(array: np.ndarray) -> bytes:
    return zlib.compress(np.ascontiguousarray(array, np.uint8).tobytes(), 6)


def in_stack(geometry: Mapping[str, Any], labels: Volume, laterality: str) -> list[dict[str, Any]]:
    """Places of a scan's geometry file in the stack of the page.

    Lines get the voxel coordinates of both `ends`, components the `voxels` they hold: each is given by how far it lies
    behind the one before in the flat stack; surfaces the voxel coordinates of their `points`. `slice` is where to look
    first.
    """
    stack = stack_of(labels, laterality)
    places = []
    for line in geometry["lines"]:
        ends = stack.geometry.to_voxel(np.array([line["from_mm"], line["to_mm"]]))
        slice_ = int(np.clip(np.rint(ends[:, 0].mean()), 0, stack.shape[0] - 1))
        places.append(_what(line) | {"ends": ends.round(3).tolist(), "slice": slice_, "mm": line["length_mm"]})
    for component in geometry["components"]:
        own = voxels_of(component["runs"])
        voxels = np.rint(stack.geometry.to_voxel(labels.geometry.to_world(own))).astype(np.int64)
        flat = np.sort(np.ravel_multi_index(voxels.T, stack.shape))
        counts = np.bincount(voxels[:, 0], minlength=stack.shape[0])
        facts = {"counted": component["counted"], "mm3": component["component_mm3"]}
        steps = np.diff(flat, prepend=0).tolist()
        places.append(_what(component) | facts | {"voxels": steps, "slice": int(counts.argmax())})
    for surface in geometry.get("surfaces", ()):
        points = stack.geometry.to_voxel(np.array(surface["points_mm"]).reshape(-1, 3))
        counts = np.bincount(np.clip(np.rint(points[:, 0]), 0, stack.shape[0] - 1).astype(int))
        places.append(_what(surface) | {"points": points.round(2).tolist(), "slice": int(counts.argmax())})
    return places


def _what(place: Mapping[str, Any]) -> dict[str, Any]:
    return {name: place[name] for name in ("table", "column", "rows")}


def voxels_of(runs: Sequence[Sequence[int]]) -> np.ndarray:
    """Voxels, (N, 3), of runs along the last axis.

    >>> voxels_of([[0, 1, 3, 2], [2, 0, 0, 1]]).tolist()
    [[0, 1, 3], [0, 1, 4], [2, 0, 0]]
    """
    return np.array([[i, j, k + n] for i, j, k, length in runs for n in range(length)], int).reshape(-1, 3)
