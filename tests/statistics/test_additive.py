import math

import numpy as np
import pytest

from kneeline.statistics.additive import from_logs, from_risks, interaction, log_risk, logs_of, measures, mover

# Rothman and Keller 1972, oral cancer (controls, cases): neither, alcohol only, smoking only, both.
ORAL_CANCER = [(20, 3), (12, 6), (18, 8), (166, 225)]


def from_odds(cells):
    """What R epiR prints for a case-control design; the stage itself uses risks, by the same delta method."""
    return interaction(cells, lambda no, yes: (math.log(yes / no), 1 / yes + 1 / no))


def test_rothman_and_keller():
    # R epiR::epi.interaction; Hosmer and Lemeshow 1992 print 3.74 (-1.84, 9.32).
    found = from_odds(ORAL_CANCER)
    assert found.relative == pytest.approx((3.333333, 2.962963, 9.036145), rel=1e-6)
    for effect, expected in (
        (found.reri, (3.739848, -1.836675, 9.316372)),
        (found.ap, (0.413877, -0.073063, 0.900816)),
        (found.s, (1.870482, 0.646043, 5.415585)),
    ):
        assert (effect.estimate, effect.low, effect.high) == pytest.approx(expected, rel=1e-4)
    # Below 1 while RERI is above 0: on the odds ratios' own scale the two exposures are together less than apart.
    assert found.relative[2] / (found.relative[0] * found.relative[1]) == pytest.approx(0.914910, rel=1e-5)
    assert (found.reri.high - found.reri.low) / 2 / 1.959964 == pytest.approx(2.845217, rel=1e-5)


def test_exactly_additive_risks():
    found = from_risks([(90, 10), (80, 20), (70, 30), (60, 40)])
    assert found.reri.estimate == pytest.approx(0)
    assert found.ap.estimate == pytest.approx(0)
    assert found.s.estimate == pytest.approx(1)
    assert found.reri.low < 0 < found.reri.high


def test_the_two_exposures_may_change_places():
    neither, first, second, both = ORAL_CANCER
    there, back = from_odds(ORAL_CANCER), from_odds([neither, second, first, both])
    assert vars(there.reri) == pytest.approx(vars(back.reri))


def test_s_is_missing_when_the_excess_risks_have_opposite_signs():
    assert from_risks([(50, 50), (60, 40), (60, 40), (40, 60)]).s is None


def test_rare_findings_have_the_same_reri_on_both_scales():
    cells = [(10**7, 100), (10**7, 200), (10**7, 300), (10**7, 900)]
    assert from_odds(cells).reri.estimate == pytest.approx(from_risks(cells).reri.estimate, rel=1e-3)
    assert math.isclose(from_risks(cells).reri.estimate, 9 - 2 - 3 + 1, rel_tol=1e-3)


# --- MOVER ------------------------------------------------------------------------------------------------------------


def _log_odds(no, yes):
    return math.log(yes / no), 1 / yes + 1 / no


def test_mover_of_rothman_and_keller():
    # Zou 2008; R interactionR prints 3.74 [-11.43, 21.87].
    reri, ap = mover(*logs_of(ORAL_CANCER, _log_odds))
    assert (reri.estimate, reri.low, reri.high) == pytest.approx((3.739848, -11.43, 21.87), abs=0.005)
    assert ap.estimate == pytest.approx(0.413877, rel=1e-5)
    assert ap.low < -0.073063  # the delta method's: MOVER's is skewed to the left
    assert ap.high < 1  # the greatest value that AP can have


def test_mover_is_the_delta_method_in_large_samples():
    cells = [(90_000, 10_000), (80_000, 20_000), (70_000, 30_000), (20_000, 80_000)]
    logs, covariance = logs_of(cells, log_risk)
    delta = from_logs(logs, covariance)
    for recovered, expected in zip(mover(logs, covariance), (delta.reri, delta.ap), strict=True):
        assert recovered.estimate == pytest.approx(expected.estimate)
        assert (recovered.low, recovered.high) == pytest.approx((expected.low, expected.high), rel=0.01)


def test_mover_ends_are_those_of_the_ratio_when_one_cell_alone_is_uncertain():
    """With three cells known, RERI is a ratio less 4: its ends follow from those of the ratio."""
    logs, covariance = np.log([0.1, 0.2, 0.3, 0.8]), np.diag([1e-12, 1e-12, 1e-12, 0.04])
    ratio = 8 * np.exp(np.array([-1, 1]) * 1.959964 * 0.2)
    reri, _ = mover(logs, covariance)
    assert (reri.low, reri.high) == pytest.approx(tuple(ratio - 4), rel=1e-4)


def test_more_degrees_of_freedom_give_narrower_intervals():
    logs, covariance = logs_of([(80, 20), (70, 30), (60, 40), (20, 80)], log_risk)
    narrow, wide = mover(logs, covariance)[0], mover(logs, covariance, df=9)[0]
    assert wide.low < narrow.low < narrow.high < wide.high


# --- many sets of risks at once ---------------------------------------------------------------------------------------


def test_measures_are_those_of_the_cells():
    cells = [(90, 10), (80, 20), (70, 30), (20, 80)]
    found, risks = from_risks(cells), np.array([0.1, 0.2, 0.3, 0.8])
    assert measures(np.stack([risks, risks]))[1] == pytest.approx(
        (found.reri.estimate, found.ap.estimate, found.s.estimate)
    )


def test_measures_that_are_not_defined_are_nan():
    assert np.isnan(measures(np.array([0.0, 0.2, 0.3, 0.8]))).tolist() == [True, False, False]
    assert np.isnan(measures(np.array([0.5, 0.4, 0.4, 0.6]))).tolist() == [False, False, True]
