"""The four joint cells of strike by weekly distance, counted in runners."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from kneeline.cohort.additive import from_risks
from kneeline.cohort.design import by_runner
from kneeline.cohort.exact import conditional_odds_ratio
from kneeline.cohort.intervals import wilson
from kneeline.cohort.settings import Settings
from kneeline.grading import STRIKE_GROUPS, strike_group
from kneeline.tables import Row

Cell = tuple[str, str]

# Below this many runners with, or without, the finding in a cell the delta method is rough.
SMALL_COUNT = 5
# S is a ratio; an interval that spans more than this factor says that its denominator may be zero.
WIDEST_S = 1e4


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
    few = [f"{_words(cell)} holds {n}" for cell, n in counts.items() if n < least]
    return f"fewer than {least} runners in a compared group: {'; '.join(few)}" if few else None


def joint_cells(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """Rows of JOINT_CELLS: runners with grade 1 or more in any knee per cell, odds ratios against the reference."""
    counts = _count(knees, outcome, settings)
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


def additive_rows(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """Rows of ESTIMATES: RERI, AP, S from the unadjusted risk ratios of the four cells."""
    counts = _count(knees, outcome, settings)
    common: Row = {"model": "additive_interaction", "outcome": outcome}
    common |= {"n_participants": sum(c[0] for c in counts.values()), "n_knees": sum(c[1] for c in counts.values())}
    common["method"] = (
        "risk ratios of grade 1 or more in any knee, by runner, in the four joint cells, unadjusted; "
        "delta-method interval"
    )
    reason = sparse_cells({cell: c[0] for cell, c in counts.items()}, settings.min_joint_cell)
    if not reason and any(count in (0, n) for n, _, count in counts.values()):
        reason = "in a joint cell no runner or every runner has the finding; the delta method does not apply"
    neither, distance_only, strike_only, both = ((n - count, count) for n, _, count in counts.values())
    if reason:
        return [
            {**common, "term": term, "scale": scale, "status": "refused", "reason": reason}
            for term, scale in (("RERI", "reri"), ("AP", "other"), ("S", "other"))
        ]
    found = from_risks([neither, strike_only, distance_only, both])
    caution = "unadjusted; RERI 0, AP 0, S 1 mean exactly additive"
    if min(min(n - count, count) for n, _, count in counts.values()) < SMALL_COUNT:
        caution += (
            f"; a joint cell has fewer than {SMALL_COUNT} runners with or without the finding, the interval is rough"
        )
    rows = []
    for term, scale, effect in (("RERI", "reri", found.reri), ("AP", "other", found.ap), ("S", "other", found.s)):
        row = {**common, "term": term, "scale": scale}
        if effect is None or term == "S" and effect.high > WIDEST_S * effect.low:
            reason = "not defined: the excess risks have opposite signs, or are too near to zero to be divided"
            rows.append({**row, "status": "refused", "reason": reason})
            continue
        row |= {"estimate": effect.estimate, "ci_low": effect.low, "ci_high": effect.high, "p_value": effect.p_value}
        rows.append({**row, "status": "estimated", "warnings": caution})
    return rows


def _count(knees: Sequence[Row], outcome: str, settings: Settings) -> dict[Cell, tuple[int, int, int]]:
    """Runners, knees, runners with grade 1 or more, per cell."""
    members: dict[Cell, list[Row]] = {cell: [] for cell in cells(settings)}
    for row in by_runner(knees, outcome):
        if cell := cell_of(row, settings):
            members[cell].append(row)
    return {
        cell: (len(rows), sum(row["n_knees"] for row in rows), sum(row[outcome] >= 1 for row in rows))
        for cell, rows in members.items()
    }


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


def _words(cell: Cell | str) -> str:
    words = cell if isinstance(cell, str) else " ".join(cell)
    return words.replace("non_", "non-").replace("_", " ")
