"""When a question is refused, and what a reader must know when it is not.

A refused question keeps its rows, with the reason. Refused is

1. an outcome with fewer than two values among the complete cases;
2. a model with fewer than two runners for each of its parameters;
3. a contrast between groups of which one has fewer than `min_joint_cell` runners: the two strike groups when strike
   stands alone, the four joint cells of strike by distance when both are in the model;
4. a term that has one value only, or that is recorded of nobody (the model goes on without it);
5. an outcome that is separated, terms that are collinear, a likelihood without a peak (`ordinal`, `firth`, `newton`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kneeline.cohort.design import Data
from kneeline.cohort.joint import runners_per_cell, sparse_cells
from kneeline.cohort.outcomes import OUTCOMES
from kneeline.cohort.questions import Question
from kneeline.cohort.settings import Settings
from kneeline.grading import STRIKE_GROUPS, strike_group

RUNNERS_PER_PARAMETER = 2
# Below this many runners a parameter an estimate is shown with a caution.
COMFORTABLE_PER_PARAMETER = 10


def refuse_model(data: Data, outcome: str, question: Question, settings: Settings, family: str) -> str | None:
    """Why the whole question cannot be answered; None if it can."""
    if not len(data.y):
        why = data.missing_note
        return f"no_data: no knee has the outcome and every term{f' ({why})' if why else ''}"
    values = np.unique(data.y)
    if len(values) < 2:
        return f"one_level: {_all_alike(data, outcome, values[0], family)}; an association needs at least two"
    if reason := too_few_runners(data, count_parameters(data, family)):
        return reason
    if not data.terms:
        return nothing_left(data.left_out)
    products = [term for term in question.terms if ":" in term]
    for term in products:
        if term in data.left_out:
            return f"{data.left_out[term]}; without it there is no product"
    if products:
        return _sparse(data, settings, joint=True)
    return None


def _all_alike(data: Data, outcome: str, value: float, family: str) -> str:
    """Of whom all values are the same, and which it is; yes-or-no families know grade 1 or more, Firth's runners."""
    word = f"grade {value:g}" if OUTCOMES[outcome].kind == "graded" else "the same value"
    if family in ("gee", "firth") and value:
        word = "grade 1 or more"
    unit = "runner" if family == "firth" else "knee"
    return f"all {len(data.y)} {unit}s have {word}" if len(data.y) > 1 else f"the only {unit} has {word}"


def nothing_left(left_out: Mapping[str, str]) -> str:
    """Why no term of a question could be kept: those that nobody has a value of in one sentence.

    >>> nothing_left({"a": "unrecorded: no runner has a value of a", "b": "unrecorded: no runner has a value of b"})
    'unrecorded: no runner has a value of a, b'
    """
    unknown = ", ".join(term for term, why in left_out.items() if why.startswith("unrecorded"))
    others = [why for why in left_out.values() if not why.startswith("unrecorded")]
    return "; ".join([*([f"unrecorded: no runner has a value of {unknown}"] if unknown else []), *others])


def too_few_runners(data: Data, n_parameters: int) -> str | None:
    """Rule 2."""
    if data.n_runners >= RUNNERS_PER_PARAMETER * n_parameters:
        return None
    return (
        f"too_few_runners: {data.n_runners} runners for a model of {n_parameters} parameters; "
        f"at least {RUNNERS_PER_PARAMETER} runners a parameter are needed"
    )


def refuse_term(term: str, data: Data, question: Question, settings: Settings) -> str | None:
    """Why a term's estimate is not given although the model was fitted; None if it is."""
    if term in data.left_out:
        return f"{data.left_out[term]}; it was left out of the model"
    if term == "rearfoot":
        return _sparse(data, settings, joint=settings.distance_term in data.terms)
    if term == settings.cut_term:
        counts = dict.fromkeys(settings.distance_groups, 0)
        for row in data.one_a_runner:
            counts[settings.distance_group(row["weekly_distance_km"])] += 1
        reason = sparse_cells(counts, settings.min_joint_cell)
        return reason and f"sparse: {reason}"
    return None


def _sparse(data: Data, settings: Settings, joint: bool) -> str | None:
    if joint:
        counts = runners_per_cell(data.one_a_runner, settings)
    else:
        counts = dict.fromkeys(STRIKE_GROUPS, 0)
        for row in data.one_a_runner:
            counts[strike_group(row["strike_style"])] += 1
    reason = sparse_cells(counts, settings.min_joint_cell)
    return reason and f"sparse: {reason}"


def count_parameters(data: Data, family: str) -> int:
    """Coefficients and thresholds (or the intercept) of a model."""
    return len(data.terms) + (1 if family == "linear" else len(np.unique(data.y)) - 1)


def cautions(term: str, data: Data, outcome: str, question: Question, settings: Settings, family: str) -> str | None:
    """What must be said beside an estimate."""
    said = []
    if question.descriptive:
        said.append("descriptive: stands beside the linear term, never alone")
    if settings.role(outcome) == "secondary":
        said.append("secondary outcome, exploratory")
    n_parameters = count_parameters(data, family)
    if data.n_runners < COMFORTABLE_PER_PARAMETER * n_parameters:
        said.append(
            f"imprecise: {data.n_runners} runners for {n_parameters} parameters, "
            f"fewer than {COMFORTABLE_PER_PARAMETER} each"
        )
    if "rearfoot" in term:
        guessed = sum(row["strike_method"] == "self_report" for row in data.one_a_runner)
        if guessed:
            said.append(f"strike is self-reported in {guessed} of {data.n_runners} runners, an unreliable measure")
    product = any(":" in name for name in question.terms)
    if product and term == "rearfoot":
        said.append(f"the association at {settings.distance_cut_km:g} km a week")
    if product and term == settings.distance_term:
        said.append("the association among non-rearfoot runners")
    lost = [name for name in data.left_out if name not in settings.contrasts]
    if lost and term in settings.contrasts:
        said.append(f"not adjusted for {', '.join(lost)}, which has one value or none")
    if data.missing_note:
        said.append(data.missing_note)
    return "; ".join(said) or None
