"""Gather what the stages wrote per scan into one table per kind, in the order of the scans table."""

from __future__ import annotations

from pathlib import Path

from kneeline import tables
from kneeline.errors import UsageError
from kneeline.tables import Row, Scan, Table

_QUARANTINED = "quarantined"
# What not every scan has.
_OPTIONAL = ("edit", "truth")


def collect(scans: list[Scan], results: Path) -> list[Row]:
    """Write the collected tables of all stages under `results`; return the rows of ingest/scans.

    A knee that two scans turn out to show keeps the first in the order of the scans table; the others are set aside.

    Raises
    ------
    UsageError
        If a file of a scan that came through is gone: its rows would be missing without a word.
    """
    results = Path(results)
    found = [tables.read_status(results / "score", scan.scan_id) for scan in scans]
    statuses = _set_duplicates_aside([{name: row[name] for name in tables.INGEST_SCANS.header} for row in found])
    good = [row["scan_id"] for row in statuses if row["status"] == "ok"]
    every = [scan.scan_id for scan in scans]

    tables.write_table(
        results / "ingest" / "series.tsv", _rows(results / "ingest", every, "series", tables.SERIES), tables.SERIES
    )
    for stage, suffix, table in (
        ("ingest", "quality", tables.QUALITY),
        ("segment", "structures", tables.SEGMENT),
        ("segment", "edit", tables.EDITED),
        ("score", "meniscus", tables.MENISCUS),
        ("score", "extrusion", tables.EXTRUSION),
        ("score", "effusion", tables.EFFUSION),
        ("score", "cartilage", tables.CARTILAGE),
        ("score", "marrow", tables.MARROW),
    ):
        tables.write_table(results / f"{table.name}.tsv", _rows(results / stage, good, suffix, table), table)
    tables.write_table(results / "ingest" / "scans.tsv", statuses, tables.INGEST_SCANS)
    return statuses


def collect_truth(scans: list[Scan], folder: Path) -> None:
    """Write truth.tsv of a simulated cohort."""
    every = [scan.scan_id for scan in scans]
    tables.write_table(Path(folder) / "truth.tsv", _rows(Path(folder), every, "truth", tables.TRUTH), tables.TRUTH)


def _rows(folder: Path, scan_ids: list[str], suffix: str, table: Table) -> list[Row]:
    found = []
    for scan_id in scan_ids:
        path = folder / f"{scan_id}_{suffix}.tsv"
        if not path.exists():
            if suffix in _OPTIONAL:
                continue
            raise UsageError(f"{path}: is gone, though its scan came through; `kneeline run` makes it again")
        found += [{name: row[name] for name in table.header} for row in tables.read_table(path, table)]
    return found


def _set_duplicates_aside(statuses: list[Row]) -> list[Row]:
    first: dict[tuple, str] = {}
    out = []
    for row in statuses:
        knee = tuple(row[k] for k in tables.KNEE_KEYS)
        if row["status"] == "ok" and first.setdefault(knee, row["scan_id"]) != row["scan_id"]:
            row = {
                **row,
                "status": _QUARANTINED,
                "stage": "segment",
                "reason_code": "duplicate_knee",
                "reason": f"shows the same knee of the same visit as {first[knee]}; give both rows the laterality "
                "in the scans table and the better series is chosen",
            }
        out.append(row)
    return out
