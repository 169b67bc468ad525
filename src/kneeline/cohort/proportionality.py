"""Are the odds proportional? The Brant-type check of the adjusted model, and the odds ratios at each cut-point.

The odds ratios at the cuts are given twice, and always, whatever the check says (a choice by its p-value would bias
what follows): from a binary logit at each cut, and from the adjusted model with the exposures free at every cut and the
covariates proportional (partial proportional odds).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kneeline.cohort.answer import Answer, joint_test, values_row, wald
from kneeline.cohort.asking import answer_or_reason
from kneeline.cohort.design import Data, complete_cases
from kneeline.cohort.families import Family, fit_partial
from kneeline.cohort.questions import adjusted_question
from kneeline.cohort.refusals import count_parameters, refuse_model, refuse_term, too_few_runners
from kneeline.cohort.settings import Settings
from kneeline.errors import Refusal
from kneeline.statistics.brant import BrantCheck, check_proportional_odds
from kneeline.tables import Row

WEAK = "with few runners this test has little power: read the odds ratios at the cuts"


def proportional_odds_rows(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """Rows of ESTIMATES: the test of all terms and of each, and the exposures' odds ratio at each cut-point."""
    question = adjusted_question(settings)
    data = complete_cases(knees, outcome, question.terms, settings)
    common: Row = {"model": "proportional_odds_check", "outcome": outcome}
    common |= {"n_participants": data.n_runners, "n_knees": data.n_knees}
    reason = refuse_model(data, outcome, question, settings, "cumulative_logit")
    if reason is None:
        try:
            check = check_proportional_odds(data.y.astype(int), data.x, data.terms, groups=data.runners)
        except Refusal as refusal:
            reason = f"{refusal.code}: {refusal.reason}"
    if reason:
        return [{**common, "term": "all terms", "scale": "other", "status": "refused", "reason": reason}]
    return _test_rows(check, common) + _cut_rows(check, data, common, settings)


def _test_rows(check: BrantCheck, common: Row) -> list[Row]:
    method = "Brant-type Wald test of equal slopes at every cut of the adjusted model, runner-clustered (CR2)"
    return [
        {**common, "term": term, "scale": "other", "estimate": test.chi2, "p_value": test.p_value,
         "status": "estimated", "method": f"{method}; T-squared on {test.df} contrasts", "warnings": WEAK}
        for term, test in {"all terms": check.omnibus, **check.terms}.items()
    ]  # fmt: skip


def _cut_rows(check: BrantCheck, data: Data, common: Row, settings: Settings) -> list[Row]:
    method = "binary logit at the cut, adjusted, runner-clustered errors"
    rows = []
    for i, term in enumerate(data.terms):
        if term not in settings.exposure_terms:
            continue
        why_not = refuse_term(term, data, adjusted_question(settings), settings)
        for cut, slope, error in zip(check.cuts, check.slopes[:, i], check.standard_errors[:, i], strict=True):
            row = {**common, "term": f"{term} at grade {cut}", "scale": "odds_ratio", "method": method}
            if why_not:
                rows.append({**row, "status": "refused", "reason": why_not})
            else:
                found = wald([term], [slope], [error], data.n_runners - 1)[0]
                rows.append({**row, **values_row(found, "odds_ratio"), "status": "estimated"})
    return rows


def partial_rows(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """Rows of ESTIMATES of the partial proportional-odds model: the exposures at each cut, and whether they differ."""
    question = adjusted_question(settings)
    data = complete_cases(knees, outcome, question.terms, settings)
    freed = [term for term in settings.exposure_terms if term in data.terms]
    levels = [int(level) for level in np.unique(data.y)][1:]
    common: Row = {"model": "partial_proportional_odds", "outcome": outcome}
    common |= {"n_participants": data.n_runners, "n_knees": data.n_knees}
    partial = Family("cumulative_logit", "odds_ratio", lambda data: fit_partial(data, freed))
    if len(levels) < 2:
        answer: Answer | str = "one_cut: with two grades there is one cut-point, and nothing to free"
    elif not freed:
        answer = "; ".join(data.left_out[term] for term in settings.exposure_terms)
    else:
        n_parameters = count_parameters(data, partial.name) + len(freed) * (len(levels) - 1)
        few = too_few_runners(data, n_parameters)
        answer = few or answer_or_reason(partial, data, outcome, question, settings)
    rows: list[Row] = []
    for term in settings.exposure_terms:
        why_not = answer if isinstance(answer, str) else refuse_term(term, data, question, settings)
        if why_not:
            refused = {"scale": "odds_ratio", "status": "refused", "reason": why_not}
            rows.append({**common, "term": term, **refused})
            continue
        for level in levels:
            found = answer[f"{term} at grade >= {level}"]
            row = {**common, "term": found.name, "scale": "odds_ratio", "method": answer.method}
            rows.append({**row, **values_row(found, "odds_ratio"), "status": "estimated"})
        f, p = _equal_cuts(answer, term, levels)
        row = {**common, "term": f"{term}, same at every cut", "scale": "other", "estimate": f, "p_value": p}
        method = f"{answer.method}; test by T-squared, the estimate is F"
        rows.append({**row, "status": "estimated", "method": method, "warnings": WEAK})
    return rows


def _equal_cuts(answer: Answer, term: str, levels: Sequence[int]) -> tuple[float, float]:
    """F statistic and p of a freed term being the same at every cut."""
    names = [found.name for found in answer.terms]
    which = [names.index(f"{term} at grade >= {level}") for level in levels]
    contrast = np.eye(len(levels))[1:] - np.eye(len(levels))[0]
    difference = contrast @ [answer.terms[i].value for i in which]
    covariance = contrast @ answer.covariance[np.ix_(which, which)] @ contrast.T
    return joint_test(difference, covariance, answer.df)
