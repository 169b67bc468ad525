"""Scores beside the truth: pairs of grades and of values, from true labels or from the network's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from kneeline import tables
from kneeline.score.run import Scores
from kneeline.statistics.agreement import GradeAgreement, ValueAgreement, agree_on_grades, agree_on_values
from kneeline.tables import Row, Table
from kneeline.validate.measure import Case

Source = Callable[[Case], Scores | None]
Pair = tuple[int | None, int | None]  # true, found


def on_true_labels(case: Case) -> Scores:
    return case.on_true_labels


def by_network(case: Case) -> Scores | None:
    """None of a knee that was refused."""
    return case.found and case.found.scores


SOURCES: dict[str, Source] = {"true labels": on_true_labels, "network": by_network}
EFFUSION_RULES = {"effusion_grade": "depth rule", "effusion_grade_volume": "volume rule"}


# --- grades -----------------------------------------------------------------------------------------------------------


def signal_pairs(case: Case, source: Source, region: tuple[str, str] | None = None) -> list[Pair]:
    """True and found grade of each region of a knee, or of one (meniscus, region)."""
    found = {_place(row): row["signal_grade"] for row in _rows(source(case), "meniscus")}
    return [
        (row["signal_grade"], found.get(_place(row)))
        for row in case.truth.scores.meniscus
        if region in (None, _place(row))
    ]


def effusion_pairs(case: Case, source: Source, column: str) -> list[Pair]:
    """True and found grade by one of EFFUSION_RULES: one pair."""
    scores = source(case)
    return [(case.truth.scores.effusion[column], scores and scores.effusion[column])]


def grades(cases: Iterable[Case], pairs: Callable[[Case], list[Pair]], name: str = "") -> GradeAgreement:
    """Agreement over all pairs of the cases, with an interval from resampled knees."""
    return agree_on_grades(name, [pairs(case) for case in cases])


def signal_agreement(cases: Iterable[Case], source: Source, region: tuple[str, str] | None = None) -> GradeAgreement:
    return grades(cases, partial(signal_pairs, source=source, region=region))


def effusion_agreement(cases: Iterable[Case], source: Source, column: str) -> GradeAgreement:
    return grades(cases, partial(effusion_pairs, source=source, column=column))


def _place(row: Row) -> tuple[str, str]:
    return row["meniscus"], row["region"]


# --- values -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quantity:
    """What is measured: `of` gives its values in a knee (one, or one a region), None where there is none."""

    name: str
    unit: str
    of: Callable[[Scores], list[float | None]]

    @property
    def form(self) -> str:
        """How its values are written."""
        return {"mm3": ".0f", "mL": ".1f", "%": ".1f"}.get(self.unit, ".2f")


_UNITS = {"ml": "mL", "mm": "mm", "mm2": "mm2", "mm3": "mm3", "pct": "%"}


def _rows(scores: Scores | None, table: str) -> list[Row]:
    found = getattr(scores, table, None) or []
    return [found] if isinstance(found, dict) else found


def _values(scores: Scores, table: str, column: str, where: dict) -> list[float | None]:
    return [row.get(column) for row in _rows(scores, table) if all(row[k] == v for k, v in where.items())]


def _of_table(table: Table, columns: Iterable[str] | None = None) -> list[Quantity]:
    """A quantity a numeric column with a unit; in a table of several rows a knee, one for each of its rows."""
    field = table.name.removeprefix("score/")
    parts = [name for name in table.key if name not in tables.KNEE_KEYS]
    wheres = [{parts[0]: value} for value in table[parts[0]].allowed] if parts else [{}]
    columns = columns or [c.name for c in table.columns if c.kind == "float"]
    quantities = []
    for where in wheres:
        for column in columns:
            words, _, unit = column.rpartition("_")
            name = " ".join([*_subject(where), words]).replace("_", " ")
            if unit in _UNITS:
                read = partial(_values, table=field, column=column, where=where)
                quantities.append(Quantity(name, _UNITS[unit], read))
    return quantities


def _subject(where: dict) -> list[str]:
    """
    >>> _subject({"meniscus": "medial"}), _subject({"plate": "patellar_cartilage"}), _subject({})
    (['medial', 'meniscus'], ['patellar_cartilage'], [])
    """
    return [part for key, value in where.items() for part in ((value, key) if key == "meniscus" else (value,))]


QUANTITIES = [
    *_of_table(tables.EFFUSION),
    *_of_table(tables.EXTRUSION),
    *_of_table(tables.CARTILAGE, ["thickness_mean_mm"]),
]
SIGNAL_RATIO = Quantity(
    "signal ratio of a region", "", partial(_values, table="meniscus", column="signal_ratio", where={})
)


def quantity(name: str) -> Quantity:
    return next(q for q in QUANTITIES if q.name == name)


def value_pairs(cases: Iterable[Case], source: Source, measured: Quantity) -> list[tuple[float | None, float | None]]:
    """True and found value of each knee; (true, None) of one that was refused."""
    pairs = []
    for case in cases:
        true, scores = measured.of(case.truth.scores), source(case)
        pairs += zip(true, measured.of(scores) if scores else [None] * len(true), strict=True)
    return pairs


def value_agreement(cases: Iterable[Case], source: Source, measured: Quantity) -> ValueAgreement:
    return agree_on_values(measured.name, measured.unit, value_pairs(cases, source, measured))


# --- lesions ----------------------------------------------------------------------------------------------------------

LESION_VALUES = {
    "signal_extent_mm": ("extent", "mm"),
    "surface_distance_mm": ("distance to the surface", "mm"),
    "hyperintense_mm3": ("volume", "mm3"),
}


def lesions(cases: Iterable[Case], source: Source, grade: int) -> list[tuple[Row, Row | None]]:
    """Rows of the regions with a planted lesion of a grade: as planted, and as found (None where none was found)."""
    pairs = []
    for case in cases:
        found = {_place(row): row for row in _rows(source(case), "meniscus") if row["signal_grade"]}
        planted = [row for row in case.truth.scores.meniscus if row["signal_grade"] == grade]
        pairs += [(row, found.get(_place(row))) for row in planted]
    return pairs


def lesion_agreement(pairs: Iterable[tuple[Row, Row | None]], column: str) -> ValueAgreement:
    """Of the lesions that were found; the others count as missing."""
    name, unit = LESION_VALUES[column]
    return agree_on_values(name, unit, [(planted[column], found and found[column]) for planted, found in pairs])
