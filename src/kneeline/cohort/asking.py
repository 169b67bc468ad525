"""A question put to a family of models: rows of ESTIMATES, one a term, estimated or refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kneeline.cohort.answer import Answer, values_row
from kneeline.cohort.design import Data, complete_cases
from kneeline.cohort.families import Family
from kneeline.cohort.questions import Question
from kneeline.cohort.refusals import cautions, refuse_model, refuse_term
from kneeline.cohort.settings import Settings
from kneeline.errors import Refusal
from kneeline.tables import Row


def ask(
    choose: Callable[[str, Data], Family] | Family,
    knees: Sequence[Row],
    outcome: str,
    question: Question,
    settings: Settings,
) -> list[Row]:
    """Rows of one question: refused as a whole, or term by term. `choose` is a family or picks one by the data."""
    data = complete_cases(knees, outcome, question.terms, settings)
    family = choose if isinstance(choose, Family) else choose(outcome, data)
    common: Row = {"model": f"{family.name}_{question.name}", "outcome": outcome}
    common |= {"n_participants": data.n_runners, "n_knees": data.n_knees}
    answer = answer_or_reason(family, data, outcome, question, settings)
    if isinstance(answer, str):
        refused = {"scale": family.scale, "status": "refused", "reason": answer}
        return [{**common, "term": term, **refused} for term in question.terms]
    rows = []
    for term in question.terms:
        row = {**common, "term": term, "method": answer.method, "scale": answer.scale}
        if reason := refuse_term(term, data, question, settings):
            rows.append({**row, "status": "refused", "reason": reason})
            continue
        said = [cautions(term, data, outcome, question, settings, family.name), *answer.warnings]
        row |= {"status": "estimated", "warnings": "; ".join(filter(None, said)) or None}
        rows.append({**row, **values_row(answer[term], answer.scale)})
    for scale, found in answer.extras:
        row = {**common, "term": found.name, "method": answer.method, "scale": scale, "status": "estimated"}
        rows.append({**row, **values_row(found, scale)})
    return rows


def answer_or_reason(family: Family, data: Data, outcome: str, question: Question, settings: Settings) -> Answer | str:
    """The family's answer, or why there is none (`code: reason`)."""
    if reason := refuse_model(data, outcome, question, settings, family.name):
        return reason
    try:
        return family.fit(data)
    except Refusal as refusal:
        return f"{refusal.code}: {refusal.reason}"
