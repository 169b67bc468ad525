"""Every question put to every outcome: the rows of ESTIMATES."""

from __future__ import annotations

from collections.abc import Sequence

from kneeline.cohort.asking import ask
from kneeline.cohort.design import complete_cases
from kneeline.cohort.detectable import power_rows
from kneeline.cohort.dichotomy import binary_rows, exact_row
from kneeline.cohort.evalue import e_value_rows
from kneeline.cohort.families import Family, family, fit_mixed
from kneeline.cohort.impute import imputed_rows
from kneeline.cohort.interaction import additive_rows
from kneeline.cohort.outcomes import OUTCOMES, outcome_value
from kneeline.cohort.proportionality import partial_rows, proportional_odds_rows
from kneeline.cohort.questions import adjusted_question, questions
from kneeline.cohort.settings import STRIKE, Settings
from kneeline.tables import Row

MIXED = Family("random_intercept", "odds_ratio", fit_mixed)


def relate(knees: Sequence[Row], settings: Settings) -> list[Row]:
    """Rows of ESTIMATES for all outcomes; the primary outcome first, then the co-primary ones."""
    return [row for outcome in settings.ordered_outcomes for row in relate_outcome(knees, outcome, settings)]


def relate_outcome(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """One outcome's rows; a single refused one when no knee has it."""
    if not has_outcome(knees, outcome):
        reason = f"no_data: no knee has a {outcome}: {OUTCOMES[outcome].missing}" if knees else "no_data: no knees"
        row = {"model": "all models", "outcome": outcome, "term": "all terms", "n_participants": 0, "n_knees": 0}
        return [{**row, "status": "refused", "reason": reason}]
    rows = []
    for question in questions(settings):
        rows += ask(family, knees, outcome, question, settings)
    rows += imputed_rows(knees, outcome, settings)
    if is_ordinal(knees, outcome, settings):
        rows += e_value_rows(rows, knees, settings)
        rows += ask(MIXED, knees, outcome, adjusted_question(settings), settings)
    if outcome in settings.graded_outcomes:
        rows += proportional_odds_rows(knees, outcome, settings)
        rows += partial_rows(knees, outcome, settings)
        rows += binary_rows(knees, outcome, settings)
        if STRIKE in settings.exposures:
            rows += [exact_row(knees, outcome, settings), *power_rows(knees, outcome, settings)]
        if len(settings.exposures) == 2:
            rows += additive_rows(knees, outcome, settings)
    return rows


def has_outcome(knees: Sequence[Row], outcome: str) -> bool:
    return any(outcome_value(knee, outcome) is not None for knee in knees)


def is_ordinal(knees: Sequence[Row], outcome: str, settings: Settings) -> bool:
    """Whether the stated rule answers the adjusted question with the cumulative logit."""
    data = complete_cases(knees, outcome, adjusted_question(settings).terms, settings)
    return family(outcome, data).name == "cumulative_logit"
