import numpy as np
import pytest
from scipy.special import expit

from kneeline.errors import Refusal
from kneeline.statistics.standardise import standardise


def _draw(n, seed, slope=0.0):
    """Two knees a runner, exposures and one covariate; the two knees share a runner's luck."""
    rng = np.random.default_rng(seed)
    covariate = rng.normal(size=n)
    first = (rng.random(n) < expit(0.8 * covariate)).astype(float)
    second = (rng.random(n) < 0.5).astype(float)
    share = expit(-1 + 0.7 * first + 0.3 * second + 0.5 * first * second + slope * covariate)
    luck = rng.random((n, 1)).repeat(2, axis=1)
    fresh = rng.random((n, 2))
    finding = np.where(rng.random((n, 2)) < 0.5, luck, fresh) < share[:, None]
    runners = np.array([f"sub-{i:04d}" for i in range(n)], dtype=object).repeat(2)
    return finding.ravel(), first.repeat(2), second.repeat(2), covariate.repeat(2)[:, None], runners


def _none(x):
    return np.zeros((len(x), 0))


def test_without_covariates_the_risks_are_the_observed_shares():
    finding, first, second, x, runners = _draw(150, 1)
    found = standardise(finding, first, second, _none(x), runners)
    shares = [finding[(first == a) & (second == b)].mean() for a, b in ((0, 0), (1, 0), (0, 1), (1, 1))]
    assert found.risks == pytest.approx(shares)


def test_without_covariates_and_with_one_knee_the_covariance_is_binomial():
    finding, first, second, x, runners = (column[::2] for column in _draw(200, 2))
    found = standardise(finding, first, second, _none(x), runners)
    sizes = [((first == a) & (second == b)).sum() for a, b in ((0, 0), (1, 0), (0, 1), (1, 1))]
    expected = np.diag(found.risks * (1 - found.risks) / sizes) * 200 / 199
    assert found.covariance == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_standardising_takes_confounding_away():
    """The covariate drives exposure and finding; standardised risks are those of the whole cohort, crude ones not."""
    n = 20_000
    finding, first, second, x, runners = _draw(n, 3, slope=1.5)
    grid = np.random.default_rng(0).normal(size=200_000)
    truth = [
        expit(-1 + 0.7 * a + 0.3 * b + 0.5 * a * b + 1.5 * grid).mean() for a, b in ((0, 0), (1, 0), (0, 1), (1, 1))
    ]
    adjusted = standardise(finding, first, second, x, runners)
    crude = standardise(finding, first, second, _none(x), runners)
    errors = np.sqrt(np.diag(adjusted.covariance))
    assert np.all(np.abs(adjusted.risks - truth) < 4 * errors)
    assert abs(crude.risks[0] - truth[0]) > 8 * errors[0]


def test_resamples_spread_as_the_covariance_says():
    """The influence functions and the bootstrap are two ways to the same covariance."""
    found = standardise(*_draw(250, 4, slope=0.8))
    spread = np.cov(found.replicates(400, seed=5).T)
    assert np.sqrt(np.diag(spread)) == pytest.approx(np.sqrt(np.diag(found.covariance)), rel=0.15)
    off = np.corrcoef(found.influence.T) - np.corrcoef(found.replicates(400, seed=5).T)
    assert np.abs(off).max() < 0.2


def test_a_knee_entered_twice_adds_nothing():
    finding, first, second, x, runners = (column[::2] for column in _draw(120, 6))
    once = standardise(finding, first, second, x, runners)
    twice = standardise(*(np.concatenate([column, column]) for column in (finding, first, second, x, runners)))
    assert twice.risks == pytest.approx(once.risks)
    assert twice.covariance == pytest.approx(once.covariance)


def test_row_order_and_names_change_nothing():
    data = _draw(60, 7)
    first = standardise(*data)
    turned = np.random.default_rng(0).permutation(len(data[0]))
    shuffled = [column[turned] for column in data]
    shuffled[-1] = np.array(["x" + name[::-1] for name in shuffled[-1]], dtype=object)
    again = standardise(*shuffled)
    assert again.risks == pytest.approx(first.risks, rel=1e-10)
    np.testing.assert_allclose(again.replicates(20, 1), first.replicates(20, 1), rtol=1e-9)


def test_a_covariate_that_repeats_an_exposure_is_refused():
    finding, first, second, _, runners = _draw(60, 8)
    with pytest.raises(Refusal) as refusal:
        standardise(finding, first, second, first[:, None], runners)
    assert refusal.value.code in ("collinear", "not_converged")
