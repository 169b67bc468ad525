"""Multiple imputation by chained equations, of variables that belong to runners (van Buuren and Groothuis-Oudshoorn
2011).

Each variable in turn is regressed on the others and on the outcome, and what is missing is drawn anew from the
regression, with the uncertainty of its coefficients ("proper" draws): measured variables by predictive mean matching,
yes-or-no variables by a logit. Where the analysis asks for the product of a yes-or-no and a measured variable, imputed
values would dilute it unless the regressions know of it (Tilling and others 2016): each of the two then has outcome
times the other among its predictors, the yes-or-no one the square of the measured one as well, the measured one borrows
from runners with the same answer, because its spread given the outcome differs between them, and all others have the
product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit

from kneeline.statistics.newton import climb

CYCLES = 10
DONORS = 5
# Standard deviation of the prior of a logit's slopes, per standard deviation of the predictor: weak, but keeps a
# separated regression finite (Gelman and others 2008).
PRIOR_SD = 2.5
_PRIOR_SD_INTERCEPT = 10.0
_RIDGE = 1e-5


@dataclass(frozen=True)
class Incomplete:
    """What is to be completed.

    Fields
    ------
    values
        (n, v), nan where missing; a row a runner.
    binary
        (v,) whether a variable is 0 or 1.
    complete
        (n, c) predictors without gaps: what summarises the outcome. The first column enters the products.
    product
        Positions of the yes-or-no and of the measured variable of which the analysis asks for the product.
    """

    values: np.ndarray
    binary: tuple[bool, ...]
    complete: np.ndarray
    product: tuple[int, int] | None = None

    def n_predictors(self) -> int:
        """Of the largest regression, without its intercept."""
        return self.values.shape[1] - 1 + self.complete.shape[1] + (2 if self.product else 0)

    def predictors(self, values: np.ndarray, which: int) -> np.ndarray:
        """Design (n, k) of a variable's regression from completed values: standardised columns after a constant."""
        columns = [np.delete(values, which, axis=1), self.complete]
        if self.product:
            answer, measured = values[:, self.product[0]], values[:, self.product[1]]
            if which == self.product[0]:
                columns += [self.complete[:, 0] * measured, measured**2]
            else:
                columns.append(answer * (self.complete[:, 0] if which == self.product[1] else measured))
        design = np.column_stack(columns)
        spread = design.std(axis=0)
        design = (design - design.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)
        return np.column_stack([np.ones(len(design)), design[:, spread > 1e-12]])


def impute(data: Incomplete, m: int, seed: int, cycles: int = CYCLES) -> np.ndarray:
    """Completed values (m, n, v). The i-th set depends on the seed and on i alone, not on m."""
    return np.array([_chain(data, np.random.default_rng([seed, i]), cycles) for i in range(m)])


def _chain(data: Incomplete, rng: np.random.Generator, cycles: int) -> np.ndarray:
    gaps = np.isnan(data.values)
    # From the variable with the fewest gaps to that with the most.
    order = [j for j in np.argsort(gaps.sum(axis=0), kind="stable") if gaps[:, j].any()]
    values = data.values.copy()
    for j in order:
        values[gaps[:, j], j] = rng.choice(values[~gaps[:, j], j], gaps[:, j].sum())
    # A single variable with gaps has nothing to wait for.
    for _ in range(cycles if len(order) > 1 else 1):
        for j in order:
            design, missing = data.predictors(values, j), gaps[:, j]
            observed = data.values[~missing, j]
            if data.binary[j]:
                values[missing, j] = _draw_binary(observed, design[~missing], design[missing], rng)
            else:
                alike = data.product and j == data.product[1]
                group = values[:, data.product[0]] if alike else np.zeros(len(values))
                values[missing, j] = _draw_matched(observed, design, missing, group, rng)
    return values


def _draw_matched(
    observed: np.ndarray, design: np.ndarray, missing: np.ndarray, group: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Predictive mean matching: the value of one of the DONORS observed runners whose prediction is nearest.

    The runner's own prediction is made with drawn, the donors' with estimated coefficients (type 1 matching). Donors
    are of the same group (n,), or of any where their own group has too few.
    """
    x = design[~missing]
    gram = x.T @ x
    inverse = np.linalg.inv(gram + np.diag(_RIDGE * np.diag(gram)))
    fitted = inverse @ x.T @ observed
    residual = observed - x @ fitted
    free = max(1, len(observed) - x.shape[1])
    sigma = np.sqrt(residual @ residual / rng.chisquare(free))
    drawn = fitted + sigma * np.linalg.cholesky(inverse) @ rng.standard_normal(len(fitted))
    offered, wanted, belongs = x @ fitted, design[missing] @ drawn, group[missing]
    found = np.empty(len(wanted))
    for name in np.unique(belongs):
        donors = np.flatnonzero(group[~missing] == name)
        if len(donors) < DONORS:
            donors = np.arange(len(observed))
        members = belongs == name
        found[members] = observed[donors[_nearest(offered[donors], wanted[members], rng)]]
    return found


def _nearest(donors: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each wanted number the position of one of the DONORS nearest donors (w,), by chance."""
    order = np.argsort(donors, kind="stable")
    ranked, n = donors[order], min(DONORS, len(donors))
    window = np.searchsorted(ranked, wanted)[:, None] + np.arange(-n, n)
    inside = (window >= 0) & (window < len(ranked))
    window = np.clip(window, 0, len(ranked) - 1)
    distance = np.where(inside, np.abs(ranked[window] - wanted[:, None]), np.inf)
    chosen = np.argsort(distance, axis=1, kind="stable")[np.arange(len(wanted)), rng.integers(0, n, len(wanted))]
    return order[window[np.arange(len(wanted)), chosen]]


def _draw_binary(y: np.ndarray, x: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Logit with a weak prior, coefficients from the normal approximation of their posterior."""
    precision = np.array([_PRIOR_SD_INTERCEPT**-2, *[PRIOR_SD**-2] * (x.shape[1] - 1)])

    def evaluate(params: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        eta = x @ params
        share = expit(eta)
        value = float(y @ log_expit(eta) + (1 - y) @ log_expit(-eta) - precision @ params**2 / 2)
        information = (x * (share * (1 - share))[:, None]).T @ x + np.diag(precision)
        return value, x.T @ (y - share) - precision * params, information

    peak = climb(evaluate, np.zeros(x.shape[1]))
    root = np.linalg.cholesky(np.linalg.inv(peak.information))
    drawn = peak.params + root @ rng.standard_normal(len(peak.params))
    return (rng.random(len(wanted)) < expit(wanted @ drawn)).astype(float)
