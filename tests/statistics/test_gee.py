"""Oracles: R geepack on the ohio children; statsmodels' GEE, coefficients and Mancl-DeRouen errors."""

import warnings

import numpy as np
import pytest

from kneeline.errors import Refusal
from kneeline.statistics.gee import _equations, fit_gee_logit
from kneeline.statistics.ordinal import fit_cumulative_logit

# Children by pattern of wheeze at ages 7 to 10: of non-smoking, of smoking mothers (geepack::ohio).
OHIO = """0000 237,118; 0001 10,6; 0010 15,8; 0011 4,2; 0100 16,11; 0101 2,1; 0110 7,6; 0111 3,4; 1000 24,7; 1001 3,3;
1010 3,3; 1011 2,1; 1100 6,4; 1101 2,2; 1110 5,4; 1111 11,7"""


def _statsmodels(y, design, groups):
    from statsmodels.genmod.cov_struct import Exchangeable
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_estimating_equations import GEE

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GEE(y, design, groups, family=Binomial(), cov_struct=Exchangeable())
        return model.fit(cov_type="bias_reduced", ctol=1e-12), model.cov_struct.dep_params


@pytest.fixture(scope="module")
def ohio():
    """Wheeze (n,), design (n, 4) of intercept, age, smoke and their product, child (n,)."""
    y, x, child = [], [], []
    for cell in OHIO.split(";"):
        pattern, counts = cell.split()
        for smoke, count in enumerate(map(int, counts.split(","))):
            for _ in range(count):
                number = len(child) // 4
                for age, wheeze in zip(range(-2, 2), pattern, strict=True):
                    y.append(int(wheeze))
                    x.append([1, age, smoke, age * smoke])
                    child.append(number)
    return np.array(y), np.array(x, dtype=float), np.array(child)


def test_the_ohio_children(ohio):
    assert ohio[0].sum() == 326
    fit = fit_gee_logit(*ohio)
    assert fit.params == pytest.approx([-1.90050, -0.14124, 0.31383, 0.07083], abs=2e-5)
    assert fit.alpha == pytest.approx(0.35438, rel=1e-4)
    score, information = _equations(fit.params, fit.alpha, *ohio, np.bincount(ohio[2]))
    bread = np.linalg.inv(information.sum(axis=0))
    plain = np.sqrt(np.diag(bread @ score.T @ score @ bread))
    assert plain == pytest.approx([0.11909, 0.05820, 0.18784, 0.08828], rel=1e-4)
    # Robust errors without correction, geepack's, are a little smaller than Mancl and DeRouen's.
    errors = np.sqrt(np.diag(fit.covariance))
    assert errors == pytest.approx(plain, rel=0.01)
    assert np.all(errors > plain)


def test_the_ohio_children_one_by_one(ohio):
    """geepack's independence structure is the pooled logit (a cumulative one of two grades) with the plain sandwich."""
    y, x, child = ohio
    fit = fit_cumulative_logit(y, x[:, 1:], ["age", "smoke", "age:smoke"])
    # A threshold is minus an intercept.
    assert fit.params == pytest.approx([1.90084, -0.14125, 0.31395, 0.07084], abs=1e-5)
    errors = np.sqrt(np.diag(fit.plain_cluster_covariance(child, small_sample=False)))
    assert errors == pytest.approx([0.11908, 0.05821, 0.18784, 0.08829], rel=1e-4)


def test_statsmodels_solves_the_same_equations():
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(40), rng.integers(1, 4, 40))
    x = np.column_stack([np.ones(len(groups)), rng.normal(size=(40, 2))[groups]])
    latent = x @ [0.2, 0.7, -0.4] + rng.normal(size=40)[groups] + rng.logistic(size=len(groups))
    order = rng.permutation(len(groups))
    y, x, groups = (latent > 0)[order], x[order], groups[order]
    other, alpha = _statsmodels(y.astype(float), x, groups)
    fit = fit_gee_logit(y, x, groups)
    assert fit.params == pytest.approx(other.params, rel=1e-6)
    assert fit.alpha == pytest.approx(alpha, rel=1e-5)
    assert fit.covariance == pytest.approx(other.cov_params(), rel=1e-5)


def test_one_knee_a_runner_is_the_plain_logit():
    rng = np.random.default_rng(2)
    x = np.column_stack([np.ones(80), rng.normal(size=80)])
    y = rng.random(80) < 0.4
    from statsmodels.discrete.discrete_model import Logit

    fit = fit_gee_logit(y, x, np.arange(80))
    assert fit.alpha == 0
    assert fit.params == pytest.approx(Logit(y.astype(float), x).fit(disp=False).params, rel=1e-6)


def test_separated_and_collinear_data_are_refused():
    x = np.column_stack([np.ones(20), np.repeat([0.0, 1.0], 10)])
    for design in (x, np.column_stack([x, x[:, 1]])):
        with pytest.raises(Refusal, match="did not converge"):
            fit_gee_logit(x[:, 1] > 0, design, np.arange(20) // 2)


def test_a_term_that_one_runner_alone_tells_is_refused_instead_of_breaking_off():
    """Without that runner the others' information is singular, so that the correction of the errors has no inverse."""
    groups = np.repeat(np.arange(20), 2)
    alone = (groups == 7).astype(float)
    y = np.tile([0, 1, 1, 0, 1], 8)
    y[groups == 7] = [0, 1]
    with pytest.raises(Refusal) as refusal:
        fit_gee_logit(y, np.column_stack([np.ones(40), alone]), groups)
    assert refusal.value.code == "not_converged"
