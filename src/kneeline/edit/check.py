"""What an editor program gave back, looked at before it counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kneeline.edit.grid import place_on
from kneeline.errors import UsageError
from kneeline.labels import Label
from kneeline.volume import Geometry, Volume, medial_sign

# A structure of which more than this share carries the name of another one has been renamed, not redrawn.
RENAMED = 0.5
# Less of what was labelled before or after in common (Dice) is another knee, or a map turned over.
LEAST_OVERLAP = 0.3
_PAIRS = (
    (Label.MEDIAL_MENISCUS, Label.LATERAL_MENISCUS),
    (Label.MEDIAL_TIBIAL_CARTILAGE, Label.LATERAL_TIBIAL_CARTILAGE),
)
_SAVE = (
    "in 3D Slicer export the segmentation with the image as reference volume and the values of the colour table, "
    "in ITK-SNAP save the segmentation image, as .nii.gz"
)


def read_label_map(path: Path, geometry: Geometry) -> Volume:
    """The label map on the image's grid, uint8; nothing but `Label` in it.

    Any number type will do if every number is whole, any order and direction of the axes. Of the header's two places
    (sform, qform) one has to fit.

    Raises
    ------
    UsageError
        With what is wrong and the way out.
    """
    import nibabel

    path = Path(path)
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise UsageError(f"{path}: expected a NIfTI file (.nii.gz or .nii); {_SAVE}")
    if not path.is_file():
        raise UsageError(f"{path}: no such file; expected the corrected label map")
    try:
        image = nibabel.load(path)
        array = np.asanyarray(image.dataobj)
        places = [place for place in (image.get_sform(coded=True), image.get_qform(coded=True)) if place[1]]
    except MemoryError:
        raise
    except Exception as error:  # nibabel raises many kinds on damaged bytes
        raise UsageError(
            f"{path}: cannot be read as NIfTI ({type(error).__name__}); save or copy it again: {_SAVE}"
        ) from None
    if array.dtype.kind not in "iuf":
        raise UsageError(f"{path}: holds colours, not labels; {_SAVE}")
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        raise UsageError(f"{path}: expected one 3-D label map, it has shape {array.shape}; {_SAVE}")
    try:
        placed = _place(_as_labels(array), [affine for affine, _ in places], geometry)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return Volume(placed, geometry.affine)


def _as_labels(array: np.ndarray) -> np.ndarray:
    """uint8 of the same values."""
    values, counts = np.unique(array, return_counts=True)
    if not np.isfinite(values).all() or (values != np.rint(values)).any():
        raise UsageError(
            "holds numbers that are not whole: an image or a resampled label map, not labels; give the label map as it "
            "was corrected"
        )
    known = {int(label) for label in Label}
    strange = [(int(v), int(n)) for v, n in zip(values, counts, strict=True) if int(v) not in known]
    if strange:
        named = ", ".join(f"{value} ({n} voxel{'s' * (n > 1)})" for value, n in strange[:20])
        more = f" and {len(strange) - 20} more" if len(strange) > 20 else ""
        told = ", ".join(f"{int(label)} {label.words}" for label in Label if label)
        raise UsageError(
            f"holds labels that kneeline does not know: {named}{more}. Give those voxels one of its labels ({told}) "
            "or 0, and save again"
        )
    if not array.any():
        raise UsageError("nothing is labelled in it; to return to the machine's outlines use `--remove`")
    return array.astype(np.uint8)


def _place(array: np.ndarray, affines: list[np.ndarray], geometry: Geometry) -> np.ndarray:
    if not affines:
        raise UsageError(f"its header does not say where it lies (neither sform nor qform is set); {_SAVE}")
    found, faults = [], []
    for affine in affines:
        try:
            found.append(place_on(array, np.asarray(affine, float), geometry))
        except (UsageError, np.linalg.LinAlgError) as fault:
            faults.append(fault)
    if not found:
        raise faults[0]
    if len(found) == 2 and not np.array_equal(*found):
        raise UsageError(f"its header places it in two ways that both fit the image (sform, qform); {_SAVE}")
    return found[0]


def check_names(edited: Volume, before: Volume, laterality: str) -> None:
    """Raise UsageError if structures look renamed or swapped instead of redrawn, or the map is of another knee.

    A program that writes labels anew (1, 2, 3 ... in the order of its list) gives known labels and wrong anatomy.
    """
    after, was = edited.array, before.array
    if was.any():
        both = np.count_nonzero((after > 0) & (was > 0))
        overlap = 2 * both / (np.count_nonzero(after) + np.count_nonzero(was))
        if overlap < LEAST_OVERLAP:
            raise UsageError(
                f"it has {overlap:.0%} in common with the outlines that were given out: is it of another knee, or "
                "turned over? If it is meant so, add --as-meant"
            )
    renamed = []
    for label in Label:
        here = after[was == label]
        if not label or not here.size:
            continue
        now = Label(int(np.bincount(here, minlength=len(Label)).argmax()))
        if now not in (label, Label.BACKGROUND) and (here == now).mean() > RENAMED and not _same_kind(label, now):
            renamed.append(f"{label.words} is now {now.words}")
    if renamed:
        raise UsageError(
            f"structures have other names than before: {'; '.join(renamed)}. Programs that number labels anew do that; "
            f"{_SAVE}. If it is meant so, add --as-meant"
        )
    for medial, lateral in _PAIRS:
        x = [_middle_x(edited, label) for label in (medial, lateral)]
        if None not in x and (x[0] - x[1]) * medial_sign(laterality) < 0:
            words = {"L": "left", "R": "right"}[laterality]
            raise UsageError(
                f"in this {words} knee the {medial.words} lies lateral of the {lateral.words}; exchange the two "
                "labels, or correct the side in the scans table and run again"
            )


def _same_kind(one: Label, other: Label) -> bool:
    """Medial and lateral of one thing may be exchanged; `check_names` looks at where they lie."""
    return any({one, other} == set(pair) for pair in _PAIRS)


def _middle_x(labels: Volume, label: Label) -> float | None:
    """World x (mm, to the Right) of the middle of a structure."""
    at = np.argwhere(labels.array == label)
    return float(labels.geometry.to_world(at.mean(axis=0))[0]) if len(at) else None


def changes(edited: Volume, before: Volume) -> tuple[float, list[Label]]:
    """Volume (mL) with another label than before, and the structures that gained or lost."""
    differs = edited.array != before.array
    touched = set(np.unique(edited.array[differs])) | set(np.unique(before.array[differs]))
    return differs.sum() * edited.voxel_mm3 / 1000, [label for label in Label if label and int(label) in touched]
