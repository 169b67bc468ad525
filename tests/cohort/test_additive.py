import math

import pytest

from kneeline.cohort.additive import from_risks, interaction

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
