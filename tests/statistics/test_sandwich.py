"""Clustered errors: against a slow plain version, statsmodels' leverages, and what the correction must not change."""

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power
from scipy.special import expit
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from kneeline.statistics import sandwich
from kneeline.statistics.ordinal import fit_cumulative_logit
from kneeline.statistics.sandwich import cluster_sums, leverage_corrected_covariance


@pytest.fixture(scope="module")
def binary():
    """A yes/no outcome of 60 knees, design with intercept, and both programs' fits."""
    rng = np.random.default_rng(11)
    x = rng.normal(size=(60, 2))
    y = (rng.random(60) < expit(0.4 + x @ [0.8, -0.5])).astype(int)
    design = np.column_stack([np.ones(60), x])
    return y, design, fit_cumulative_logit(y, x, ["a", "b"]), GLM(y, design, family=Binomial()).fit(tol=1e-12)


# A threshold is minus an intercept.
SIGNS = np.diag([-1.0, 1.0, 1.0])


def test_one_knee_a_runner_is_hc2_with_the_leverages_of_statsmodels(binary):
    y, design, fit, oracle = binary
    leverage = oracle.get_influence().hat_matrix_diag
    scores = design * ((y - oracle.fittedvalues) / np.sqrt(1 - leverage))[:, None]
    bread = oracle.cov_params()
    expected = bread @ scores.T @ scores @ bread
    assert fit.cluster_covariance(np.arange(60)) == pytest.approx(SIGNS @ expected @ SIGNS, rel=1e-6)


def test_two_knees_a_runner_against_the_square_root_of_each_residual_block(binary):
    """Bell and McCaffrey's formula as written, with the hat matrix of all knees."""
    y, design, fit, oracle = binary
    share = oracle.fittedvalues
    weight = np.sqrt(share * (1 - share))
    scaled, residual = design * weight[:, None], (y - share) / weight
    bread = np.linalg.inv(scaled.T @ scaled)
    hat = scaled @ bread @ scaled.T
    meat = np.zeros((3, 3))
    for runner in range(30):
        at = np.ix_([2 * runner, 2 * runner + 1], [2 * runner, 2 * runner + 1])
        root = fractional_matrix_power(np.eye(2) - hat[at], -0.5).real
        score = scaled[at[1][0]].T @ root @ residual[at[1][0]]
        meat += np.outer(score, score)
    found = fit.cluster_covariance(np.repeat(np.arange(30), 2))
    assert found == pytest.approx(SIGNS @ bread @ meat @ bread @ SIGNS, rel=1e-6)


def test_least_squares_errors_are_unbiased_where_the_plain_ones_are_not():
    """Expectation by construction: with independent errors of variance 1 the true covariance is (X'X)^-1."""
    design = np.column_stack([np.ones(12), np.r_[np.zeros(8), 1.0, 1.2, 4.0, 0.5]])
    inverse = np.linalg.inv(design.T @ design)
    keep = np.eye(12) - design @ inverse @ design.T
    groups = np.repeat(np.arange(6), 2)
    expected = np.zeros((2, 2))
    # The covariance is a quadratic form in the errors: its mean is the sum over any basis of them.
    for error in np.eye(12):
        expected += leverage_corrected_covariance(inverse, design * (keep @ error)[:, None], design[:, None, :], groups)
    assert expected == pytest.approx(inverse, rel=1e-10)


def test_a_runner_who_alone_rules_a_term_adds_no_error_to_it():
    design = np.column_stack([np.ones(6), [0, 0, 0, 0, 0, 1.0]])
    residual = np.array([1.0, -1, 2, -2, 0, 0])
    inverse = np.linalg.inv(design.T @ design)
    covariance = leverage_corrected_covariance(inverse, design * residual[:, None], design[:, None, :], np.arange(6))
    # Intercept: squared residuals over 1 - 1/5, divided by 25; the sixth runner's residual is 0 whatever happens.
    assert covariance[0, 0] == pytest.approx(10 / 0.8 / 25)
    assert np.all(np.isfinite(covariance))


def test_many_clusters_are_restored_as_few_are(monkeypatch):
    """By series where leverages are small; by eigenvalues everywhere the same comes out."""
    rng = np.random.default_rng(4)
    x, groups = rng.normal(size=(3000, 3)), rng.integers(0, 1200, 3000)
    x[0] *= 30  # one knee of high leverage among them
    fit = fit_cumulative_logit(rng.integers(0, 4, 3000), x, list("abc"))
    by_series = fit.cluster_covariance(groups)
    monkeypatch.setattr(sandwich, "_SMALL_LEVERAGE", -1.0)
    exact = fit.cluster_covariance(groups)
    assert by_series == pytest.approx(exact, rel=1e-9)
    assert not np.array_equal(by_series, exact)


def test_row_informations_add_up_to_the_information_of_the_whole():
    rng = np.random.default_rng(3)
    fit = fit_cumulative_logit(rng.integers(0, 4, 50), rng.normal(size=(50, 2)), ["a", "b"])
    roots = fit._cuts.information_roots(fit.params)
    assert np.einsum("nri,nrj->ij", roots, roots) == pytest.approx(np.linalg.inv(fit.covariance))


def test_cluster_sums_do_not_need_neighbours():
    found = cluster_sums(np.array([[1.0], [2.0], [4.0], [8.0]]), ["b", "a", "b", "c"])
    assert found.ravel().tolist() == [2, 5, 8]
