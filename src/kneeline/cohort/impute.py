"""Multiple imputation beside the complete cases: the adjusted and the interaction model with missing exposures and
covariates completed, pooled by Rubin's rules.

What is imputed, and what is not
--------------------------------
- Exposures and covariates belong to a runner and are imputed once a runner, so that both knees get the same value; the
  regressions hold the runner's mean outcome (and the number of knees, where it varies), because values imputed without
  the outcome would draw every association towards none.
- Outcomes are not imputed. A knee without its own grade tells nothing about the model beyond what its runner's other
  knee and covariates tell, which are used; a drawn grade would only add noise (von Hippel 2007), and a grade that is
  missing because the image does not show it is not missing at random. A runner without any known outcome is left out.
- The regressions hold what the product strike x distance needs (`chained`), so the imputed data fit the interaction
  model as well as the adjusted one.

It is assumed that what is missing depends on what is known (missing at random); no data can show that it does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from kneeline.cohort.answer import Answer, Coefficient, values_row
from kneeline.cohort.design import Data, complete_cases, term_column
from kneeline.cohort.families import Family, family
from kneeline.cohort.outcomes import outcome_value
from kneeline.cohort.questions import Question, adjusted_question, questions
from kneeline.cohort.refusals import (
    RUNNERS_PER_PARAMETER,
    cautions,
    count_parameters,
    nothing_left,
    refuse_model,
    refuse_term,
)
from kneeline.cohort.settings import Settings
from kneeline.errors import Refusal
from kneeline.statistics.bootstrap import canonical_order
from kneeline.statistics.chained import Incomplete, impute
from kneeline.statistics.rubin import Pooled, pool
from kneeline.tables import Row

# A variable that is unknown in more runners than this share would be mostly invented.
MOST_MISSING = 0.5
BINARY = ("rearfoot", "sex_M")


def imputed_rows(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """Rows of ESTIMATES: `<model>_imputed` for the adjusted and the interaction question.

    None if `n_imputations` is 0. Of a question that is refused as a whole, one row says why.
    """
    if not settings.n_imputations:
        return []
    asked = [question for question in questions(settings) if question.name in ("adjusted", "interaction")]
    gathered = gather(knees, outcome, settings)
    reason = why_not(gathered)
    completed = None
    rows = []
    for question in asked:
        if not reason and completed is None:
            completed = impute(gathered.incomplete, n_imputed(gathered, settings), settings.seed)
        rows += _answer(reason, completed, gathered, knees, outcome, question, settings)
    return rows


@dataclass(frozen=True)
class Gathered:
    """Runners with a known outcome, in an order that their names have no part in.

    Fields
    ------
    incomplete
        Their variables, in the order of `terms`.
    y, runner
        Outcome of each knee (k,) and the position of its runner (k,).
    left_out
        Terms of which nobody has a value, or all have one, with the reason.
    """

    terms: tuple[str, ...]
    incomplete: Incomplete
    y: np.ndarray
    runner: np.ndarray
    left_out: dict[str, str]

    @property
    def n_missing(self) -> dict[str, int]:
        """Runners without each term."""
        return dict(zip(self.terms, np.isnan(self.incomplete.values).sum(axis=0).tolist(), strict=True))

    @property
    def n_runners(self) -> int:
        return len(self.incomplete.values)

    @property
    def n_incomplete(self) -> int:
        return int(np.isnan(self.incomplete.values).any(axis=1).sum())

    def data(self, completed: np.ndarray, terms: Sequence[str]) -> Data:
        """Knees with completed values (n, v), for the terms that can be in a model."""
        columns = {name: completed[self.runner, i] for i, name in enumerate(self.terms)}
        used = tuple(term for term in terms if all(part in columns for part in term.split(":")))
        x = np.column_stack([np.prod([columns[part] for part in term.split(":")], axis=0) for term in used])
        return Data(self.y, x, used, self.runner)


def gather(knees: Sequence[Row], outcome: str, settings: Settings) -> Gathered:
    """Variables of the runners (once each) and outcomes of their knees."""
    known: dict[str, list[float]] = {}
    first: dict[str, Row] = {}
    for knee in knees:
        value = outcome_value(knee, outcome)
        if value is not None:
            known.setdefault(knee["participant_id"], []).append(float(value))
            first.setdefault(knee["participant_id"], knee)
    asked = adjusted_question(settings).terms
    values = np.column_stack([term_column(list(first.values()), term, settings) for term in asked])
    outcomes = [np.sort(found) for found in known.values()]
    sums = np.array([[found.mean(), found.max(), found @ found, len(found)] for found in outcomes]).reshape(-1, 4)
    order = canonical_order(values, sums)
    values, sums, outcomes = values[order], sums[order], [outcomes[i] for i in order]
    left_out = {}
    for i, term in enumerate(asked):
        seen = np.unique(values[~np.isnan(values[:, i]), i])
        if not len(seen):
            left_out[term] = f"unrecorded: no runner has a value of {term}"
        elif len(seen) == 1:
            left_out[term] = f"constant: {term} has one value in all runners who have one"
    terms = tuple(term for term in asked if term not in left_out)
    values = values[:, [asked.index(term) for term in terms]]
    complete = sums[:, [0, 3] if len(set(sums[:, 3])) > 1 else [0]]
    pair = ("rearfoot", settings.distance_term) if len(settings.exposure_terms) == 2 else ()
    product = tuple(terms.index(term) for term in pair) if pair and set(pair) <= set(terms) else None
    return Gathered(
        terms,
        Incomplete(values, tuple(term in BINARY for term in terms), complete, product),
        np.concatenate(outcomes) if outcomes else np.zeros(0),
        np.repeat(np.arange(len(outcomes)), [len(found) for found in outcomes]),
        left_out,
    )


def why_not(gathered: Gathered) -> str | None:
    """Why nothing can or need be imputed; None if it can."""
    if not gathered.terms:
        return nothing_left(gathered.left_out)
    missing = {term: count for term, count in gathered.n_missing.items() if count}
    if not missing:
        return "nothing_missing: no exposure or covariate of a runner with a known outcome is missing"
    for term, count in missing.items():
        if count > MOST_MISSING * gathered.n_runners:
            return (
                f"too_little_observed: {term} is known of {gathered.n_runners - count} of {gathered.n_runners} "
                "runners; at least half are needed, or most of what is analysed would be invented"
            )
    least = gathered.n_runners - max(missing.values())
    needed = RUNNERS_PER_PARAMETER * (gathered.incomplete.n_predictors() + 1)
    if least < needed:
        return (
            f"too_little_observed: a regression of {gathered.incomplete.n_predictors() + 1} coefficients to impute "
            f"from, and {least} runners who have its variable; {needed} are needed"
        )
    return None


def n_imputed(gathered: Gathered, settings: Settings) -> int:
    """The setting, or the percentage of incomplete runners if that is more (White, Royston and Wood 2011)."""
    return max(settings.n_imputations, math.ceil(100 * gathered.n_incomplete / gathered.n_runners))


def _answer(
    reason: str | None,
    completed: np.ndarray | None,
    gathered: Gathered,
    knees: Sequence[Row],
    outcome: str,
    question: Question,
    settings: Settings,
) -> list[Row]:
    kind = family(outcome, Data(gathered.y, np.zeros((len(gathered.y), 0)), (), gathered.runner))
    common: Row = {"model": f"{kind.name}_{question.name}_imputed", "outcome": outcome}
    common |= {"n_participants": gathered.n_runners, "n_knees": len(gathered.y), "scale": kind.scale}
    # Groups are counted among runners whose exposures are known: a contrast must rest on somebody.
    seen = complete_cases(knees, outcome, settings.exposure_terms, settings)
    seen = replace(seen, missing={}, left_out={**seen.left_out, **gathered.left_out})
    reason = reason or refuse_model(seen, outcome, question, settings, kind.name)
    if not reason:
        fitted = _fit_all(kind, completed, gathered, question)
        reason = fitted if isinstance(fitted, str) else None
    if reason:
        return [{**common, "term": "all terms", "status": "refused", "reason": reason}]
    names, pooled, method = fitted
    found = dict(zip(names, pooled, strict=True))
    filled = ", ".join(f"{term} in {count}" for term, count in gathered.n_missing.items() if count)
    method = (
        f"{method}; {len(completed)} imputed data sets by chained equations (predictive mean matching, logit), seed "
        f"{settings.seed}; Rubin's rules, Barnard-Rubin degrees of freedom"
    )
    rows = []
    for term in question.terms:
        row = {**common, "term": term, "method": method}
        if why := refuse_term(term, seen, question, settings):
            rows.append({**row, "status": "refused", "reason": why})
            continue
        said = [
            cautions(term, seen, outcome, question, settings, kind.name),
            f"imputed, of {gathered.n_runners} runners: {filled}",
        ]
        row |= values_row(coefficient(term, found[term]), kind.scale)
        row |= {"missing_information": found[term].fmi, "status": "estimated"}
        rows.append({**row, "warnings": "; ".join(filter(None, said))})
    return rows


def _fit_all(
    kind: Family, completed: np.ndarray, gathered: Gathered, question: Question
) -> tuple[tuple[str, ...], list[Pooled], str] | str:
    """Names of the terms, pooled terms, and the method; or why there are none."""
    first = gathered.data(completed[0], question.terms)
    n_parameters = count_parameters(first, kind.name)
    if gathered.n_runners < RUNNERS_PER_PARAMETER * n_parameters:
        return (
            f"too_few_runners: {gathered.n_runners} runners for a model of {n_parameters} parameters; "
            f"at least {RUNNERS_PER_PARAMETER} runners a parameter are needed"
        )
    try:
        answers = [kind.fit(gathered.data(values, question.terms)) for values in completed]
    except Refusal as refusal:
        return f"{refusal.code}: {refusal.reason} (in an imputed data set)"
    return first.terms, [pool_term(answers, term) for term in first.terms], answers[0].method


def pool_term(answers: Sequence[Answer], term: str) -> Pooled:
    """A term's pooled coefficient, on the model's own scale."""
    found = [answer[term] for answer in answers]
    return pool([one.value for one in found], [one.error**2 for one in found], answers[0].df)


def coefficient(name: str, pooled: Pooled) -> Coefficient:
    """A pooled estimate as a coefficient."""
    error = math.sqrt(pooled.total)
    p = float(2 * stats.t.sf(abs(pooled.estimate) / error, pooled.df))
    return Coefficient(name, pooled.estimate, error, *pooled.interval(), p)
