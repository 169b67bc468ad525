"""What is printed of one knee, beside the tables that the stages' own tests hold."""

import json

import pytest

from kneeline import single

PD = {
    "series": 1,
    "chosen": True,
    "plane": "sagittal",
    "contrast": "PD",
    "n_slices": 24,
    "n_echoes": 8,
    "slice_spacing_mm": 4.0000001,
    "pixel_mm": 0.625,
}
T2 = PD | {"series": 2, "chosen": False, "contrast": "T2"}
REFUSED = {"series": 3, "chosen": False, "reason_code": "too_few_slices", "reason": "expected more", "n_slices": 1}


@pytest.mark.parametrize(
    ("series", "echo_time_ms", "words"),
    [
        ([PD], None, "read: PD, 24 slices every 4 mm, pixels of 0.625 mm"),
        (
            [T2 | {"chosen": True}, REFUSED],
            18.9,
            "read: T2, 24 slices every 4 mm, pixels of 0.625 mm, echo time 18.9 ms, number 2 of 2 series found",
        ),
        ([PD | {"contrast": None}], None, "read: contrast not known, 24 slices every 4 mm, pixels of 0.625 mm"),
    ],
)
def test_the_series_that_was_read_is_named(series, echo_time_ms, words):
    assert single.series_words(series, echo_time_ms) == words


@pytest.fixture
def knee():
    return single.ScoredKnee(
        image=None,
        labels=None,
        laterality="R",
        laterality_source="fibula",
        verdict="review",
        verdict_reason="lateral meniscus not found",
        confidence={},
        meniscus=[],
        extrusion=[],
        effusion={},
        cartilage=[],
        marrow=[],
        contrast="PD",
        echo_time_ms=18.9,
        series=[PD, T2, REFUSED],
    )


def test_a_program_is_told_of_every_series(knee):
    told = json.loads(single.as_json(knee))
    assert [(row["chosen"], row["contrast"]) for row in told["series"]] == [(True, "PD"), (False, "T2"), (False, None)]
    assert told["series"][2]["reason_code"] == "too_few_slices"
    assert told["series"][0]["slice_spacing_mm"] == 4
    assert told["echo_time_ms"] == 18.9
    assert not any("scan_id" in row for row in told["series"])


def test_a_person_is_told_of_side_verdict_and_series_first(knee):
    assert single.as_text(knee).splitlines()[:2] == [
        "right knee (side from fibula), verdict review: lateral meniscus not found",
        "read: PD, 24 slices every 4 mm, pixels of 0.625 mm, echo time 18.9 ms, number 1 of 3 series found",
    ]


def test_the_verdict_is_told_of_the_knee_and_of_no_row(knee):
    """A column of it would be empty: its rows are those of scoring, which does not judge outlines."""
    told = json.loads(single.as_json(knee))
    assert told["verdict"] == "review"
    assert "verdict" not in told["effusion"]
    assert single.as_text(knee).count("verdict") == 1
