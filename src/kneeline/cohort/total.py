"""Total lesion score of a knee and of a runner, with its parts and who graded each.

Part by part the grade of a reader is taken where there is one, else the machine's; the machine grades no ligaments, and
its experimental grades of cartilage and marrow count only if the settings say so. Rule and parts: `grading.TOTAL`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kneeline import grading
from kneeline.cohort.settings import Settings
from kneeline.tables import KNEE_KEYS, Row, is_edited

MACHINE = "machine"
ON_EDITED = "machine on edited outlines"
# Structures whose highest grade is an outcome of its own.
GRADED = ("cartilage", "marrow")


@dataclass(frozen=True)
class Part:
    """One grade, and who gave it; without a grade, why there is none."""

    grade: int | None
    origin: str


def add_totals(
    knees: Sequence[Row],
    cartilage: Sequence[Row],
    marrow: Sequence[Row],
    readings: Sequence[Row] | None,
    settings: Settings,
) -> list[Row]:
    """Rows of KNEES with the score of each structure, the total and its origins."""
    plates, bones, read = _by_knee(cartilage), _by_knee(marrow), _by_knee(_one_reading(readings or []))
    out = []
    for knee in knees:
        key = _key(knee)
        grades = {row["plate"]: row["cartilage_grade"] for row in plates.get(key, [])}
        grades |= {row["bone"]: row["marrow_grade"] for row in bones.get(key, [])}
        given = {(row["structure"], row["region"]): row for row in read.get(key, [])}
        parts = {name: structure_score(name, knee, grades, given, settings) for name in settings.total_structures}
        scores = {f"{name}_score": parts[name].grade if name in parts else None for name in grading.TOTAL.structures}
        scores |= {f"{name}_grade": highest_part(name, knee, grades, given, settings) for name in GRADED}
        total = grading.total_grade(part.grade for part in parts.values())
        origins = ",".join(f"{name}={part.origin}" for name, part in parts.items())
        out.append({**knee, **scores, "total_lesion_score": total, "total_parts": origins})
    return out


def structure_score(
    structure: str, knee: Row, machine: dict[str, int | None], given: dict[tuple, Row], settings: Settings
) -> Part:
    """Sum over a structure's parts.

    `machine` holds grades by plate and bone, `given` the reading by structure and region. A reader's one grade for the
    whole structure stands for the sum.
    """
    if (structure, None) in given:
        return _read(given[structure, None])
    parts = _parts(structure, knee, machine, given, settings)
    return _together(parts, grading.total_grade(part.grade for part in parts))


def highest_part(
    structure: str, knee: Row, machine: dict[str, int | None], given: dict[tuple, Row], settings: Settings
) -> int | None:
    """Highest grade of a structure's parts; a reader's one grade for the whole stands for it. Missing while a part
    without grade could be higher."""
    if (structure, None) in given:
        return given[structure, None]["grade"]
    return grading.highest_grade(part.grade for part in _parts(structure, knee, machine, given, settings))


def _parts(
    structure: str, knee: Row, machine: dict[str, int | None], given: dict[tuple, Row], settings: Settings
) -> list[Part]:
    parts = []
    for name in dict(grading.TOTAL.parts)[structure]:
        if structure == "menisci":
            parts.append(_meniscus(name, knee, given))
            continue
        row = given.get((structure, name)) or given.get((name, None))
        if row:
            parts.append(_read(row))
        elif structure == "ligaments":
            parts.append(Part(None, "missing (a reader grades it)"))
        elif structure in grading.TOTAL.experimental and not settings.total_experimental:
            parts.append(Part(None, "missing (experimental)"))
        else:
            grade = knee["effusion_grade"] if structure == "effusion" else machine.get(name)
            parts.append(_measured(grade, knee))
    return parts


def _meniscus(name: str, knee: Row, given: dict[tuple, Row]) -> Part:
    """Highest grade of a meniscus' regions, or the reader's for the whole."""
    if (name, None) in given:
        return _read(given[name, None])
    regions = []
    for region in grading.REGIONS:
        row = given.get((name, region))
        column = f"{name.removesuffix('_meniscus')}_{region}_signal_grade"
        regions.append(_read(row) if row else _measured(knee[column], knee))
    grade = grading.highest_grade(part.grade for part in regions)
    return _together(regions if grade is None else [part for part in regions if part.grade is not None], grade)


def _together(parts: Sequence[Part], grade: int | None) -> Part:
    missing = [part.origin for part in parts if part.grade is None]
    origins = [word for origin in missing or (part.origin for part in parts) for word in origin.split("+")]
    return Part(grade, "+".join(sorted(set(origins))))


def _read(row: Row) -> Part:
    return Part(row["grade"], f"reader:{row['rater_id']}")


def _measured(grade: int | None, knee: Row) -> Part:
    if grade is None:
        return Part(None, "missing (not graded)")
    return Part(grade, ON_EDITED if is_edited(knee) else MACHINE)


def _one_reading(readings: Sequence[Row]) -> list[Row]:
    """Of several readings of one thing the first; of several readers' the first by name."""
    chosen: dict[tuple, Row] = {}
    for row in sorted(readings, key=lambda row: (row["reading"], row["rater_id"])):
        if row["grade"] is not None:
            chosen.setdefault((*_key(row), row["structure"], row["region"]), row)
    return list(chosen.values())


def runner_totals(knees: Sequence[Row]) -> list[Row]:
    """Rows of RUNNERS from the knees that are analysed."""
    visits: dict[tuple, list[int | None]] = {}
    for knee in knees:
        visits.setdefault((knee["participant_id"], knee["session_id"]), []).append(knee["total_lesion_score"])
    return [
        {
            "participant_id": participant,
            "session_id": session,
            "n_knees": len(totals),
            "n_totals": sum(total is not None for total in totals),
            "total_lesion_score": None if None in totals else max(totals),
        }
        for (participant, session), totals in sorted(visits.items())
    ]


def _by_knee(rows: Sequence[Row]) -> dict[tuple, list[Row]]:
    knees: dict[tuple, list[Row]] = {}
    for row in rows:
        knees.setdefault(_key(row), []).append(row)
    return knees


def _key(row: Row) -> tuple:
    return tuple(row[k] for k in KNEE_KEYS)
