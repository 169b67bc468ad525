"""Oracles: R ordinal::clmm (wine by judge); brute-force integration; numeric derivatives."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import chi2, norm

from kneeline.errors import Refusal
from kneeline.statistics.mixed import LOGISTIC_VARIANCE, Likelihood, fit_random_intercept
from kneeline.statistics.ordinal import fit_cumulative_logit

WINE = ["23344455", "12132354", "23325544", "32323253", "23433333", "32322454", "11222323", "22233334", "12323244"]
BITTER = np.array([int(grade) for judge in WINE for grade in judge])
JUDGE = np.repeat(np.arange(9), 8)
WARM_CONTACT = np.array([[bottle >= 4, bottle % 4 >= 2] for _ in range(9) for bottle in range(8)], dtype=float)


@pytest.fixture(scope="module")
def wine():
    return fit_random_intercept(BITTER, WARM_CONTACT, ["warm", "contact"], JUDGE, nodes=10)


def _knees(n_runners, sigma, seed, slope=1.0):
    rng = np.random.default_rng(seed)
    runner = np.repeat(np.arange(n_runners), 2)
    x = rng.integers(0, 2, n_runners)[runner].astype(float)
    latent = slope * x + sigma * rng.normal(size=n_runners)[runner] + rng.logistic(size=2 * n_runners)
    return (latent[:, None] > [-0.5, 1.0, 2.5]).sum(axis=1), x[:, None], runner


def test_wine_as_clmm_with_ten_nodes(wine):
    assert wine.params == pytest.approx([-1.623487, 1.512796, 4.227053, 6.086152, 3.061891, 1.833433], rel=1e-4)
    assert wine.sigma**2 == pytest.approx(1.287733, rel=1e-4)
    assert wine.log_likelihood == pytest.approx(-81.53246, rel=1e-6)
    # clmm prints errors of its Laplace fit.
    assert np.sqrt(np.diag(wine.covariance))[4:6] == pytest.approx([0.5954, 0.5125], rel=2e-3)


def test_wine_log_likelihood_by_laplace():
    """One node is Laplace's approximation: at clmm's Laplace estimates it has clmm's log-likelihood."""
    without = fit_cumulative_logit(BITTER, WARM_CONTACT, ["warm", "contact"])
    point = np.array([-1.6237, 1.5134, 4.2285, 6.0888, 3.0630, 1.8349, 0.5 * math.log(1.279)])
    assert Likelihood(without, JUDGE, nodes=1).evaluate(point)[0] == pytest.approx(-81.56541, rel=1e-6)


def test_wine_estimates_by_laplace():
    without = fit_cumulative_logit(BITTER, WARM_CONTACT, ["warm", "contact"])
    laplace = Likelihood(without, JUDGE, nodes=1)
    start = np.append(without.params, 0.0)
    found = minimize(lambda point: -laplace.evaluate(point)[0], start, method="BFGS")
    assert found.x[:-1] == pytest.approx([-1.6237, 1.5134, 4.2285, 6.0888, 3.0630, 1.8349], rel=1e-4)
    assert (math.exp(2 * found.x[-1]), math.exp(found.x[-1])) == pytest.approx((1.279, 1.131), rel=5e-4)


def test_wine_judges(wine):
    clmm = [1.69617818, -0.56578308, 0.96880828, -0.05954989, 0.23051011, 0.47703864, -1.91097339, -0.27294385]
    # clmm's modes are those before its last step: all are 0.14 % smaller.
    assert wine.modes == pytest.approx([*clmm, -0.55467576], rel=5e-3)
    for judge, mode in enumerate(wine.modes):
        at = np.linspace(mode - 0.02, mode + 0.02, 41)
        heights = [_integrand(wine.params, wine.sigma, value / wine.sigma, judge == JUDGE) for value in at]
        assert at[int(np.argmax(heights))] == pytest.approx(mode, abs=1e-3)


def _integrand(params, sigma, u, rows):
    edges = np.r_[-np.inf, params[:4], np.inf]
    eta = WARM_CONTACT[rows] @ params[4:] + sigma * u
    return np.prod(expit(edges[BITTER[rows]] - eta) - expit(edges[BITTER[rows] - 1] - eta)) * norm.pdf(u)


def test_log_likelihood_by_brute_force(wine):
    point = np.append(wine.params + 0.1, math.log(1.6))
    total = sum(
        math.log(quad(lambda u: _integrand(point[:-1], 1.6, u, judge == JUDGE), -10, 10, epsabs=0, epsrel=1e-10)[0])  # noqa: B023
        for judge in range(9)
    )
    assert Likelihood(wine.without, JUDGE, nodes=10).evaluate(point)[0] == pytest.approx(total, rel=1e-5)
    assert Likelihood(wine.without, JUDGE, nodes=25).evaluate(point)[0] == pytest.approx(total, rel=1e-9)


def test_gradient_and_information_are_derivatives(wine):
    likelihood = Likelihood(wine.without, JUDGE, nodes=25)
    point, step = np.append(wine.params + 0.1, 0.4), 1e-5
    _, gradient, information, _ = likelihood.evaluate(point)
    sides = [(likelihood.evaluate(point + s), likelihood.evaluate(point - s)) for s in np.eye(len(point)) * step]
    assert gradient == pytest.approx([(a[0] - b[0]) / (2 * step) for a, b in sides], rel=1e-5, abs=1e-5)
    columns = np.array([(a[1] - b[1]) / (2 * step) for a, b in sides])
    assert information == pytest.approx(-columns, rel=1e-4, abs=1e-4)


def test_known_spread_and_odds_ratio_are_found():
    fit = fit_random_intercept(*_rows(_knees(1500, 1.5, 3)))
    truth = 1.5**2 / (1.5**2 + LOGISTIC_VARIANCE)
    low, high = fit.icc_interval()
    assert low < truth < high
    assert high - low < 0.12
    assert fit.spread_p() < 1e-10
    assert abs(fit.params[-1] - 1.0) < 3 * np.sqrt(fit.covariance[3, 3])
    # Over all runners the odds ratio is nearer to 1 than within one.
    assert 0 < fit.without.params[-1] < fit.params[-1]


def test_no_spread_is_tested_at_the_edge():
    """Twice the difference of R's two log-likelihoods of the wine data, held against half a chi-square."""
    fit = fit_random_intercept(BITTER, WARM_CONTACT, ["warm", "contact"], JUDGE)
    assert fit.spread_p() == pytest.approx(chi2.sf(2 * (86.49192 - 81.53246), 1) / 2, rel=1e-4)


def _rows(drawn):
    grades, x, runner = drawn
    return grades, x, ["x"], runner


def test_no_spread_is_the_model_without():
    grades, x, runner = _knees(60, 0.0, 2)
    # Knees of opposite luck: less alike than two strangers'.
    grades[1::2] = 3 - grades[::2]
    fit = fit_random_intercept(grades, x, ["x"], runner)
    assert (fit.sigma, fit.icc, fit.icc_interval(), fit.spread_p()) == (0, 0, None, 1)
    assert fit.params == pytest.approx(fit.without.params)


def test_order_of_rows_and_reversed_grades():
    grades, x, runner = _knees(80, 1.2, 5)
    fit = fit_random_intercept(grades, x, ["x"], runner)
    order = np.random.default_rng(1).permutation(len(grades))
    again = fit_random_intercept(grades[order], x[order], ["x"], runner[order])
    assert again.params == pytest.approx(fit.params, rel=1e-6)
    turned = fit_random_intercept(3 - grades, x, ["x"], runner)
    assert turned.params[3:] == pytest.approx(-fit.params[3:], rel=1e-5)
    assert turned.sigma == pytest.approx(fit.sigma, rel=1e-5)


def test_what_cannot_be_estimated_is_refused():
    grades, x, runner = _knees(40, 1.0, 5)
    with pytest.raises(Refusal, match="every runner has one knee"):
        fit_random_intercept(grades[::2], x[::2], ["x"], runner[::2])
    grades[1::2] = grades[::2]
    with pytest.raises(Refusal, match="too much alike"):
        fit_random_intercept(grades, x, ["x"], runner)
