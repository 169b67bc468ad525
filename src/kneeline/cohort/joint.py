"""The four joint cells of strike by weekly distance, counted in runners."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from kneeline.cohort.design import by_runner
from kneeline.cohort.settings import Settings
from kneeline.grading import STRIKE_GROUPS, strike_group
from kneeline.statistics.exact import conditional_odds_ratio
from kneeline.statistics.intervals import wilson
from kneeline.tables import Row

Cell = tuple[str, str]


def cell_of(row: Row, settings: Settings) -> Cell | None:
    """(strike group, distance group); None when either is unknown."""
    cell = strike_group(row["strike_style"]), settings.distance_group(row["weekly_distance_km"])
    return None if None in cell else cell


def cells(settings: Settings) -> list[Cell]:
    """The four cells; the first is the reference."""
    return list(itertools.product(STRIKE_GROUPS, settings.distance_groups))


def runners_per_cell(knees: Sequence[Row], settings: Settings) -> dict[Cell, int]:
    """Number of different runners in each of the four cells."""
    members: dict[Cell, set[str]] = {cell: set() for cell in cells(settings)}
    for row in knees:
        if cell := cell_of(row, settings):
            members[cell].add(row["participant_id"])
    return {cell: len(who) for cell, who in members.items()}


def sparse_cells(counts: dict, least: int) -> str | None:
    """Sentence that names the groups with fewer than `least` runners; None when there are none."""
    if counts and not any(counts.values()):
        return "no runner is in a compared group: foot strike or weekly distance is recorded of nobody"
    few = [f"{words(cell)} holds {n}" for cell, n in counts.items() if n < least]
    return f"fewer than {least} runners in a compared group: {'; '.join(few)}" if few else None


def joint_cells(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """Rows of JOINT_CELLS: runners with grade 1 or more in any knee per cell, odds ratios against the reference."""
    counts = count_cells(knees, outcome, settings)
    reference = cells(settings)[0]
    rows = []
    for cell, (n, n_knees, count) in counts.items():
        row: Row = {"outcome": f"{outcome} >= 1", "strike_group": cell[0], "distance_group": cell[1]}
        row |= {"n_participants": n, "n_knees": n_knees, "count": count}
        if n:
            ends = wilson(count, n)
            row |= {"risk": count / n, "wilson_low": ends.low, "wilson_high": ends.high}
        few = sparse_cells({c: counts[c][0] for c in (reference, cell)}, settings.min_joint_cell)
        table = [[count, n - count], [counts[reference][2], counts[reference][0] - counts[reference][2]]]
        if cell == reference:
            row |= {"status": "reference", "reason": few}
        elif few:
            row |= {"status": "refused", "reason": few}
        elif not all(map(sum, zip(*table, strict=True))):
            row |= {"status": "refused", "reason": "all runners of both cells have the same outcome"}
        else:
            effect = conditional_odds_ratio(table)
            row |= {"odds_ratio": _finite(effect.estimate), "ci_low": effect.low, "ci_high": _finite(effect.high)}
            open_end = "; an end without a value is infinite" if effect.high == float("inf") else ""
            row |= {"status": "estimated", "reason": f"unadjusted{open_end}"}
        rows.append(row)
    return rows


class Count(NamedTuple):
    """Runners and knees of a cell, and the runners with grade 1 or more in any knee."""

    runners: int
    knees: int
    having: int


def count_cells(knees: Sequence[Row], outcome: str, settings: Settings) -> dict[Cell, Count]:
    """What each of the four cells holds."""
    members: dict[Cell, list[Row]] = {cell: [] for cell in cells(settings)}
    for row in by_runner(knees, outcome):
        if cell := cell_of(row, settings):
            members[cell].append(row)
    return {
        cell: Count(len(rows), sum(row["n_knees"] for row in rows), sum(row[outcome] >= 1 for row in rows))
        for cell, rows in members.items()
    }


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


def words(cell: Cell | str) -> str:
    """A cell as one says it."""
    said = cell if isinstance(cell, str) else " ".join(cell)
    return said.replace("non_", "non-").replace("_", " ")
