"""The stage: one ingested scan to its label volume, structure table and status."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np

from kneeline import tables
from kneeline.errors import Refusal, UsageError
from kneeline.labels import Label
from kneeline.segment import engine
from kneeline.segment.predict import Segmentation, segment
from kneeline.steps import network_digest
from kneeline.tables import Row
from kneeline.volume import Volume, read_volume, write_volume

_FILES = ("dseg.nii.gz", "dseg.json", "structures.tsv", "status.json")


def segment_scan(scan_id: str, ingest_dir: Path, out: Path) -> Row:
    """Write `{scan_id}_dseg.nii.gz`, `_dseg.json`, `_structures.tsv` and, last, `_status.json` into `out`; return the
    status row.

    A scan that was set aside before, or is refused here, has a status only.
    """
    ingest_dir, out = Path(ingest_dir), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        (out / f"{scan_id}_{name}").unlink(missing_ok=True)
    status = tables.read_status(ingest_dir, scan_id)
    if status["status"] == "ok":
        try:
            segmentation = segment(_read(ingest_dir / f"{scan_id}_image.nii.gz"), status["laterality"])
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
            _write(out, scan_id, segmentation, status)
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


def _write(out: Path, scan_id: str, segmentation: Segmentation, status: Row) -> None:
    """All files or, when one fails, none."""
    keys = {name: status[name] for name in ("scan_id", *tables.KNEE_KEYS)}
    rows = [keys | row for row in structure_rows(segmentation)]
    try:
        write_volume(out / f"{scan_id}_dseg.nii.gz", segmentation.labels)
        # What computed the labels: with another of these the same image may give slightly other ones.
        computed_by = {"network": network_digest()} | engine.provenance()
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
