"""Machine against reader and reader against reader: coefficients of agreement with intervals over runners."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from kneeline.agreement import LEAST_CLUSTERS, Agreement, gwet, kappa, resampled
from kneeline.cohort.assemble import REGION_GRADES
from kneeline.tables import KNEE_KEYS, Row

BOOTSTRAP_SEED = 20061


STATISTICS: tuple[tuple[str, Callable[[np.ndarray], Agreement | None]], ...] = (
    ("weighted_kappa_quadratic", lambda table: kappa(table, "quadratic")),
    ("gwet_ac2_quadratic", lambda table: gwet(table, "quadratic")),
)


# --- comparisons ------------------------------------------------------------------------------------------------------

# (runner, knee and structure it is about) -> grade
Grades = dict[tuple[str, tuple], int]


def compare_raters(knees: Sequence[Row], readings: Sequence[Row] | None) -> tuple[list[Row], list[Row]]:
    """Rows of AGREEMENT and of CONFUSION: machine with each reader, readers with each other and with themselves."""
    if not readings:
        why = "no readings were given" if readings is None else "the readings table has no rows"
        note = f"{why}; agreement of machine and reader is not known for this cohort"
        return [
            {"comparison": "machine with reader", "structure": "all", "statistic": name, "note": note}
            for name, _ in STATISTICS
        ], []
    raters: dict[str, Grades] = {"machine": machine_grades(knees)}
    for row in readings:
        if row["grade"] is not None:
            grades = raters.setdefault(f"{row['rater_id']} reading {row['reading']}", {})
            grades[_key(row), (row["structure"], row["region"])] = row["grade"]
    agreement, confusion = [], []
    for first, second in itertools.combinations(raters, 2):
        comparison = f"{first} with {second}"
        shared = sorted(set(raters[first]) & set(raters[second]), key=str)
        by_structure: dict[tuple, list] = {}
        for item in shared:
            by_structure.setdefault(item[1], []).append((item[0], raters[first][item], raters[second][item]))
        if not by_structure:
            agreement += [
                {
                    "comparison": comparison,
                    "structure": "all",
                    "statistic": name,
                    "n": 0,
                    "note": "no knee graded by both",
                }
                for name, _ in STATISTICS
            ]
        for (structure, region), pairs in sorted(by_structure.items(), key=str):
            name = f"{structure} {region}" if region else structure
            found, counts = _compare(pairs)
            agreement += [dict(comparison=comparison, structure=name, **row) for row in found]
            confusion += [dict(comparison=comparison, structure=name, **row) for row in counts]
    return agreement, confusion


def machine_grades(knees: Sequence[Row]) -> Grades:
    """What the machine graded, under the names that readers use."""
    grades: Grades = {}
    for knee in knees:
        items: dict[tuple, int | None] = {("effusion", None): knee["effusion_grade"]}
        for column in REGION_GRADES:
            meniscus, region = column.removesuffix("_signal_grade").split("_", 1)
            items[f"{meniscus}_meniscus", region] = knee[column]
        for meniscus in ("medial_meniscus", "lateral_meniscus"):
            parts = [grade for (name, _), grade in items.items() if name == meniscus]
            items[meniscus, None] = None if None in parts else max(parts)
        grades |= {(_key(knee), item): grade for item, grade in items.items() if grade is not None}
    return grades


def _key(row: Row) -> tuple:
    return tuple(row[k] for k in KNEE_KEYS)


def _compare(pairs: Sequence[tuple[tuple, int, int]]) -> tuple[list[Row], list[Row]]:
    """Statistics and confusion of (knee, grade, grade) pairs."""
    used = [grade for _, *both in pairs for grade in both]
    grades = list(range(min(0, *used), max(used) + 1))
    runners = sorted({knee[0] for knee, *_ in pairs})
    counts = np.zeros((len(runners), len(grades), len(grades)))
    for knee, a, b in pairs:
        counts[runners.index(knee[0]), a, b] += 1
    table = counts.sum(axis=0)
    rows = []
    for name, statistic in STATISTICS:
        row: Row = {"statistic": name, "n": len(pairs)}
        found = statistic(table)
        if found is None:
            row["note"] = f"not defined: every grade by both is {used[0]}"
        else:
            low, high, how = _interval(found, counts, statistic)
            row |= {"estimate": found.estimate, "ci_low": low, "ci_high": high, "note": how}
        rows.append(row)
    rows.append({"statistic": "exact_agreement", "estimate": float(np.trace(table)) / len(pairs), "n": len(pairs)})
    confusion = [
        {"grade_a": a, "grade_b": b, "n": int(table[a, b])} for a, b in itertools.product(range(len(grades)), repeat=2)
    ]
    return rows, confusion


def _interval(
    found: Agreement, counts: np.ndarray, statistic: Callable[[np.ndarray], Agreement | None]
) -> tuple[float | None, float | None, str]:
    """95 % interval from counts (runners, q, q): large-sample if each runner gives one pair, else resampled runners."""
    n_runners = len(counts)
    if np.all(counts.sum(axis=(1, 2)) <= 1):
        reach = float(stats.norm.ppf(0.975)) * found.se
        return max(-1.0, found.estimate - reach), min(1.0, found.estimate + reach), "large-sample interval"
    if n_runners < LEAST_CLUSTERS:
        return None, None, f"no interval: {n_runners} runners are too few to resample"
    values = resampled(counts, statistic, BOOTSTRAP_SEED)
    low, high = np.quantile(values, [0.025, 0.975])
    how = f"interval from {len(values)} resamples of {n_runners} runners, seed {BOOTSTRAP_SEED}"
    return float(low), float(high), how
