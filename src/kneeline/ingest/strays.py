"""Slices that belong to a stack and carry another series' number or kind: a damaged header, or a series cut in two.

Inside a stack such a slice leaves a hole and is missed there. At its end it would be lost in silence: the rest is an
even stack. So images that continue a stack by its own step, on its own grid, are looked for among all that lie near.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kneeline.errors import Refusal
from kneeline.ingest.admit import MIN_SLICES
from kneeline.ingest.frames import Frame
from kneeline.ingest.geometry import DIRECTION_TOLERANCE, SPACING_TOLERANCE, SPACING_TOLERANCE_MM
from kneeline.ingest.headers import MR_CLASSES
from kneeline.ingest.stacking import Stack

if TYPE_CHECKING:
    from kneeline.ingest.candidate import Candidate


def refuse_cut_series(candidates: list[Candidate]) -> None:
    """Refuse (`split_series`) each candidate that a fragment continues: a series of fewer images than one needs."""
    frames: dict[Path, list[Frame]] = defaultdict(list)
    for fragment in candidates:
        if fragment.refusal and len(fragment.frames) < MIN_SLICES:
            for frame in fragment.frames:
                frames[frame.file.path.parent].append(frame)
    near = {folder: Fragments.of(found) for folder, found in frames.items()}
    if not near:
        return
    for candidate in candidates:
        if candidate.stacks and not candidate.refusal:
            folders = {f.file.path.parent for f in candidate.frames} & near.keys()
            stack = candidate.stacks[0]
            lost = {id(f) for folder in folders for f in near[folder].chosen(lost_from(stack, near[folder]))}
            if lost:
                candidate.refusal = _split(len(lost))
                for fragment in candidates:
                    if fragment.refusal and any(id(frame) in lost for frame in fragment.frames):
                        fragment.refusal = candidate.refusal


def _split(count: int) -> Refusal:
    return Refusal(
        "split_series",
        f"expected all slices of a stack in one series, {count} image(s) beside it continue this one or have lost "
        "their place, and are marked as another series or kind; export the series again, or remove them",
    )


@dataclass(frozen=True, eq=False)
class Fragments:
    """Images of one folder as arrays, one row an image: thousands may lie beside hundreds of stacks.

    `size` is rows and columns; `position`, `orientation` and `spacing` are as `Frame` has them, 0 where not `known`.
    """

    frames: list[Frame]
    known: np.ndarray
    mr: np.ndarray
    size: np.ndarray
    position: np.ndarray
    orientation: np.ndarray
    spacing: np.ndarray

    @classmethod
    def of(cls, frames: list[Frame]) -> Fragments:
        known = [None not in (f.position, f.orientation, f.pixel_spacing) for f in frames]
        return cls(
            frames,
            np.array(known),
            np.array([f.file.get("SOPClassUID") in MR_CLASSES for f in frames]),
            np.array([(f.rows, f.columns) for f in frames]),
            np.array([f.position if k else (0,) * 3 for f, k in zip(frames, known, strict=True)], float),
            np.array([f.orientation if k else (0,) * 6 for f, k in zip(frames, known, strict=True)], float),
            np.array([f.pixel_spacing if k else (0,) * 2 for f, k in zip(frames, known, strict=True)], float),
        )

    def chosen(self, which: np.ndarray) -> list[Frame]:
        return [self.frames[i] for i in np.flatnonzero(which)]


def lost_from(stack: Stack, near: Fragments) -> np.ndarray:
    """Which images are of the stack's size and continue it, or are MR images that have lost their place."""
    same_size = (near.size == (stack.frames[0].rows, stack.frames[0].columns)).all(axis=1)
    return same_size & np.where(near.known, _continues(stack, near), near.mr)


def _continues(stack: Stack, near: Fragments) -> np.ndarray:
    """Which images lie one step beyond either end of a stack, on rows and columns like its own."""
    first, ordered = stack.frames[0], stack.ordered
    turned = np.abs(near.orientation - first.orientation).max(axis=1)
    resized = np.abs(near.spacing - first.pixel_spacing).max(axis=1)
    start, end = np.array(ordered[0].position), np.array(ordered[-1].position)
    step = (end - start) / max(len(ordered) - 1, 1)
    away = np.min([np.linalg.norm(near.position - place, axis=1) for place in (start - step, end + step)], axis=0)
    return (
        (turned <= 2 * DIRECTION_TOLERANCE)
        & (resized <= SPACING_TOLERANCE * max(first.pixel_spacing))
        & (away <= 2 * max(SPACING_TOLERANCE_MM, SPACING_TOLERANCE * stack.placement.spacing_mm))
    )
