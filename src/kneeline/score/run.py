"""Image and labels of a knee to its rows: menisci by region and whole, fluid, cartilage, marrow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kneeline import tables
from kneeline import threads as side_by_side
from kneeline.errors import Refusal
from kneeline.score.cartilage import find_cartilage
from kneeline.score.echo_train import read_train, t2_map
from kneeline.score.effusion import find_effusion
from kneeline.score.extrusion import measure_extrusion
from kneeline.score.frame import canonical
from kneeline.score.marrow import find_marrow
from kneeline.score.meniscus import find_menisci
from kneeline.score.places import Place, as_json
from kneeline.tables import Row
from kneeline.volume import Volume, read_echoes, read_volume, write_array

# Beside the tables: where the numbers were measured, and T2 (s) where there are echoes.
GEOMETRY, T2_MAP = "geometry.json", "T2map.nii.gz"


@dataclass(frozen=True)
class Scores:
    """Rows of tables.MENISCUS (six), EXTRUSION (two), EFFUSION (one), CARTILAGE (four) and MARROW (three).

    Without the runner's keys. geometry: where the numbers were measured (`places.as_json`).
    t2_s: T2 of menisci and cartilage voxel by voxel on the image's grid, where there are echoes (`t2_map`).
    """

    meniscus: list[Row]
    extrusion: list[Row]
    effusion: Row
    cartilage: list[Row]
    marrow: list[Row]
    geometry: dict[str, Any] = field(default_factory=dict)
    t2_s: np.ndarray | None = None


def score_knee(
    image: Volume,
    labels: Volume,
    laterality: str,
    echoes: np.ndarray | None = None,
    echo_times_ms: Sequence[float] | None = None,
    *,
    contrast: str | None = None,
    echo_time_ms: float | None = None,
    threads: int | None = None,
) -> Scores:
    """Measure and grade one knee.

    Parameters
    ----------
    image, labels
        On one grid, any orientation; labels are `labels.Label`.
    laterality
        "L" or "R".
    echoes, echo_times_ms
        All echoes on the same grid, (I, J, K, echoes), and their times, for T2.
    contrast
        Contrast class (tables.SERIES), for marrow and pits in cartilage, which are read on fat-suppressed spin echoes,
        and for menisci and fluid, which are read less well where fat is bright (flag `not_fat_suppressed`).
    echo_time_ms
        Of the image, for the flag `magic_angle`.
    threads
        As `kneeline.threads.count` takes it. The scores do not depend on it, to the last bit.

    Raises
    ------
    Refusal
        `labels_do_not_fit` if image, labels and echoes are not on one grid; `empty_labels` if nothing is labelled.
    """
    if not image.geometry.same_as(labels.geometry):
        raise Refusal(
            "labels_do_not_fit",
            f"the labels {labels.shape} must lie on the grid of the image {image.shape}; segment this image again",
        )
    if not labels.array.any():
        raise Refusal("empty_labels", "the label volume is empty: no knee was found in the image")
    if echoes is not None and (echoes.shape[:3] != image.shape or len(echo_times_ms or ()) != echoes.shape[3]):
        raise Refusal(
            "labels_do_not_fit",
            f"expected echoes on the grid of the image {image.shape} with a time each, got {echoes.shape} "
            f"and {len(echo_times_ms or ())} time(s)",
        )
    knee = canonical(image, labels, laterality)
    found: dict[str, list[Row]] = {}
    places: dict[str, list[Place]] = {}
    maps: dict[str, np.ndarray | None] = {}

    def menisci() -> None:
        train = read_train(knee, image, laterality, echoes, echo_times_ms)
        found["meniscus"], places["meniscus"] = find_menisci(knee, train, echo_time_ms=echo_time_ms, contrast=contrast)
        found["extrusion"] = measure_extrusion(knee, found["meniscus"])
        maps["t2"] = t2_map(train, image, labels, echoes, echo_times_ms)

    def cartilage() -> None:
        found["cartilage"], places["cartilage"] = find_cartilage(knee, contrast)

    def marrow() -> None:
        found["marrow"], places["marrow"] = find_marrow(knee, contrast)

    def effusion() -> None:
        row, places["effusion"] = find_effusion(knee, contrast)
        found["effusion"] = [row]

    # The longest first.
    side_by_side.each(lambda part: part(), (menisci, cartilage, marrow, effusion), side_by_side.count(threads))
    rows = {name: [{"laterality": laterality} | row for row in part] for name, part in found.items()}
    where = [place for name in ("meniscus", "effusion", "cartilage", "marrow") for place in places[name]]
    geometry = as_json(where, knee, image.geometry, laterality)
    return Scores(**rows | {"effusion": rows["effusion"][0]}, geometry=geometry, t2_s=maps["t2"])


def echo_time_ms(sidecar: dict) -> float | None:
    """Echo time (ms) of an image from its sidecar (seconds), None where that does not tell."""
    seconds = sidecar.get("EchoTime")
    return None if seconds is None else 1000 * float(seconds)


def score_scan(scan_id: str, ingest_dir: Path, segment_dir: Path, out: Path) -> Row:
    """Score one segmented scan: write its tables and, last, its status; return the status row."""
    ingest_dir, segment_dir, out = Path(ingest_dir), Path(segment_dir), Path(out)
    status = tables.read_status(segment_dir, scan_id)
    out.mkdir(parents=True, exist_ok=True)
    files = {
        "meniscus": tables.MENISCUS,
        "extrusion": tables.EXTRUSION,
        "effusion": tables.EFFUSION,
        "cartilage": tables.CARTILAGE,
        "marrow": tables.MARROW,
    }
    # What an earlier run left must not outlive a scan that is now set aside.
    for name in (*(f"{name}.tsv" for name in files), GEOMETRY, T2_MAP):
        (out / f"{scan_id}_{name}").unlink(missing_ok=True)
    if status["status"] == "ok":
        try:
            scores, affine = _score_files(scan_id, ingest_dir, segment_dir, status["laterality"])
        except Refusal as refusal:
            status = _set_aside(status, refusal.code, refusal.reason)
        except (MemoryError, KeyboardInterrupt):
            raise
        except Exception as error:
            status = _set_aside(
                status, "unexpected_error", f"scoring failed with {type(error).__name__}; please report it as a bug"
            )
        else:
            keys = {name: status.get(name) for name in (*tables.KNEE_KEYS, "verdict", "outlined_by")}
            rows = {
                "meniscus": scores.meniscus,
                "extrusion": scores.extrusion,
                "effusion": [scores.effusion],
                "cartilage": scores.cartilage,
                "marrow": scores.marrow,
            }
            for name, table in files.items():
                tables.write_table(out / f"{scan_id}_{name}.tsv", [row | keys for row in rows[name]], table)
            geometry = {"scan_id": scan_id, "laterality": status["laterality"]} | scores.geometry
            tables.write_text(out / f"{scan_id}_{GEOMETRY}", json.dumps(geometry, separators=(",", ":")) + "\n")
            if scores.t2_s is not None:
                write_array(out / f"{scan_id}_{T2_MAP}", scores.t2_s, affine)
    tables.write_status(out, status)
    return status


def _set_aside(status: Row, code: str, reason: str) -> Row:
    return status | {"status": "quarantined", "stage": "score", "reason_code": code, "reason": reason}


def _score_files(
    scan_id: str, ingest_dir: Path, segment_dir: Path, laterality: str | None
) -> tuple[Scores, np.ndarray]:
    """Scores, and the affine of the image."""
    if laterality not in ("L", "R"):
        raise Refusal("laterality_unknown", "the side of the knee is not known; give it in the scans table")
    try:
        image = read_volume(ingest_dir / f"{scan_id}_image.nii.gz")
        labels = read_volume(segment_dir / f"{scan_id}_dseg.nii.gz")
    except ValueError as error:
        raise Refusal("unreadable_volume", f"image or labels of the scan cannot be read: {error}") from error
    told = ingest_dir / f"{scan_id}_image.json"
    sidecar = json.loads(told.read_text(encoding="utf-8")) if told.exists() else {}
    echoes = times = None
    if (ingest_dir / f"{scan_id}_echoes.nii.gz").exists():
        echoes, _ = read_echoes(ingest_dir / f"{scan_id}_echoes.nii.gz")
        times = [1000 * t for t in sidecar["EchoTimes"]]
    scores = score_knee(
        image,
        labels,
        laterality,
        echoes,
        times,
        contrast=sidecar.get("ContrastClass"),
        echo_time_ms=echo_time_ms(sidecar),
    )
    return scores, image.affine
