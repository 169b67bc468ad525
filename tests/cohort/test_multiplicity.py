import pytest

from kneeline.cohort.multiplicity import adjust_p_values, benjamini_hochberg, holm
from kneeline.cohort.settings import Settings, read_settings

# R p.adjust.
P = [0.001, 0.02, 0.03, 0.04, 0.5]


def test_holm():
    assert holm(P) == pytest.approx([0.005, 0.08, 0.09, 0.09, 0.5])


def test_benjamini_hochberg():
    assert benjamini_hochberg(P) == pytest.approx([0.005, 0.05, 0.05, 0.05, 0.5])


def test_nothing_to_adjust():
    assert holm([]) == benjamini_hochberg([]) == []


def test_only_secondary_exposure_contrasts_are_adjusted():
    def row(model, outcome, term, p, status="estimated"):
        return {"model": model, "outcome": outcome, "term": term, "p_value": p, "status": status}

    rows = [
        row("cumulative_logit_adjusted", "signal_grade", "rearfoot", 0.01),
        row("cumulative_logit_adjusted", "effusion_grade", "rearfoot", 0.01),
        row("cumulative_logit_adjusted", "effusion_grade", "age_years", 0.001),
        row("linear_adjusted", "log_fluid_ml", "rearfoot", 0.04),
        row("linear_interaction", "log_fluid_ml", "rearfoot", None, "refused"),
        row("cumulative_logit_crude_strike", "effusion_grade", "rearfoot", 0.002),
    ]
    adjust_p_values(rows, Settings())
    assert [r.get("p_adjusted") for r in rows] == [None, 0.02, None, 0.04, None, None]


def test_the_secondary_ones_share_a_false_discovery_rate():
    """0.01, 0.03 and 0.04: by Benjamini and Hochberg 0.03, 0.04, 0.04; Holm would give 0.03, 0.06, 0.06."""
    rows = [
        {"model": "cumulative_logit_adjusted", "outcome": outcome, "term": "rearfoot", "p_value": p}
        for outcome, p in (("effusion_grade", 0.01), ("cartilage_grade", 0.04), ("marrow_grade", 0.03))
    ]
    adjust_p_values(rows, Settings())
    assert [row["p_adjusted"] for row in rows] == pytest.approx([0.03, 0.04, 0.04])


def test_co_primary_outcomes_share_their_level_contrast_by_contrast():
    settings = read_settings({"co_primary": ["effusion_grade"], "exposures": ["strike", "weekly_distance"]})
    rows = [
        {"model": "cumulative_logit_adjusted", "outcome": outcome, "term": term, "p_value": p, "status": "estimated"}
        for outcome, term, p in (
            ("signal_grade", "rearfoot", 0.03),
            ("signal_grade", "distance_per_10_km", 0.5),
            ("effusion_grade", "rearfoot", 0.02),
            ("effusion_grade", "distance_per_10_km", 0.01),
            ("cartilage_grade", "rearfoot", 0.2),
        )
    ]
    adjust_p_values(rows, settings)
    # Holm of two: the smaller one doubled, the larger no smaller than that; cartilage is a family of its own.
    assert [row["p_adjusted"] for row in rows] == pytest.approx([0.04, 0.5, 0.04, 0.02, 0.2])
