"""The assisted phase: knees that a reader has read blind, with the machine's results in view.

What is answered then is a reading of its own and never takes the place of the blind one: agreement is measured on blind
readings alone. A package of this phase is another one than the blind package, which holds nothing of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kneeline import grading, tables
from kneeline.errors import UsageError
from kneeline.read.form import ITEMS
from kneeline.read.keys import ASSISTED
from kneeline.tables import KNEE_KEYS, Row
from kneeline.viewer.overlay import pack_labels, structures
from kneeline.volume import read_volume

NOT_READABLE = "x"
# Grades that are not validated; the reader is told.
EXPERIMENTAL = tuple(
    item.name
    for item in ITEMS
    if any(item.structure in (whole, *dict(grading.TOTAL.parts)[whole]) for whole in grading.TOTAL.experimental)
)

Answers = dict[str, int | str]


@dataclass(frozen=True)
class Found:
    """What the page shows of a knee beside its slices, and the outlines as its script takes them."""

    shown: dict[str, Any]
    labels: bytes


def blind_answers(readings: Path, rater_id: str) -> dict[tuple, Answers]:
    """A reader's first blind answers by knee and item, of the knees whose every item was answered.

    Raises
    ------
    UsageError
        If the reader has finished none.
    """
    knees: dict[tuple, Answers] = {}
    names = {(item.structure, item.region): item.name for item in ITEMS}
    rows = [row for row in tables.read_table(readings, tables.READINGS) if row["rater_id"] == rater_id]
    for row in rows:
        name = names.get((row["structure"], row["region"]))
        if name and row["reading"] == 1 and row["phase"] != ASSISTED:
            grade = row["grade"]
            knees.setdefault(_key(row), {})[name] = NOT_READABLE if grade is None else grade
    whole = {knee: answers for knee, answers in knees.items() if len(answers) == len(ITEMS)}
    if not whole:
        begun = f"{len(knees)} knee(s) in part" if knees else "no knee"
        raise UsageError(
            f"{readings}: reader {rater_id} has read {begun} blind; the assisted phase is of knees that were read to "
            "the end (`kneeline read import` writes the table)"
        )
    return whole


def find(results: Path, scan: Row, first: Answers) -> Found:
    """What the machine found in a knee."""
    scan_id = scan["scan_id"]
    labels = read_volume(Path(results) / "segment" / f"{scan_id}_dseg.nii.gz")
    shown = {
        "first": first,
        "machine": machine_grades(Path(results) / "score", scan_id),
        "structures": structures(labels),
        "outlines": _trust(scan),
    }
    return Found(shown, pack_labels(labels, scan["laterality"]))


def machine_grades(score: Path, scan_id: str) -> dict[str, int]:
    """The machine's grade of each item of the form that it grades."""

    def rows(name: str, table: tables.Table) -> list[Row]:
        return tables.read_table(score / f"{scan_id}_{name}.tsv", table)

    found: dict[str, int | None] = {}
    for row in rows("meniscus", tables.MENISCUS):
        found[f"{row['meniscus']}_meniscus/{row['region']}"] = row["signal_grade"]
    for row in rows("effusion", tables.EFFUSION):
        found["effusion"] = row["effusion_grade"]
    for row in rows("cartilage", tables.CARTILAGE):
        found[row["plate"]] = row["cartilage_grade"]
    for row in rows("marrow", tables.MARROW):
        found[f"marrow/{row['bone']}"] = row["marrow_grade"]
    return {item.name: found[item.name] for item in ITEMS if found.get(item.name) is not None}


def _trust(scan: Row) -> str:
    """How far the outlines may be trusted, and whose they are."""
    parts = [f"outlines: {scan['verdict'] or tables.MISSING}", scan["reason"]]
    return ", ".join(filter(None, [*parts, scan["outlined_by"] if tables.is_edited(scan) else None]))


def _key(row: Row) -> tuple:
    return tuple(row[name] for name in KNEE_KEYS)
