import itertools
import math

import numpy as np
import pytest
from scipy import stats

from kneeline.statistics.exact import (
    binomial_p,
    conditional_odds_ratio,
    fisher_p,
    midp_odds_ratio,
    rank_sum,
    risk_difference,
    sample_odds_ratio,
    sign_test_p,
    signed_rank,
)

MENISCUS = [[6, 7], [4, 9]]


def test_binomial_against_one_half():
    assert binomial_p(13, 22) == pytest.approx(0.523467, rel=1e-4)


# R fisher.test: p, conditional odds ratio, exact interval.
@pytest.mark.parametrize(
    ("table", "p", "estimate", "ends"),
    [
        (MENISCUS, 0.688168, 1.879760, (0.299976, 13.108639)),
        ([[3, 10], [1, 12]], 0.593043, 3.433959, (0.232741, 204.428)),
        ([[1, 12], [2, 11]], 1.0, 0.471962, (0.007180, 10.277582)),
        ([[4, 9], [3, 10]], 1.0, 1.459212, (0.187327, 12.853363)),
        ([[3, 10], [2, 11]], 1.0, 1.618604, None),
        # R prints 0.211733 and 621.9338: its root search stops early. At 626.2435 the lower tail is 0.025.
        ([[3, 1], [1, 3]], 0.485714, 6.408309, (0.2117356, 626.2435)),
    ],
)
def test_conditional_odds_ratio(table, p, estimate, ends):
    effect = conditional_odds_ratio(table)
    assert effect.p_value == pytest.approx(p, rel=1e-4)
    assert effect.estimate == pytest.approx(estimate, rel=1e-4)
    if ends:
        assert (effect.low, effect.high) == pytest.approx(ends, rel=1e-4)


def test_zero_cell_has_an_open_upper_end():
    effect = conditional_odds_ratio([[6, 7], [0, 13]])
    assert effect.p_value == pytest.approx(0.01491, rel=1e-3)
    assert effect.low == pytest.approx(1.556409, rel=1e-4)
    assert effect.high == math.inf


def test_midp_odds_ratio():
    # R epitools::oddsratio.midp, which stops its root search a little early.
    effect = midp_odds_ratio(MENISCUS)
    assert (effect.estimate, effect.low, effect.high) == pytest.approx((1.863502, 0.365860, 10.42944), rel=1e-4)


def test_midp_interval_lies_inside_the_exact_one():
    exact, midp = conditional_odds_ratio(MENISCUS), midp_odds_ratio(MENISCUS)
    assert exact.low < midp.low < midp.high < exact.high


def test_midp_with_a_zero_cell_is_open_on_one_side():
    upper, lower = midp_odds_ratio([[3, 10], [0, 13]]), midp_odds_ratio([[0, 13], [3, 10]])
    assert (upper.estimate, upper.high) == (math.inf, math.inf)
    assert (lower.estimate, lower.low) == (0, 0)
    assert upper.low == pytest.approx(1 / lower.high)


def test_sample_odds_ratio_and_wald():
    effect = sample_odds_ratio(MENISCUS)
    assert math.log(effect.estimate) == pytest.approx(0.656780, rel=1e-4)
    se = (math.log(effect.high) - math.log(effect.low)) / 2 / stats.norm.ppf(0.975)
    assert se == pytest.approx(0.818923, rel=1e-4)
    assert effect.p_value == pytest.approx(0.422551, rel=1e-4)


@pytest.mark.parametrize(
    ("table", "estimate"),
    [([[3, 10], [1, 12]], 3.6), ([[4, 9], [3, 10]], 1.481481), ([[3, 10], [2, 11]], 1.65), ([[6, 10], [4, 6]], 0.9)],
)
def test_sample_odds_ratio_of_published_counts(table, estimate):
    assert sample_odds_ratio(table).estimate == pytest.approx(estimate, rel=1e-4)


def test_risk_difference():
    effect = risk_difference(MENISCUS)
    assert effect.estimate == pytest.approx(0.153846, rel=1e-4)
    # statsmodels has the same interval of Newcombe under another roof.
    from statsmodels.stats.proportion import confint_proportions_2indep

    assert (effect.low, effect.high) == pytest.approx(confint_proportions_2indep(6, 13, 4, 13, method="newcomb"))


def test_fisher_of_a_two_by_three_table():
    assert fisher_p([[10, 1, 2], [9, 3, 1]]) == pytest.approx(0.6802, rel=1e-4)


def test_fisher_of_job_satisfaction():
    """R fisher.test(Job): 4 x 4, 96 people."""
    job = [[1, 3, 10, 6], [2, 3, 10, 7], [1, 6, 14, 12], [0, 1, 9, 11]]
    assert fisher_p(job) == pytest.approx(0.78268, rel=1e-4)


@pytest.mark.parametrize(
    "table",
    [[[3, 1, 0, 0], [0, 1, 2, 2]], [[2, 0, 1], [0, 3, 0], [1, 0, 2]], [[2, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 2]]],
)
def test_fisher_adds_up_every_table_with_these_margins(table):
    """Brute force: all tables of the same margins, each with its probability."""
    table = np.array(table)
    shape = table.shape
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    free = [range(min(rows[i], columns[j]) + 1) for i in range(shape[0] - 1) for j in range(shape[1] - 1)]
    weights = {}
    for cells in itertools.product(*free):
        inner = np.array(cells).reshape(shape[0] - 1, shape[1] - 1)
        last_row = columns[:-1] - inner.sum(axis=0)
        last_column = rows - np.append(inner.sum(axis=1), last_row.sum())
        whole = np.column_stack([np.vstack([inner, last_row]), last_column])
        if whole.min() >= 0:
            weights[tuple(whole.ravel())] = 1 / math.prod(math.factorial(int(n)) for n in whole.ravel())
    observed = weights[tuple(table.ravel())]
    expected = sum(w for w in weights.values() if w <= observed * (1 + 1e-7)) / sum(weights.values())
    assert 0.001 < expected < 0.5
    assert fisher_p(table) == pytest.approx(expected)


def test_fisher_with_an_empty_third_column_is_the_two_by_two_test():
    assert fisher_p([[6, 7, 0], [4, 9, 0]]) == pytest.approx(fisher_p(MENISCUS))


def test_sign_tests():
    assert sign_test_p(5, 0) == pytest.approx(0.0625)
    assert sign_test_p(5, 1) == pytest.approx(0.21875)
    assert sign_test_p(0, 0) == 1


def test_signed_rank_of_the_marathon_totals():
    found = signed_rank([1, 1] + [0] * 20)
    assert found.exact_p == 0.5
    assert (found.z, found.asymptotic_p) == pytest.approx((1.41421, 0.157299), rel=1e-4)
    assert (found.z_without_ties, found.asymptotic_p_without_ties) == pytest.approx((1.34164, 0.179712), rel=1e-4)


def test_signed_rank_of_hamilton_depression_scores():
    # Hollander and Wolfe 1973, as in R ?wilcox.test: V 40, one-sided p 0.01953.
    first = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    second = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    found = signed_rank([a - b for a, b in zip(first, second, strict=True)])
    assert found.v == 40
    assert found.exact_p_greater == pytest.approx(0.019531, rel=1e-4)


def test_signed_rank_turns_with_the_sign():
    differences = [1, -2, 2, 3, 0, 4, -1]
    there, back = signed_rank(differences), signed_rank([-d for d in differences])
    assert there.exact_p == pytest.approx(back.exact_p)
    assert there.z == pytest.approx(-back.z)


def test_signed_rank_needs_a_change():
    with pytest.raises(ValueError, match="all are zero"):
        signed_rank([0, 0])


def test_rank_sum_of_cartilage_grades():
    # R wilcox.test(exact = FALSE, correct = FALSE) and coin::wilcox_test(distribution = "exact").
    found = rank_sum([0] * 10 + [1] + [2] * 2, [0] * 9 + [1] * 3 + [2])
    assert found.w == 80.5
    assert found.asymptotic_p == pytest.approx(0.7921, rel=1e-3)
    assert found.exact_p == pytest.approx(0.9822, rel=1e-4)


def test_rank_sum_without_ties_is_scipys_exact_test():
    first, second = [1.1, 2.5, 3.7, 9.0], [0.3, 4.4, 5.2, 6.1, 7.9]
    expected = stats.mannwhitneyu(first, second, method="exact")
    found = rank_sum(first, second)
    assert (found.w, found.exact_p) == pytest.approx((expected.statistic, expected.pvalue))
