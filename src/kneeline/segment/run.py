"""The stage: one ingested scan to its label volume, structure table and status."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path

import numpy as np

from kneeline import tables
from kneeline.errors import Refusal, UsageError
from kneeline.labels import Label
from kneeline.segment import engine
from kneeline.segment.edited import take_edit
from kneeline.segment.predict import Segmentation, segment
from kneeline.steps import network_digest
from kneeline.tables import Edit, Row
from kneeline.volume import Volume, read_volume, write_volume

_FILES = ("dseg.nii.gz", "dseg.json", "structures.tsv", "machine_dseg.nii.gz", "edit.tsv", "status.json")


def segment_scan(scan_id: str, ingest_dir: Path, out: Path, edit: Edit | None = None) -> Row:
    """Write `{scan_id}_dseg.nii.gz`, `_dseg.json`, `_structures.tsv` and, last, `_status.json` into `out`; return the
    status row.

    A scan that was set aside before, or is refused here, has a status only. Outlines that a person corrected count
    instead of the machine's, which are then kept as `_machine_dseg.nii.gz`; `_edit.tsv` says what they started from.
    """
    ingest_dir, out = Path(ingest_dir), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        (out / f"{scan_id}_{name}").unlink(missing_ok=True)
    status = tables.read_status(ingest_dir, scan_id)
    if status["status"] == "ok":
        try:
            image_path = ingest_dir / f"{scan_id}_image.nii.gz"
            image = _read(image_path)
            segmentation = machine = _by_machine(image, status["laterality"], edit)
            if edit:
                side = machine.laterality if machine else status["laterality"]
                segmentation = take_edit(edit, image, image_path, side, machine)
        except (MemoryError, UsageError):  # the machine's or the caller's fault, not the scan's
            raise
        except Refusal as refusal:
            status |= _set_aside(refusal.code, refusal.reason)
        except Exception as error:
            status |= _set_aside(
                "unexpected_error",
                f"expected an image that can be segmented, it failed in a way nobody foresaw ({type(error).__name__}); "
                "look at the image, or report it",
            )
        else:
            status |= _side(status, segmentation)
            status |= {"verdict": segmentation.verdict, "reason": segmentation.reason}
            status |= {"outlined_by": edit.outlined_by if edit else tables.BY_MACHINE}
            _write(out, scan_id, segmentation, status, edit, machine)
    tables.write_status(out, status)
    return tables.read_status(out, scan_id)


def _read(path: Path) -> Volume:
    try:
        return read_volume(path)
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise Refusal(
            "unreadable_volume",
            "expected the ingested image as one 3-D NIfTI file with a usable orientation, it is missing, damaged or of "
            "another shape; ingest the scan again",
        ) from error


def _by_machine(image: Volume, laterality: str | None, edit: Edit | None) -> Segmentation | None:
    """What the network says; None where it fails on a knee that a person outlined.

    A side in doubt stays a reason to refuse: outlines cannot settle it.
    """
    try:
        return segment(image, laterality)
    except (MemoryError, UsageError):
        raise
    except Exception as error:
        in_doubt = isinstance(error, Refusal) and error.code == "laterality_conflict"
        if edit is None or laterality is None or in_doubt:
            raise
        return None


def _write(
    out: Path, scan_id: str, segmentation: Segmentation, status: Row, edit: Edit | None, machine: Segmentation | None
) -> None:
    """All files or, when one fails, none."""
    keys = {name: status[name] for name in ("scan_id", *tables.KNEE_KEYS)}
    rows = [keys | row for row in structure_rows(segmentation)]
    try:
        write_volume(out / f"{scan_id}_dseg.nii.gz", segmentation.labels)
        # What computed the labels: with another of these the same image may give slightly other ones.
        computed_by = {"network": network_digest()} | engine.provenance()
        if edit:
            written = out / f"{scan_id}_machine_dseg.nii.gz"
            if machine:
                write_volume(written, machine.labels)
            row = keys | edit_row(edit, segmentation, machine, written)
            tables.write_table(out / f"{scan_id}_edit.tsv", [row], tables.EDITED)
            computed_by |= {"outlined_by": edit.outlined_by, "refused": machine is None}
        tables.write_text(out / f"{scan_id}_dseg.json", json.dumps(computed_by, indent=1) + "\n")
        tables.write_table(out / f"{scan_id}_structures.tsv", rows, tables.SEGMENT)
    except BaseException:
        for name in _FILES:
            (out / f"{scan_id}_{name}").unlink(missing_ok=True)
        raise


def _set_aside(code: str, reason: str) -> Row:
    return {"status": "quarantined", "stage": "segment", "reason_code": code, "reason": reason}


def _side(status: Row, segmentation: Segmentation) -> Row:
    """The side and who decided and spoke."""
    sources = [s for s in (status.get("laterality_sources") or "").split(",") if s]
    if segmentation.fibula_laterality:
        sources.append(f"fibula={segmentation.fibula_laterality}")
    return {
        "laterality": segmentation.laterality,
        "laterality_source": status.get("laterality_source") or "fibula",
        "laterality_sources": ",".join(sources) or None,
    }


def structure_rows(segmentation: Segmentation) -> list[Row]:
    """One row a structure; one that was not found has neither volume nor confidence."""
    labels = segmentation.labels
    counts = np.bincount(labels.array.ravel(), minlength=len(Label))
    return [
        {
            "structure": label.label_name,
            "volume_mm3": float(counts[label] * labels.voxel_mm3) if counts[label] else None,
            "confidence": segmentation.confidence.get(label),
        }
        for label in Label
        if label
    ]


def edit_row(edit: Edit, edited: Segmentation, machine: Segmentation | None, machine_map: Path) -> Row:
    """Row of EDITED without the scan's keys. `machine_map` is the file of the machine's labels."""
    notes = []
    if machine is None:
        notes.append("the network refuses this image; a person outlined it")
    if edit.network not in (None, network_digest()):
        notes.append("another network segments this knee now than the one whose outlines were corrected")
    row = {name: getattr(edit, name) for name in ("editor_id", "before_sha256", "after_sha256", "network")}
    row |= {"at": edit.edited_at, "machine_network": network_digest(), "note": "; ".join(notes) or None}
    if machine:
        differs = int((edited.labels.array != machine.labels.array).sum())
        row["machine_sha256"] = hashlib.sha256(machine_map.read_bytes()).hexdigest()
        row["changed_ml"] = differs * edited.labels.voxel_mm3 / 1000
    return row
