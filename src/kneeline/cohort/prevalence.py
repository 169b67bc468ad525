"""Prevalence of each grade, in knees and in runners, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from kneeline import grading, tables
from kneeline.cohort.assemble import REGION_GRADES
from kneeline.cohort.design import by_runner
from kneeline.grading import STRIKE_GROUPS, strike_group
from kneeline.statistics.intervals import clopper_pearson, effective_n, wilson
from kneeline.tables import Row

# Each graded outcome with the grades of its scale.
OUTCOMES = {
    **dict.fromkeys(("signal_grade", *REGION_GRADES, "effusion_grade", "effusion_grade_volume"), grading.GRADES),
    "cartilage_grade": tables.CARTILAGE["cartilage_grade"].allowed,
    "marrow_grade": tables.MARROW["marrow_grade"].allowed,
}
AT_LEAST = (">=1", ">=2")


def prevalence(knees: Sequence[Row]) -> list[Row]:
    """Rows of PREVALENCE, for all and by strike group; a runner counts with the highest grade of the runner's knees.

    Intervals of knees use the effective number of knees when runners have two (see `intervals.effective_n`).
    Groups without anybody have no rows.
    """
    rows = []
    for outcome, grades in OUTCOMES.items():
        levels = (*(str(grade) for grade in grades), *AT_LEAST)
        graded = [row for row in knees if row[outcome] is not None]
        for unit, members in (("knees", graded), ("participants", by_runner(graded, outcome))):
            for group in ("overall", *STRIKE_GROUPS):
                chosen = [row for row in members if group in ("overall", strike_group(row["strike_style"]))]
                if chosen:
                    rows += [_row(chosen, outcome, level, unit, group) for level in levels]
    return rows


def _row(members: Sequence[Row], outcome: str, level: str, unit: str, group: str) -> Row:
    least = int(level.removeprefix(">="))
    has = [row[outcome] >= least if level.startswith(">=") else row[outcome] == least for row in members]
    count, n = sum(has), len(has)
    n_independent = effective_n(has, [row["participant_id"] for row in members])
    share = count / n
    score, exact = wilson(share * n_independent, n_independent), clopper_pearson(share * n_independent, n_independent)
    row: Row = {
        "outcome": outcome,
        "level": level,
        "unit": unit,
        "group": group,
        "count": count,
        "n": n,
        "proportion": share,
    }
    row |= {"wilson_low": score.low, "wilson_high": score.high, "exact_low": exact.low, "exact_high": exact.high}
    if n_independent < n:
        row["note"] = f"runners with more than one knee: the intervals are as of {n_independent:.1f} independent knees"
    return row
