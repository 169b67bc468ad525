"""Trust: which sizes, places and confidences make ok, review or unusable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kneeline.errors import Refusal
from kneeline.labels import CARTILAGES, MENISCI, Label
from kneeline.segment import verdict
from kneeline.segment.anatomy import Anatomy

GOOD_ML = {
    Label.FEMUR: 180.0,
    Label.TIBIA: 140.0,
    Label.PATELLA: 20.0,
    Label.FEMORAL_CARTILAGE: 14.0,
    Label.MEDIAL_TIBIAL_CARTILAGE: 2.4,
    Label.LATERAL_TIBIAL_CARTILAGE: 2.6,
    Label.PATELLAR_CARTILAGE: 3.0,
    Label.MEDIAL_MENISCUS: 2.4,
    Label.LATERAL_MENISCUS: 2.2,
}
# A man's knee of middle size.
GOOD = Anatomy(
    GOOD_ML,
    drop_mm=62,
    facing=0.85,
    gap_mm=8,
    filled=0.98,
    femur_width_mm=82,
    tibia_width_mm=76,
    femur_depth_mm=62,
    tibia_depth_mm=49,
    patella_front_mm=40,
    patella_above_mm=30,
    menisci_apart_mm=48,
    meniscus_length_mm=43,
)
SURE = dict.fromkeys(GOOD_ML, 0.99) | {Label.JOINT_FLUID: 0.99}


def without(*labels: Label, **ml: float) -> Anatomy:
    volumes = {k: v for k, v in GOOD_ML.items() if k not in labels}
    return replace(GOOD, volumes_ml=volumes | {Label[name.upper()]: v for name, v in ml.items()})


def test_a_normal_knee_is_ok():
    assert verdict.judge(GOOD, SURE) == ("ok", None)


def test_what_could_not_be_measured_speaks_neither_way():
    assert verdict.judge(Anatomy(GOOD_ML), {}) == ("ok", None)


@pytest.mark.parametrize(
    ("found", "expected", "words"),
    [
        (without(Label.FEMUR), "unusable", "femur is missing"),
        (without(tibia=10.0), "unusable", "tibia is missing or too small"),
        (without(*MENISCI.values()), "unusable", "no meniscus"),
        (without(medial_meniscus=0.1, lateral_meniscus=0.1), "unusable", "no meniscus"),
        (without(*CARTILAGES), "unusable", "no cartilage"),
        (without(Label.LATERAL_MENISCUS), "review", "lateral meniscus not found"),
        (without(medial_meniscus=0.4), "review", "medial meniscus of 0.4 mL"),
        (without(medial_meniscus=7.0), "review", "medial meniscus of 7.0 mL"),
        (without(Label.PATELLA, Label.PATELLAR_CARTILAGE), "review", "patella not found"),
        (without(Label.FEMORAL_CARTILAGE), "review", "femoral cartilage not found"),
        (replace(GOOD, tibia_width_mm=48, cut_at_side=True), "review", "only 48 mm of the knee"),
    ],
)
def test_what_is_missing_or_of_strange_size_is_said_in_words(found, expected, words):
    judged, reason = verdict.judge(found, SURE)
    assert judged == expected
    assert words in reason


@pytest.mark.parametrize(("name", "least", "most"), [bound[:3] for bound in verdict.BOUNDS])
def test_a_place_or_size_beyond_its_bounds_is_no_knee(name, least, most):
    assert least < getattr(GOOD, name) < most
    for value in (least - 0.2, most + 0.2):
        judged, reason = verdict.judge(replace(GOOD, **{name: value}), SURE)
        assert judged == "unusable"
        assert f"{least:g} to {most:g} expected" in reason


def test_a_small_knee_that_is_wholly_in_view_is_ok():
    assert verdict.judge(replace(GOOD, femur_width_mm=52, tibia_width_mm=50), SURE) == ("ok", None)


def test_an_unsure_network_asks_for_review():
    found, reason = verdict.judge(GOOD, SURE | {Label.LATERAL_MENISCUS: 0.4})
    assert found == "review"
    assert "only 40% of the lateral meniscus" in reason


@pytest.mark.parametrize("label", verdict.LEAST_CONFIDENCE)
def test_each_structure_that_is_measured_has_a_bound(label):
    least, found = verdict.LEAST_CONFIDENCE[label], without(joint_fluid=12.0)
    assert verdict.judge(found, SURE | {label: least + 0.005}) == ("ok", None)
    judged, reason = verdict.judge(found, SURE | {label: least - 0.006})
    assert judged == "review"
    assert f"of the {label.words} expected to be right" in reason


def test_a_film_of_fluid_may_be_unsure():
    assert verdict.judge(without(joint_fluid=3.0), SURE | {Label.JOINT_FLUID: 0.5}) == ("ok", None)


def test_one_cause_is_one_doubt():
    judged, reason = verdict.judge(GOOD, dict.fromkeys(SURE, 0.7))
    assert judged == "review"
    assert ";" not in reason
    assert "70% of the femur, 70% of the tibia" in reason


def test_wide_edges_ask_for_review_and_wider_ones_end_it():
    assert verdict.judge(GOOD, SURE, verdict.MOST_EDGE_MM - 0.1) == ("ok", None)
    judged, reason = verdict.judge(GOOD, SURE, 3.7)
    assert judged == "review"
    assert "3.7 mm wide" in reason
    judged, reason = verdict.judge(GOOD, SURE, 5.1)
    assert judged == "unusable"
    assert "5.1 mm wide" in reason
    assert "no signal can be read" in reason


def test_many_doubts_are_one_too_many():
    doubtful = without(Label.LATERAL_MENISCUS, Label.PATELLA, medial_meniscus=0.5)
    assert verdict.judge(doubtful, SURE)[0] == "review"
    judged, reason = verdict.judge(doubtful, SURE | {Label.TIBIA: 0.7})
    assert judged == "unusable"
    assert reason.count(";") == 3


@pytest.mark.parametrize(
    ("volumes", "above"),
    [({}, True), ({Label.FEMUR: 3.0, Label.TIBIA: 2.0}, True), ({Label.FEMUR: 150.0}, True), (GOOD_ML, False)],
)
def test_no_knee_is_refused(volumes, above):
    with pytest.raises(Refusal) as refusal:
        verdict.check_is_knee(volumes, above)
    assert refusal.value.code == "not_a_knee"


def test_a_knee_is_not_refused():
    verdict.check_is_knee(GOOD_ML, True)
