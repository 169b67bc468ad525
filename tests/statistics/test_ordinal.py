"""Oracles: R ordinal::clm and MASS::polr on the wine and housing data; statsmodels OrderedModel; own sandwich by R."""

import numpy as np
import pytest
from scipy.stats import chi2, norm

from kneeline.errors import Refusal
from kneeline.statistics.ordinal import fit_cumulative_logit

# Randall 1989: 9 judges x 8 bottles (1, 2 cold without contact; 3, 4 cold with; 5, 6 warm without; 7, 8 warm with).
WINE = ["23344455", "12132354", "23325544", "32323253", "23433333", "32322454", "11222323", "22233334", "12323244"]
BITTER = [int(grade) for judge in WINE for grade in judge]
JUDGE = np.repeat(np.arange(9), 8)
WARM_CONTACT = np.array([[bottle >= 4, bottle % 4 >= 2] for _ in range(9) for bottle in range(8)], dtype=float)


@pytest.fixture(scope="module")
def wine():
    return fit_cumulative_logit(BITTER, WARM_CONTACT, ["warm", "contact"])


def test_wine_estimates(wine):
    assert wine.names == ("1|2", "2|3", "3|4", "4|5", "warm", "contact")
    assert wine.params == pytest.approx([-1.3444, 1.2508, 3.4669, 5.0064, 2.5031, 1.5278], rel=1e-4)
    assert wine.standard_errors == pytest.approx([0.5171, 0.4379, 0.5978, 0.7309, 0.5287, 0.4766], rel=2e-4)
    assert wine.log_likelihood == pytest.approx(-86.49192, rel=1e-6)
    assert 2 * (len(wine.params) - wine.log_likelihood) == pytest.approx(184.98, rel=1e-4)  # AIC
    z = (wine.params / wine.standard_errors)[4:]
    assert z == pytest.approx([4.735, 3.205], rel=2e-4)
    assert 2 * norm.sf(z) == pytest.approx([2.19e-06, 0.00135], rel=3e-3)  # as far as R prints them


def test_wine_profile_intervals(wine):
    assert wine.profile_interval("warm") == pytest.approx((1.5097627, 3.595225), rel=1e-4)
    assert wine.profile_interval("contact") == pytest.approx((0.6157925, 2.492404), rel=1e-4)


def test_wine_predicted_probabilities(wine):
    cold_without, warm_with = wine.predict(np.array([[0, 0], [1, 1]]))
    assert cold_without == pytest.approx([0.206790, 0.570650, 0.192291, 0.023619, 0.006650], abs=1e-6)
    assert warm_with == pytest.approx([0.004608, 0.053801, 0.304210, 0.363596, 0.273785], abs=1e-6)


def test_wine_likelihood_ratio_of_both_terms(wine):
    nothing = fit_cumulative_logit(BITTER, np.zeros((72, 0)), [])
    assert 2 * (wine.log_likelihood - nothing.log_likelihood) == pytest.approx(34.45, rel=5e-4)


def test_wine_sandwich_with_the_expected_information(wine):
    """R multgee, independence: the same estimates; every grade with its fitted probability gives the expectation."""
    shares = wine.predict(WARM_CONTACT)
    rows, grades = np.repeat(np.arange(72), 5), np.tile(np.arange(1, 6), 72)
    expected = fit_cumulative_logit(grades, WARM_CONTACT[rows], ["warm", "contact"], weights=shares.ravel())
    assert expected.params == pytest.approx(wine.params, rel=1e-6)
    observed = np.linalg.inv(wine.covariance)
    meat = observed @ wine.plain_cluster_covariance(JUDGE, small_sample=False) @ observed
    errors = np.sqrt(np.diag(expected.covariance @ meat @ expected.covariance))
    assert errors == pytest.approx([0.62664, 0.51290, 0.57707, 0.69504, 0.33414, 0.39694], rel=1e-4)


def test_wine_discrimination(wine):
    """R rms::lrm: C and Nagelkerke's R2."""
    nothing = fit_cumulative_logit(BITTER, np.zeros((72, 0)), [])
    latent, grades = WARM_CONTACT @ wine.params[4:], np.array(BITTER)
    above = grades[:, None] > grades
    larger = np.where(np.isclose(latent[:, None], latent), 0.5, latent[:, None] > latent)
    assert larger[above].mean() == pytest.approx(0.774, abs=5e-4)
    r2 = 1 - np.exp((nothing.log_likelihood - wine.log_likelihood) * 2 / 72)
    assert r2 / (1 - np.exp(nothing.log_likelihood * 2 / 72)) == pytest.approx(0.403, abs=5e-4)


def test_ordinal_gee_of_statsmodels_is_another_estimate(wine):
    """The reason why it is not used: its binary expansion weighs the cuts otherwise than the likelihood does."""
    from statsmodels.genmod.cov_struct import Independence
    from statsmodels.genmod.generalized_estimating_equations import OrdinalGEE

    other = OrdinalGEE(np.array(BITTER), WARM_CONTACT, JUDGE, cov_struct=Independence()).fit()
    assert np.asarray(other.params)[-2:] == pytest.approx([2.691657, 1.541489], rel=1e-4)
    assert np.asarray(other.bse)[-2:] == pytest.approx([0.344033, 0.438920], rel=1e-4)
    assert np.asarray(other.params)[-2] > 1.07 * wine.params[4]


def test_wine_cluster_sandwich_by_judge(wine):
    plain = np.sqrt(np.diag(wine.plain_cluster_covariance(JUDGE, small_sample=False)))
    assert plain == pytest.approx([0.649011, 0.519005, 0.593772, 0.706550, 0.333662, 0.409554], rel=1e-5)
    corrected = np.sqrt(np.diag(wine.plain_cluster_covariance(JUDGE)))
    assert corrected[4:] == pytest.approx([0.353902, 0.434398], rel=1e-5)


def test_wine_interaction(wine):
    product = np.column_stack([WARM_CONTACT, WARM_CONTACT.prod(axis=1)])
    fit = fit_cumulative_logit(BITTER, product, ["warm", "contact", "warm:contact"])
    assert fit.params[4:] == pytest.approx([2.3211843, 1.3474604, 0.3595489], rel=1e-4)
    assert fit.log_likelihood == pytest.approx(-86.4162, rel=1e-6)
    ratio = 2 * (fit.log_likelihood - wine.log_likelihood)
    assert (ratio, chi2.sf(ratio, 1)) == pytest.approx((0.1514, 0.6972), abs=5e-5)


def test_wine_partial_proportional_odds(wine):
    fit = fit_cumulative_logit(
        BITTER, WARM_CONTACT[:, :1], ["warm"], nominal=WARM_CONTACT[:, 1:], nominal_names=["contact"]
    )
    assert fit.log_likelihood == pytest.approx(-86.20855, rel=1e-6)
    ratio = 2 * (fit.log_likelihood - wine.log_likelihood)
    assert (ratio, chi2.sf(ratio, 3)) == pytest.approx((0.5667, 0.904), abs=5e-4)


def test_wine_temperature_cannot_be_freed_at_every_cut():
    # No cold wine has grade 5 and no warm one without contact grade 1: R gives a log-likelihood at infinite estimates.
    with pytest.raises(Refusal, match=r"warm at 1\|2, warm at 4\|5") as refusal:
        fit_cumulative_logit(
            BITTER, WARM_CONTACT[:, 1:], ["contact"], nominal=WARM_CONTACT[:, :1], nominal_names=["warm"]
        )
    assert refusal.value.code == "separation"


def test_housing_estimates(housing):
    fit = fit_cumulative_logit(housing.grades, housing.x, housing.names, weights=housing.weights)
    assert fit.n == 1681
    assert fit.params == pytest.approx([-0.4961, 0.6907, 0.5664, 1.2888, -0.5724, -0.3662, -1.0910, 0.3603], rel=2e-4)
    assert fit.standard_errors == pytest.approx(
        [0.1248, 0.1255, 0.10465, 0.12716, 0.11924, 0.15517, 0.15149, 0.09554], rel=5e-4
    )
    assert -2 * fit.log_likelihood == pytest.approx(3479.149, rel=1e-6)


def test_cartilage_of_the_published_study():
    fit = fit_cumulative_logit([0] * 10 + [1] + [2] * 2 + [0] * 9 + [1] * 3 + [2], np.repeat([0, 1], 13), ["high"])
    assert fit.params == pytest.approx([1.126997, 2.167479, 0.236961], rel=1e-5)
    assert fit.standard_errors[-1] == pytest.approx(0.880808, rel=1e-5)
    assert fit.log_likelihood == pytest.approx(-19.88878, rel=1e-6)


def test_statsmodels_finds_the_same_peak(wine):
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    model = OrderedModel(np.array(BITTER), WARM_CONTACT, distr="logit")
    other = model.fit(method="bfgs", disp=False, gtol=1e-8)
    assert other.params[:2] == pytest.approx(wine.params[4:], rel=1e-4)
    assert model.transform_threshold_params(other.params)[1:-1] == pytest.approx(wine.params[:4], rel=1e-4)
    assert other.bse[:2] == pytest.approx(wine.standard_errors[4:], rel=1e-3)


def test_gradient_and_information_are_derivatives(wine):
    point, step = wine.params + 0.1, 1e-5
    _, gradient, information = wine._cuts.evaluate(point)
    shifts = np.eye(len(point)) * step
    numeric = [(wine._cuts.evaluate(point + s)[0] - wine._cuts.evaluate(point - s)[0]) / (2 * step) for s in shifts]
    assert gradient == pytest.approx(numeric, rel=1e-6, abs=1e-6)
    columns = [(wine._cuts.evaluate(point + s)[1] - wine._cuts.evaluate(point - s)[1]) / (2 * step) for s in shifts]
    assert information == pytest.approx(-np.array(columns), rel=1e-5, abs=1e-6)


def test_reversing_the_scale_turns_the_signs(wine):
    turned = fit_cumulative_logit([6 - grade for grade in BITTER], WARM_CONTACT, ["warm", "contact"])
    assert turned.params[4:] == pytest.approx(-wine.params[4:])
    assert turned.params[:4] == pytest.approx(-wine.params[3::-1])


def test_row_order_changes_nothing(wine):
    order = np.random.default_rng(1).permutation(72)
    again = fit_cumulative_logit(np.array(BITTER)[order], WARM_CONTACT[order], ["warm", "contact"])
    assert again.params == pytest.approx(wine.params, rel=1e-9)
    assert again.cluster_covariance(JUDGE[order]) == pytest.approx(wine.cluster_covariance(JUDGE), rel=1e-8)


def test_a_knee_counted_twice_does_not_shrink_the_cluster_robust_error(wine):
    twice = np.tile(np.arange(72), 2)
    doubled = fit_cumulative_logit(np.array(BITTER)[twice], WARM_CONTACT[twice], ["warm", "contact"])
    assert doubled.cluster_covariance(JUDGE[twice]) == pytest.approx(wine.cluster_covariance(JUDGE), rel=1e-6)
    # The model-based error is the one that is fooled.
    assert doubled.standard_errors == pytest.approx(wine.standard_errors / np.sqrt(2), rel=1e-6)


def test_frequencies_are_repeated_rows(wine):
    weights = np.tile([1, 2], 36)
    weighted = fit_cumulative_logit(BITTER, WARM_CONTACT, ["warm", "contact"], weights=weights)
    repeated = np.repeat(np.arange(72), weights)
    plain = fit_cumulative_logit(np.array(BITTER)[repeated], WARM_CONTACT[repeated], ["warm", "contact"])
    assert weighted.params == pytest.approx(plain.params)
    assert weighted.covariance == pytest.approx(plain.covariance)
    assert weighted.cluster_covariance(JUDGE) == pytest.approx(plain.cluster_covariance(JUDGE[repeated]))


def test_the_term_that_separates_is_named_and_not_those_that_run_off_with_it():
    """Strike alone separates the grades completely, so that every slope could run off with its own."""
    rng = np.random.default_rng(2)
    strike = np.repeat([0.0, 1.0], 20)
    x = np.column_stack([rng.normal(size=40), strike, rng.normal(size=40)])
    with pytest.raises(Refusal, match="separated by strike:"):
        fit_cumulative_logit(2 * strike.astype(int), x, ["age", "strike", "bmi"])


def test_terms_that_cannot_be_told_apart_are_named():
    rng = np.random.default_rng(2)
    a, b, c = rng.normal(50, 3, (3, 30))
    grades = rng.integers(0, 3, 30)
    for third, names in ((2 * a + 7, "a and c"), (a - b, "a, b and c"), (np.full(30, 0.1), "c has one value")):
        with pytest.raises(Refusal, match=f"^{names} ") as refusal:
            fit_cumulative_logit(grades, np.column_stack([a, b, third]), ["a", "b", "c"])
        assert refusal.value.code == "collinear"
    assert len(fit_cumulative_logit(grades, np.column_stack([a, b, c]), ["a", "b", "c"]).params) == 5


@pytest.mark.parametrize(
    ("grades", "x", "code"),
    [
        ([1, 1, 1, 1], [[0], [1], [0], [1]], "one_level"),
        ([], np.zeros((0, 1)), "one_level"),
        ([0, 1, 0, 1], [[1], [1], [1], [1]], "collinear"),
        ([0, 1, 2, 1], [[0, 0], [1, 2], [2, 4], [3, 6]], "collinear"),
        ([0, 0, 1, 1], [[0], [1], [2], [3]], "separation"),
        ([0, 0, 1, 2, 2, 1], [[0], [0], [0], [1], [1], [0]], "separation"),
    ],
)
def test_what_cannot_be_estimated_is_refused(grades, x, code):
    x = np.array(x, dtype=float)
    with pytest.raises(Refusal) as refusal:
        fit_cumulative_logit(grades, x, [f"x{i}" for i in range(x.shape[1])])
    assert refusal.value.code == code
