"""Oracle: R logistf 1.26.1 on sex2; standard errors in the classical form (own Newton code), not logistf's."""

import numpy as np
import pytest
from scipy.special import expit

from kneeline.errors import Refusal
from kneeline.statistics.firth import fit_firth
from kneeline.statistics.ordinal import fit_cumulative_logit
from kneeline.statistics.separation import separating_parameters

# Urinary infection: pattern of age, oc, vic, vicl, vis, dia; cases / n.
SEX2 = """010000 44/86; 110000 5/19; 001000 14/16; 101000 2/2; 011000 15/16; 111000 3/4; 001100 10/18; 101100 1/3;
011100 7/12; 000010 1/2; 010010 0/1; 110010 0/1; 001010 3/4; 101010 1/1; 011010 2/2; 001110 12/30; 101110 0/4;
011110 3/9; 111110 0/2; 010001 3/3; 011001 1/1; 101011 1/1; 001111 1/1; 101111 1/1"""
NAMES = ["age", "oc", "vic", "vicl", "vis", "dia"]


@pytest.fixture(scope="module")
def sex2():
    case, x = [], []
    for cell in SEX2.split(";"):
        pattern, counts = cell.split()
        cases, n = map(int, counts.split("/"))
        case += [1] * cases + [0] * (n - cases)
        x += [[int(digit) for digit in pattern]] * n
    return np.array(case), np.array(x, dtype=float)


@pytest.fixture(scope="module")
def fit(sex2):
    return fit_firth(*sex2, NAMES)


@pytest.mark.parametrize(
    ("name", "estimate", "low", "high", "chi2", "p"),
    [
        ("intercept", 0.12025405, -0.8185591, 1.0731512, 0.06286, 0.80203),
        ("age", -1.10598131, -1.9737884, -0.3074251, 7.50773, 0.006143),
        ("oc", -0.06881673, -0.9414363, 0.7892020, 0.02467, 0.87519),
        ("vic", 2.26887464, 1.2730216, 3.4354327, 22.93139, 1.6789e-06),
        ("vicl", -2.11140817, -3.2608611, -1.1177350, 19.10407, 1.2378e-05),
        ("vis", -0.78831694, -1.6080879, 0.0151847, 3.69741, 0.054497),
        ("dia", 3.09601166, 0.7745682, 8.0302935, 7.89693, 0.0049520),
    ],
)
def test_sex2(fit, name, estimate, low, high, chi2, p):
    assert fit.params[fit.names.index(name)] == pytest.approx(estimate, rel=1e-5)
    assert fit.profile_interval(name) == pytest.approx((low, high), rel=1e-5)
    found = fit.likelihood_ratio([name])
    assert found == pytest.approx((chi2, p), rel=3e-4)


def test_sex2_whole_model(fit, sex2):
    assert (len(sex2[0]), sex2[0].sum()) == (239, 130)
    assert fit.likelihood_ratio()[0] == pytest.approx(49.09064, rel=1e-6)


def test_sex2_classical_standard_errors(fit):
    expected = [0.485542, 0.423660, 0.443793, 0.548416, 0.543082, 0.417368, 1.675008]
    assert fit.standard_errors == pytest.approx(expected, rel=1e-5)


def test_sex2_standard_errors_as_logistf_prints_them(fit, sex2):
    """logistf's form counts each row 1 + its leverage times; from the same estimates."""
    design = np.column_stack([np.ones(len(sex2[1])), sex2[1]])
    weight = expit(design @ fit.params) * expit(-design @ fit.params)
    inverse = np.linalg.inv(design.T @ (design * weight[:, None]))
    leverage = weight * np.einsum("ij,jk,ik->i", design, inverse, design)
    augmented = np.linalg.inv(design.T @ (design * (weight * (1 + leverage))[:, None]))
    printed = np.sqrt(np.diag(augmented))
    assert [printed[fit.names.index(name)] for name in ("age", "vic", "dia")] == pytest.approx(
        [0.4149, 0.5385, 1.5052], rel=1.5e-4
    )


def test_sex2_plain_maximum_likelihood(sex2):
    """R glm: with dia at infinity the women with a diaphragm say nothing about the other terms."""
    case, x = sex2
    without = x[:, 5] == 0
    fit = fit_cumulative_logit(case[without], x[without, :5], NAMES[:5])
    found = dict(zip(fit.names, fit.params, strict=True))
    assert (found["vic"], found["age"]) == pytest.approx((2.40593, -1.16439), rel=1e-5)


def running_off(case, x):
    """Parameters of a binary logit, 0 the intercept, that have no finite estimate."""
    yes, design = np.asarray(case, dtype=bool), np.column_stack([np.ones(len(case)), x])
    return separating_parameters(design[yes], design[~yes])


def test_separation_detector_fires_on_dia_alone(sex2):
    case, x = sex2
    assert [NAMES[i - 1] for i in running_off(case, x)] == ["dia"]
    with pytest.raises(Refusal, match="separated by dia:"):
        fit_cumulative_logit(case, x, NAMES)


def test_without_dia_maximum_likelihood_exists(sex2):
    case, x = sex2
    assert running_off(case, x[:, :5]) == []
    assert len(fit_cumulative_logit(case, x[:, :5], NAMES[:5]).params) == 6


# Runners with a finding at high and at low training level, 13 a group.
@pytest.mark.parametrize(
    ("high", "low", "estimate", "ends", "p"),
    [
        (6, 4, 0.604114, (-0.920152, 2.198091), 0.438004),
        (3, 0, 2.197225, (-0.287863, 7.140560), 0.088196),
        (6, 0, 3.152736, (0.807327, 8.075396), 0.005110),
    ],
)
def test_zero_cells_have_finite_estimates(high, low, estimate, ends, p):
    outcome = [1] * high + [0] * (13 - high) + [1] * low + [0] * (13 - low)
    fit = fit_firth(outcome, np.repeat([1, 0], 13), ["high"])
    assert fit.params[1] == pytest.approx(estimate, rel=1e-5)
    assert fit.profile_interval("high") == pytest.approx(ends, rel=1e-5)
    chi2, found_p = fit.likelihood_ratio(["high"])
    assert found_p == pytest.approx(p, rel=1e-4)
    if (high, low) == (6, 0):
        assert chi2 == pytest.approx(7.840006, rel=1e-6)
    if low == 0:
        assert fit.params[0] == pytest.approx(-3.295837, rel=1e-6)


def test_two_by_two_table_is_a_half_added_to_each_cell():
    # For a saturated 2x2 table the penalty is exactly Haldane's half.
    fit = fit_firth([1] * 6 + [0] * 7 + [0] * 13, np.repeat([1, 0], 13), ["high"])
    assert fit.params[1] == pytest.approx(np.log(6.5 / 7.5) - np.log(0.5 / 13.5))


def test_intervals_of_sparse_data_are_found_or_refused():
    """One or two negatives among few runners and many terms: the penalised profile may have several peaks."""
    rng = np.random.default_rng(18)
    names, n = ["rearfoot", "distance", "age", "sex", "bmi"], 18
    found = 0
    for _ in range(10):
        binary = rng.integers(0, 2, (n, 2))
        x = np.column_stack(
            [binary[:, 0], rng.normal(0, 1.5, (n, 1)), rng.normal(0, 9, (n, 1)), binary[:, 1], rng.normal(0, 2, (n, 1))]
        )
        outcome = np.ones(n)
        outcome[rng.choice(n, int(rng.integers(1, 3)), replace=False)] = 0
        try:
            fit = fit_firth(outcome, x, names)
            intervals = {name: fit.profile_interval(name) for name in names}
        except Refusal:
            continue
        for name, (low, high) in intervals.items():
            assert low < fit.params[fit.names.index(name)] < high
        found += 1
    assert found >= 3


# Heinze and Schemper 2002 (R brglm2::endometrial): neovasculation, pulsatility index, endometrium height, high grade.
ENDOMETRIAL = """
0,13,1.64,0 0,16,2.26,0 0,8,3.14,0 0,34,2.68,0 0,20,1.28,0 0,5,2.31,0 0,17,1.8,0 0,10,1.68,0 0,26,1.56,0 0,17,2.31,0
0,8,2.01,0 0,7,1.89,0 0,20,3.15,0 0,10,1.23,0 0,18,1.27,0 0,16,1.76,0 0,18,2,0 0,8,2.64,1 0,29,0.88,1 0,12,1.27,1
0,20,1.37,1 1,38,0.97,1 1,22,1.14,1 1,7,0.88,1 1,25,0.91,1 1,15,0.58,1 0,7,0.97,1 0,28,1.5,0 0,11,1.33,0 0,19,2.37,0
0,10,1.82,0 0,10,3.13,0 0,18,1.31,0 0,14,1.92,0 0,21,1.64,0 0,11,2.01,0 0,17,1.88,0 0,25,1.93,0 0,16,2.11,0
0,19,1.29,0 0,15,1.72,0 0,33,0.75,0 0,24,1.92,0 0,48,1.84,1 0,12,1.11,1 0,19,1.61,1 0,2,1.18,1 1,22,1.44,1
1,40,1.18,1 1,5,0.93,1 1,0,1.17,1 0,21,1.19,1 0,15,1.06,1 0,29,2.02,0 0,15,2.29,0 0,12,2.33,0 0,3,2.9,0 0,20,1.7,0
0,23,1.41,0 0,12,2.25,0 0,22,1.54,0 0,42,1.97,0 0,15,1.75,0 0,13,2.16,0 0,14,2.57,0 0,19,1.37,0 0,12,3.61,0
0,13,2.04,0 0,10,2.17,0 0,12,1.69,1 1,49,0.27,1 0,6,1.84,1 0,5,1.3,1 0,17,0.96,1 1,11,1.01,1 1,21,0.98,1 0,5,0.35,1
1,19,1.02,1 0,33,0.85,1
"""


@pytest.fixture(scope="module")
def endometrial():
    table = np.array([[float(value) for value in row.split(",")] for row in ENDOMETRIAL.split()])
    return table[:, 3] > 0, table[:, :3], ["NV", "PI", "EH"]


def test_endometrial_data(endometrial):
    """R logistf. Neovasculation separates the grades."""
    high, x, names = endometrial
    assert (len(high), high.sum()) == (79, 30)
    fit = fit_firth(high, x, names)
    assert fit.params == pytest.approx([3.77455951, 2.92927330, -0.03475175, -2.60416387], rel=1e-6)
    assert fit.profile_interval("NV") == pytest.approx((0.6097244, 7.8546317), rel=1e-6)
    assert fit.likelihood_ratio()[0] == pytest.approx(43.65582, rel=1e-6)
    with pytest.raises(Refusal, match="separated by NV:"):
        fit_cumulative_logit(high.astype(int), x, names)


@pytest.mark.parametrize("units", [1.0, 365.25, 1e-4])
def test_units_and_origin_of_a_term_do_not_matter(endometrial, units):
    """An index counted from 1000, in other units: only the intercept moves."""
    high, x, names = endometrial
    fit = fit_firth(high, x, names)
    other = fit_firth(high, x * [1, units, 1] + [0, 1000 * units, 0], names)
    assert other.params[2] * units == pytest.approx(fit.params[2], rel=1e-6)
    assert other.params[0] == pytest.approx(fit.params[0] - 1000 * fit.params[2], rel=1e-6)
    assert other.standard_errors[1:] * [1, units, 1] == pytest.approx(fit.standard_errors[1:], rel=1e-6)
    for name, unit in (("NV", 1), ("PI", units)):
        assert np.multiply(other.profile_interval(name), unit) == pytest.approx(fit.profile_interval(name), rel=1e-5)
        assert other.likelihood_ratio([name]) == pytest.approx(fit.likelihood_ratio([name]), rel=1e-5)


def test_a_copy_is_named():
    rng = np.random.default_rng(3)
    age, other = rng.normal(40, 9, 30), rng.normal(size=30)
    with pytest.raises(Refusal, match="age and running_years cannot be told apart") as refusal:
        fit_firth(rng.random(30) < 0.3, np.column_stack([age, other, age - 18]), ["age", "other", "running_years"])
    assert refusal.value.code == "collinear"


def test_the_ends_of_the_interval_are_where_the_likelihood_ratio_says():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(30, 2))
    fit = fit_firth(rng.random(30) < 0.3, x, ["a", "b"])
    for end in fit.profile_interval("a"):
        assert fit.likelihood_ratio(["a"], at=end)[1] == pytest.approx(0.05, abs=1e-6)


def test_gradient_and_curvature_are_derivatives():
    from kneeline.statistics.firth import _curvature, _evaluate

    rng = np.random.default_rng(3)
    design = np.column_stack([np.ones(25), rng.normal(size=(25, 2))])
    y, point, step = rng.integers(0, 2, 25).astype(float), np.array([0.3, -0.8, 1.1]), 1e-5
    sides = [(_evaluate(point + s, y, design), _evaluate(point - s, y, design)) for s in np.eye(3) * step]
    assert _evaluate(point, y, design)[1] == pytest.approx([(a[0] - b[0]) / (2 * step) for a, b in sides], rel=1e-6)
    columns = np.array([(a[1] - b[1]) / (2 * step) for a, b in sides])
    assert _curvature(point, design) == pytest.approx(-columns, rel=1e-6)
