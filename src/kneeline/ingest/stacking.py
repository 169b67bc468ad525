"""Which images belong together: frames to series, and a series to one stack of slices for each echo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kneeline.errors import Refusal
from kneeline.ingest.frames import Frame
from kneeline.ingest.geometry import Placement, directions_differ, place_slices, same_places
from kneeline.ingest.limits import MAX_PLACE_MM, PIXEL_MM

# Echo times closer than this are one echo, written with different rounding.
SAME_ECHO_MS = 0.05

# Words of ImageType that mark other things than magnitude images.
_KINDS = {
    "phase": {"P", "PHASE", "PHASE MAP", "PHASE_MAP", "VELOCITY MAP", "PHASE CONTRAST"},
    "real": {"R", "REAL"},
    "imaginary": {"I", "IMAGINARY"},
    "map": {"MAP", "T1 MAP", "T2 MAP", "T2_STAR MAP", "T2_STAR", "R2 MAP", "R2_STAR MAP", "ADC", "T1MAP", "T2MAP"},
    "projection": {"MIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE", "MNIP"},
}


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices of one echo, with their place. `frames[placement.order[i]]` is slice i."""

    frames: list[Frame]
    placement: Placement
    echo_time_ms: float | None

    @property
    def ordered(self) -> list[Frame]:
        return [self.frames[i] for i in self.placement.order]

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.frames), self.frames[0].rows, self.frames[0].columns


def group_series(frames: Iterable[Frame]) -> list[list[Frame]]:
    """Frames of one series and one kind of image (magnitude, phase, map...), in the order found."""
    groups: dict[tuple, list[Frame]] = {}
    for frame in frames:
        series = frame.file.series or str(frame.file.path.parent)
        groups.setdefault((series, image_kind(frame), str(frame.file.get("SOPClassUID"))), []).append(frame)
    return list(groups.values())


def image_kind(frame: Frame) -> str:
    for kind, words in _KINDS.items():
        if words & set(frame.image_type[2:]):
            return kind
    return "magnitude"


def stack_echoes(frames: list[Frame]) -> list[Stack]:
    """One stack an echo, by rising echo time, all on one grid.

    Echo time separates images only where positions repeat: a sequence may vary it along one stack.

    Raises
    ------
    Refusal
        When the images do not make evenly spaced parallel stacks on one grid.
    """
    for frame in frames:
        if frame.position is None or frame.orientation is None or frame.pixel_spacing is None:
            raise Refusal(
                "bad_geometry",
                "expected position, orientation and pixel spacing in the header of every image, some lack them; "
                "export the original series again",
            )
    if len({(f.rows, f.columns) for f in frames}) > 1:
        raise Refusal("mixed_size", "expected images of one size, this series holds several; send one series")
    spacings = np.array([f.pixel_spacing for f in frames])
    uneven = np.ptp(spacings, axis=0).max() > 1e-3 * spacings.max()
    if spacings.min() < PIXEL_MM[0] or spacings.max() > PIXEL_MM[1] or uneven:
        raise Refusal(
            "bad_geometry",
            f"expected one pixel spacing for all images, from {PIXEL_MM[0]} to {PIXEL_MM[1]:g} mm, this series gives "
            "another or several; export the original series again",
        )
    if np.abs([f.position for f in frames]).max() > MAX_PLACE_MM:
        raise Refusal(
            "bad_geometry",
            f"expected positions within {MAX_PLACE_MM / 1000:g} m of the scanner's centre, this series gives others; "
            "export the original series again",
        )
    stacks = []
    for group in _echo_groups(frames):
        positions, orientations = _places(group)
        placement = place_slices(positions, orientations, group[0].pixel_spacing)
        stacks.append(Stack(group, placement, group[0].echo_time_ms))
    for stack in stacks[1:]:
        if len(stack.frames) != len(stacks[0].frames):
            raise Refusal(
                "missing_slice",
                f"expected every echo at every slice, the echoes hold {min(len(s.frames) for s in stacks)} to "
                f"{max(len(s.frames) for s in stacks)} slices; send the complete series",
            )
        if np.abs(stack.placement.affine - stacks[0].placement.affine).max() > 0.05:
            raise Refusal("mixed_orientation", "expected all echoes at the same places; send one series")
    return stacks


def _echo_groups(frames: list[Frame]) -> list[list[Frame]]:
    positions, orientations = _places(frames)
    times = [f.echo_time_ms for f in frames]
    if directions_differ(orientations) or None in times or not same_places(positions, orientations):
        return [frames]
    groups: list[list[Frame]] = []
    for frame in sorted(frames, key=lambda f: f.echo_time_ms):
        if groups and frame.echo_time_ms - groups[-1][0].echo_time_ms <= SAME_ECHO_MS:
            groups[-1].append(frame)
        else:
            groups.append([frame])
    return groups


def _places(frames: list[Frame]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([f.position for f in frames]), np.array([f.orientation for f in frames])
