"""From analysis rows to the numbers that models take: outcomes, exposure groups, complete-case design columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kneeline.cohort.settings import Settings
from kneeline.grading import strike_group
from kneeline.tables import Row

# Volumes below this are at the limit of what a voxel count can tell; their logarithm would rule the fit.
SMALLEST_FLUID_ML = 0.1


def outcome_value(knee: Row, outcome: str) -> float | None:
    """A knee's outcome; `log_fluid_ml` is missing when the pouch is cut off, since its volume is then too small."""
    if outcome != "log_fluid_ml":
        return knee[outcome]
    if knee["fluid_ml"] is None or knee["pouch_in_view"] is not True:
        return None
    return float(np.log(max(knee["fluid_ml"], SMALLEST_FLUID_ML)))


def term_value(knee: Row, term: str, settings: Settings) -> float | None:
    """Value of a model term for a knee; None when what it needs is missing.

    Distance is counted from the cut, so that in a model with the product the strike term is the contrast at the cut.
    """
    if ":" in term:
        parts = [term_value(knee, part, settings) for part in term.split(":")]
        return None if None in parts else float(np.prod(parts))
    distance = knee["weekly_distance_km"]
    if term == "rearfoot":
        group = strike_group(knee["strike_style"])
        return None if group is None else float(group == "rearfoot")
    if term == settings.distance_term:
        return None if distance is None else (distance - settings.distance_cut_km) / settings.distance_unit_km
    if term == settings.cut_term:
        return None if distance is None else float(settings.distance_group(distance) == settings.distance_groups[1])
    if term == "sex_M":
        return None if knee["sex"] is None else float(knee["sex"] == "M")
    return knee[term]


def covariate_terms(settings: Settings) -> tuple[str, ...]:
    return tuple("sex_M" if name == "sex" else name for name in settings.adjust)


@dataclass(frozen=True)
class Data:
    """Complete cases of one model. y (n,), x (n, p) in the order of `terms`, runners (n,) ids, knees the rows."""

    y: np.ndarray
    x: np.ndarray
    terms: tuple[str, ...]
    runners: np.ndarray
    knees: list[Row]
    constant: tuple[str, ...]  # asked for, but with one value only
    missing: dict[str, int]  # knees without the outcome or a term

    @property
    def n_runners(self) -> int:
        return len(set(self.runners))

    @property
    def n_knees(self) -> int:
        return sum(row.get("n_knees", 1) for row in self.knees)

    @property
    def missing_note(self) -> str | None:
        """How many knees were left out, and for what."""
        said = ", ".join(f"{name} {count}" for name, count in self.missing.items() if count)
        return f"complete cases; knees left out for a missing value: {said}" if said else None


def complete_cases(knees: Sequence[Row], outcome: str, terms: Iterable[str], settings: Settings) -> Data:
    """Knees with the outcome and every term; terms that have one value among them are taken out and named."""
    terms = tuple(terms)
    values = {outcome: [outcome_value(knee, outcome) for knee in knees]}
    values |= {term: [term_value(knee, term, settings) for knee in knees] for term in terms}
    frame = pd.DataFrame(values, dtype=float)
    kept = frame.dropna()
    constant = [term for term in terms if kept[term].nunique() < 2]
    # A product goes with its parts: without one of them it has no meaning of its own.
    constant += [t for t in terms if t not in constant and any(part in constant for part in t.split(":"))]
    used = tuple(term for term in terms if term not in constant)
    rows = [knees[i] for i in kept.index]
    return Data(
        kept[outcome].to_numpy(),
        kept[list(used)].to_numpy(),
        used,
        np.array([row["participant_id"] for row in rows], dtype=object),
        rows,
        tuple(constant),
        {name: int(frame[name].isna().sum()) for name in frame if ":" not in name},
    )


def by_runner(knees: Sequence[Row], outcome: str) -> list[Row]:
    """One row a runner: the highest known outcome of the `n_knees` knees that have one; left out if none has."""
    runners: dict[str, Row] = {}
    for knee in knees:
        value = knee[outcome]
        if value is None:
            continue
        kept = runners.setdefault(knee["participant_id"], {**knee, "n_knees": 0})
        kept[outcome] = max(kept[outcome], value)
        kept["n_knees"] += 1
    return [runners[name] for name in sorted(runners)]
