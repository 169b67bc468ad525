import pytest
from scipy.stats import binom

from kneeline.statistics.intervals import clopper_pearson, effective_n, wilson

# R binom.test, except Wilson: R prop.test without continuity correction.


def test_wilson_of_the_effusions_before_the_marathon():
    assert wilson(13, 22) == pytest.approx((0.387348, 0.767442), rel=1e-4)


def test_wilson_of_any_signal_in_92_horns():
    assert wilson(43, 92) == pytest.approx((0.368801, 0.568595), rel=1e-4)


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [
        (13, 22, 0.363547, 0.792907),
        (14, 22, 0.406577, 0.828021),
        (18, 20, 0.683017, 0.987651),
        (5, 10, 0.187086, 0.812914),
        (8, 22, 0.171979, 0.593423),
        # The reference sheet prints 0.454704, a slip of a digit: at 0.453704 the lower tail of 5 in 22 is 0.025.
        (5, 22, 0.078206, 0.453704),
    ],
)
def test_clopper_pearson(count, n, low, high):
    assert clopper_pearson(count, n) == pytest.approx((low, high), rel=1e-4)


def test_the_upper_end_for_5_of_22_leaves_a_fortieth_below():
    assert binom.cdf(5, 22, clopper_pearson(5, 22).high) == pytest.approx(0.025)


def test_ends_at_none_and_at_all():
    for interval in (wilson, clopper_pearson):
        assert interval(0, 20).low == 0
        assert interval(20, 20).high == 1
    # The rule of three's exact form: 1 - 0.025 ** (1 / n).
    assert clopper_pearson(0, 20).high == pytest.approx(1 - 0.025 ** (1 / 20))


def test_no_observation_has_no_interval():
    with pytest.raises(ValueError, match="n > 0"):
        wilson(0, 0)


def test_one_knee_a_runner_counts_fully():
    assert effective_n([True, False, True], ["a", "b", "c"]) == 3


def test_two_knees_that_always_agree_count_once():
    positive = [True, True, False, False, True, True, False, False] * 10
    runners = [i // 2 for i in range(80)]
    # 40 runners tell as much as 40 knees; the factor G/(G - 1) takes one off.
    assert effective_n(positive, runners) == pytest.approx(40, abs=1.01)


def test_two_knees_without_correlation_count_twice():
    positive = [True, True, False, False, True, False, False, True] * 10
    # Of 40 pairs 10 are both, 10 neither: variance 40/39 of 20 squared deviations over 80 squared; a quarter over that.
    assert effective_n(positive, [i // 2 for i in range(80)]) == pytest.approx(78)


def test_knees_all_alike_count_as_runners():
    assert effective_n([False] * 6, ["a", "a", "b", "b", "c", "c"]) == 3
