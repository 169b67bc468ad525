"""The model families: each takes a `design.Data` and gives an `answer.Answer`, or refuses. None reads or writes a file.

To fit a model on data of your own, without a results folder::

    data = Data(y, x, ("rearfoot", "distance_per_10_km"), runners)   # arrays (n,), (n, p), names, (n,)
    answer = fit_ordinal(data)
    answer["rearfoot"].value, answer["rearfoot"].error, answer.df    # log odds ratio, its standard error

On rows of KNEES, `design.complete_cases(knees, outcome, question.terms, settings)` makes the data and
`family(outcome, data)` names the fit; `asking.ask` does both, with the rules of refusal, and gives rows of ESTIMATES.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kneeline.cohort.answer import Answer, Coefficient, wald
from kneeline.cohort.design import Data
from kneeline.cohort.firth import fit_firth
from kneeline.cohort.ordinal import fit_cumulative_logit
from kneeline.cohort.outcomes import OUTCOMES
from kneeline.errors import Refusal

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
    """Proportional odds, runner-clustered errors: observed Hessian, factor G/(G - 1), Student's t on G - 1."""
    fit = fit_cumulative_logit(data.y.astype(int), data.x, data.terms)
    errors = np.sqrt(np.diag(fit.cluster_covariance(data.runners)))
    df = data.n_runners - 1
    found = wald(fit.names, fit.params, errors, df)
    method = (
        f"cumulative logit (proportional odds), maximum likelihood; sandwich errors clustered by runner, t with {df} df"
    )
    cuts = tuple(("log_odds", cut._replace(name=f"threshold {cut.name}", p=None)) for cut in found[: fit.n_thresholds])
    return Answer("odds_ratio", found[fit.n_thresholds :], method, df, cuts)


def fit_log_linear(data: Data) -> Answer:
    """Least squares of a logarithm; ratios of geometric means."""
    return _least_squares(data, "mean_ratio", "linear model of log fluid_ml, estimates are ratios of geometric means")


def fit_linear(data: Data) -> Answer:
    """Least squares; differences of means."""
    return _least_squares(data, "mean_difference", "linear model, estimates are differences of means")


def _least_squares(data: Data, scale: str, what: str) -> Answer:
    """Runner-clustered errors (statsmodels)."""
    from statsmodels.regression.linear_model import OLS

    design = _with_intercept(data)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise Refusal("collinear", "a term is constant or a sum of others; leave it out")
    if np.ptp(data.y) == 0:
        raise Refusal("one_level", "every knee has the same value")
    df = data.n_runners - 1
    fit = OLS(data.y, design).fit(cov_type="cluster", cov_kwds={"groups": data.clusters}, use_t=True)
    found = wald(("intercept", *data.terms), fit.params, fit.bse, df)
    return Answer(scale, found[1:], f"{what}; sandwich errors clustered by runner, t with {df} df", df)


def fit_gee(data: Data) -> Answer:
    """Population-averaged logit of grade 1 or more, exchangeable within runner, Mancl-DeRouen errors (statsmodels)."""
    from statsmodels.genmod.cov_struct import Exchangeable, Independence
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_estimating_equations import GEE

    paired = data.n_runners < len(data.y)
    structure = Exchangeable() if paired else Independence()
    with warnings.catch_warnings():
        # What it warns of is read from `converged` below.
        warnings.simplefilter("ignore")
        model = GEE(data.y >= 1, _with_intercept(data), data.clusters, family=Binomial(), cov_struct=structure)
        fit = model.fit(cov_type="bias_reduced")
    if not fit.converged or not np.all(np.isfinite(fit.bse)):
        raise Refusal("not_converged", "the estimating equations did not converge; use fewer terms")
    df = data.n_runners - 1
    found = wald(("intercept", *data.terms), fit.params, fit.bse, df)
    kind = "exchangeable" if paired else "independence"
    method = f"GEE logit of grade 1 or more by knee, {kind} within runner, Mancl-DeRouen errors, t with {df} df"
    return Answer("odds_ratio", found[1:], method, df)


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
