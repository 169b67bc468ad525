"""From analysis rows to the numbers that models take: exposure groups, complete-case design columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from kneeline.cohort.outcomes import outcome_value
from kneeline.cohort.settings import Settings
from kneeline.grading import strike_group
from kneeline.tables import Row


def term_column(knees: Sequence[Row], term: str, settings: Settings) -> np.ndarray:
    """Values of a model term (n,); nan where what it needs is missing.

    Distance is counted from the cut, so that in a model with the product the strike term is the contrast at the cut.
    """
    if ":" in term:
        return np.prod([term_column(knees, part, settings) for part in term.split(":")], axis=0)
    if term == "rearfoot":
        return _numbers(_is(strike_group(knee["strike_style"]), "rearfoot") for knee in knees)
    if term == "sex_M":
        return _numbers(_is(knee["sex"], "M") for knee in knees)
    if term == settings.distance_term:
        kilometres = _numbers(knee["weekly_distance_km"] for knee in knees)
        return (kilometres - settings.distance_cut_km) / settings.distance_unit_km
    if term == settings.cut_term:
        above = settings.distance_groups[1]
        return _numbers(_is(settings.distance_group(knee["weekly_distance_km"]), above) for knee in knees)
    return _numbers(knee.get(term) for knee in knees)


def term_value(knee: Row, term: str, settings: Settings) -> float | None:
    """The same for one knee; None when what it needs is missing."""
    value = float(term_column([knee], term, settings)[0])
    return None if np.isnan(value) else value


def _is(value: str | None, wanted: str) -> bool | None:
    return None if value is None else value == wanted


def _numbers(values: Iterable[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


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

    @cached_property
    def n_runners(self) -> int:
        return len(set(self.runners))

    @property
    def n_knees(self) -> int:
        return sum(row.get("n_knees", 1) for row in self.knees) if self.knees else len(self.y)

    @cached_property
    def clusters(self) -> np.ndarray:
        """Runners as whole numbers from 0 (n,)."""
        return np.unique(self.runners, return_inverse=True)[1]

    @cached_property
    def one_a_runner(self) -> list[Row]:
        """A knee of each runner, for what is about runners."""
        return list({row["participant_id"]: row for row in self.knees}.values())

    @property
    def missing_note(self) -> str | None:
        """How many knees were left out, and for what."""
        said = ", ".join(f"{name} {count}" for name, count in self.missing.items() if count)
        return f"complete cases; knees left out for a missing value: {said}" if said else None


def complete_cases(knees: Sequence[Row], outcome: str, terms: Iterable[str], settings: Settings) -> Data:
    """Knees with the outcome and every term.

    A term that no knee has a value of, or that has one value wherever it is known, is left out and named: it can tell
    nothing, and no knee is left out for want of it. So is one that has one value among the complete cases.
    """
    terms = tuple(terms)
    values = {outcome: _numbers(outcome_value(knee, outcome) for knee in knees)}
    values |= {term: term_column(knees, term, settings) for term in terms}
    frame = pd.DataFrame(values)
    who = [knee["participant_id"] for knee in knees]
    useless = _with_products(_constants(frame[frame[outcome].notna()], frame, terms, who), terms)
    kept = frame.drop(columns=list(useless)).dropna()
    rows = [knees[i] for i in kept.index]
    left_out = useless | _constants(kept, frame, [term for term in terms if term not in useless], who)
    left_out = _with_products(left_out, terms)
    used = tuple(term for term in terms if term not in left_out)
    counted = [name for name in (outcome, *terms) if name not in useless and ":" not in name]
    missing = {name: int(frame[name].isna().sum()) for name in counted}
    return Data(
        kept[outcome].to_numpy(),
        kept[list(used)].to_numpy(),
        used,
        np.array([row["participant_id"] for row in rows], dtype=object),
        rows,
        left_out,
        missing,
    )


def _constants(part: pd.DataFrame, frame: pd.DataFrame, terms: Sequence[str], runners: Sequence[str]) -> dict[str, str]:
    """Terms without two values in a part of the knees' frame, and why they can tell nothing; none of an empty part."""
    found = {}
    for term in terms if len(part) else ():
        if frame[term].isna().all():
            found[term] = f"unrecorded: no runner has a value of {term}"
        elif part[term].nunique() < 2:
            n = len({runners[i] for i in part.index[part[term].notna()]})
            who = " who have it" if frame[term].isna().any() else ""
            found[term] = f"constant: {term} has one value in all {n} runners{who}"
    return found


def _with_products(left_out: dict[str, str], terms: Sequence[str]) -> dict[str, str]:
    """A product goes with its parts: without one of them it has no meaning of its own."""
    parts = {term: [left_out[part] for part in term.split(":") if part in left_out] for term in terms if ":" in term}
    return left_out | {term: why[0] for term, why in parts.items() if why}


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
