"""The stage: one scan from its paths to image, sidecar, series table, quality row and status."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kneeline import tables
from kneeline.errors import Refusal
from kneeline.ingest.candidate import Candidate, find_candidates, is_wide, read_candidate
from kneeline.ingest.echoes import ANATOMICAL_ECHO_RULE
from kneeline.ingest.headers import scan_paths
from kneeline.ingest.laterality import Side, conflict, resolve_side, series_sides
from kneeline.ingest.picture_files import only_pictures
from kneeline.ingest.quality import quality_row
from kneeline.tables import Row, Scan
from kneeline.volume import Volume, other_side, write_array, write_volume

# What a folder of a whole study holds beside the wanted series: named only when there is nothing else to say.
_EXPECTED_REFUSALS = {
    "not_sagittal", "localizer", "not_mr", "secondary_capture", "screen_capture", "derived_image", "other_knee",
    "side_unknown_beside_two_knees",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Knee:
    """One image of one knee, with all that is known of it and may be told.

    `echoes` is (I, J, K, echo) by rising echo time, None unless there are several; `sidecar` holds whitelisted keys.
    """

    image: Volume
    sidecar: dict[str, Any]
    laterality: str | None
    laterality_source: str | None
    laterality_sources: str | None
    echoes: np.ndarray | None
    echo_times_ms: list[float] | None
    quality: Row
    series: list[Row]


def load_knee(path: str | Path | Sequence[str | Path], laterality: str | None = None) -> Knee:
    """Read the best series under `path` (folder, DICOM or NIfTI file, or several of them).

    Parameters
    ----------
    laterality
        What the scans table says; None where it is silent.

    Raises
    ------
    Refusal
        When no series can be used, or its side is in doubt.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    with _quiet():
        candidates = _candidates(paths)
        return _read_best(candidates, laterality)


def ingest_scan(scan: Scan, out: Path) -> Row:
    """Write the files of one scan into `out` and return its status row; see the stage's contract in docs/ingest.md."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        _file(out, scan, name).unlink(missing_ok=True)
    keys = {
        "participant_id": scan.participant_id,
        "session_id": scan.session_id,
        "laterality": scan.laterality,
    }
    candidates: list[Candidate] = []
    knee = None
    try:
        with _quiet():
            candidates = _candidates(scan.paths)
            knee = _read_best(candidates, scan.laterality)
        row = {"status": "ok"}
    except Refusal as refusal:
        row = {"status": "quarantined", "stage": "ingest", "reason_code": refusal.code, "reason": refusal.reason}
    except MemoryError:
        raise
    except Exception as error:
        row = {
            "status": "quarantined",
            "stage": "ingest",
            "reason_code": "unexpected_error",
            "reason": f"expected a readable scan, reading it failed in a way nobody foresaw ({type(error).__name__}); "
            "look at the files, or report it",
        }
    if row.get("reason_code") == "laterality_conflict":
        row["laterality_sources"] = _sources_in_conflict(candidates, scan.laterality)
    series = knee.series if knee else [c.row(chosen=False) for c in candidates]
    tables.write_table(_file(out, scan, "series.tsv"), [{"scan_id": scan.scan_id} | r for r in series], tables.SERIES)
    if knee:
        keys["laterality"] = knee.laterality
        row |= {"laterality_source": knee.laterality_source, "laterality_sources": knee.laterality_sources}
        _write_knee(knee, scan, keys, out)
    row = {"scan_id": scan.scan_id} | keys | row
    tables.write_status(out, row)
    return tables.read_status(out, scan.scan_id)


_FILES = ("image.nii.gz", "image.json", "echoes.nii.gz", "series.tsv", "quality.tsv", "status.json")


def _file(out: Path, scan: Scan, name: str) -> Path:
    return out / f"{scan.scan_id}_{name}"


def _write_knee(knee: Knee, scan: Scan, keys: Row, out: Path) -> None:
    write_volume(_file(out, scan, "image.nii.gz"), knee.image)
    if knee.echoes is not None:
        write_array(_file(out, scan, "echoes.nii.gz"), knee.echoes, knee.image.affine)
    tables.write_text(_file(out, scan, "image.json"), json.dumps(knee.sidecar, indent=1) + "\n")
    tables.write_table(
        _file(out, scan, "quality.tsv"), [{"scan_id": scan.scan_id} | keys | knee.quality], tables.QUALITY
    )


def _sources_in_conflict(candidates: list[Candidate], table: str | None) -> str | None:
    votes = next((c.votes for c in candidates if c.refusal and c.refusal.code == "laterality_conflict"), {})
    return Side(None, None, ({"table": table} if table else {}) | votes).sources


def _candidates(paths: Sequence[str | Path]) -> list[Candidate]:
    found = scan_paths(paths)
    candidates = find_candidates(found)
    if candidates:
        return candidates
    if found.pictures:
        raise only_pictures(found.pictures)
    if found.broken:
        raise Refusal(
            "unreadable_file",
            f"expected DICOM images, none of the {len(found.broken)} file(s) that look like DICOM can be read; "
            "copy them again",
        )
    raise Refusal("no_series", "expected a DICOM series or a NIfTI image, the folder holds neither; correct the path")


def _read_best(candidates: list[Candidate], table: str | None) -> Knee:
    _keep_one_side(candidates, table)
    for candidate in sorted((c for c in candidates if not c.refusal), key=lambda c: (-c.score, c.number)):
        try:
            side = resolve_side(table, candidate.votes)
            arrays = read_candidate(candidate)
        except Refusal as refusal:
            candidate.refusal = refusal
            if refusal.code == "laterality_conflict":
                raise  # another series would be a coin toss
            continue
        return _knee(candidate, arrays, side, candidates)
    _look_for_two_legs(candidates)
    raise _overall_refusal(candidates)


def _keep_one_side(candidates: list[Candidate], table: str | None) -> None:
    """Refuse usable series of the other knee, and those without a side where both knees are present.

    Raises
    ------
    Refusal
        `laterality_conflict` when every side named is not the table's, `two_knees_in_folder` when the table is silent.
    """
    usable = [c for c in candidates if not c.refusal]
    sides = [series_sides(c.votes) for c in usable]
    named = set().union(*sides)
    if table is None:
        if {frozenset("L"), frozenset("R")} <= {frozenset(s) for s in sides}:
            _refuse_all(
                usable,
                Refusal(
                    "two_knees_in_folder",
                    "expected series of one knee, the folder holds series of a left and of a right one; "
                    "give two rows with their laterality in the scans table",
                ),
            )
        return
    if named and table not in named:
        speaking = [c for c, said in zip(usable, sides, strict=True) if said]
        votes = speaking[0].votes
        _refuse_all(speaking, conflict({"table": table} | votes))
    for candidate, said in zip(usable, sides, strict=True):
        if said == {other_side(table)}:
            candidate.refusal = Refusal("other_knee", "this series is of the other knee; it is not a candidate here")
        elif not said and other_side(table) in named:
            candidate.refusal = Refusal(
                "side_unknown_beside_two_knees",
                "expected a side, since the folder holds series of both knees; this series names none",
            )


def _refuse_all(candidates: list[Candidate], refusal: Refusal) -> None:
    for candidate in candidates:
        candidate.refusal = refusal
    raise refusal


def _look_for_two_legs(candidates: list[Candidate]) -> None:
    """Say why a wide coronal or axial image is of no use: pixels are read only when nothing else could be."""
    for candidate in candidates:
        if candidate.refusal and candidate.refusal.code == "not_sagittal" and is_wide(candidate):
            try:
                read_candidate(candidate)
            except Refusal as refusal:
                if refusal.code == "both_knees":
                    candidate.refusal = refusal


def _overall_refusal(candidates: list[Candidate]) -> Refusal:
    """The one refusal that tells most: of the series that should have been usable, or of all."""
    refusals = [c.refusal for c in candidates]
    telling = [r for r in refusals if r.code not in _EXPECTED_REFUSALS] or refusals
    if len({r.code for r in telling}) == 1:
        return telling[0]
    codes = sorted({r.code for r in telling})
    return Refusal(
        "nothing_usable",
        f"expected one usable series, all {len(candidates)} were refused ({', '.join(codes)}); "
        "the series table says why",
    )


def _knee(chosen: Candidate, arrays: list[np.ndarray], side: Side, candidates: list[Candidate]) -> Knee:
    best = chosen.anatomical_echo
    image = Volume(arrays[best], chosen.geometry.affine)
    quality = quality_row(
        image.array,
        chosen.geometry,
        chosen.slice_axis,
        chosen.contrast.name,
        chosen.acquisition.get("SliceThickness"),
    )
    if chosen.flags:
        quality["flags"] = ",".join(filter(None, [quality["flags"], *chosen.flags]))
    return Knee(
        image=image,
        sidecar=_sidecar(chosen, side),
        laterality=side.laterality,
        laterality_source=side.source,
        laterality_sources=side.sources,
        echoes=np.stack(arrays, axis=-1) if len(arrays) > 1 else None,
        echo_times_ms=chosen.echo_times_ms,
        quality=quality,
        series=[c.row(chosen=c is chosen) for c in candidates],
    )


def _sidecar(chosen: Candidate, side: Side) -> dict[str, Any]:
    facts = dict(chosen.acquisition)
    facts["SpacingBetweenSlices"] = round(chosen.geometry.spacing_mm[chosen.slice_axis], 4)
    facts["ContrastClass"] = chosen.contrast.name
    facts["FatSuppressed"] = chosen.contrast.fat_suppressed
    if chosen.echo_times_ms:
        facts["EchoTime"] = round(chosen.echo_times_ms[chosen.anatomical_echo] / 1000, 9)
        facts["EchoTimes"] = [round(t / 1000, 9) for t in chosen.echo_times_ms]
        facts["AnatomicalEcho"] = ANATOMICAL_ECHO_RULE
    facts["Laterality"] = side.laterality
    facts["LateralitySource"] = side.source
    facts["LateralitySources"] = side.sources
    return facts


@contextmanager
def _quiet():
    """Damaged headers make readers warn, and their warnings quote the header."""
    import logging

    loggers = [logging.getLogger(name) for name in ("pydicom", "nibabel.global")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def inventory(root: str | Path) -> list[Row]:
    """Rows of SCANS for a tree with one folder a participant; sides come from headers, ids from the folders' order."""
    from kneeline.ingest.inventory import scans_below

    with _quiet():
        return scans_below(Path(root))
