"""One record for each image, whether it came as a file of its own or as a frame of a multi-frame file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from kneeline.errors import Refusal
from kneeline.ingest.enhanced import FrameTags, is_multiframe
from kneeline.ingest.headers import File, number, numbers
from kneeline.ingest.limits import MAX_FRAMES, MAX_VOXELS, too_large


@dataclass(frozen=True, eq=False)
class Frame:
    """One image. Positions and directions are DICOM's (LPS+ mm); None means the header does not say."""

    file: File
    index: int | None  # frame number in its file from 0; None in a single-frame file
    rows: int
    columns: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None  # direction cosines: along a row, then down a column
    pixel_spacing: tuple[float, ...] | None  # between rows, between columns
    thickness_mm: float | None
    echo_time_ms: float | None
    slope: float
    intercept: float
    rescale_held: tuple[bool, bool]  # whether the header holds a slope, an intercept
    image_type: tuple[str, ...]
    laterality_tags: frozenset[str] = field(default_factory=frozenset)


def frames_of(file: File) -> Iterator[Frame]:
    """The images of a file.

    Raises
    ------
    Refusal
        `too_large` before anything of a declared but impossible size is allocated, `no_pixels` without frames,
        `bad_geometry` when frames and their descriptions differ in number, `bad_values`.
    """
    rows, columns = (max(int(number(file.get(keyword), 0)), 0) for keyword in ("Rows", "Columns"))
    count = frame_count(file)
    if max(rows * columns, 1) * count > MAX_VOXELS or count > MAX_FRAMES:
        raise too_large(rows * columns * count)
    if count < 1:
        raise Refusal("no_pixels", "expected frames in a multi-frame file, the header declares none; export it again")
    tags = FrameTags(file)
    if is_multiframe(file) and tags.described not in (0, count):
        raise Refusal(
            "bad_geometry",
            f"expected a description of each of the {count} frames that the header declares, it has {tags.described}; "
            "export the series again",
        )
    for index in range(count):
        yield Frame(
            file=file,
            index=index if is_multiframe(file) else None,
            rows=rows,
            columns=columns,
            position=numbers(tags.get("ImagePositionPatient", index), 3),
            orientation=numbers(tags.get("ImageOrientationPatient", index), 6),
            pixel_spacing=numbers(tags.get("PixelSpacing", index), 2),
            thickness_mm=number(tags.get("SliceThickness", index)),
            echo_time_ms=_echo_time(tags, index),
            **_rescale(tags, index),
            image_type=_words(tags.get("FrameType", index) or file.get("ImageType")),
            laterality_tags=_sides(tags, index),
        )


def frame_count(file: File) -> int:
    """How many images the file declares to hold."""
    return int(number(file.get("NumberOfFrames"), 1)) if is_multiframe(file) else 1


def _rescale(tags: FrameTags, index: int) -> dict[str, float | tuple[bool, bool]]:
    """Slope and intercept of a frame, and which of them its header holds."""
    slope, intercept = (tags.get(keyword, index) for keyword in ("RescaleSlope", "RescaleIntercept"))
    held = tuple(tags.holds(keyword, index) for keyword in ("RescaleSlope", "RescaleIntercept"))
    values = {
        "slope": number(slope, None if held[0] else 1.0),
        "intercept": number(intercept, None if held[1] else 0.0),
    }
    if None in values.values() or values["slope"] == 0:
        raise Refusal(
            "bad_values",
            "expected a rescale slope and intercept that are numbers, slope not 0, this header gives others; "
            "export the series again",
        )
    return values | {"rescale_held": held}


def _echo_time(tags: FrameTags, index: int) -> float | None:
    value = number(tags.get("EffectiveEchoTime", index))
    return number(tags.get("EchoTime", index)) if value is None else value


def _sides(tags: FrameTags, index: int) -> frozenset[str]:
    """Values of the three laterality tags: L, R, and B for both."""
    values = (tags.get(k, index) for k in ("FrameLaterality", "ImageLaterality", "Laterality"))
    return frozenset(str(v).strip().upper() for v in values if v) & {"L", "R", "B"}


def _words(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value.upper(),) if isinstance(value, str) else tuple(str(v).upper() for v in value)
