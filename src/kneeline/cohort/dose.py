"""Dose response: how the odds of a higher grade go along weekly distance, straight and as a restricted cubic spline."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from kneeline.cohort.design import Data, complete_cases
from kneeline.cohort.ordinal import OrdinalFit, fit_cumulative_logit
from kneeline.cohort.questions import Question, adjusted_question
from kneeline.cohort.refusals import refuse_model
from kneeline.cohort.settings import Settings
from kneeline.cohort.spline import harrell_knots, rcs_basis
from kneeline.errors import Refusal
from kneeline.tables import Row

# A spline needs this many distinct distances a knot, and with many runners it may bend once more.
DISTINCT_PER_KNOT = 5
MANY_RUNNERS = 100
GRID_KM = 5


def dose_response(knees: Sequence[Row], outcome: str, settings: Settings) -> tuple[list[Row], list[Row]]:
    """Rows of ESTIMATES (tests of distance) and of DOSE_RESPONSE (the two curves, none when refused).

    The spline takes the place of the linear term in the adjusted model; knots at Harrell's quantiles of the runners'
    distances, 3 of them, 4 from 100 runners on. Odds ratios are against the distance cut, or the median distance when
    nobody runs that far or that little.
    """
    adjusted = adjusted_question(settings)
    data = complete_cases(knees, outcome, adjusted.terms, settings)
    common: Row = {"model": "cumulative_logit_spline", "outcome": outcome, "scale": "other"}
    common |= {"n_participants": data.n_runners, "n_knees": data.n_knees}
    tests = ("distance, any association", "distance, departure from a straight line")
    try:
        _check(data, outcome, adjusted, settings)
        knots = _knots(data)
        fit, kilometres = _fit(data, knots, settings)
    except Refusal as refusal:
        reason = f"{refusal.code}: {refusal.reason}"
        return [{**common, "term": term, "status": "refused", "reason": reason} for term in tests], []
    covariance = fit.cluster_covariance(data.runners)
    n_bends = len(knots) - 1
    places = range(fit.n_thresholds, fit.n_thresholds + n_bends)
    method = (
        f"adjusted cumulative logit with a restricted cubic spline of distance, knots at "
        f"{', '.join(f'{knot:.1f}' for knot in knots)} km; runner-clustered Wald F test, the estimate is F"
    )
    rows = []
    for term, which in zip(tests, (list(places), list(places)[1:]), strict=True):
        f = float(fit.params[which] @ np.linalg.solve(covariance[np.ix_(which, which)], fit.params[which])) / len(which)
        p = float(stats.f.sf(f, len(which), data.n_runners - 1))
        rows.append({**common, "term": term, "estimate": f, "p_value": p, "status": "estimated", "method": method})
    return rows, _curves(data, outcome, fit, covariance, kilometres, knots, settings)


def _check(data: Data, outcome: str, adjusted: Question, settings: Settings) -> None:
    if reason := refuse_model(data, outcome, adjusted, settings, "cumulative_logit"):
        code, _, rest = reason.partition(": ")
        raise Refusal(code or "no_data", rest)
    if settings.distance_term in data.left_out:
        raise Refusal("constant", f"all {data.n_runners} runners have the same weekly distance, or it is not known")


def _knots(data: Data) -> np.ndarray:
    distances = [row["weekly_distance_km"] for row in {row["participant_id"]: row for row in data.knees}.values()]
    n_knots = 4 if len(distances) >= MANY_RUNNERS else 3
    distinct, needed = len(set(distances)), DISTINCT_PER_KNOT * n_knots
    knots = harrell_knots(distances, n_knots)
    if distinct < needed or np.any(np.diff(knots) <= 0):
        raise Refusal(
            "few_distances", f"{distinct} distinct weekly distances; a spline with {n_knots} knots needs {needed}"
        )
    return knots


def _fit(data: Data, knots: np.ndarray, settings: Settings) -> tuple[OrdinalFit, np.ndarray]:
    kilometres = np.array([row["weekly_distance_km"] for row in data.knees], dtype=float)
    others = [i for i, term in enumerate(data.terms) if term != settings.distance_term]
    names = [f"spline_{i}" for i in range(len(knots) - 1)] + [data.terms[i] for i in others]
    x = np.hstack([_basis(kilometres, knots, settings), data.x[:, others]])
    n_parameters = x.shape[1] + len(np.unique(data.y)) - 1
    if data.n_runners < 2 * n_parameters:
        raise Refusal("too_few_runners", f"{data.n_runners} runners for a model of {n_parameters} parameters")
    return fit_cumulative_logit(data.y.astype(int), x, names), kilometres


def _basis(kilometres: np.ndarray, knots: np.ndarray, settings: Settings) -> np.ndarray:
    return rcs_basis(kilometres, knots) / settings.distance_unit_km


def _curves(
    data: Data, outcome: str, spline: OrdinalFit, covariance: np.ndarray, kilometres: np.ndarray, knots: np.ndarray,
    settings: Settings,
) -> list[Row]:  # fmt: skip
    low, high, cut = float(kilometres.min()), float(kilometres.max()), float(settings.distance_cut_km)
    reference = cut if low <= cut <= high else float(np.median(kilometres))
    grid = [float(km) for km in range(0, math.ceil(high) + 1, GRID_KM) if low <= km <= high]
    at = np.array(sorted({*grid, low, high, reference}))
    straight = fit_cumulative_logit(data.y.astype(int), data.x, data.terms)
    place = straight.n_thresholds + data.terms.index(settings.distance_term)
    robust = straight.cluster_covariance(data.runners)
    j, k = spline.n_thresholds, spline.n_thresholds + len(knots) - 1
    shapes = (
        ("linear", ((at - reference) / settings.distance_unit_km)[:, None], straight.params[[place]],
         robust[place : place + 1, place : place + 1]),
        ("spline", _basis(at, knots, settings) - _basis(np.array([reference]), knots, settings), spline.params[j:k],
         covariance[j:k, j:k]),
    )  # fmt: skip
    reach = float(stats.t.ppf(0.975, data.n_runners - 1))
    rows = []
    for (shape, basis, params, variance), i in itertools.product(shapes, range(len(at))):
        log_or = float(basis[i] @ params)
        se = math.sqrt(max(0.0, float(basis[i] @ variance @ basis[i])))
        row: Row = {"outcome": outcome, "shape": shape, "weekly_distance_km": float(at[i]), "reference_km": reference}
        row |= {"odds_ratio": math.exp(log_or), "ci_low": math.exp(log_or - reach * se)}
        row |= {"ci_high": math.exp(log_or + reach * se)}
        rows.append(row | {"n_participants": data.n_runners, "n_knees": data.n_knees})
    return rows
