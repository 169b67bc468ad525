"""The scans sheet of a tree of scans: who is who comes from the folders, which side from the headers.

Every folder directly below the root is one participant; ids are numbers in the order of the folders' names. A header's
names and ids are never read. A study (by its UID) in which both knees are named gives two rows with one path: ingest
then takes the series of the row's side. A second study of the same knee is a second session.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from kneeline.errors import Refusal, UsageError
from kneeline.ingest.candidate import nifti_votes
from kneeline.ingest.frames import frames_of
from kneeline.ingest.headers import File, scan_paths
from kneeline.ingest.laterality import series_sides, votes_of
from kneeline.ingest.nifti import read_sidecar
from kneeline.tables import SCANS, Row


def scans_below(root: Path) -> list[Row]:
    """Rows of SCANS for the participants below `root`; empty when there is no image.

    Raises
    ------
    UsageError
        When a table cannot hold the name of a folder.
    """
    rows: list[Row] = []
    number = 0
    for member in _members(root):
        places = _places(member)
        if places:
            number += 1
            rows += _rows(f"sub-{number:03d}", places)
    return rows


def _members(root: Path) -> Iterable[Path]:
    """Folders below the root, or single NIfTI files; the root itself where DICOM lies directly in it."""
    children = sorted((c for c in root.iterdir() if not c.name.startswith(".")), key=lambda c: c.name)
    if any(c.is_file() and c.name.upper() != "DICOMDIR" and scan_paths([c]).files for c in children):
        return [root]
    return [c for c in children if c.is_dir() or c.name.lower().endswith((".nii", ".nii.gz"))]


def _places(member: Path) -> list[tuple[Path, str | None]]:
    """Path and side of each knee of one participant, one for each study and side."""
    found = scan_paths([member])
    if not found.files:
        return [(path, _one_side(nifti_votes(read_sidecar(path)))) for path in found.nifti]
    studies: dict[str, list[File]] = {}
    for file in found.files:
        studies.setdefault(str(file.get("StudyInstanceUID", "")), []).append(file)
    places = []
    for files in studies.values():
        folder = Path(os.path.commonpath([str(f.path.parent) for f in files]))
        sides = sorted({s for s in map(_side_of, _series(files)) if s})
        places += [(folder, side) for side in sides or [None]]
    return sorted(set(places), key=lambda p: (str(p[0]), p[1] or ""))


def _series(files: list[File]) -> Iterable[list[File]]:
    groups: dict[str, list[File]] = {}
    for file in files:
        groups.setdefault(str(file.get("SeriesInstanceUID", "")), []).append(file)
    return groups.values()


def _side_of(files: list[File]) -> str | None:
    """The side that a series' header names; None when it names none or several."""
    try:
        return _one_side(votes_of([frame for file in files for frame in frames_of(file)]))
    except Refusal:
        return None


def _one_side(votes: dict[str, str]) -> str | None:
    sides = series_sides(votes) or set(votes.values())
    return sides.pop() if len(sides) == 1 else None


def _rows(participant: str, places: list[tuple[Path, str | None]]) -> list[Row]:
    rows, seen = [], {}
    for path, side in places:
        seen[side] = seen.get(side, 0) + 1
        _check_name(path)
        session = f"ses-{seen[side]:02d}" if side else "ses-01"
        rows.append({"participant_id": participant, "session_id": session, "laterality": side, "path": str(path)})
    return rows


def _check_name(path: Path) -> None:
    """A row must lead back to its folder."""
    column = SCANS["path"]
    try:
        str(path).encode()
        same = column.parse(column.format(str(path))) == str(path)
    except ValueError:  # bytes that are not UTF-8, or nothing but blanks
        same = False
    if not same:
        raise UsageError(
            f"{str(path)!r}: a table cannot hold this name (a tab, a line break, a blank at its end, or bytes that are "
            "not UTF-8); rename the folder"
        )
