"""Newton's method for concave log-likelihoods, and profile-likelihood intervals on top of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, stats

from kneeline.errors import Refusal

# Value, gradient (k,), information (k, k: minus the Hessian or its expectation) at the parameters (k,).
Evaluate = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]
# Minus the Hessian (k, k) at the parameters, where the information is not.
Curvature = Callable[[np.ndarray], np.ndarray]
# A decrement below which the peak is near enough for the curvature to lead there.
_NEAR = 0.01
# A step that had to be cut down to this: the information knows little of the function here.
_TOO_LONG = 1e-3


@dataclass(frozen=True)
class Peak:
    """Where a log-likelihood is highest."""

    params: np.ndarray
    value: float
    information: np.ndarray


def climb(
    evaluate: Evaluate,
    start: np.ndarray,
    free: Sequence[int] | None = None,
    *,
    largest_step: float = 5.0,
    curvature: Curvature | None = None,
) -> Peak:
    """Maximise over the free parameters (all by default), the others stay at their start.

    Steps follow the information; near the peak, and where such steps are far too long, the `curvature`, if it is given
    and the function is concave: it gets there in a few steps where the information would need hundreds.

    Raises
    ------
    Refusal
        `not_converged` when the peak is not reached in 200 steps; `collinear` when the information is singular.
    """
    params = np.array(start, dtype=float)
    index = np.arange(len(params)) if free is None else np.asarray(free, dtype=int)
    value, gradient, information = evaluate(params)
    size = 1.0
    for _ in range(200):
        if not len(index):
            return Peak(params, value, information)
        try:
            step = np.linalg.solve(information[np.ix_(index, index)], gradient[index])
        except np.linalg.LinAlgError:
            raise Refusal("collinear", "the model's terms cannot be told apart; leave one of them out") from None
        decrement = float(gradient[index] @ step)
        if curvature is not None and (0 <= decrement < _NEAR or size < _TOO_LONG):
            step = _bent_step(curvature, params, index, gradient[index], step)
            decrement = float(gradient[index] @ step)
        if 0 <= decrement < 1e-14 * (1 + abs(value)):
            return Peak(params, value, information)
        size = min(1.0, largest_step / float(np.abs(step).max()))
        for _ in range(40):
            trial = params.copy()
            trial[index] += size * step
            tried = evaluate(trial)
            if tried[0] >= value - 1e-13 * (1 + abs(value)):
                break
            size /= 2
        else:
            break
        params, (value, gradient, information) = trial, tried
    raise Refusal("not_converged", "the model's likelihood has no peak that could be found; use fewer terms")


def _bent_step(
    curvature: Curvature, params: np.ndarray, index: np.ndarray, gradient: np.ndarray, otherwise: np.ndarray
) -> np.ndarray:
    """Newton's step where the function is concave, `otherwise` where it is not."""
    try:
        bend = curvature(params)[np.ix_(index, index)]
        np.linalg.cholesky(bend)
    except np.linalg.LinAlgError:
        return otherwise
    return np.linalg.solve(bend, gradient)


def profile_interval(
    evaluate: Evaluate, peak: Peak, which: int, level: float = 0.95, curvature: Curvature | None = None
) -> tuple[float, float]:
    """Ends at which the profile log-likelihood of one parameter falls by half the chi-square quantile.

    An end further than 200 standard errors away is given as infinite.
    """
    drop = stats.chi2.ppf(level, 1) / 2
    others = [i for i in range(len(peak.params)) if i != which]
    se = float(np.sqrt(np.linalg.inv(peak.information)[which, which]))
    start = peak.params

    @cache  # the bracket's ends keep their signs when the root finder asks for them again
    def excess(value: float) -> float:
        nonlocal start
        reached = _best_climb(evaluate, (start, peak.params), which, value, others, curvature)
        start = reached.params
        return peak.value - reached.value - drop

    ends = []
    for side in (-1, 1):
        start, inner, width = peak.params, float(peak.params[which]), 2 * se
        outer = inner + side * width
        while excess(outer) < 0 and width < 200 * se:
            inner, width = outer, 1.5 * width
            outer = float(peak.params[which]) + side * width
        if width >= 200 * se:
            ends.append(side * np.inf)
            continue
        start = peak.params
        ends.append(optimize.brentq(excess, min(inner, outer), max(inner, outer), xtol=1e-9))
    return float(ends[0]), float(ends[1])


def _best_climb(
    evaluate: Evaluate,
    starts: Sequence[np.ndarray],
    which: int,
    value: float,
    others: list[int],
    curvature: Curvature | None,
) -> Peak:
    """The highest peak found with one parameter fixed: a penalised likelihood of sparse data may have several."""
    found, refusal = [], None
    for start in starts:
        fixed = start.copy()
        fixed[which] = value
        try:
            found.append(climb(evaluate, fixed, others, curvature=curvature))
        except Refusal as refused:
            refusal = refused
    if not found:
        raise refusal
    return max(found, key=lambda reached: reached.value)
