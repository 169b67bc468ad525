"""Dose response: how an outcome goes along weekly distance, straight and as a restricted cubic spline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from kneeline.cohort.answer import RATIOS, Answer, joint_test
from kneeline.cohort.asking import answer_or_reason
from kneeline.cohort.design import Data, complete_cases
from kneeline.cohort.families import Family, family
from kneeline.cohort.questions import Question, adjusted_question
from kneeline.cohort.settings import Settings
from kneeline.errors import Refusal
from kneeline.statistics.spline import harrell_knots, rcs_basis
from kneeline.tables import Row

# A spline needs this many distinct distances a knot, and with many runners it may bend once more.
DISTINCT_PER_KNOT = 5
MANY_RUNNERS = 100
GRID_KM = 5
_WORDS = {"cumulative_logit": "cumulative logit", "linear": "linear model"}
TESTS = ("distance, any association", "distance, departure from a straight line")


def dose_response(knees: Sequence[Row], outcome: str, settings: Settings) -> tuple[list[Row], list[Row]]:
    """Rows of ESTIMATES (tests of distance) and of DOSE_RESPONSE (the two curves, none when refused).

    The spline takes the place of the linear term in the adjusted model; knots at Harrell's quantiles of the runners'
    distances, 3 of them, 4 from 100 runners on. The curves are against the distance cut, or the median distance when
    nobody runs that far or that little.
    """
    adjusted = adjusted_question(settings)
    data = complete_cases(knees, outcome, adjusted.terms, settings)
    kind = family(outcome, data)
    common: Row = {"model": f"{kind.name}_spline", "outcome": outcome, "scale": "other"}
    common |= {"n_participants": data.n_runners, "n_knees": data.n_knees}
    try:
        straight = _answer(kind, data, outcome, adjusted, settings)
        if settings.distance_term in data.left_out:
            raise Refusal(*data.left_out[settings.distance_term].split(": ", 1))
        knots = _knots(data)
        bent = _with_spline(data, knots, settings)
        spline = _answer(kind, bent, outcome, adjusted, settings)
    except Refusal as refusal:
        reason = f"{refusal.code}: {refusal.reason}"
        return [{**common, "term": term, "status": "refused", "reason": reason} for term in TESTS], []
    method = (
        f"adjusted {_WORDS[kind.name]} with a restricted cubic spline of distance, knots at "
        f"{', '.join(f'{knot:.1f}' for knot in knots)} km; runner-clustered test by T-squared, the estimate is F"
    )
    rows = []
    for term, first in zip(TESTS, (0, 1), strict=True):
        f, p = _test(spline, range(first, len(knots) - 1))
        rows.append({**common, "term": term, "estimate": f, "p_value": p, "status": "estimated", "method": method})
    return rows, _curves(data, outcome, straight, spline, knots, settings)


def _test(answer: Answer, which: Sequence[int]) -> tuple[float, float]:
    """F and p of the terms at these places being 0 together."""
    which = list(which)
    values = np.array([answer.terms[i].value for i in which])
    return joint_test(values, answer.covariance[np.ix_(which, which)], answer.df)


def _answer(kind: Family, data: Data, outcome: str, question: Question, settings: Settings) -> Answer:
    answer = answer_or_reason(kind, data, outcome, question, settings)
    if isinstance(answer, str):
        raise Refusal(*answer.split(": ", 1))
    return answer


def _knots(data: Data) -> np.ndarray:
    distances = [row["weekly_distance_km"] for row in data.one_a_runner]
    n_knots = 4 if len(distances) >= MANY_RUNNERS else 3
    distinct, needed = len(set(distances)), DISTINCT_PER_KNOT * n_knots
    knots = harrell_knots(distances, n_knots)
    if distinct < needed or np.any(np.diff(knots) <= 0):
        raise Refusal(
            "few_distances", f"{distinct} distinct weekly distances; a spline with {n_knots} knots needs {needed}"
        )
    return knots


def _with_spline(data: Data, knots: np.ndarray, settings: Settings) -> Data:
    """The data with the spline's columns, first, for the linear one."""
    kilometres = np.array([row["weekly_distance_km"] for row in data.knees], dtype=float)
    others = [i for i, term in enumerate(data.terms) if term != settings.distance_term]
    names = [f"spline_{i}" for i in range(len(knots) - 1)]
    x = np.hstack([_basis(kilometres, knots, settings), data.x[:, others]])
    return replace(data, x=x, terms=(*names, *(data.terms[i] for i in others)))


def _basis(kilometres: np.ndarray, knots: np.ndarray, settings: Settings) -> np.ndarray:
    return rcs_basis(kilometres, knots) / settings.distance_unit_km


def _curves(
    data: Data, outcome: str, straight: Answer, spline: Answer, knots: np.ndarray, settings: Settings
) -> list[Row]:
    distances = [row["weekly_distance_km"] for row in data.knees]
    low, high, cut = float(min(distances)), float(max(distances)), float(settings.distance_cut_km)
    reference = cut if low <= cut <= high else float(np.median(distances))
    grid = [float(km) for km in range(0, math.ceil(high) + 1, GRID_KM) if low <= km <= high]
    at = np.array(sorted({*grid, low, high, reference}))
    line = ((at - reference) / settings.distance_unit_km)[:, None]
    bend = _basis(at, knots, settings) - _basis(np.array([reference]), knots, settings)
    place = data.terms.index(settings.distance_term)
    rows = []
    for shape, answer, basis, which in (
        ("linear", straight, line, [place]),
        ("spline", spline, bend, list(range(len(knots) - 1))),
    ):
        params = np.array([answer.terms[i].value for i in which])
        value = basis @ params
        variance = np.einsum("ij,jk,ik->i", basis, answer.covariance[np.ix_(which, which)], basis)
        reach = stats.t.ppf(0.975, answer.df) * np.sqrt(np.clip(variance, 0, None))
        curve = np.column_stack([value, value - reach, value + reach])
        curve = np.exp(curve) if answer.scale in RATIOS else curve
        common: Row = {"outcome": outcome, "shape": shape, "scale": answer.scale, "reference_km": reference}
        common |= {"n_participants": data.n_runners, "n_knees": data.n_knees}
        for km, ends in zip(at, curve, strict=True):
            estimate = dict(zip(("estimate", "ci_low", "ci_high"), map(float, ends), strict=True))
            rows.append({**common, "weekly_distance_km": float(km), **estimate})
    return rows
