"""The model families: each takes a `design.Data` and gives an `answer.Answer`, or refuses. None reads or writes a file.

To fit a model on data of your own, without a results folder::

    data = Data(y, x, ("rearfoot", "distance_per_10_km"), runners)   # arrays (n,), (n, p), names, (n,)
    answer = fit_ordinal(data)
    answer["rearfoot"].value, answer["rearfoot"].error, answer.df    # log odds ratio, its standard error

On rows of KNEES, `design.complete_cases(knees, outcome, question.terms, settings)` makes the data and
`family(outcome, data)` names the fit; `asking.ask` does both, with the rules of refusal, and gives rows of ESTIMATES.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from kneeline.cohort.answer import Answer, Coefficient, wald
from kneeline.cohort.design import Data
from kneeline.cohort.outcomes import OUTCOMES
from kneeline.errors import Refusal
from kneeline.statistics.firth import fit_firth
from kneeline.statistics.gee import fit_gee_logit
from kneeline.statistics.mixed import NODES, fit_random_intercept
from kneeline.statistics.ordinal import fit_cumulative_logit
from kneeline.statistics.rank import refuse_collinear
from kneeline.statistics.sandwich import leverage_corrected_covariance

# A sum with more values than this is a measurement rather than a scale: it has a mean, and a threshold for each value
# would cost a parameter.
MOST_LEVELS = 10


class Family(NamedTuple):
    """`name` starts the model's name in ESTIMATES; `scale` is that of its estimates, also of refused ones."""

    name: str
    scale: str
    fit: Callable[[Data], Answer]


def family(outcome: str, data: Data) -> Family:
    """The model of an outcome, by the stated rule: grades are ordinal, volumes are linear on the log scale, a sum is
    ordinal up to `MOST_LEVELS` different values and linear above."""
    kind = OUTCOMES[outcome].kind
    if kind == "logarithm":
        return Family("linear", "mean_ratio", fit_log_linear)
    if kind == "sum" and len(np.unique(data.y)) > MOST_LEVELS:
        return Family("linear", "mean_difference", fit_linear)
    return Family("cumulative_logit", "odds_ratio", fit_ordinal)


def fit_ordinal(data: Data) -> Answer:
    """Proportional odds; errors clustered by runner and corrected for leverage, Student's t on G - 1."""
    fit = fit_cumulative_logit(data.y.astype(int), data.x, data.terms)
    covariance, df = fit.cluster_covariance(data.clusters), data.n_runners - 1
    found = wald(fit.names, fit.params, np.sqrt(np.diag(covariance)), df)
    j = fit.n_thresholds
    method = f"cumulative logit (proportional odds), maximum likelihood; {_clustered(df)}"
    return Answer("odds_ratio", found[j:], method, covariance[j:, j:], df, _thresholds(found[:j]))


def fit_partial(data: Data, freed: Sequence[str]) -> Answer:
    """Cumulative logit in which the `freed` terms have an odds ratio of their own at each cut-point.

    Errors as in `fit_ordinal`. Terms of the answer: the freed ones, as `rearfoot at grade >= 1`, then the others.
    """
    free = np.isin(data.terms, list(freed))
    kept = [name for name, is_free in zip(data.terms, free, strict=True) if not is_free]
    freed = [name for name in data.terms if name not in kept]
    fit = fit_cumulative_logit(data.y.astype(int), data.x[:, ~free], kept, nominal=data.x[:, free], nominal_names=freed)
    covariance, df = fit.cluster_covariance(data.clusters), data.n_runners - 1
    found = wald(fit.names, fit.params, np.sqrt(np.diag(covariance)), df)
    j, p = fit.n_thresholds, len(kept)
    cuts = [f"{name} at grade >= {level}" for name in freed for level in fit.levels[1:]]
    at_cuts = tuple(one._replace(name=cut) for one, cut in zip(found[j + p :], cuts, strict=True))
    order = [*range(j + p, len(found)), *range(j, j + p)]
    method = (
        f"cumulative logit with partial proportional odds ({' and '.join(freed)} free at each cut), "
        f"maximum likelihood; {_clustered(df)}"
    )
    terms = at_cuts + found[j : j + p]
    return Answer("odds_ratio", terms, method, covariance[np.ix_(order, order)], df, _thresholds(found[:j]))


def fit_mixed(data: Data) -> Answer:
    """Cumulative logit with a random intercept a runner: odds ratios within one runner, and the latent ICC."""
    fit = fit_random_intercept(data.y.astype(int), data.x, data.terms, data.clusters)
    j, k, df = fit.without.n_thresholds, len(fit.params), data.n_runners - 1
    covariance = fit.covariance[:k, :k]
    found = wald(fit.names, fit.params, np.sqrt(np.diag(covariance)), df)
    icc = Coefficient("ICC, latent scale", fit.icc, None, *(fit.icc_interval() or (np.nan, np.nan)), fit.spread_p())
    said = () if fit.sigma else ("no spread between runners was found: this is the model without the intercept",)
    method = (
        f"cumulative logit with a random intercept a runner, {NODES}-point adaptive Gauss-Hermite quadrature, errors "
        f"from the observed information, t with {df} df; odds ratios hold within a runner and lie further from 1 than "
        "those over all runners; p of the ICC from half a chi-square"
    )
    extras = (*_thresholds(found[:j]), ("icc", icc))
    return Answer("odds_ratio", found[j:], method, covariance[j:, j:], df, extras, said)


def _thresholds(found: Sequence[Coefficient]) -> tuple[tuple[str, Coefficient], ...]:
    return tuple(("log_odds", cut._replace(name=f"threshold {cut.name}", p=None)) for cut in found)


def _clustered(df: float) -> str:
    return f"sandwich errors clustered by runner, corrected for leverage (CR2), t with {df} df"


def fit_log_linear(data: Data) -> Answer:
    """Least squares of a logarithm; ratios of geometric means."""
    return _least_squares(data, "mean_ratio", "linear model of log fluid_ml, estimates are ratios of geometric means")


def fit_linear(data: Data) -> Answer:
    """Least squares; differences of means."""
    return _least_squares(data, "mean_difference", "linear model, estimates are differences of means")


def _least_squares(data: Data, scale: str, what: str) -> Answer:
    """Runner-clustered errors as of `fit_ordinal`."""
    design = _with_intercept(data)
    refuse_collinear(data.x, data.terms)
    if np.ptp(data.y) == 0:
        raise Refusal("one_level", "every knee has the same value")
    params = np.linalg.lstsq(design, data.y, rcond=None)[0]
    inverse, scores = np.linalg.inv(design.T @ design), design * (data.y - design @ params)[:, None]
    covariance = leverage_corrected_covariance(inverse, scores, design[:, None, :], data.clusters)
    df = data.n_runners - 1
    found = wald(("intercept", *data.terms), params, np.sqrt(np.diag(covariance)), df)
    return Answer(scale, found[1:], f"{what}; {_clustered(df)}", covariance[1:, 1:], df)


def fit_gee(data: Data) -> Answer:
    """Population-averaged logit of grade 1 or more, exchangeable within runner, Mancl-DeRouen errors."""
    refuse_collinear(data.x, data.terms)
    fit, df = fit_gee_logit(data.y >= 1, _with_intercept(data), data.clusters), data.n_runners - 1
    found = wald(("intercept", *data.terms), fit.params, np.sqrt(np.diag(fit.covariance)), df)
    within = f"exchangeable within runner (correlation {fit.alpha:.2f})" if data.n_runners < len(data.y) else "one each"
    method = f"GEE logit of grade 1 or more by knee, {within}, Mancl-DeRouen errors, t with {df} df"
    return Answer("odds_ratio", found[1:], method, fit.covariance[1:, 1:], df)


def fit_penalised(data: Data) -> Answer:
    """Firth's logit of grade 1 or more in any knee, by runner; profile intervals, penalised likelihood-ratio p."""
    fit = fit_firth(data.y >= 1, data.x, data.terms)
    terms = tuple(
        Coefficient(
            name,
            float(fit.params[fit.names.index(name)]),
            None,
            *map(float, fit.profile_interval(name)),
            fit.likelihood_ratio([name])[1],
        )
        for name in data.terms
    )
    method = (
        "Firth penalised logit of grade 1 or more in any knee, by runner; profile penalised-likelihood interval, "
        "penalised likelihood-ratio p"
    )
    return Answer("odds_ratio", terms, method)


def _with_intercept(data: Data) -> np.ndarray:
    return np.column_stack([np.ones(len(data.y)), data.x])
