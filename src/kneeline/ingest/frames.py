"""One record for each image, whether it came as a file of its own or as a frame of a multi-frame file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from kneeline.errors import Refusal
from kneeline.ingest.enhanced import FrameTags, is_multiframe
from kneeline.ingest.headers import File, number, numbers

# More voxels than this in one series are a damaged header, not a knee (2 GB of 16-bit values). Project decision.
MAX_VOXELS = 1 << 30
MAX_FRAMES = 1 << 16


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
    image_type: tuple[str, ...]
    laterality_tags: frozenset[str] = field(default_factory=frozenset)


def frames_of(file: File) -> Iterator[Frame]:
    """The images of a file.

    Raises
    ------
    Refusal
        `too_large` before anything of a declared but impossible size is allocated, `no_pixels` without frames.
    """
    rows, columns = int(number(file.get("Rows"), 0)), int(number(file.get("Columns"), 0))
    count = int(number(file.get("NumberOfFrames"), 1)) if is_multiframe(file) else 1
    if max(rows * columns, 1) * count > MAX_VOXELS or count > MAX_FRAMES:
        raise too_large(rows * columns * count)
    if count < 1:
        raise Refusal("no_pixels", "expected frames in a multi-frame file, the header declares none; export it again")
    tags = FrameTags(file)
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
            slope=number(tags.get("RescaleSlope", index), 1.0),
            intercept=number(tags.get("RescaleIntercept", index), 0.0),
            image_type=_words(tags.get("FrameType", index) or file.get("ImageType")),
            laterality_tags=_sides(tags, index),
        )


def too_large(voxels: int) -> Refusal:
    return Refusal(
        "too_large",
        f"expected at most {MAX_VOXELS // 10**6} million voxels, the headers declare {voxels // 10**6} million; "
        "the files are damaged or do not show one knee, export the series again",
    )


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
