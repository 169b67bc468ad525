"""Are the odds proportional? The Brant-type check of the adjusted model, and the odds ratios at each cut-point."""

from __future__ import annotations

from collections.abc import Sequence

from kneeline.cohort.answer import values_row, wald
from kneeline.cohort.brant import BrantCheck, check_proportional_odds
from kneeline.cohort.design import Data, complete_cases
from kneeline.cohort.questions import adjusted_question
from kneeline.cohort.refusals import refuse_model, refuse_term
from kneeline.cohort.settings import Settings
from kneeline.errors import Refusal
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
    method = "Brant-type Wald test of equal slopes at every cut of the adjusted model, runner-clustered; chi-square"
    return [
        {**common, "term": term, "scale": "other", "estimate": test.chi2, "p_value": test.p_value,
         "status": "estimated", "method": f"{method} on {test.df} df", "warnings": WEAK}
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
