"""Table 1: who was studied. Counts, missing values, location and spread, standardised differences; no p-values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd

from kneeline.cohort.settings import Settings
from kneeline.grading import STRIKE_GROUPS, strike_group
from kneeline.tables import PARTICIPANTS, Row

NUMBERS = tuple(c.name for c in PARTICIPANTS.columns if c.kind == "float")
CATEGORIES = ("sex", "strike_style", "strike_method", "distance_source")


def table_one(runners: Sequence[Row], settings: Settings) -> list[Row]:
    """Rows of TABLE_ONE from one row a runner; groups: overall, the strike groups, the distance groups.

    The standardised differences (rearfoot minus non-rearfoot, and from the distance cut minus below it, in pooled
    standard deviations) stand in the overall rows.
    """
    if not runners:
        return []
    frame = pd.DataFrame(runners, columns=PARTICIPANTS.header)
    strike = frame["strike_style"].map(lambda style: strike_group(_none(style)))
    distance = frame["weekly_distance_km"].map(lambda km: settings.distance_group(_none(km)))
    groups = {"overall": frame}
    groups |= {name: frame[strike == name] for name in STRIKE_GROUPS}
    groups |= {name: frame[distance == name] for name in settings.distance_groups}
    rows = [
        {"variable": "runners", "level": "count", "group": group, "n": len(part), "missing": 0, "value": str(len(part))}
        for group, part in groups.items()
    ]
    for group, known in (("strike_group", strike), ("distance_group", distance)):
        if known.isna().any():
            n, lost = int(known.notna().sum()), int(known.isna().sum())
            rows.append(
                {"variable": group, "level": "known", "group": "overall", "n": n, "missing": lost, "value": str(n)}
            )
    # The groups of an exposure differ in the exposure itself by definition.
    contrasts = {
        "standardised_difference": (*STRIKE_GROUPS[::-1], "strike_style"),
        "standardised_difference_distance": (*settings.distance_groups[::-1], "weekly_distance_km"),
    }

    def differences(name: str, difference: Callable[..., float | None], *level: str) -> Row:
        return {
            column: difference(groups[first][name], groups[second][name], *level)
            for column, (first, second, own) in contrasts.items()
            if name != own
        }

    for name in NUMBERS:
        values = pd.to_numeric(frame[name])
        if values.notna().any():
            rows += _number_rows(name, groups, differences(name, difference_of_means))
    for name in CATEGORIES:
        for level in _levels(name, frame):
            rows += _level_rows(name, level, groups, differences(name, difference_of_shares, level))
    return rows


def _number_rows(name: str, groups: dict[str, pd.DataFrame], differences: Row) -> list[Row]:
    rows = []
    for level in ("mean (SD)", "median [quartiles]"):
        for group, part in groups.items():
            values = pd.to_numeric(part[name]).dropna()
            row: Row = {
                "variable": name,
                "level": level,
                "group": group,
                "n": len(values),
                "missing": len(part) - len(values),
            }
            if len(values) and level == "mean (SD)":
                spread = f"{values.std():.1f}" if len(values) > 1 else "n/a"
                row["value"] = f"{values.mean():.1f} ({spread})"
            elif len(values):
                low, middle, high = values.quantile([0.25, 0.5, 0.75])
                row["value"] = f"{middle:.1f} [{low:.1f}, {high:.1f}]"
            if group == "overall" and level == "mean (SD)":
                row |= differences
            rows.append(row)
    return rows


def _level_rows(name: str, level: str, groups: dict[str, pd.DataFrame], differences: Row) -> list[Row]:
    rows = []
    for group, part in groups.items():
        values = part[name].dropna()
        row: Row = {
            "variable": name,
            "level": level,
            "group": group,
            "n": len(values),
            "missing": len(part) - len(values),
        }
        if len(values):
            count = int((values == level).sum())
            row["value"] = f"{count} ({100 * count / len(values):.0f} %)"
        if group == "overall":
            row |= differences
        rows.append(row)
    return rows


def _levels(name: str, frame: pd.DataFrame) -> list[str]:
    seen = set(frame[name].dropna())
    return [level for level in PARTICIPANTS[name].allowed if level in seen]


def difference_of_means(first: Sequence[float], second: Sequence[float]) -> float | None:
    """(mean - mean) / root of the mean variance; None with fewer than two values in a group or no spread."""
    a, b = (pd.to_numeric(pd.Series(values)).dropna() for values in (first, second))
    if min(len(a), len(b)) < 2:
        return None
    return _standardised(a.mean() - b.mean(), (a.var() + b.var()) / 2)


def difference_of_shares(first: Sequence[str], second: Sequence[str], level: str) -> float | None:
    """The same for the proportion of a category."""
    a, b = (pd.Series(values).dropna() for values in (first, second))
    if not len(a) or not len(b):
        return None
    p, q = float((a == level).mean()), float((b == level).mean())
    return _standardised(p - q, (p * (1 - p) + q * (1 - q)) / 2)


def _standardised(difference: float, variance: float) -> float | None:
    if variance == 0:
        return 0.0 if difference == 0 else None
    return float(difference / math.sqrt(variance))


def _none(value):
    return None if pd.isna(value) else value
