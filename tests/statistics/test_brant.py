"""Oracle: R brant on individual rows (it ignores weights, so the table is spread out there)."""

import numpy as np
import pytest
from scipy.stats import chi2

from kneeline.errors import Refusal
from kneeline.statistics.brant import check_proportional_odds


@pytest.fixture(scope="module")
def check(housing):
    return check_proportional_odds(housing.grades, housing.x, housing.names, weights=housing.weights)


def test_housing_omnibus(check, housing):
    """R brant 0.3-0 prints 8.5330339: it copies the block between the cuts without transposing it. Both are shown."""
    from statsmodels.discrete.discrete_model import Logit

    rows = np.repeat(np.arange(len(housing.grades)), housing.weights)
    design = np.column_stack([np.ones(len(rows)), housing.x[rows]])
    fits = [Logit((housing.grades[rows] >= cut).astype(float), design).fit(disp=False) for cut in (1, 2)]
    low, high = (fit.predict() for fit in fits)
    between = fits[0].cov_params() @ ((design * (high - low * high)[:, None]).T @ design) @ fits[1].cov_params()
    blocks = [fit.cov_params()[1:, 1:] for fit in fits]
    difference = fits[0].params[1:] - fits[1].params[1:]

    def chi2(below):
        return difference @ np.linalg.solve(sum(blocks) - between[1:, 1:] - below, difference)

    assert chi2(between[1:, 1:]) == pytest.approx(8.5330339, rel=1e-6)
    assert check.omnibus.chi2 == pytest.approx(chi2(between[1:, 1:].T), rel=1e-6)
    assert check.omnibus.df == 6
    assert check.omnibus.p_value == pytest.approx(0.2015926, rel=1e-3)


def test_housing_terms(check):
    expected = dict(zip(check.terms, [0.3173, 0.1965, 0.4682, 2.8048, 0.0312, 1.2859], strict=True))
    assert {name: wald.chi2 for name, wald in check.terms.items()} == pytest.approx(expected, abs=6e-5)
    assert check.terms["Atrium"].p_value == pytest.approx(0.0940, abs=5e-5)


def test_slopes_are_those_of_the_binary_logits(check, housing):
    from statsmodels.discrete.discrete_model import Logit

    rows = np.repeat(np.arange(len(housing.grades)), housing.weights)
    design = np.column_stack([np.ones(len(rows)), housing.x[rows]])
    for cut, (slopes, errors) in enumerate(zip(check.slopes, check.standard_errors, strict=True), start=1):
        other = Logit((housing.grades[rows] >= cut).astype(float), design).fit(disp=False)
        assert slopes == pytest.approx(other.params[1:], rel=1e-5)
        assert errors == pytest.approx(other.bse[1:], rel=1e-5)


def test_a_broken_assumption_is_found():
    rng = np.random.default_rng(4)
    group = np.arange(800) % 2
    # The group doubles the share of grade 1 at the cost of 0, and leaves grade 2 alone.
    grades = np.where(group == 1, rng.choice(3, 800, p=[0.2, 0.6, 0.2]), rng.choice(3, 800, p=[0.5, 0.3, 0.2]))
    plain = check_proportional_odds(grades, group[:, None], ["group"])
    assert plain.omnibus.p_value < 1e-6
    assert plain.omnibus.chi2 == plain.terms["group"].chi2
    # With every runner alone the sandwich is the model's covariance but for noise.
    alone = check_proportional_odds(grades, group[:, None], ["group"], groups=np.arange(800))
    assert alone.omnibus.chi2 == pytest.approx(plain.omnibus.chi2, rel=0.05)


def test_a_knee_counted_twice_does_not_sharpen_the_clustered_test(housing):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(120, 1))
    grades = (x[:, 0] + rng.logistic(size=120) > np.array([[-1.0], [1.0]])).sum(axis=0)
    once = check_proportional_odds(grades, x, ["a"], groups=np.arange(120))
    twice = check_proportional_odds(np.tile(grades, 2), np.tile(x, (2, 1)), ["a"], groups=np.tile(np.arange(120), 2))
    assert twice.omnibus.chi2 == pytest.approx(once.omnibus.chi2, rel=1e-6)


def test_few_runners_raise_no_false_alarms():
    """Three covariates and three cuts among 40 runners with two alike knees: nine contrasts, odds proportional."""
    rng = np.random.default_rng(8)
    alarms, plain = [], []
    for _ in range(80):
        x = np.repeat(rng.normal(size=(40, 3)), 2, axis=0)
        latent = np.repeat(rng.normal(0, 2, 40), 2) + rng.logistic(size=80)
        grades = (latent[:, None] > np.array([-1.5, 0, 1.5])).sum(axis=1)
        test = check_proportional_odds(grades, x, list("abc"), groups=np.repeat(np.arange(40), 2)).omnibus
        alarms.append(test.p_value < 0.05)
        plain.append(chi2.sf(test.chi2, test.df) < 0.05)
    # 4 alarms in 80 are expected, 10 are three standard errors more; chi-square would sound twice that.
    assert sum(alarms) <= 10
    assert sum(plain) > 2 * sum(alarms)


def test_what_cannot_be_checked_is_refused():
    x, runners = np.random.default_rng(1).normal(size=(200, 6)), np.arange(200) % 5
    with pytest.raises(Refusal, match="5 runners for a test of 6 contrasts"):
        check_proportional_odds(np.arange(200) % 3, x, "abcdef", groups=runners)
    with pytest.raises(Refusal, match="one cut-point"):
        check_proportional_odds([0, 1, 0, 1], np.array([[0.0], [0], [1], [1]]), ["a"])
    with pytest.raises(Refusal, match="at the cut >= 2: the outcome is separated by a"):
        check_proportional_odds([0, 1, 1, 0, 1, 2, 2], np.array([[0.0], [0], [0], [1], [1], [1], [1]]), ["a"])
