"""Tables: columns, units, allowed values, and how they are read and written.

All tables are TSV with a header, UTF-8, `n/a` for missing. A table's `Table` is its contract and its codebook.
Reading reports every fault at once, with line and column. Nothing heavy is imported: the Snakefile reads its sheets
here.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kneeline import grading, sheets, units
from kneeline.errors import UsageError

MISSING = "n/a"
_MISSING_WORDS = {"n/a", "na", "nan", "null", "none"}

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column: what it means, its unit is in its name's suffix."""

    name: str
    kind: Literal["text", "int", "float", "bool"]
    meaning: str
    allowed: tuple = ()
    low: float | None = None
    high: float | None = None
    pattern: str | None = None
    needed: bool = False  # a row without it is a fault
    optional: bool = False  # the whole column may be absent from a file

    def parse(self, text: str) -> Any:
        """Value of a cell, None if missing.

        Raises
        ------
        ValueError
            With a sentence that says what was expected.
        """
        text = text.strip()
        # In a text column `none` may be an answer ("no injury"); only a number cannot be a word.
        if text in ("", MISSING) or self.kind != "text" and text.lower() in _MISSING_WORDS:
            if self.needed:
                raise ValueError("may not be empty")
            return None
        value: Any = text
        if self.kind in ("int", "float"):
            try:
                value = int(text) if self.kind == "int" else float(text)
            except ValueError:
                comma = re.fullmatch(r"-?\d+,\d+", text)
                hint = units.guess_text(self.name, text) or sheets.date_hint(text)
                hint = "; decimals need a point, not a comma" if comma else hint
                raise ValueError(f"expected {_KINDS[self.kind]}, got {sheets.shown(text)}{hint}") from None
            if not math.isfinite(value):
                raise ValueError(f"expected a finite number, got {sheets.shown(text)}")
            if not sheets.is_number(text):
                raise ValueError(f"expected {_KINDS[self.kind]} in plain digits, got {sheets.shown(text)}")
        elif self.kind == "bool":
            if text.lower() not in ("true", "false"):
                raise ValueError(f"expected true or false, got {sheets.shown(text)}")
            value = text.lower() == "true"
        if self.allowed and value not in self.allowed:
            raise ValueError(
                f"expected one of {', '.join(map(str, self.allowed))}, got {sheets.shown(text)}{sheets.date_hint(text)}"
            )
        if self.low is not None and value < self.low or self.high is not None and value > self.high:
            hint = units.guess(self.name, value)
            raise ValueError(f"expected a value from {self.low} to {self.high}, got {sheets.shown(text)}{hint}")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise ValueError(
                f"expected {self.meaning} ({self.pattern}), got {sheets.shown(text)}{sheets.date_hint(text)}"
            )
        return value

    def format(self, value: Any) -> str:
        if value is None or isinstance(value, float) and math.isnan(value):
            return MISSING
        if self.kind == "bool":
            return "true" if value else "false"
        if self.kind == "float":
            return f"{float(value):.6g}"
        if self.kind == "int":
            return str(int(value))
        return re.sub(r"[\t\r\n]+", " ", str(value)) or MISSING


_KINDS = {"int": "a whole number", "float": "a number"}


@dataclass(frozen=True)
class Table:
    """A table's columns in order; `key` names the columns that no two rows share."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    @property
    def header(self) -> list[str]:
        return [c.name for c in self.columns]


def read_table(path: str | os.PathLike, table: Table) -> list[Row]:
    """Rows of a TSV (or CSV, by its extension), each cell parsed; columns the table does not know are kept as text.

    Raises
    ------
    UsageError
        With all faults of the file: line, column, what was expected, what came.
    """
    path = Path(path)
    lines = sheets.read_lines(path, table.meaning)
    header = [name.strip() for name in next(lines, (1, []))[1]]
    faults = sheets.Faults()
    for fault in _header_faults(header, table):
        faults.append(fault)
    known = {column.name: column for column in table.columns}
    parsers = {n: sheets.remembering(known[n].parse if n in known else str.strip) for n in header}
    blank: Row = dict.fromkeys(known)
    rows: list[Row] = []
    seen: dict[tuple, int] = {}
    for line, values in () if faults else lines:
        if len(values) != len(header):
            faults.append(f"line {line}: {len(values)} cells, the header has {len(header)}")
            continue
        row, sound = blank.copy(), True
        for name, value in zip(header, values, strict=True):
            try:
                row[name] = parsers[name](value)
            except ValueError as fault:
                faults.append(f"line {line}, column {name}: {fault}{_of_whom(header, values, table, name)}")
                sound = sound and name not in table.key
        rows.append(row)
        if not table.key or not sound:  # what could not be read is not the same as another such thing
            continue
        key = tuple(row[k] for k in table.key)
        if key in seen:
            faults.append(f"line {line}: the same {', '.join(table.key)} as line {seen[key]}")
        seen.setdefault(key, line)
    if faults:
        raise UsageError(f"{path}: {faults}")
    return rows


def _of_whom(header: list[str], values: list[str], table: Table, name: str) -> str:
    """` (sub-001)`: whose row a fault is in, where the table is about participants."""
    if name == "participant_id" or "participant_id" not in header or "participant_id" not in table.header:
        return ""
    who = values[header.index("participant_id")].strip()
    return f" ({who})" if re.fullmatch(table["participant_id"].pattern or "", who) else ""


def _header_faults(header: list[str], table: Table) -> list[str]:
    twice = sorted({n for n in header if n and header.count(n) > 1})
    faults = [f"the header names {sheets.shown(name)} twice" for name in twice]
    if "" in header and header != [""]:
        faults.append(f"{header.count('')} column(s) have no name; delete them, also where they look empty")
    absent = [c.name for c in table.columns if c.name not in header and not c.optional]
    if absent:
        hint = sheets.separator_hint(header)
        unknown = [name for name in header if name not in table.header]
        near = "; ".join(filter(None, (units.instead_of(name, unknown) for name in absent)))
        hint += f"; is {near}" if near else ""
        found = ", ".join(n if n.isprintable() and len(n) <= 60 else sheets.shown(n) for n in header[:40])
        faults.append(f"missing column(s) {', '.join(absent)}; found {found or 'nothing'}{hint}")
    return faults


def format_table(rows: Iterable[Row], table: Table) -> str:
    """The text of a table, with its columns in order. An unknown column in a row is an error."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerow(table.header)
    for row in rows:
        unknown = set(row) - set(table.header)
        if unknown:
            raise ValueError(f"{table.name} has no column {', '.join(sorted(unknown))}")
        writer.writerow([c.format(row.get(c.name)) for c in table.columns])
    return out.getvalue()


def write_table(path: str | os.PathLike, rows: Iterable[Row], table: Table) -> None:
    """Write a table, complete or not at all."""
    write_text(path, format_table(rows, table))


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a UTF-8 file, complete or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write a file, complete or not at all: a rename in the same folder, of a file that is on the disk.

    Unless it is, a power cut may leave the new name on an empty file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


# --- the keys of a knee ---------------------------------------------------------------------------------------------

_PARTICIPANT = Column(
    "participant_id", "text", "runner, `sub-` and letters or digits", pattern=r"sub-[A-Za-z0-9]{1,64}", needed=True
)
_SESSION = Column(
    "session_id", "text", "visit, `ses-` and letters or digits", pattern=r"ses-[A-Za-z0-9]{1,64}", needed=True
)
_SIDE = Column("laterality", "text", "side of the body, L or R", allowed=("L", "R"))
_SCAN = Column("scan_id", "text", "file-name stem of the scan, made from the scans table alone", needed=True)

KNEE_KEYS = ("participant_id", "session_id", "laterality")
_KNEE = (_PARTICIPANT, _SESSION, _SIDE)


@dataclass(frozen=True)
class Scan:
    """All rows of the scans table that are about one knee at one visit.

    Without a given laterality every row is a scan of its own (its side is found later).
    """

    scan_id: str
    participant_id: str
    session_id: str
    laterality: str | None
    paths: tuple[str, ...]
    edit: Edit | None = None  # outlines that a person corrected, which count instead of the machine's


@dataclass(frozen=True)
class Edit:
    """A label map that a person corrected, as the edits table has it: the last row of its scan in EDITS."""

    path: str
    editor_id: str
    edited_at: str
    after_sha256: str
    before_sha256: str | None
    network: str | None
    image_sha256: str | None
    laterality: str | None = None  # side for which medial and lateral were named

    @property
    def digest(self) -> str:
        """Another one, another outline, or another person who answers for it."""
        return f"{self.after_sha256} {self.editor_id} {self.edited_at}"

    @property
    def outlined_by(self) -> str:
        return f"edited by {self.editor_id}"


def scan_id(participant_id: str, session_id: str, laterality: str | None, run: int | None = None) -> str:
    """`sub-001_ses-01_knee-L`; `sub-001_ses-01_run-2_knee-unknown` when the table gives no side.

    The stem of all files of a scan; it never changes when the side is found later, the tables say what was found.
    """
    run_entity = f"_run-{run}" if run else ""
    return f"{participant_id}_{session_id}{run_entity}_knee-{laterality or 'unknown'}"


def read_scans(path: str | os.PathLike) -> list[Scan]:
    """Scans in the order of their first row."""
    groups: dict[tuple, list[str]] = {}
    unknown: dict[tuple, int] = {}
    for row in read_table(path, SCANS):
        participant, session, side = row["participant_id"], row["session_id"] or "ses-01", row["laterality"]
        run = None
        if side is None:
            run = unknown[participant, session] = unknown.get((participant, session), 0) + 1
        groups.setdefault((participant, session, side, run), []).append(row["path"])
    return [Scan(scan_id(*key[:3], run=key[3]), *key[:3], paths=tuple(paths)) for key, paths in groups.items()]


# --- sheets that a person writes ------------------------------------------------------------------------------------

SCANS = Table(
    "scans",
    "scans: one row a series or folder of series",
    (
        _PARTICIPANT,
        Column("session_id", "text", _SESSION.meaning + "; empty means ses-01", pattern=_SESSION.pattern),
        Column("laterality", "text", "side of the body; may be empty, then it is looked for", allowed=("L", "R")),
        Column("path", "text", "DICOM folder or NIfTI file", needed=True),
    ),
    key=("participant_id", "session_id", "laterality", "path"),
)

PARTICIPANTS = Table(
    "participants",
    "participants: one row a runner",
    (
        _PARTICIPANT,
        Column("age_years", "float", "age at the scan", low=10, high=100),
        Column("sex", "text", "F or M", allowed=("F", "M")),
        Column("bmi_kg_m2", "float", "body mass index", low=12, high=60),
        Column("strike_style", "text", "how the foot lands", allowed=grading.STRIKE_STYLES),
        Column(
            "strike_method",
            "text",
            "how strike style was found",
            allowed=("video", "foot_strike_angle", "strike_index", "self_report"),
        ),
        Column(
            "foot_strike_angle_deg",
            "float",
            "foot strike angle, standing offset removed",
            low=-45,
            high=60,
            optional=True,
        ),
        Column(
            "strike_index_pct",
            "float",
            "centre of pressure at contact, % of foot length",
            low=0,
            high=100,
            optional=True,
        ),
        Column("weekly_distance_km", "float", "mean running distance a week", low=0, high=400),
        Column("distance_source", "text", "where the distance comes from", allowed=("gps", "diary", "recall")),
        Column("running_years", "float", "years of regular running", low=0, high=90),
        Column("sessions_per_week", "float", "running sessions a week", low=0, high=30),
        Column("pace_min_per_km", "float", "usual pace", low=2, high=20),
        Column("shoe_drop_mm", "float", "heel-to-toe drop of the usual running shoe", low=-10, high=25, optional=True),
        Column("hours_since_run", "float", "hours from the last run to the scan", low=0, high=10000),
        Column("injury_history", "text", "free text or a code; n/a if unknown"),
    ),
    key=("participant_id",),
)

_GRADE = Column("signal_grade", "int", "intrameniscal signal grade", allowed=grading.GRADES)
_FLAGS = Column("flags", "text", "comma-separated reasons for care; n/a if none")
_VERDICT = Column("verdict", "text", "trust in the segmentation", allowed=("ok", "review", "unusable"))
# Tables of scores that kneeline did not make may lack it.
_SCORE_VERDICT = replace(_VERDICT, optional=True)
_CODE = r"[A-Za-z0-9_-]+"
BY_MACHINE = "machine"
# Older tables lack it: nobody could edit then.
_OUTLINED = Column(
    "outlined_by",
    "text",
    "who drew the outlines: machine, or edited by CODE",
    pattern=rf"{BY_MACHINE}|edited by {_CODE}",
    optional=True,
)


def is_edited(row: Row) -> bool:
    """Whether a person corrected the outlines behind a row; tables without the column are of before that was possible.

    >>> is_edited({"outlined_by": "edited by anna"}), is_edited({"outlined_by": "machine"}), is_edited({})
    (True, False, False)
    """
    return row.get("outlined_by") not in (None, BY_MACHINE)


# --- ingest ---------------------------------------------------------------------------------------------------------

_STATUS = Column("status", "text", "ok or quarantined", allowed=("ok", "quarantined"), needed=True)

INGEST_SCANS = Table(
    "ingest/scans",
    "what became of each scan, at any stage",
    (
        _SCAN,
        *_KNEE,
        _STATUS,
        Column("stage", "text", "the stage that set it aside", allowed=("ingest", "segment", "score")),
        Column("reason_code", "text", "the rule that refused"),
        Column("reason", "text", "why it was set aside or should be looked at, in plain words"),
        Column("laterality_source", "text", "what decided the side", allowed=("table", "tag", "text", "fibula")),
        Column("laterality_sources", "text", "every source that spoke and what it said, e.g. table=L,tag=L"),
        _VERDICT,
        _OUTLINED,
    ),
    key=("scan_id",),
)

SERIES = Table(
    "ingest/series",
    "every series found, with its score as the one to segment",
    (
        _SCAN,
        Column("series", "int", "number of the series in the order found"),
        Column("chosen", "bool", "the one that is segmented"),
        Column("score", "float", "higher is better; n/a when refused"),
        Column("score_parts", "text", "how the score adds up"),
        Column("reason_code", "text", "why it cannot be used"),
        Column("reason", "text", "the same in plain words"),
        Column("plane", "text", "main plane", allowed=("sagittal", "coronal", "axial", "oblique")),
        Column("contrast", "text", "contrast class", allowed=("PD", "PDFS", "T2", "T2FS", "T1", "DESS", "other")),
        Column("n_slices", "int", "slices"),
        Column("n_echoes", "int", "echoes"),
        Column("slice_spacing_mm", "float", "distance of slice centres"),
        Column("pixel_mm", "float", "in-plane pixel size"),
        Column("coverage_mm", "float", "extent across the slices"),
    ),
    key=("scan_id", "series"),
)

QUALITY = Table(
    "ingest/quality",
    "quality of each image that went on",
    (
        _SCAN,
        *_KNEE,
        Column("contrast", "text", "contrast class", allowed=SERIES["contrast"].allowed),
        Column("n_slices", "int", "slices"),
        Column("pixel_mm", "float", "in-plane pixel size"),
        Column("slice_spacing_mm", "float", "distance of slice centres"),
        Column("slice_thickness_mm", "float", "nominal thickness"),
        Column("coverage_mm", "float", "extent across the slices"),
        Column("in_plane_mm", "float", "smaller in-plane field of view"),
        Column("snr", "float", "signal-to-noise ratio"),
        _FLAGS,
    ),
    key=("scan_id",),
)

# --- segment --------------------------------------------------------------------------------------------------------

SEGMENT = Table(
    "segment/structures",
    "volume and confidence of each structure",
    (
        _SCAN,
        *_KNEE,
        Column("structure", "text", "label name"),
        Column("volume_mm3", "float", "volume"),
        Column("confidence", "float", "share of its voxels expected to be right (calibrated), 0-1", low=0, high=1),
    ),
    key=("scan_id", "structure"),
)

_SHA256 = r"[0-9a-f]{64}"
_EDITOR = Column("editor_id", "text", "who corrected it: a code, not a name", pattern=_CODE)
_EDITED_AT = Column("at", "text", "when, UTC", pattern=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", needed=True)
_BEFORE = Column("before_sha256", "text", "SHA-256 of the label map that was given out", pattern=_SHA256)
_AFTER = Column("after_sha256", "text", "SHA-256 of the corrected label map", pattern=_SHA256)
_STARTED = Column("network", "text", "SHA-256 of the network that drew what was given out", pattern=_SHA256)

EDITS = Table(
    "edits",
    "edits: what was done to outlines by hand, a row an act; of each scan the last row that is not an export counts",
    (
        _SCAN,
        Column("action", "text", "what was done", allowed=("exported", "imported", "removed"), needed=True),
        _EDITED_AT,
        _EDITOR,
        Column("file", "text", "corrected label map, in this folder", pattern=r"[A-Za-z0-9_.-]+\.nii\.gz"),
        _BEFORE,
        _AFTER,
        _STARTED,
        Column("image_sha256", "text", "SHA-256 of the image that was corrected on", pattern=_SHA256),
        Column("laterality", "text", "side for which medial and lateral were named", allowed=("L", "R"), optional=True),
        Column("changed_ml", "float", "volume that has another label than the machine gave it", low=0),
        Column("changed", "text", "structures that gained or lost, comma-separated"),
        Column("version", "text", "kneeline that wrote the row"),
    ),
)

EDITED = Table(
    "segment/edits",
    "knees whose outlines a person corrected: by whom and when, from what they started, what the machine says now",
    (
        _SCAN,
        *_KNEE,
        _EDITOR,
        _EDITED_AT,
        _BEFORE,
        _AFTER,
        _STARTED,
        Column("machine_sha256", "text", "SHA-256 of the machine's label map as it is now; n/a where it refused"),
        Column("machine_network", "text", "SHA-256 of the network as it is now", pattern=_SHA256),
        Column("changed_ml", "float", "volume that has another label than the machine gives it now", low=0),
        Column("note", "text", "what to bear in mind"),
    ),
    key=("scan_id",),
)

# --- score ----------------------------------------------------------------------------------------------------------

MENISCUS = Table(
    "score/meniscus",
    "one row a meniscal region",
    (
        *_KNEE,
        Column("meniscus", "text", "which meniscus", allowed=grading.MENISCI),
        Column("region", "text", "which part", allowed=grading.REGIONS),
        Column("volume_mm3", "float", "volume of the region", low=0),
        Column(
            "signal_ratio",
            "float",
            "signal of the brightest tenth: 0 dark meniscus, 1 bright reference of the scan",
        ),
        Column("hyperintense_mm3", "float", "volume of the graded hyperintense components", low=0),
        Column("hyperintense_pct", "float", "the same as a share of the region", low=0, high=100),
        Column("signal_extent_mm", "float", "largest extent of the graded component", low=0),
        Column("signal_shape", "text", "its shape, by that extent", allowed=grading.SIGNAL_SHAPES),
        Column("surface_distance_mm", "float", "its distance to the nearer articular surface", low=0),
        Column("superior_distance_mm", "float", "its distance to the superior one", low=0, optional=True),
        Column("inferior_distance_mm", "float", "its distance to the inferior one", low=0, optional=True),
        Column("surface", "text", "the articular surface it touches", allowed=grading.SURFACES),
        Column("surface_slices", "int", "images on which it touches that surface", low=0),
        _GRADE,
        Column("t2_ms", "float", "median T2 where echoes exist: mono-exponential, first echo left out", low=0),
        Column("t2_se_ms", "float", "standard error of that median, from the spread of its voxels", low=0),
        Column("t2_epg_ms", "float", "median T2 with stimulated echoes modelled, all echoes", low=0),
        _FLAGS,
        _SCORE_VERDICT,
        _OUTLINED,
    ),
    key=(*KNEE_KEYS, "meniscus", "region"),
)

EXTRUSION = Table(
    "score/extrusion",
    "one row a meniscus: its size, how far it stands out of the joint, how much of the plateau it covers",
    (
        *_KNEE,
        Column("meniscus", "text", "which meniscus", allowed=grading.MENISCI),
        Column("volume_mm3", "float", "volume", low=0),
        Column("thickness_mean_mm", "float", "mean thickness across the meniscus' own plane", low=0),
        Column("thickness_max_mm", "float", "greatest thickness", low=0),
        Column("extrusion_mm", "float", "how far it reaches beyond the edge of the tibial cartilage, mid-body"),
        Column("margin_extrusion_mm", "float", "how far it reaches beyond the bony margin of the plateau, mid-body"),
        Column("coverage_pct", "float", "share of the tibial cartilage's surface beneath it", low=0, high=100),
        Column("signal_grade", "int", "highest grade of its regions", allowed=grading.GRADES),
        _FLAGS,
        _SCORE_VERDICT,
        _OUTLINED,
    ),
    key=(*KNEE_KEYS, "meniscus"),
)

_RECESSES = tuple(
    Column(f"{recess}_ml", "float", meaning, low=0)
    for recess, meaning in zip(
        grading.RECESSES,
        (
            "the part above the patella's upper pole",
            "between patella and trochlea, within the patella's width",
            "beside the medial condyle, and beside the patella below its upper pole",
            "the same laterally",
            "between femur, tibia and menisci, and in the intercondylar notch",
            "behind the femoral condyles",
        ),
        strict=True,
    )
)
_DEPTHS = (
    Column("midline_depth_mm", "float", "suprapatellar depth, front to back, on the patella's midline", low=0),
    Column("lateral_depth_mm", "float", "largest suprapatellar depth from 8 mm lateral of it", low=0),
)

EFFUSION = Table(
    "score/effusion",
    "one row a knee: joint fluid (effusion-synovitis)",
    (
        *_KNEE,
        Column("fluid_ml", "float", "joint fluid in the field of view: the sum of its recesses", low=0),
        *_RECESSES,
        Column("popliteal_cyst_ml", "float", "Baker's cyst as far as it was outlined; not in fluid_ml", low=0),
        Column("prepatellar_ml", "float", "fluid in front of the patella (bursa); not in fluid_ml", low=0),
        *_DEPTHS,
        Column("pouch_in_view", "bool", "the top of the suprapatellar pouch is inside the image"),
        Column("fluid_in_view", "bool", "so is all of the joint's cavity; where not, fluid_ml is a lower bound"),
        Column(
            "effusion_grade",
            "int",
            "by the depth rule; missing when the pouch is cut off, unless what is seen is grade 3",
            allowed=grading.GRADES,
        ),
        Column(
            "effusion_grade_volume",
            "int",
            "by the volume rule; missing when fluid is cut off, unless what is seen is grade 3",
            allowed=grading.GRADES,
        ),
        _FLAGS,
        _SCORE_VERDICT,
        _OUTLINED,
    ),
    key=KNEE_KEYS,
)

CARTILAGE = Table(
    "score/cartilage",
    "one row a cartilage plate",
    (
        *_KNEE,
        Column(
            "plate",
            "text",
            "which plate",
            allowed=(
                "femoral_cartilage",
                "medial_tibial_cartilage",
                "lateral_tibial_cartilage",
                "patellar_cartilage",
            ),
        ),
        Column("thickness_mean_mm", "float", "mean thickness", low=0),
        Column("thickness_p5_mm", "float", "5th percentile of thickness", low=0),
        Column("defect_area_mm2", "float", "area of focal thinning against the plate around it", low=0),
        Column("defect_depth_pct", "float", "its deepest place, share of the thickness around it", low=0, high=100),
        Column("defect_judged_pct", "float", "share of the plate that was looked at for defects", low=0, high=100),
        Column("cartilage_grade", "int", "0-4, experimental; 1 (signal change) is not read", allowed=(0, 1, 2, 3, 4)),
        _FLAGS,
        _SCORE_VERDICT,
        _OUTLINED,
    ),
    key=(*KNEE_KEYS, "plate"),
)

THICKNESS = Table(
    "score/thickness",
    "cartilage thickness point by point on the bone's surface; written on request for one knee",
    (
        Column("plate", "text", "which plate", allowed=CARTILAGE["plate"].allowed),
        Column("x_mm", "float", "place on the bone, world of the scan, to the Right"),
        Column("y_mm", "float", "to the Anterior"),
        Column("z_mm", "float", "to the Superior"),
        Column("thickness_mm", "float", "thickness along the bone's normal; 0 where it is bare", low=0),
        Column("reference_mm", "float", "thickness that the plate around it makes one expect", low=0),
        Column("defect", "bool", "part of a counted defect"),
    ),
)

MARROW = Table(
    "score/marrow",
    "one row a bone: bright marrow under its cartilage, on fat-suppressed images",
    (
        *_KNEE,
        Column("bone", "text", "which bone", allowed=("femur", "tibia", "patella")),
        Column("zone_mm3", "float", "volume of the bone under cartilage that was read", low=0),
        Column("hyperintense_mm3", "float", "volume of its hyperintense components", low=0),
        Column("hyperintense_extent_mm", "float", "extent of the longest of them", low=0),
        Column("marrow_grade", "int", "0-2, experimental", allowed=(0, 1, 2)),
        _FLAGS,
        _SCORE_VERDICT,
        _OUTLINED,
    ),
    key=(*KNEE_KEYS, "bone"),
)

# --- cohort ---------------------------------------------------------------------------------------------------------

KNEES = Table(
    "cohort/knees",
    "the analysis table: one row a knee, scores and runner together",
    (
        *_KNEE,
        Column("signal_grade", "int", "highest grade of the knee's meniscal regions", allowed=grading.GRADES),
        *(
            Column(f"{m}_{r}_signal_grade", "int", "grade of the region", allowed=grading.GRADES)
            for m in grading.MENISCI
            for r in grading.REGIONS
        ),
        *(c for c in EFFUSION.columns if c.name not in (*KNEE_KEYS, "flags", "verdict", "outlined_by")),
        *(Column(f"{s}_score", "int", f"sum of the grades of {s}", low=0) for s in grading.TOTAL.structures),
        Column("cartilage_grade", "int", "highest grade of the plates, of whoever graded them", low=0),
        Column("marrow_grade", "int", "highest grade of the bones, of whoever graded them", low=0),
        Column("total_lesion_score", "int", "sum over structures; missing if one of them is", low=0),
        Column("total_parts", "text", "who graded each structure: machine, reader:NAME, both, or missing and why"),
        _VERDICT,
        _OUTLINED,
        Column("analysed", "bool", "runner in the participants sheet, segmentation not unusable", needed=True),
        *(c for c in PARTICIPANTS.columns if c.name != "participant_id"),
    ),
    key=KNEE_KEYS,
)

RUNNERS = Table(
    "cohort/runners",
    "total lesion score of each runner at each visit: that of the worse knee",
    (
        _PARTICIPANT,
        _SESSION,
        Column("n_knees", "int", "knees analysed", low=1),
        Column("n_totals", "int", "of them with a total lesion score", low=0),
        Column("total_lesion_score", "int", "highest of them; missing while a knee has none", low=0),
    ),
    key=("participant_id", "session_id"),
)

TABLE_ONE = Table(
    "cohort/table_one",
    "who was studied, overall and by exposure; no p-values (STROBE)",
    (
        Column("variable", "text", "variable, with its unit", needed=True),
        Column("level", "text", "category, or the statistic shown"),
        Column("group", "text", "overall, or the exposure group", needed=True),
        Column("n", "int", "runners with a value"),
        Column("missing", "int", "runners without"),
        Column("value", "text", "what is shown, ready to print"),
        Column("standardised_difference", "float", "rearfoot less non-rearfoot, in pooled SD"),
        Column("standardised_difference_distance", "float", "from the distance cut less below it", optional=True),
    ),
    key=("variable", "level", "group"),
)

ESTIMATES = Table(
    "cohort/estimates",
    "models: one row a term; a refused contrast keeps its row and says why",
    (
        Column("model", "text", "name of the model", needed=True),
        Column("outcome", "text", "column of the analysis table"),
        Column("term", "text", "term of the model", needed=True),
        Column(
            "scale",
            "text",
            "what the estimate is",
            allowed=(
                "odds_ratio",
                "log_odds",
                "risk_difference",
                "proportion",
                "reri",
                "mean_difference",
                "mean_ratio",
                "icc",
                "e_value",
                "other",
            ),
        ),
        Column("estimate", "float", "point estimate"),
        Column("ci_low", "float", "lower end of the 95 % interval"),
        Column("ci_high", "float", "upper end"),
        Column("p_value", "float", "two-sided"),
        Column(
            "p_adjusted",
            "float",
            "Holm over the co-primary outcomes; Benjamini-Hochberg over the strike and distance contrasts of the "
            "secondary ones",
            optional=True,
        ),
        Column(
            "missing_information",
            "float",
            "fraction of the information on the term that is missing; of imputed models",
            optional=True,
        ),
        Column("n_participants", "int", "runners in the model"),
        Column("n_knees", "int", "knees in the model"),
        Column("status", "text", "estimated or refused", allowed=("estimated", "refused"), needed=True),
        Column("method", "text", "how it was computed"),
        Column("reason", "text", "why it was refused"),
        Column("warnings", "text", "what a reader of the estimate must know", optional=True),
        Column(
            "role",
            "text",
            "what was decided about the outcome beforehand",
            allowed=("primary", "co_primary", "secondary"),
            optional=True,
        ),
    ),
    key=("model", "outcome", "term"),
)

FLOW = Table(
    "cohort/flow",
    "who was expected, who was set aside and why, who was analysed",
    (
        Column("step", "text", "step of the flow; a step that starts with 'less' is a loss", needed=True),
        Column("n_participants", "int", "runners"),
        Column("n_scans", "int", "scans, or knees once they are scored"),
        Column("reason", "text", "why they were lost, and which runners; n/a if none"),
    ),
    key=("step", "reason"),
)

JOINT_CELLS = Table(
    "cohort/joint_cells",
    "runners and risks in the four cells of strike by weekly distance",
    (
        Column("outcome", "text", "finding that is counted", needed=True),
        Column("strike_group", "text", "how the foot lands", allowed=("non_rearfoot", "rearfoot"), needed=True),
        Column("distance_group", "text", "weekly distance below, or at and above, the cut", needed=True),
        Column("n_participants", "int", "runners in the cell"),
        Column("n_knees", "int", "their knees"),
        Column("count", "int", "runners with the finding in any knee"),
        Column("risk", "float", "count / n_participants"),
        Column("wilson_low", "float", "Wilson 95 % interval of the risk"),
        Column("wilson_high", "float", "Wilson 95 % interval of the risk"),
        Column("odds_ratio", "float", "against non-rearfoot below the cut, conditional maximum likelihood"),
        Column("ci_low", "float", "lower end of its exact 95 % interval"),
        Column("ci_high", "float", "upper end"),
        Column("status", "text", "of the odds ratio", allowed=("reference", "estimated", "refused"), needed=True),
        Column("reason", "text", "why it was refused, or a caution"),
    ),
    key=("outcome", "strike_group", "distance_group"),
)

DOSE_RESPONSE = Table(
    "cohort/dose_response",
    "adjusted association of an outcome with weekly distance, against a reference, straight and as a spline",
    (
        Column("outcome", "text", "column of the analysis table", needed=True),
        Column("shape", "text", "form of the curve", allowed=("linear", "spline"), needed=True),
        Column("weekly_distance_km", "float", "where on the curve", needed=True),
        Column("reference_km", "float", "distance that the others are compared with"),
        Column(
            "scale",
            "text",
            "what the estimate is",
            allowed=("odds_ratio", "mean_ratio", "mean_difference"),
        ),
        Column("estimate", "float", "against the reference"),
        Column("ci_low", "float", "lower end of the 95 % interval"),
        Column("ci_high", "float", "upper end"),
        Column("n_participants", "int", "runners in the model"),
        Column("n_knees", "int", "knees in the model"),
    ),
    key=("outcome", "shape", "weekly_distance_km"),
)

PREVALENCE = Table(
    "cohort/prevalence",
    "how many knees and runners have each grade, with intervals",
    (
        Column("outcome", "text", "column of the analysis table", needed=True),
        Column("level", "text", "grade, or a group of grades", needed=True),
        Column("unit", "text", "counted in", allowed=("knees", "participants")),
        Column("group", "text", "overall, or the exposure group", needed=True),
        Column("count", "int", "how many have it"),
        Column("n", "int", "of how many"),
        Column("proportion", "float", "count / n"),
        Column("wilson_low", "float", "Wilson 95 % interval"),
        Column("wilson_high", "float", "Wilson 95 % interval"),
        Column("exact_low", "float", "Clopper-Pearson 95 % interval"),
        Column("exact_high", "float", "Clopper-Pearson 95 % interval"),
        Column("note", "text", "what to bear in mind", optional=True),
    ),
    key=("outcome", "level", "unit", "group"),
)

PUBLISHED = Table(
    "cohort/published",
    "counts of the published studies re-created with intervals and tests",
    (
        Column("study", "text", "short reference", needed=True),
        Column("finding", "text", "what was counted", needed=True),
        Column("group", "text", "all, high or low training level"),
        Column("count", "int", "runners with the finding, as published"),
        Column("n", "int", "of how many; assumed where the assumption says so"),
        Column("assumption", "text", "what had to be assumed; n/a if nothing"),
        Column("quantity", "text", "what was computed", needed=True),
        Column("estimate", "float", "its value"),
        Column("ci_low", "float", "lower end of the 95 % interval"),
        Column("ci_high", "float", "upper end"),
        Column("p_value", "float", "two-sided"),
        Column("note", "text", "what it can and cannot say"),
    ),
    key=("study", "finding", "group", "quantity", "assumption"),
)

CLAIMS = Table(
    "cohort/claims",
    "what is said about running and knees, beside what was found in the studies it leans on",
    (
        Column("claim", "text", "what is said", needed=True),
        Column("evidence", "text", "what the source reports, with counts and intervals"),
        Column("verdict", "text", "how far the evidence carries the claim"),
    ),
    key=("claim",),
)

READINGS = Table(
    "readings",
    "what a reader graded: typed by hand or exported from the reading page",
    (
        Column("rater_id", "text", "reader, letters or digits", pattern=r"[A-Za-z0-9_-]+", needed=True),
        Column("reading", "int", "first or later reading of the same knee", low=1, needed=True),
        *_KNEE,
        Column("structure", "text", "what was graded, e.g. medial_meniscus, effusion, acl, marrow", needed=True),
        Column("region", "text", "region of the structure; n/a for the whole"),
        Column("grade", "int", "grade given; n/a when not readable", low=0, high=8),
        Column(
            "value",
            "float",
            "what was measured, in the unit that ends the structure's name, e.g. fluid_ml or midline_depth_mm",
            low=0,
            optional=True,
        ),
        Column(
            "phase",
            "text",
            "blind, or assisted: given with the machine's results in view; empty means blind",
            allowed=("blind", "assisted"),
            optional=True,
        ),
    ),
    key=("rater_id", "reading", "phase", *KNEE_KEYS, "structure", "region"),
)

AGREEMENT = Table(
    "cohort/agreement",
    "machine against reader, and reader against reader",
    (
        Column("comparison", "text", "who against whom", needed=True),
        Column("structure", "text", "what was graded", needed=True),
        Column("statistic", "text", "e.g. weighted_kappa_quadratic, gwet_ac2", needed=True),
        Column("estimate", "float", "value"),
        Column("ci_low", "float", "lower end of the 95 % interval"),
        Column("ci_high", "float", "upper end"),
        Column("n", "int", "what both, or two of several, rated"),
        Column("n_participants", "int", "runners they belong to", optional=True),
        Column("p_value", "float", "two-sided, of the tests", optional=True),
        Column("method", "text", "how it was computed", optional=True),
        Column("note", "text", "why it was refused, or a caution"),
    ),
    key=("comparison", "structure", "statistic"),
)

CONFUSION = Table(
    "cohort/confusion",
    "how often two raters gave each pair of grades",
    (
        Column("comparison", "text", "who against whom; the first is grade_a", needed=True),
        Column("structure", "text", "what was graded", needed=True),
        Column("grade_a", "int", "grade by the first", needed=True),
        Column("grade_b", "int", "grade by the second", needed=True),
        Column("n", "int", "pairs"),
    ),
    key=("comparison", "structure", "grade_a", "grade_b"),
)

READ_VALUES = Table(
    "cohort/read_values",
    "each pair of measured values behind the agreement of two raters",
    (
        Column("comparison", "text", "who against whom; the first is value_a", needed=True),
        Column("structure", "text", "what was measured, its unit is in its name", needed=True),
        *_KNEE,
        Column("value_a", "float", "measured by the first"),
        Column("value_b", "float", "measured by the second"),
    ),
    key=("comparison", "structure", *KNEE_KEYS),
)

POWER = Table(
    "power",
    "what a planned study could show: `kneeline power`",
    (
        Column("odds_ratio", "float", "true odds ratio of a higher grade, rearfoot against others", needed=True),
        Column("n_participants", "int", "runners", needed=True),
        Column("n_rearfoot", "int", "of them landing on the heel"),
        Column("n_other", "int", "all others"),
        Column("n_knees", "int", "their knees"),
        Column("icc", "float", "correlation of a runner's two knees (of their ridits)", low=0, high=1),
        Column("design_effect", "float", "how many knees tell as much as an independent one"),
        Column("alpha", "float", "p-value below which an association counts as shown"),
        Column("power_formula", "float", "probability of that, by formula", low=0, high=1),
        Column("power_simulated", "float", "the same by simulation, with the model of the analysis", low=0, high=1),
        Column("ci_low", "float", "lower end of its 95 % interval (Monte-Carlo error only)"),
        Column("ci_high", "float", "upper end"),
        Column("n_simulations", "int", "simulated studies"),
        Column("n_refused", "int", "of them those in which the model was refused"),
        Column("n_by_simulation", "int", "runners at which the simulation would reach the power sought", optional=True),
        Column("n_by_simulation_low", "int", "at the upper end of the simulated power", optional=True),
        Column("n_by_simulation_high", "int", "at the lower end", optional=True),
        Column("status", "text", "estimated or refused", allowed=("estimated", "refused"), needed=True),
        Column("method", "text", "how it was computed"),
        Column("reason", "text", "why it was refused"),
    ),
    key=("odds_ratio", "n_participants"),
)

MACHINE_ERROR = Table(
    "cohort/machine_error",
    "what the machine's own error does to prevalences and odds ratios: naive beside corrected",
    (
        Column("outcome", "text", "column of the analysis table", needed=True),
        Column("quantity", "text", "what is estimated", needed=True),
        Column(
            "scale",
            "text",
            "what the estimates are",
            allowed=("proportion", "odds_ratio", "mean_difference", "risk_difference"),
        ),
        Column("naive", "float", "from the machine's grades as they are; n/a where there is no such thing"),
        Column("naive_low", "float", "lower end of its 95 % interval"),
        Column("naive_high", "float", "upper end"),
        Column("estimate", "float", "corrected by, or found in, the validated knees"),
        Column("ci_low", "float", "lower end of its 95 % interval"),
        Column("ci_high", "float", "upper end"),
        Column("p_value", "float", "two-sided"),
        Column("n_participants", "int", "runners"),
        Column("n_knees", "int", "knees with the machine's grade"),
        Column("n_validated", "int", "knees with the reader's grade as well"),
        Column("status", "text", "estimated or refused", allowed=("estimated", "refused"), needed=True),
        Column("method", "text", "how it was computed", needed=True),
        Column("reason", "text", "why it was refused"),
        Column("warnings", "text", "what a reader of the estimate must know"),
    ),
    key=("outcome", "quantity", "method"),
)

# --- truth of simulated knees (demo, validation) --------------------------------------------------------------------

TRUTH = Table(
    "simulate/truth",
    "what was built into each simulated knee",
    (
        _SCAN,
        *_KNEE,
        *(
            Column(f"{m}_{r}_signal_grade", "int", "true grade", allowed=grading.GRADES)
            for m in grading.MENISCI
            for r in grading.REGIONS
        ),
        Column("signal_grade", "int", "highest of them", allowed=grading.GRADES),
        Column("fluid_ml", "float", "true joint fluid", low=0),
        *_RECESSES,
        *_DEPTHS,
        Column("medial_meniscus_mm3", "float", "true volume", low=0),
        Column("lateral_meniscus_mm3", "float", "true volume", low=0),
        Column("contrast", "text", "simulated contrast", allowed=("PD", "PDFS", "T2FS", "T1", "DESS")),
        Column("slice_thickness_mm", "float", "simulated thickness"),
    ),
    key=("scan_id",),
)

TABLES: Sequence[Table] = (
    PARTICIPANTS, SCANS, READINGS, EDITS, INGEST_SCANS, SERIES, QUALITY, SEGMENT, EDITED, MENISCUS, EXTRUSION,
    EFFUSION, CARTILAGE, THICKNESS, MARROW, KNEES, RUNNERS, FLOW, TABLE_ONE, PREVALENCE, JOINT_CELLS, DOSE_RESPONSE,
    ESTIMATES, PUBLISHED, CLAIMS, AGREEMENT, CONFUSION, READ_VALUES, MACHINE_ERROR, POWER, TRUTH,
)  # fmt: skip


# --- status files: one small JSON per scan and stage, written last ---------------------------------------------------


def status_path(folder: str | os.PathLike, scan: str) -> Path:
    return Path(folder) / f"{scan}_status.json"


# What the stages write of a scan besides its status, after its id: asked for by name, since listing the folder of
# thousands of scans for each of them would take more and more.
SCAN_FILES = (
    "image.nii.gz", "image.json", "echoes.nii.gz", "series.tsv", "quality.tsv",
    "dseg.nii.gz", "dseg.json", "structures.tsv", "machine_dseg.nii.gz", "edit.tsv",
    "meniscus.tsv", "extrusion.tsv", "effusion.tsv", "cartilage.tsv", "marrow.tsv", "geometry.json", "T2map.nii.gz",
)  # fmt: skip


def write_status(folder: str | os.PathLike, row: Row) -> None:
    """Write what became of a scan at a stage: a row of INGEST_SCANS as JSON. Its presence means the stage is done.

    It also holds a digest of the files that the stages up to here wrote of the scan (`row["digest"]` is that of the
    stage before, as `read_status` gives it). Snakemake compares contents of small files: so a status differs whenever
    something behind it does, and what follows from it runs again, also after a kill.
    """
    unknown = set(row) - {*INGEST_SCANS.header, "digest"}
    if unknown:
        raise ValueError(f"a status has no {', '.join(sorted(unknown))}")
    path = status_path(folder, row["scan_id"])
    path.parent.mkdir(parents=True, exist_ok=True)
    named = (path.parent / f"{row['scan_id']}_{name}" for name in SCAN_FILES)
    written = sorted(p for p in named if p.exists())
    digest = row.get("digest")
    if written:
        together = hashlib.sha256((digest or "").encode())
        for file in written:
            together.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
        digest = together.hexdigest()
    full = {**{name: row.get(name) for name in INGEST_SCANS.header}, "digest": digest}
    write_text(path, json.dumps(full, indent=1) + "\n")


def read_status(folder: str | os.PathLike, scan: str) -> Row:
    """A scan's status at a stage, with its digest.

    Raises
    ------
    UsageError
        If the stage has not been run.
    """
    path = status_path(folder, scan)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; run the stage before this one first, or `kneeline run`") from None
