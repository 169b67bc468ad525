"""How many of the knees to analyse are complete for each outcome's adjusted model: the last steps of the flow."""

from __future__ import annotations

from collections.abc import Sequence

from kneeline.cohort.design import complete_cases
from kneeline.cohort.outcomes import OUTCOMES, outcome_value
from kneeline.cohort.questions import adjusted_question
from kneeline.cohort.settings import Settings
from kneeline.tables import Row


def model_flow(knees: Sequence[Row], settings: Settings) -> list[Row]:
    """Rows of FLOW."""
    adjusted = adjusted_question(settings)
    flow = []
    for outcome in settings.ordered_outcomes:
        known = [knee for knee in knees if outcome_value(knee, outcome) is not None]
        data = complete_cases(knees, outcome, adjusted.terms, settings)
        for step, rows, reason in (
            (f"knees with {outcome}", known, OUTCOMES[outcome].missing if len(known) < len(knees) else None),
            (f"knees complete for the adjusted model of {outcome}", data.knees, data.missing_note),
        ):
            who = {row["participant_id"] for row in rows}
            flow.append({"step": step, "n_participants": len(who), "n_scans": len(rows), "reason": reason})
    return flow
