"""Everything the page tells, read from the results folder. A table that a run did not write is an empty list."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from kneeline import tables
from kneeline.tables import Row, Table

_TABLES: Sequence[Table] = (
    tables.INGEST_SCANS, tables.SERIES, tables.QUALITY, tables.SEGMENT, tables.EDITED, tables.MENISCUS,
    tables.EXTRUSION, tables.EFFUSION, tables.CARTILAGE, tables.MARROW, tables.KNEES, tables.RUNNERS, tables.FLOW,
    tables.TABLE_ONE, tables.PREVALENCE, tables.JOINT_CELLS, tables.DOSE_RESPONSE, tables.ESTIMATES, tables.PUBLISHED,
    tables.CLAIMS, tables.AGREEMENT, tables.CONFUSION, tables.READ_VALUES, tables.MACHINE_ERROR,
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A knee's picture: where its PNG is, or why there is none."""

    path: Path | None
    shows: str = ""
    reason: str | None = None


@dataclass(frozen=True)
class Results:
    """Rows by table name (`"cohort/estimates"`), pictures by scan id, checksums by file.

    `sidecars` hold what the scanner said of each image (`ingest/SCAN_image.json`), `networks` what outlined each
    (`segment/SCAN_dseg.json`), by scan id; a file that is not there leaves no entry.
    """

    rows: dict[str, list[Row]]
    pictures: dict[str, Picture] = field(default_factory=dict)
    checksums: list[tuple[str, str]] = field(default_factory=list)
    sidecars: dict[str, dict] = field(default_factory=dict)
    networks: dict[str, dict] = field(default_factory=dict)
    pages: frozenset[str] = frozenset()  # scans with a page of their own beside the report

    def __getitem__(self, table: Table) -> list[Row]:
        return self.rows.get(table.name, [])

    @property
    def scans(self) -> list[Row]:
        return self[tables.INGEST_SCANS]

    @property
    def good(self) -> list[Row]:
        """Statuses of the scans that came through every stage."""
        return [row for row in self.scans if row["status"] == "ok"]

    @property
    def set_aside(self) -> list[Row]:
        return [row for row in self.scans if row["status"] != "ok"]

    @property
    def analysed(self) -> list[Row]:
        """Knees that entered prevalences and models, as the cohort analysis marked them."""
        return [row for row in self[tables.KNEES] if row["analysed"]]

    def of_knee(self, table: Table, knee: Row) -> list[Row]:
        """Rows of a score table that belong to a knee."""
        if table.name not in self._by_knee:
            index: dict[tuple, list[Row]] = {}
            for row in self[table]:
                index.setdefault(_key(row), []).append(row)
            self._by_knee[table.name] = index
        return self._by_knee[table.name].get(_key(knee), [])

    @cached_property
    def _by_knee(self) -> dict[str, dict[tuple, list[Row]]]:
        return {}


def _key(row: Row) -> tuple:
    return tuple(row[k] for k in tables.KNEE_KEYS)


def gather(results: Path, pictures: Path, truth: Path | None = None, readings: Path | None = None) -> Results:
    """Read the tables under `results`, the pictures in `pictures`, the truth of simulated knees and the readers' table
    if there are any.

    Raises
    ------
    UsageError
        If a table is there but not in its declared form.
    """
    results = Path(results)
    rows: dict[str, list[Row]] = {}
    checksums = []
    for table in _TABLES:
        path = results / f"{table.name}.tsv"
        if path.exists():
            rows[table.name] = tables.read_table(path, table)
            checksums.append((f"{table.name}.tsv", hashlib.sha256(path.read_bytes()).hexdigest()))
    if truth is not None and Path(truth).exists():
        rows[tables.TRUTH.name] = tables.read_table(truth, tables.TRUTH)
        checksums.append(("simulate/truth.tsv", hashlib.sha256(Path(truth).read_bytes()).hexdigest()))
    if readings is not None and Path(readings).exists():
        rows[tables.READINGS.name] = tables.read_table(readings, tables.READINGS)
        checksums.append((f"{Path(readings).name} (readings)", hashlib.sha256(Path(readings).read_bytes()).hexdigest()))
    scans = rows.get(tables.INGEST_SCANS.name, [])
    found = {row["scan_id"]: read_picture(row["scan_id"], Path(pictures)) for row in scans}
    good = [row["scan_id"] for row in scans if row["status"] == "ok"]
    sidecars = _notes(good, results / "ingest", "image")
    networks = _notes(good, results / "segment", "dseg")
    pages = frozenset(scan for scan in good if (Path(pictures) / "knees" / f"{Path(scan).name}.html").is_file())
    return Results(rows, found, checksums, sidecars, networks, pages)


def _notes(scans: Sequence[str], folder: Path, what: str) -> dict[str, dict]:
    """`FOLDER/SCAN_WHAT.json` of each scan that has one."""
    paths = {scan: folder / f"{scan}_{what}.json" for scan in scans if Path(scan).name == scan}
    return {scan: json.loads(path.read_text(encoding="utf-8")) for scan, path in paths.items() if path.is_file()}


def read_picture(scan_id: str, folder: Path) -> Picture:
    """The picture that `pictures.picture_scan` wrote, by its marker file."""
    marker_path = folder / f"{scan_id}_picture.json"
    # A scan id is a file-name stem; one with a slash in it is not ours and is not followed.
    if Path(marker_path.name) != Path(f"{scan_id}_picture.json") or not marker_path.is_file():
        return Picture(None, reason="no picture was drawn")
    marker = json.loads(marker_path.read_text(encoding="utf-8"))
    if not marker.get("picture"):
        return Picture(None, reason=marker.get("reason") or "no picture was drawn")
    shows = ", ".join(f"{panel['title']} (slice {panel['slice']})" for panel in marker.get("panels", []))
    return Picture(folder / f"{scan_id}_overlay.png", shows)
