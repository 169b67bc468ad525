"""From analysis rows to the numbers that models take: exposure groups, complete-case design columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from kneeline.cohort.outcomes import outcome_value
from kneeline.cohort.settings import Settings
from kneeline.grading import strike_group
from kneeline.tables import Row


def term_value(knee: Row, term: str, settings: Settings) -> float | None:
    """Value of a model term for a knee; None when what it needs is missing.

    Distance is counted from the cut, so that in a model with the product the strike term is the contrast at the cut.
    """
    if ":" in term:
        parts = [term_value(knee, part, settings) for part in term.split(":")]
        return None if None in parts else float(np.prod(parts))
    if term == "rearfoot":
        group = strike_group(knee["strike_style"])
        return None if group is None else float(group == "rearfoot")
    if term in (settings.distance_term, settings.cut_term):
        distance = knee["weekly_distance_km"]
        if distance is None:
            return None
        if term == settings.distance_term:
            return (distance - settings.distance_cut_km) / settings.distance_unit_km
        return float(settings.distance_group(distance) == settings.distance_groups[1])
    if term == "sex_M":
        return None if knee["sex"] is None else float(knee["sex"] == "M")
    return knee.get(term)


@dataclass(frozen=True)
class Data:
    """Complete cases of one model, which is all that a fit needs; no file is read or written to make one.

    Fields
    ------
    y
        Outcome (n,).
    x
        Design columns (n, p) in the order of `terms`, without an intercept.
    runners
        Cluster of each row (n,): the runner's id.
    knees
        The rows themselves; for the counts of groups and of knees.
    left_out
        Terms that were asked for and cannot be in a model, with the reason: constant, or recorded of nobody.
    missing
        Knees without the outcome or without a term.
    """

    y: np.ndarray
    x: np.ndarray
    terms: tuple[str, ...]
    runners: np.ndarray
    knees: list[Row] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)

    @property
    def n_runners(self) -> int:
        return len(set(self.runners))

    @property
    def n_knees(self) -> int:
        return sum(row.get("n_knees", 1) for row in self.knees) if self.knees else len(self.y)

    @property
    def clusters(self) -> np.ndarray:
        """Runners as whole numbers from 0 (n,)."""
        return np.unique(self.runners, return_inverse=True)[1]

    @property
    def missing_note(self) -> str | None:
        """How many knees were left out, and for what."""
        said = ", ".join(f"{name} {count}" for name, count in self.missing.items() if count)
        return f"complete cases; knees left out for a missing value: {said}" if said else None


def complete_cases(knees: Sequence[Row], outcome: str, terms: Iterable[str], settings: Settings) -> Data:
    """Knees with the outcome and every term.

    A term that no knee has a value of, or that has one value among the complete cases, is left out and named: it can
    tell nothing, and must not empty the model.
    """
    terms = tuple(terms)
    values = {outcome: [outcome_value(knee, outcome) for knee in knees]}
    values |= {term: [term_value(knee, term, settings) for knee in knees] for term in terms}
    frame = pd.DataFrame(values, dtype=float)
    left_out = {term: f"unrecorded: no runner has a value of {term}" for term in terms if frame[term].isna().all()}
    if not knees:
        left_out = {}
    kept = frame.drop(columns=list(left_out)).dropna()
    rows = [knees[i] for i in kept.index]
    n_runners = len({row["participant_id"] for row in rows})
    left_out |= {
        term: f"constant: {term} has one value in all {n_runners} runners"
        for term in terms
        if term not in left_out and kept[term].nunique() < 2
    }
    # A product goes with its parts: without one of them it has no meaning of its own.
    left_out |= {
        term: next(left_out[part] for part in term.split(":") if part in left_out)
        for term in terms
        if term not in left_out and any(part in left_out for part in term.split(":"))
    }
    used = tuple(term for term in terms if term not in left_out)
    missing = {name: int(frame[name].isna().sum()) for name in (outcome, *terms) if ":" not in name}
    return Data(
        kept[outcome].to_numpy(),
        kept[list(used)].to_numpy(),
        used,
        np.array([row["participant_id"] for row in rows], dtype=object),
        rows,
        left_out,
        {name: count for name, count in missing.items() if not left_out.get(name, "").startswith("unrecorded")},
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


def one_a_runner(data: Data) -> list[Row]:
    """A knee of each runner, for what is about runners."""
    return list({row["participant_id"]: row for row in data.knees}.values())
