"""From exports of reading pages and their keys to a readings table: cases become knees again."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from kneeline import tables
from kneeline.errors import UsageError
from kneeline.read.form import BY_NAME, CONFIDENCE, ITEMS
from kneeline.read.keys import BLIND, CASE, IMAGE, KEY, PACKAGE, read_key
from kneeline.tables import KNEE_KEYS, MISSING, READINGS, Column, Row, Table

_MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
_STATUS = Column("status", "text", "what the reader said", allowed=("given", "not_readable", "taken_back"), needed=True)
_FIRST = Column("first_at", "text", "when it was first answered, UTC", pattern=_MOMENT, needed=True)
_CHANGED = Column("changed_at", "text", "when it was last changed, UTC", pattern=_MOMENT, needed=True)
_VERSION = Column("version", "text", "kneeline that made the page", needed=True)

# What the page writes (page/table.js).
EXPORT = Table(
    "reading export",
    "answers of a reading page",
    (
        PACKAGE,
        READINGS["rater_id"],
        CASE,
        IMAGE,
        READINGS["structure"],
        READINGS["region"],
        Column("answer", "text", "the grade; a comment's words; n/a if not readable or taken back"),
        _STATUS,
        _FIRST,
        _CHANGED,
        _VERSION,
        replace(READINGS["phase"], needed=True, optional=False),
        Column("rows", "int", "rows of this file", low=1, needed=True),
        Column("check", "text", "CRC-32 of the row", pattern=r"[0-9a-f]{8}", needed=True),
    ),
    key=("case_id", "structure", "region"),
)

# A readings table, and where each row comes from. `kneeline cohort` reads the columns of READINGS.
GATHERED = Table(
    "readings",
    READINGS.meaning,
    (
        *READINGS.columns,
        Column("status", "text", "graded, or looked at and not readable", allowed=("graded", "not_readable")),
        Column("confidence", "int", "the reader's, in this knee: 1 low, 2 medium, 3 high"),
        Column("comment", "text", "the reader's, on this knee"),
        Column("scan_id", "text", "scan that was read"),
        CASE,
        Column("position", "int", "place in the reader's order"),
        _FIRST,
        _CHANGED,
        PACKAGE,
        IMAGE,
        _VERSION,
    ),
    key=READINGS.key,
)


def gather(files: Iterable[Path]) -> list[Row]:
    """Rows of GATHERED from keys and exports, told apart by their headers, in any order.

    Of one answer in several exports of one package (a reading that went on at another computer) the latest counts. What
    was taken back or never answered has no row; what was not readable has one without a grade.

    Raises
    ------
    UsageError
        If an export has no key among the files, was changed, or does not fit the key; nothing is taken then.
    """
    keys: dict[str, tuple[Path, list[Row]]] = {}
    exports: list[Path] = []
    for path in map(Path, files):
        if _is_key(path):
            rows = read_key(path)
            package = rows[0]["package_sha256"]
            if package in keys:
                raise UsageError(f"{path} and {keys[package][0]} are keys of the same package; give one")
            keys[package] = path, rows
        else:
            exports.append(path)
    if not keys:
        raise UsageError("no key among the files; a key is beside its package and ends in _key.tsv")
    if not exports:
        raise UsageError("no export among the files; the reader downloads it from the page (Export)")
    answers: dict[str, dict[tuple, Row]] = {package: {} for package in keys}
    for path in exports:
        package, rows = read_export(path, keys)
        for row in rows:
            item = row["case_id"], row["structure"], row["region"]
            known = answers[package].get(item)
            # Equal times never differ unless two computers' clocks met to the millisecond; then any one, but always it.
            if known is None or (known["changed_at"], str(known["answer"])) < (row["changed_at"], str(row["answer"])):
                answers[package][item] = row
    gathered = [row for package, (_, key) in keys.items() for row in _rows(key, answers[package])]
    _check_once(gathered)
    return sorted(gathered, key=lambda row: (row["rater_id"], row["package_sha256"], row["position"], _place(row)))


def _is_key(path: Path) -> bool:
    try:
        with open(path, encoding="utf-8-sig") as file:
            header = file.readline().rstrip("\r\n").split("\t")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8 text, so neither a key nor an export as the page wrote it") from None
    if header == EXPORT.header:
        return False
    if set(KEY.header) <= set(header):
        return True
    raise UsageError(f"{path}: is neither a key (..._key.tsv) nor an export of a reading page (readings_....tsv)")


def read_export(path: Path, keys: dict[str, tuple[Path, list[Row]]]) -> tuple[str, list[Row]]:
    """The package's digest and the rows of one export, checked against its key, without cases that were withdrawn.

    Raises
    ------
    UsageError
        With the first fault: changed or cut off, of no known package, of another reader, or about what is not in it.
    """
    rows = tables.read_table(path, EXPORT)
    for line, row in enumerate(rows, start=2):
        cells = [EXPORT[name].format(row[name]) for name in EXPORT.header]
        if f"{zlib.crc32(chr(9).join(cells[:-1]).encode()):08x}" != row["check"]:
            raise UsageError(
                f"{path}: line {line} was changed after the export; ask the reader for the file as downloaded "
                "(spreadsheet programs change dates when they save)"
            )
        if row["rows"] != len(rows):
            raise UsageError(
                f"{path}: {row['rows']} rows were exported, the file has {len(rows)}; it was cut off or joined"
            )
    if not rows:
        raise UsageError(f"{path}: nothing was answered yet")
    packages = {row["package_sha256"] for row in rows}
    package = packages.pop()
    if packages or package not in keys:
        known = ", ".join(f"{name[:8]} ({path.name})" for name, (path, _) in keys.items())
        raise UsageError(
            f"{path}: is of package {package[:8]}, the keys given are of {known}; give the key beside that package"
        )
    key_file, key = keys[package]
    rater = key[0]["rater_id"]
    cases = {row["case_id"]: row for row in key}
    for line, row in enumerate(rows, start=2):
        if row["rater_id"] != rater:
            raise UsageError(
                f"{path}: line {line} is of reader {row['rater_id']}, the key {key_file.name} is of {rater}"
            )
        if row["phase"] != (key[0]["phase"] or BLIND):
            raise UsageError(f"{path}: line {line} is of the {row['phase']} phase, the key {key_file.name} is not")
        case = cases.get(row["case_id"])
        if case is None or case["image_sha256"] != row["image_sha256"]:
            raise UsageError(
                f"{path}: line {line}: case {row['case_id']} was read on images that {key_file.name} does not know"
            )
        _check_answer(path, line, row)
    return package, [row for row in rows if cases[row["case_id"]]["scan_id"]]


def _check_answer(path: Path, line: int, row: Row) -> None:
    name = f"{row['structure']}/{row['region']}" if row["region"] else row["structure"]
    if name == "comment":
        return
    if name != "confidence" and name not in BY_NAME:
        raise UsageError(f"{path}: line {line}: the form has no {name}")
    scale = CONFIDENCE if name == "confidence" else BY_NAME[name].scale
    allowed = {str(grade) for grade in scale.grades} if row["status"] == "given" else {MISSING}
    answer = MISSING if row["answer"] is None else row["answer"]
    if answer not in allowed:
        raise UsageError(f"{path}: line {line}: {name} takes {', '.join(sorted(allowed))}, got {answer!r}")


def _rows(key: Sequence[Row], answers: dict[tuple, Row]) -> list[Row]:
    """Rows of one package, without those that were taken back."""
    out = []
    for case in key:
        said = {"confidence": None, "comment": None}
        for name in said:
            row = answers.get((case["case_id"], name, None))
            said[name] = row["answer"] if row and row["status"] == "given" else None
        for item in ITEMS:
            row = answers.get((case["case_id"], item.structure, item.region))
            if row is None or row["status"] == "taken_back":
                continue
            graded = row["status"] == "given"
            out.append(
                {name: case[name] for name in ("rater_id", "reading", *KNEE_KEYS, "scan_id", "case_id", "position")}
                | {"structure": item.structure, "region": item.region, "grade": int(row["answer"]) if graded else None}
                | {"status": "graded" if graded else "not_readable", "phase": case["phase"] or BLIND}
                | {name: row[name] for name in ("first_at", "changed_at", "package_sha256", "image_sha256", "version")}
                | said
            )
    return out


def _place(row: Row) -> int:
    return next(
        at for at, item in enumerate(ITEMS) if (item.structure, item.region) == (row["structure"], row["region"])
    )


def _check_once(rows: Sequence[Row]) -> None:
    """A reader who read a knee in two packages would have two first readings of it."""
    seen: dict[tuple, Row] = {}
    for row in rows:
        key = tuple(row[name] for name in READINGS.key)
        if key in seen:
            raise UsageError(
                f"reader {row['rater_id']} has reading {row['reading']} of {row['scan_id']} in two packages, "
                f"{seen[key]['package_sha256'][:8]} and {row['package_sha256'][:8]}; give one of them"
            )
        seen[key] = row
