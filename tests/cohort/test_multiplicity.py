import pytest

from kneeline.cohort.multiplicity import adjust_p_values, benjamini_hochberg, holm
from kneeline.cohort.settings import Settings

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
