"""The finding as yes or no, grade 1 or more: GEE, or the penalised and the exact method where the data are sparse."""

from __future__ import annotations

from collections.abc import Sequence

from kneeline.cohort.answer import Coefficient, values_row
from kneeline.cohort.asking import ask
from kneeline.cohort.design import Data, by_runner, complete_cases
from kneeline.cohort.families import Family, fit_gee, fit_penalised
from kneeline.cohort.joint import sparse_cells
from kneeline.cohort.questions import simple_questions
from kneeline.cohort.settings import Settings
from kneeline.grading import strike_group
from kneeline.statistics.exact import conditional_odds_ratio
from kneeline.tables import Row

# Penalised instead of population-averaged logit when a cell of finding by strike has fewer knees than this,
# or the rarer of finding and no finding fewer than `EVENTS_PER_TERM` a term.
SPARSE_CELL = 5
EVENTS_PER_TERM = 10
NOT_SPARSE = (
    f"no cell of finding by strike holds fewer than {SPARSE_CELL} knees, and the rarer outcome not fewer than "
    f"{EVENTS_PER_TERM} a term"
)


def binary_rows(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """Crude and adjusted, by GEE, or by Firth's logit where the stated rule calls the data sparse."""
    gee, firth = Family("gee", "odds_ratio", fit_gee), Family("firth", "odds_ratio", fit_penalised)
    binary = [{**row, outcome: None if row[outcome] is None else int(row[outcome] >= 1)} for row in knees]
    rows = []
    for question in simple_questions(settings):
        why = sparse_binary(complete_cases(binary, outcome, question.terms, settings))
        if why:
            answered = ask(firth, by_runner(binary, outcome), outcome, question, settings)
        else:
            answered = ask(gee, binary, outcome, question, settings)
        rule = f"chosen because {why or NOT_SPARSE}"
        rows += [row | ({"method": f"{row['method']}; {rule}"} if row.get("method") else {}) for row in answered]
    return rows


def sparse_binary(data: Data) -> str | None:
    """Why large-sample inference on a yes/no finding (data.y 0 or 1) should not be trusted; None if it may."""
    yes = int(data.y.sum())
    if "rearfoot" in data.terms:
        strike = data.x[:, data.terms.index("rearfoot")]
        cells = [int(((data.y == y) & (strike == s)).sum()) for y in (0, 1) for s in (0, 1)]
        if min(cells) < SPARSE_CELL:
            return f"a cell of finding by strike has {min(cells)} knees, fewer than {SPARSE_CELL}"
    rarer, needed = min(yes, len(data.y) - yes), EVENTS_PER_TERM * max(1, len(data.terms))
    return f"the rarer outcome has {rarer} knees, fewer than ten a term ({needed})" if rarer < needed else None


def exact_row(knees: Sequence[Row], outcome: str, settings: Settings) -> Row:
    """Strike against the finding in any knee, by runner: conditional odds ratio, exact interval, Fisher's p."""
    runners = [row for row in by_runner(knees, outcome) if strike_group(row["strike_style"])]
    row: Row = {"model": "exact_crude_strike", "outcome": outcome, "term": "rearfoot", "scale": "odds_ratio"}
    row |= {"n_participants": len(runners), "n_knees": sum(r["n_knees"] for r in runners)}
    row["method"] = (
        "2x2 table by runner, grade 1 or more in any knee: conditional maximum-likelihood odds ratio, "
        "exact interval, Fisher's exact p"
    )
    table = [[0, 0], [0, 0]]
    for runner in runners:
        table[strike_group(runner["strike_style"]) != "rearfoot"][runner[outcome] < 1] += 1
    counts = {"rearfoot": sum(table[0]), "non_rearfoot": sum(table[1])}
    if reason := sparse_cells(counts, settings.min_joint_cell):
        return {**row, "status": "refused", "reason": f"sparse: {reason}"}
    if not all(map(sum, zip(*table, strict=True))):
        return {**row, "status": "refused", "reason": "one_level: every runner has the same outcome"}
    effect = conditional_odds_ratio(table)
    found = values_row(Coefficient("rearfoot", effect.estimate, None, effect.low, effect.high, effect.p_value), "other")
    open_end = None in found.values()
    said = "an estimate or end without a value is infinite" if open_end else None
    return {**row, **found, "status": "estimated", "warnings": said}
