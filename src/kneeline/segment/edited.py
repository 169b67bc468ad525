"""Outlines that a person corrected, taken instead of the machine's."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from kneeline.errors import Refusal
from kneeline.labels import Label
from kneeline.segment import anatomy, verdict
from kneeline.segment.predict import Segmentation
from kneeline.tables import Edit
from kneeline.volume import SAGITTAL, Laterality, Volume, read_volume, reorient

_AGAIN = "export the knee again, or return to the machine's outlines with `kneeline import-edit SCAN --remove`"


def take_edit(
    edit: Edit, image: Volume, image_path: Path, laterality: Laterality, machine: Segmentation | None
) -> Segmentation:
    """The segmentation that counts: labels of the edit, verdict on them by their anatomy, no confidence of a network.

    `machine` is what the network says of the same image, None where it refused.

    Raises
    ------
    Refusal
        `edit_missing`, `edit_changed`, `edit_does_not_fit`, `laterality_conflict`: no edit is left out in silence.
    """
    labels = _read(edit, image)
    if edit.laterality not in (None, laterality):
        words = {"L": "left", "R": "right"}
        raise Refusal(
            "laterality_conflict",
            f"expected the {words[edit.laterality]} knee that {edit.editor_id} corrected, it is said to be a "
            f"{words[laterality]} one now; give the side in the scans table, or {_AGAIN}",
        )
    canonical = reorient(labels, SAGITTAL)
    # A person can draw on a blurred image; read it nobody can.
    edge_mm = machine.edge_width_mm if machine else None
    judged, reason = verdict.judge(anatomy.measure(canonical.array, canonical.spacing_mm), {}, edge_mm)
    if edit.image_sha256 not in (None, hashlib.sha256(Path(image_path).read_bytes()).hexdigest()):
        told = "the image was read anew since the outlines were corrected; look whether they still fit"
        reason = f"{reason}; {told}" if reason else told
        judged = "review" if judged == "ok" else judged
    return Segmentation(labels, laterality, machine.fibula_laterality if machine else None, {}, judged, reason)


def _read(edit: Edit, image: Volume) -> Volume:
    path = Path(edit.path)
    if not path.is_file():
        raise Refusal(
            "edit_missing",
            f"expected the label map that {edit.editor_id} corrected, it is gone; restore it, or {_AGAIN}",
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != edit.after_sha256:
        raise Refusal(
            "edit_changed",
            f"expected the label map that {edit.editor_id} corrected as it was imported, it was changed since; restore "
            "it or import the changed one",
        )
    labels = read_volume(path)
    if not labels.geometry.same_as(image.geometry) or labels.array.dtype != np.uint8 or labels.array.max() > max(Label):
        raise Refusal(
            "edit_does_not_fit",
            f"expected outlines on the grid of the image {image.shape}, those that {edit.editor_id} corrected lie on "
            f"another one {labels.shape}: the scan was read from another series then; {_AGAIN}",
        )
    return Volume(labels.array, image.affine)
