"""What must fit between tables: runners, scans, scores and readings speak of the same people and the same knees.

A knee is (participant, session, side); the side is None where it is not known yet. Each fault is a sentence that names
the rows and the way out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence

from kneeline import grading
from kneeline.cohort.readings import MEASURED, PARTS, SIGNAL, Knee, item_of, key_of, words_of
from kneeline.errors import UsageError
from kneeline.tables import Row

_SHOWN = 20
_UNITS = r"_(ml|mm|mm2|mm3|ms|pct|deg)"
_KNOWN = {SIGNAL[0], *PARTS, *(part for parts in PARTS.values() for part in parts), *MEASURED, *grading.MENISCI}


def refuse(where: str, faults: Sequence[str]) -> None:
    """Raise UsageError with the faults, the first of many; nothing without any."""
    if faults:
        shown = [*faults[:_SHOWN], *([f"... and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else [])]
        raise UsageError(f"{where}: {len(faults)} fault(s)\n  " + "\n  ".join(shown))


def unknown_participants(knees: Iterable[Knee], runners: Collection[str], table: str) -> list[str]:
    """Knees of people who are not in the participants sheet."""
    found: dict[str, list[str]] = {}
    for knee in knees:
        if knee[0] not in runners:
            found.setdefault(knee[0], []).append(words_of_knee(knee))
    return [
        f"{person}: in the {table} ({', '.join(words)}) but not in the participants sheet{_near(person, runners)}; "
        "correct the id, or add a row (the id alone will do)"
        for person, words in sorted(found.items())
    ]


def mismatched_knees(
    expected: Collection[Knee], found: Collection[Knee], table: str, *, all_needed: bool = True
) -> list[str]:
    """Knees of `table` that the scans table has not, and, if all are needed, the other way round.

    Where the visit is known and only the side differs, that is told.
    """
    strange, absent = set(found) - set(expected), set(expected) - set(found)
    faults = []
    for knee in sorted(strange, key=_order):
        sides = sorted({other[2] or "unknown" for other in expected if other[:2] == knee[:2]})
        visits = sorted({other[1] for other in expected if other[0] == knee[0]})
        if knee[:2] in {other[:2] for other in expected}:
            why = f"the scans table has side {' and '.join(sides)}"
        else:
            why = f"the scans table has {', '.join(visits)}" if visits else "it has no scan that came through"
        faults.append(f"{words_of_knee(knee)}: in {table}, but {why}")
    if all_needed:
        faults += [f"{words_of_knee(knee)}: scanned, but without {table}" for knee in sorted(absent, key=_order)]
    return faults


def reading_faults(readings: Sequence[Row], scanned: Collection[Knee], runners: Collection[str]) -> list[str]:
    """Readings of unknown people or knees, of a structure that is probably misspelt, or of two kinds at once.

    `scanned` are the knees of the scans table, also those that were set aside: a reader may have read what the machine
    refused.
    """
    sides: dict[tuple, set] = {}
    for knee in scanned:
        sides.setdefault(knee[:2], set()).add(knee[2])
    known = {key_of(row) for row in readings}
    faults = unknown_participants(sorted(known, key=_order), runners, "readings")
    for knee in sorted(known, key=_order):
        given = sides.get(knee[:2])
        if knee[0] not in runners or given and (knee[2] in given or None in given):
            continue
        read = next(row for row in readings if key_of(row) == knee)
        who = f"{words_of_knee(knee)}: read by {read['rater_id']}"
        if given:
            faults.append(f"{who}, but the scans table has side {' and '.join(sorted(given))}; correct one of them")
        else:
            faults.append(f"{who}, but the scans table has no such visit; correct it, or leave the reading out")
    for row in readings:
        where = f"{row['rater_id']} reading {row['reading']} of {words_of_knee(key_of(row))}"
        faults += [f"{where}: {fault}" for fault in _item_faults(row)]
    return faults + _named_twice(readings)


def _item_faults(row: Row) -> list[str]:
    structure, region = row["structure"], row["region"]
    faults = []
    for name in (structure, region):
        if name and name not in _KNOWN and name not in grading.REGIONS:
            near = difflib.get_close_matches(name, [*_KNOWN, *grading.REGIONS], n=1, cutoff=0.85)
            faults += [f"{name!r} is no structure or region that is known; is it {near[0]!r}?"] if near else []
    measured = re.search(_UNITS + "$", structure) is not None
    if row.get("grade") is not None and row.get("value") is not None:
        faults.append(f"{structure} has a grade and a value; give them on a row each")
    elif row.get("value") is not None and not measured:
        faults.append(f"{structure} has a value; the name of what is measured ends in its unit, such as fluid_ml")
    elif row.get("grade") is not None and measured:
        faults.append(f"{structure} has a grade; what is measured goes into the column value")
    return faults


def _named_twice(readings: Sequence[Row]) -> list[str]:
    """One thing under two of its names, by the same reader in the same reading."""
    seen: dict[tuple, Row] = {}
    faults = []
    for row in readings:
        item = item_of(row["structure"], row["region"])
        phase = "assisted" if row.get("phase") == "assisted" else "blind"
        other = seen.setdefault((row["rater_id"], row["reading"], phase, key_of(row), item), row)
        if other is not row:
            where = f"{row['rater_id']} reading {row['reading']} of {words_of_knee(key_of(row))}"
            faults.append(f"{where}: {words_of(item)} twice, as {_as_given(other)} and as {_as_given(row)}")
    return faults


def _as_given(row: Row) -> str:
    return " ".join(part for part in (row["structure"], row["region"]) if part)


def _near(name: str, others: Collection[str]) -> str:
    """An id that differs only in capitals, leading zeros, or O and 0, l and 1."""
    near = [other for other in sorted(others) if _plain(other) == _plain(name)]
    return f", which has {near[0]}" if near else ""


def _plain(name: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", name.lower().replace("o", "0").replace("l", "1"))


def words_of_knee(knee: Knee) -> str:
    return " ".join(part for part in knee if part)


def _order(knee: Knee) -> tuple[str, ...]:
    return tuple(part or "" for part in knee)
