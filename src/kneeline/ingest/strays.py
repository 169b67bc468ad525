"""Slices that belong to a stack and carry another series' number or kind: a damaged header, or a series cut in two.

Inside a stack such a slice leaves a hole and is missed there. At its end it would be lost in silence: the rest is an
even stack. So images that continue a stack by its own step, on its own grid, are looked for among all that lie near.
"""

from __future__ import annotations

from collections import defaultdict
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
    near: dict[Path, list[Frame]] = defaultdict(list)
    for fragment in candidates:
        if fragment.refusal and len(fragment.frames) < MIN_SLICES:
            for frame in fragment.frames:
                near[frame.file.path.parent].append(frame)
    if not near:
        return
    for candidate in candidates:
        if candidate.stacks and not candidate.refusal:
            folders = {f.file.path.parent for f in candidate.frames}
            others = [frame for folder in folders for frame in near.get(folder, ())]
            lost = {id(f) for f in others if continues(candidate.stacks[0], f) or may_belong(candidate.stacks[0], f)}
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


def may_belong(stack: Stack, frame: Frame) -> bool:
    """Whether an MR image of the stack's size has lost its place, which every MR image has."""
    known = frame.position is not None and frame.orientation is not None and frame.pixel_spacing is not None
    same_size = (frame.rows, frame.columns) == (stack.frames[0].rows, stack.frames[0].columns)
    return not known and same_size and frame.file.get("SOPClassUID") in MR_CLASSES


def continues(stack: Stack, frame: Frame) -> bool:
    """Whether an image lies one step beyond either end of a stack, on the same rows and columns."""
    first = stack.frames[0]
    known = frame.position is not None and frame.orientation is not None and frame.pixel_spacing is not None
    if not known or (frame.rows, frame.columns) != (first.rows, first.columns):
        return False
    turned = np.abs(np.subtract(frame.orientation, first.orientation)).max()
    resized = np.abs(np.subtract(frame.pixel_spacing, first.pixel_spacing)).max()
    if turned > 2 * DIRECTION_TOLERANCE or resized > SPACING_TOLERANCE * max(first.pixel_spacing):
        return False
    ordered = stack.ordered
    start, end = np.array(ordered[0].position), np.array(ordered[-1].position)
    step = (end - start) / max(len(ordered) - 1, 1)
    away = min(np.linalg.norm(frame.position - p) for p in (start - step, end + step))
    return bool(away <= 2 * max(SPACING_TOLERANCE_MM, SPACING_TOLERANCE * stack.placement.spacing_mm))
