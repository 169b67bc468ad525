"""Which series may be used: rules that need headers alone. Each refusal has its own code and plain words."""

from __future__ import annotations

import numpy as np

from kneeline.errors import Refusal
from kneeline.ingest.frames import Frame
from kneeline.ingest.geometry import plane_of
from kneeline.ingest.headers import MR_CLASSES
from kneeline.ingest.stacking import image_kind
from kneeline.ingest.words import series_words, words_in
from kneeline.volume import Geometry

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

MIN_SLICES = 12
MIN_COVERAGE_MM = 50.0
# Wider than any single knee with its soft tissue: two legs (domain: knee breadth up to 140 mm). Project decisions.
MAX_SAGITTAL_COVERAGE_MM = 200.0
MAX_KNEE_WIDTH_MM = 250.0
# Nearly cubic voxels can be looked at in any plane.
ISOTROPIC_RATIO = 1.5
ISOTROPIC_MM = 1.2


def check_kind(frames: list[Frame]) -> None:
    """Refuse what is not an original magnitude MR image.

    Raises
    ------
    Refusal
        `not_mr`, `secondary_capture`, `screen_capture`, `burned_in_annotation`, `derived_image`, `localizer`.
    """
    file = frames[0].file
    sop_class = str(file.get("SOPClassUID", ""))
    types = {word for f in frames for word in f.image_type} | set(words_in(_type_text(file)))
    if any("SCREEN" in word for word in types):
        raise Refusal("screen_capture", "expected original MR images, these are screen captures; send the MR series")
    if sop_class.startswith(_SECONDARY_CAPTURE):
        raise Refusal(
            "secondary_capture", "expected original MR images, these are secondary captures; send the MR series"
        )
    if sop_class and sop_class not in MR_CLASSES or str(file.get("Modality", "MR")).upper() != "MR":
        raise Refusal("not_mr", "expected MR images, these are of another kind; send the MR series")
    if any(str(f.file.get("BurnedInAnnotation", "NO")).upper() == "YES" for f in frames):
        raise Refusal(
            "burned_in_annotation",
            "expected images without text in their pixels, the header says that annotation is burned in; "
            "send the original series",
        )
    if "LOCALIZER" in types or series_words(file) & {"LOCALIZER", "LOCALISER", "SCOUT", "SURVEY"}:
        raise Refusal("localizer", "expected a diagnostic series, this is a localizer; send the sagittal series")
    if "SECONDARY" in types:
        raise Refusal(
            "derived_image",
            "expected original images, these were computed from others and may carry text or another geometry; "
            "send the original series",
        )
    if image_kind(frames[0]) != "magnitude":
        raise Refusal("derived_image", f"expected magnitude images, these are of the kind {image_kind(frames[0])}")


def check_grid(geometry: Geometry, slice_axis: int) -> None:
    """Refuse grids that do not show one whole knee from the side.

    Raises
    ------
    Refusal
        `both_knees`, `too_few_slices`, `too_little_coverage`, `not_sagittal`.
    """
    n_slices = geometry.shape[slice_axis]
    coverage = n_slices * geometry.spacing_mm[slice_axis]
    plane = plane_of(geometry.affine, slice_axis)
    if plane == "sagittal" and coverage > MAX_SAGITTAL_COVERAGE_MM:
        raise both_knees(f"the sagittal slices cover {coverage:.0f} mm from left to right")
    if n_slices < MIN_SLICES:
        raise Refusal(
            "too_few_slices",
            f"expected at least {MIN_SLICES} slices, this series has {n_slices}; send the whole series",
        )
    if coverage < MIN_COVERAGE_MM:
        raise Refusal(
            "too_little_coverage",
            f"expected at least {MIN_COVERAGE_MM:.0f} mm of knee, the slices cover {coverage:.0f} mm; "
            "send the whole series",
        )
    if plane != "sagittal" and not is_isotropic(geometry):
        raise Refusal(
            "not_sagittal",
            f"expected sagittal slices or a 3-D scan with nearly cubic voxels, these are {plane}; "
            "send the sagittal series",
        )


def both_knees(seen: str) -> Refusal:
    return Refusal("both_knees", f"expected one knee in an image, but {seen}: both legs; send each knee by itself")


def is_isotropic(geometry: Geometry) -> bool:
    spacing = geometry.spacing_mm
    return max(spacing) <= min(ISOTROPIC_RATIO * min(spacing), ISOTROPIC_MM)


def _type_text(file) -> str:
    value = file.get("ImageType", "")
    return value if isinstance(value, str) else " ".join(str(v) for v in value)


def width_mm(geometry: Geometry) -> float:
    """Extent of the field of view from left to right."""
    return float(np.abs(geometry.affine[0, :3]) @ np.array(geometry.shape))
