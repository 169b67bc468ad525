"""Trust: which volumes and probabilities make ok, review or unusable."""

from __future__ import annotations

import pytest

from kneeline.errors import Refusal
from kneeline.labels import Label
from kneeline.segment import verdict

GOOD_ML = {
    Label.FEMUR: 180.0,
    Label.TIBIA: 140.0,
    Label.PATELLA: 20.0,
    Label.FEMORAL_CARTILAGE: 14.0,
    Label.MEDIAL_MENISCUS: 2.4,
    Label.LATERAL_MENISCUS: 2.2,
}
SURE = dict.fromkeys(GOOD_ML, 0.95)


def test_a_normal_knee_is_ok():
    assert verdict.judge(GOOD_ML, SURE) == ("ok", None)


@pytest.mark.parametrize(
    ("change", "expected", "words"),
    [
        ({Label.FEMUR: None}, "unusable", "femur is missing"),
        ({Label.TIBIA: 10.0}, "unusable", "tibia is missing or too small"),
        ({Label.MEDIAL_MENISCUS: None, Label.LATERAL_MENISCUS: None}, "unusable", "no meniscus"),
        ({Label.LATERAL_MENISCUS: None}, "review", "lateral meniscus not found"),
        ({Label.MEDIAL_MENISCUS: 0.4}, "review", "medial meniscus of 0.4 mL"),
        ({Label.MEDIAL_MENISCUS: 7.0}, "review", "medial meniscus of 7.0 mL"),
        ({Label.PATELLA: None}, "review", "patella not found"),
    ],
)
def test_implausible_volumes_are_said_in_words(change, expected, words):
    volumes = {k: v for k, v in (GOOD_ML | change).items() if v is not None}
    found, reason = verdict.judge(volumes, SURE)
    assert found == expected
    assert words in reason


def test_an_unsure_network_asks_for_review():
    found, reason = verdict.judge(GOOD_ML, SURE | {Label.LATERAL_MENISCUS: 0.4})
    assert found == "review"
    assert "unsure of the lateral meniscus" in reason
    assert "0.40" in reason


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
