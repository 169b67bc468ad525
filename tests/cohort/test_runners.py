import pytest

from kneeline import tables
from kneeline.cohort.runners import read_runners, with_strike
from kneeline.errors import UsageError


def test_given_style_stays(fabricate):
    row = with_strike(_row(fabricate, strike_style="midfoot"))
    assert (row["strike_style"], row["strike_method"]) == ("midfoot", "video")


def _row(fabricate, **values):
    return {c.name: None for c in tables.PARTICIPANTS.columns} | fabricate.runner(1) | values


@pytest.mark.parametrize(
    ("measured", "style", "method"),
    [
        ({"foot_strike_angle_deg": 12.0}, "rearfoot", "foot_strike_angle"),
        ({"foot_strike_angle_deg": 2.0}, "midfoot", "foot_strike_angle"),
        ({"strike_index_pct": 80.0}, "forefoot", "strike_index"),
    ],
)
def test_empty_style_is_derived(fabricate, measured, style, method):
    row = with_strike(_row(fabricate, strike_style=None, strike_method=None, **measured))
    assert (row["strike_style"], row["strike_method"]) == (style, method)


def test_nothing_known_stays_missing(fabricate):
    assert with_strike(_row(fabricate, strike_style=None))["strike_style"] is None


def test_mixed_agrees_with_any_measurement(fabricate):
    assert with_strike(_row(fabricate, strike_style="mixed", foot_strike_angle_deg=12.0))["strike_style"] == "mixed"


def test_every_contradiction_is_told(fabricate, tmp_path):
    rows = [
        fabricate.runner(1, strike_style="forefoot", foot_strike_angle_deg=12.0),
        fabricate.runner(2, strike_style="rearfoot", strike_index_pct=80.0),
        fabricate.runner(3, strike_style=None, foot_strike_angle_deg=12.0, strike_index_pct=80.0),
        fabricate.runner(4, strike_style="rearfoot", foot_strike_angle_deg=12.0),
    ]
    tables.write_table(tmp_path / "participants.tsv", rows, tables.PARTICIPANTS)
    with pytest.raises(UsageError) as error:
        read_runners(tmp_path / "participants.tsv")
    text = str(error.value)
    assert "3 fault(s)" in text
    assert "sub-001: strike_style is forefoot, but foot_strike_angle gives rearfoot" in text
    assert "sub-002" in text
    assert "sub-003" in text
    assert "sub-004" not in text


def test_a_misspelt_optional_column_is_not_lost(fabricate, tmp_path):
    path = tmp_path / "participants.tsv"
    tables.write_table(path, [fabricate.runner(1, strike_style=None, strike_index_pct=20.0)], tables.PARTICIPANTS)
    path.write_text(path.read_text().replace("strike_index_pct", "strike_index"))
    with pytest.raises(UsageError, match="is the column 'strike_index' for strike_index_pct"):
        read_runners(path)
    path.write_text(path.read_text().replace("strike_index", "club"))
    assert read_runners(path)[0]["strike_style"] is None  # columns of one's own are allowed
