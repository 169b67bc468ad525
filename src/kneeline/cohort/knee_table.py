"""One table of knees, scored by whomever: a published data set typed into TSV, or `cohort/knees.tsv` once more.

The least is `participant_id` and one outcome. Every column of KNEES may be there, no other may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kneeline import tables, units
from kneeline.cohort.assemble import REGION_GRADES, Cohort, usable
from kneeline.cohort.input_checks import refuse, words_of_knee
from kneeline.cohort.readings import key_of
from kneeline.cohort.runners import with_strike
from kneeline.errors import UsageError
from kneeline.grading import highest_grade
from kneeline.tables import Row, Table

# What the models can take as an outcome, or make one of.
OUTCOME_COLUMNS = (
    "signal_grade",
    *REGION_GRADES,
    "effusion_grade",
    "fluid_ml",
    "cartilage_grade",
    "marrow_grade",
    "total_lesion_score",
)
_FIRST_SESSION = "ses-01"
_OF_RUNNER = tuple(column.name for column in tables.PARTICIPANTS.columns)
KNEE_TABLE = Table(
    "knees",
    "knees: one row a knee, its grades and its runner",
    tuple(
        column if column.name == "participant_id" else replace(column, optional=True, needed=False)
        for column in tables.KNEES.columns
    ),
    key=tables.KNEES.key,
)


def read_knee_table(path: str | Path) -> Cohort:
    """The knees and their runners, as if kneeline had scored them.

    Raises
    ------
    UsageError
        With every fault: unknown columns, values out of range, a knee twice, rows of a runner that disagree.
    """
    rows = tables.read_table(path, KNEE_TABLE)
    unknown = sorted({name for row in rows for name in row} - set(KNEE_TABLE.header))
    if unknown:
        named = ", ".join(f"{name!r}{_meant(name)}" for name in unknown)
        known = ", ".join(KNEE_TABLE.header)
        raise UsageError(f"{path}: unknown column(s) {named}; rename or remove them (known: {known})")
    if not any(row[name] is not None for row in rows for name in OUTCOME_COLUMNS):
        raise UsageError(f"{path}: no knee has an outcome; expected one of {', '.join(OUTCOME_COLUMNS)}")
    faults = _disagreements(rows)
    runners = []
    for runner in _runners(rows):
        try:
            runners.append(with_strike(runner))
        except ValueError as fault:
            faults.append(str(fault))
    refuse(str(path), faults)
    by_id = {runner["participant_id"]: runner for runner in runners}
    knees = sorted((_complete(row, by_id[row["participant_id"]]) for row in rows), key=_order)
    return Cohort(knees, runners, _flow(knees), tuple(key_of(row) for row in knees))


def _complete(row: Row, runner: Row) -> Row:
    """The row with what follows from its other columns, and with all that is known of its runner."""
    row = {**row, **runner, "session_id": row["session_id"] or _FIRST_SESSION}
    if row["signal_grade"] is None and any(row[name] is not None for name in REGION_GRADES):
        row["signal_grade"] = highest_grade([row[name] for name in REGION_GRADES])
    if row["fluid_ml"] is not None and row["pouch_in_view"] is None:
        row["pouch_in_view"] = True  # a volume that somebody published is taken as that of the whole knee
    if row["analysed"] is None:
        row["analysed"] = usable(row)
    return row


def _runners(rows: Sequence[Row]) -> list[Row]:
    """One row of PARTICIPANTS a runner, each value from the first row that has it."""
    runners: dict[str, Row] = {}
    for row in rows:
        runner = runners.setdefault(row["participant_id"], dict.fromkeys(_OF_RUNNER))
        for name in _OF_RUNNER:
            runner[name] = row[name] if runner[name] is None else runner[name]
    return list(runners.values())


def _disagreements(rows: Sequence[Row]) -> list[str]:
    """Rows of a runner that give different values for what a runner has once."""
    faults, seen = [], {}
    for row in rows:
        for name in _OF_RUNNER:
            if row[name] is None:
                continue
            first = seen.setdefault((row["participant_id"], name), row)
            if first[name] != row[name]:
                faults.append(
                    f"{words_of_knee(key_of(row))}: {name} is {row[name]}, but {first[name]} in the row of "
                    f"{words_of_knee(key_of(first))}; a runner has one"
                )
    return faults


def _flow(knees: Sequence[Row]) -> list[Row]:
    """Rows of FLOW."""
    kept = [row for row in knees if row["analysed"]]
    lost = sorted({row["participant_id"] for row in knees if not row["analysed"]})
    flow = [_step("knees in the table", knees)]
    if lost:
        left = [row for row in knees if not row["analysed"]]
        flow.append(_step("less knees that are not to be analysed", left) | {"reason": ", ".join(lost)})
    return [*flow, _step("knees to analyse", kept)]


def _step(step: str, rows: Sequence[Row]) -> Row:
    return {"step": step, "n_participants": len({row["participant_id"] for row in rows}), "n_scans": len(rows)}


def _meant(name: str) -> str:
    """What an unknown column may be, with how to convert it if its name gives another unit."""
    for known in KNEE_TABLE.header:
        if hint := units.instead_of(known, [name]):
            advice = hint.partition("? (")[2].removesuffix(")")
            convert = f" {advice}" if advice and not advice.startswith("rename") else ""
            return f" (is it {known}?{convert})"
    longer = [known for known in KNEE_TABLE.header if f"_{name.lower()}_" in f"_{known}_"]
    return f" (is it {' or '.join(longer[:3])}?)" if longer else ""


def _order(row: Row) -> tuple[str, ...]:
    return tuple(part or "" for part in key_of(row))
