import math

import pytest

from kneeline.cohort.design import by_runner, complete_cases, term_value
from kneeline.cohort.outcomes import outcome_value
from kneeline.cohort.settings import Settings, read_settings
from kneeline.config import ANALYSIS_DEFAULTS
from kneeline.errors import UsageError

SETTINGS = Settings()


def _knee(**values):
    knee = {
        "participant_id": "sub-001",
        "strike_style": "rearfoot",
        "weekly_distance_km": 52.0,
        "sex": "M",
        "age_years": 40.0,
        "bmi_kg_m2": 22.0,
        "signal_grade": 1,
        "fluid_ml": 6.0,
        "pouch_in_view": True,
    }
    return knee | values


def test_distance_is_counted_from_the_cut_in_units():
    assert term_value(_knee(), "distance_per_10_km", SETTINGS) == 2
    assert term_value(_knee(weekly_distance_km=22), "rearfoot:distance_per_10_km", SETTINGS) == -1
    assert term_value(_knee(strike_style="mixed"), "rearfoot:distance_per_10_km", SETTINGS) == 0
    assert term_value(_knee(strike_style=None), "rearfoot:distance_per_10_km", SETTINGS) is None


def test_a_distance_at_the_cut_is_above_it():
    assert SETTINGS.distance_group(32.0) == "from_32_km"
    assert SETTINGS.distance_group(31.9) == "below_32_km"
    assert term_value(_knee(weekly_distance_km=32.0), "distance_from_32_km", SETTINGS) == 1


def test_fluid_of_a_cut_off_pouch_is_missing():
    assert outcome_value(_knee(), "log_fluid_ml") == pytest.approx(math.log(6))
    assert outcome_value(_knee(pouch_in_view=False), "log_fluid_ml") is None
    assert outcome_value(_knee(pouch_in_view=None), "log_fluid_ml") is None
    assert outcome_value(_knee(fluid_in_view=False), "log_fluid_ml") is None
    assert outcome_value(_knee(fluid_ml=0.0), "log_fluid_ml") == pytest.approx(math.log(0.1))


def test_complete_cases_say_what_was_missing():
    other = _knee(strike_style="forefoot", weekly_distance_km=20.0)
    knees = [_knee(), _knee(signal_grade=None), _knee(weekly_distance_km=None), other]
    data = complete_cases(knees, "signal_grade", ["rearfoot", "distance_per_10_km"], SETTINGS)
    assert len(data.y) == 2
    assert data.missing == {"signal_grade": 1, "rearfoot": 0, "distance_per_10_km": 1}
    assert (
        data.missing_note == "complete cases; knees left out for a missing value: signal_grade 1, distance_per_10_km 1"
    )


def test_a_constant_term_takes_its_product_with_it():
    knees = [_knee(weekly_distance_km=d) for d in (10.0, 20.0, 50.0)]
    data = complete_cases(
        knees, "signal_grade", ["rearfoot", "distance_per_10_km", "rearfoot:distance_per_10_km"], SETTINGS
    )
    assert data.terms == ("distance_per_10_km",)
    why = "constant: rearfoot has one value in all 1 runners"
    assert data.left_out == {"rearfoot": why, "rearfoot:distance_per_10_km": why}


def test_a_covariate_that_is_recorded_of_nobody_does_not_empty_the_model():
    knees = [_knee(pace_min_per_km=None), _knee(strike_style="forefoot", pace_min_per_km=None)]
    data = complete_cases(knees, "signal_grade", ["rearfoot", "pace_min_per_km"], SETTINGS)
    assert (data.terms, len(data.y), data.missing_note) == (("rearfoot",), 2, None)
    assert data.left_out == {"pace_min_per_km": "unrecorded: no runner has a value of pace_min_per_km"}


def test_a_constant_that_few_have_does_not_empty_the_model():
    knees = [
        _knee(strike_style=style, running_years=10.0 if not i else None)
        for i, style in enumerate(["rearfoot", "forefoot"] * 3)
    ]
    data = complete_cases(knees, "signal_grade", ["rearfoot", "running_years"], SETTINGS)
    assert (data.terms, len(data.y), data.missing_note) == (("rearfoot",), 6, None)
    assert data.left_out["running_years"] == "constant: running_years has one value in all 1 runners who have it"


def test_a_term_that_is_constant_among_the_complete_cases_is_named():
    """Two thirds are women, but all with a body mass index are men; and nobody comes back for that."""
    knees = [
        _knee(participant_id=f"sub-{i}", sex="F" if bmi is None else "M", bmi_kg_m2=bmi, age_years=30.0 + i)
        for i, bmi in enumerate([20.0, 25.0, 22.0, *[None] * 6])
    ]
    data = complete_cases(knees, "signal_grade", ["sex_M", "bmi_kg_m2", "age_years"], SETTINGS)
    assert (data.terms, len(data.y)) == (("bmi_kg_m2", "age_years"), 3)
    assert data.left_out == {"sex_M": "constant: sex_M has one value in all 3 runners"}
    assert data.missing_note == "complete cases; knees left out for a missing value: bmi_kg_m2 6"


def test_no_complete_case_is_told_as_such():
    knees = [_knee(bmi_kg_m2=None, age_years=30.0), _knee(bmi_kg_m2=20.0, age_years=None)] * 2
    knees += [_knee(bmi_kg_m2=None, age_years=40.0), _knee(bmi_kg_m2=25.0, age_years=None)]
    data = complete_cases(knees, "signal_grade", ["bmi_kg_m2", "age_years"], SETTINGS)
    assert (len(data.y), data.left_out) == (0, {})


def test_a_runner_counts_with_the_worse_knee():
    knees = [_knee(), _knee(signal_grade=3), _knee(participant_id="sub-000", signal_grade=None)]
    rows = by_runner(knees, "signal_grade")
    assert [(row["participant_id"], row["signal_grade"], row["n_knees"]) for row in rows] == [("sub-001", 3, 2)]
    assert knees[0]["signal_grade"] == 1


def test_settings_tell_every_fault():
    with pytest.raises(UsageError) as error:
        read_settings(
            {"primary_outcome": "pain", "distance_cut_km": 0, "adjustment": {"main": ["shoe_size"]}, "typo": 1}
            | {"co_primary": ["effusion_grade"], "outcomes": ["signal_grade"], "n_imputations": 1}
        )
    said = ("6 fault(s)", "typo", "signal_grade or effusion_grade", "distance_cut_km", "shoe_size", "n_imputations")
    for word in (*said, "'effusion_grade' is primary or co-primary and must be among them"):
        assert word in str(error.value)


def test_settings_name_their_terms():
    settings = read_settings({"distance_unit_km": 5, "distance_cut_km": 40.5})
    assert (settings.distance_term, settings.cut_term) == ("distance_per_5_km", "distance_from_40.5_km")


def test_an_empty_block_means_the_defaults_of_the_config():
    """Also that no default is left out here: a setting that the config does not know is a fault."""
    assert set(vars(read_settings({}))) == set(ANALYSIS_DEFAULTS)
    assert read_settings({}) == read_settings(ANALYSIS_DEFAULTS)
    assert read_settings({}).adjust == tuple(ANALYSIS_DEFAULTS["adjustment"]["main"])


def test_what_was_decided_beforehand_comes_first():
    settings = read_settings({"primary_outcome": "effusion_grade", "co_primary": ["log_fluid_ml"]})
    assert settings.ordered_outcomes[:3] == ("effusion_grade", "log_fluid_ml", "signal_grade")
    roles = [settings.role(name) for name in settings.ordered_outcomes[:3]]
    assert roles == ["primary", "co_primary", "secondary"]
    assert settings.graded_outcomes == ("effusion_grade", "signal_grade", "cartilage_grade", "marrow_grade")
