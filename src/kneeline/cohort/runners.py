"""Runners: the participants table, checked, with the strike style found by measurement where it was left empty."""

from __future__ import annotations

from pathlib import Path

from kneeline import grading, tables, units
from kneeline.errors import UsageError
from kneeline.tables import Row


def read_runners(path: str | Path) -> list[Row]:
    """Rows of the participants table with `strike_style` and `strike_method` filled in from angle or index.

    Raises
    ------
    UsageError
        With every row in which the given style and the measurement disagree, or two measurements do; or with a column
        that is probably an optional one misspelt.
    """
    read = tables.read_table(path, tables.PARTICIPANTS)
    rows, faults = [], _misspelt(read)
    for row in read:
        try:
            rows.append(with_strike(row))
        except ValueError as fault:
            faults.append(str(fault))
    if faults:
        raise UsageError(f"{path}: {len(faults)} fault(s)\n  " + "\n  ".join(faults))
    return rows


def _misspelt(rows: list[Row]) -> list[str]:
    """An optional column that nobody fills, while the sheet has an unknown one much like it."""
    unknown = sorted({name for row in rows for name in row} - set(tables.PARTICIPANTS.header))
    empty = [c.name for c in tables.PARTICIPANTS.columns if c.optional and all(row[c.name] is None for row in rows)]
    found = filter(None, (units.instead_of(name, unknown) for name in empty))
    return [f"is the column {words} rename it, or give it another name" for words in found]


def with_strike(row: Row) -> Row:
    """The row with its strike style derived by `grading.STRIKE` if it was empty.

    `mixed` (left and right differ, or it changes) agrees with any single measurement.

    Raises
    ------
    ValueError
        When style and measurement, or the two measurements, disagree.
    """
    measured = {}
    if row["foot_strike_angle_deg"] is not None:
        measured["foot_strike_angle"] = grading.strike_from_angle(row["foot_strike_angle_deg"])
    if row["strike_index_pct"] is not None:
        measured["strike_index"] = grading.strike_from_index(row["strike_index_pct"])
    said = ", ".join(f"{method} gives {style}" for method, style in measured.items())
    given = row["strike_style"]
    if given not in (None, "mixed") and set(measured.values()) - {given}:
        raise ValueError(
            f"{row['participant_id']}: strike_style is {given}, but {said} ({_cuts()}); correct one of them, "
            "or leave strike_style empty to have it derived"
        )
    if given is None and len(set(measured.values())) > 1:
        raise ValueError(f"{row['participant_id']}: {said} ({_cuts()}); correct one, or give strike_style")
    if given is not None or not measured:
        return dict(row)
    method, style = next(iter(measured.items()))
    return {**row, "strike_style": style, "strike_method": row["strike_method"] or method}


def _cuts() -> str:
    rule = grading.STRIKE
    return (
        f"angle: rearfoot above {rule.angle_deg[1]}, forefoot below {rule.angle_deg[0]} degrees; "
        f"index: rearfoot to {rule.index_pct[0]}, midfoot to {rule.index_pct[1]} %"
    )
