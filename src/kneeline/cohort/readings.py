"""What was graded or measured, by whom, under one set of names: (structure, region).

Readers and score tables name the same thing in several ways (`cartilage` with region `femoral_cartilage`, or the plate
alone); here each has one name. A region of None is the whole structure.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from kneeline import grading, tables
from kneeline.tables import KNEE_KEYS, Row

Knee = tuple[str, str, str | None]
Item = tuple[str, str | None]
Ratings = dict[tuple[Knee, Item], float]

PARTS = dict(grading.TOTAL.parts)
# The knee's own grade: the highest of its menisci's regions.
SIGNAL: Item = ("signal_grade", None)
# The machine's two rules for effusion are compared with the reader's one grade.
DEPTH_RULE: Item = ("effusion", None)
VOLUME_RULE: Item = ("effusion", "by the volume rule")
# Names of KNEES for what READINGS calls otherwise.
_ALIASES = {"effusion_grade": "effusion"}
MEASURED = tuple(c.name for c in tables.EFFUSION.columns if c.kind == "float")
# Highest grade of each scale, so that a grade that nobody gave still counts as a possible one.
_HIGHEST = {
    **dict.fromkeys(("effusion", "signal_grade", "medial_meniscus", "lateral_meniscus"), max(grading.GRADES)),
    **dict.fromkeys(PARTS["cartilage"], max(tables.CARTILAGE["cartilage_grade"].allowed)),
}
_HIGHEST_MARROW = max(tables.MARROW["marrow_grade"].allowed)


def item_of(structure: str, region: str | None) -> Item:
    """The one name of what a row of READINGS is about."""
    structure = _ALIASES.get(structure, structure)
    whole = next((name for name, parts in PARTS.items() if structure == name or structure in parts), None)
    part = region if structure == whole and region in PARTS.get(whole, ()) else structure
    if whole == "marrow" and part in PARTS["marrow"]:
        return "marrow", part
    if part != structure or part == region:
        return part, None
    return structure, region


def words_of(item: Item) -> str:
    return " ".join(part for part in item if part)


def possible_grades(item: Item, used: Iterable[float]) -> int:
    """Number of grades from 0 to the highest of the scale, or to the highest given if that is more."""
    structure, region = item
    highest = _HIGHEST_MARROW if structure == "marrow" and region else _HIGHEST.get(structure, 0)
    return int(max([highest, *used])) + 1


def machine_grades(knees: Sequence[Row], cartilage: Sequence[Row] = (), marrow: Sequence[Row] = ()) -> Ratings:
    """Every grade of the machine: of regions and parts, and of a whole structure where all its parts have one.

    `knees` are rows of KNEES, `cartilage` and `marrow` of the score tables; only what belongs to `knees` counts.
    """
    ratings: Ratings = {}
    given = {key_of(knee) for knee in knees}
    for knee in knees:
        items: dict[Item, int | None] = {DEPTH_RULE: knee["effusion_grade"]}
        items[VOLUME_RULE] = knee.get("effusion_grade_volume")
        items[SIGNAL] = knee.get("signal_grade")
        for meniscus, region in itertools.product(grading.MENISCI, grading.REGIONS):
            items[f"{meniscus}_meniscus", region] = knee[f"{meniscus}_{region}_signal_grade"]
        for meniscus in PARTS["menisci"]:
            parts = [grade for (name, _), grade in items.items() if name == meniscus]
            items[meniscus, None] = None if None in parts else max(parts)
        items["menisci", None] = grading.total_grade(items[meniscus, None] for meniscus in PARTS["menisci"])
        ratings |= {(key_of(knee), item): grade for item, grade in items.items() if grade is not None}
    for structure, rows, part, column in (
        ("cartilage", cartilage, "plate", "cartilage_grade"),
        ("marrow", marrow, "bone", "marrow_grade"),
    ):
        found: dict[Knee, dict[str, int | None]] = {}
        for row in rows:
            found.setdefault(key_of(row), {})[row[part]] = row[column]
        for key, grades in found.items():
            if key not in given:
                continue
            for name, grade in grades.items():
                if grade is not None:
                    ratings[key, item_of(structure, name)] = grade
            whole = grading.total_grade(grades.get(name) for name in PARTS[structure])
            if whole is not None:
                ratings[key, (structure, None)] = whole
    return ratings


def machine_values(knees: Sequence[Row]) -> Ratings:
    """Every measured volume (mL) and depth (mm) of the machine; a volume that is cut off is too small, so none."""
    ratings: Ratings = {}
    for knee in knees:
        cut_off = {"suprapatellar_ml", "fluid_ml"} if knee.get("pouch_in_view") is not True else set()
        cut_off |= {"fluid_ml"} if knee.get("fluid_in_view") is False else set()
        for name in MEASURED:
            if knee.get(name) is not None and name not in cut_off:
                ratings[key_of(knee), (name, None)] = knee[name]
    return ratings


def reader_ratings(readings: Sequence[Row], column: str) -> dict[str, dict[int, Ratings]]:
    """Ratings of each reader by number of the reading; `column` is `grade` or `value`.

    Grades of regions and menisci also give the knee's own, as the machine's do, unless it was given as such.
    """
    raters: dict[str, dict[int, Ratings]] = {}
    for row in readings:
        if row.get(column) is not None:
            ratings = raters.setdefault(row["rater_id"], {}).setdefault(row["reading"], {})
            ratings[key_of(row), item_of(row["structure"], row["region"])] = row[column]
    for ratings in (found for readings in raters.values() for found in readings.values()) if column == "grade" else ():
        ratings |= {(knee, SIGNAL): grade for knee, grade in _signals(ratings).items() if (knee, SIGNAL) not in ratings}
    return {name: dict(sorted(raters[name].items())) for name in sorted(raters)}


def _signals(ratings: Ratings) -> dict[Knee, float]:
    """The signal grade of each knee of which enough was graded."""
    found = {}
    for knee in dict.fromkeys(knee for knee, _ in ratings):
        menisci = []
        for meniscus in PARTS["menisci"]:
            regions = [ratings.get((knee, (meniscus, region))) for region in grading.REGIONS]
            menisci.append(ratings.get((knee, (meniscus, None)), grading.highest_grade(regions)))
        found[knee] = grading.highest_grade(menisci)
    return {knee: grade for knee, grade in found.items() if grade is not None}


def of_phase(readings: Sequence[Row], *, assisted: bool) -> list[Row]:
    """The blind readings, or those given with the machine's results in view; the two are never mixed."""
    return [row for row in readings if (row.get("phase") == "assisted") == assisted]


def key_of(row: Row) -> Knee:
    return tuple(row[name] for name in KNEE_KEYS)
