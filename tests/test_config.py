import pytest

from kneeline import config
from kneeline.errors import UsageError

GOOD = {"participants": "p.tsv", "scans": "s.tsv"}


def test_defaults_are_filled_in_and_the_input_is_left_alone():
    given = {**GOOD, "analysis": {"distance_cut_km": 40}}
    out = config.check_config(given)
    assert out["analysis"]["distance_cut_km"] == 40
    assert out["analysis"]["min_joint_cell"] == 5
    assert out["simulate"] is None
    assert given == {**GOOD, "analysis": {"distance_cut_km": 40}}


def test_checking_twice_changes_nothing():
    once = config.check_config(GOOD)
    assert config.check_config(once) == once


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"scan": "x"}, "'scan' was unexpected"),
        ({"scans": 3}, "scans: 3 is not of type 'string'"),
        ({"analysis": {"primary_outcome": "pain"}}, "analysis.primary_outcome"),
        ({"analysis": {"distance_unit_km": 0}}, "analysis.distance_unit_km"),
        ({"analysis": {"distance_cut_km": float("nan")}}, "analysis.distance_cut_km: nan is not of type 'number'"),
        ({"scans": ""}, "scans: '' should be non-empty"),
        ({"chunks": 2.0}, "chunks: 2.0 is not of type 'integer'"),
        ({"simulate": {"runners": 0, "seed": 1}}, "simulate.runners: 0 is less than the minimum of 1"),
        ({"simulate": {"runers": 3, "seed": 1}}, "simulate: Additional properties are not allowed ('runers'"),
        ({"analysis": {"adjustment": {"main": ["age"]}}}, "analysis.adjustment.main.0"),
        ({"analysis": {"adjustment": {"second": ["sex"]}}}, "'main' is a required property"),
        ({"analysis": {"adjustment": {"main": [], "No": []}}}, "analysis.adjustment"),
        ({"analysis": {"adjust": ["sex"]}}, "'adjust' was unexpected"),
        ({"cohort": {"min_joint_cell": 5}}, "the block `cohort` is now called `analysis`"),
    ],
)
def test_wrong_values_are_named(change, expected):
    with pytest.raises(UsageError) as told:
        config.check_config({**GOOD, **change})
    assert expected in str(told.value)


@pytest.mark.parametrize("empty", [None, [], "text", {}])
def test_what_is_no_config_is_refused(empty):
    with pytest.raises(UsageError):
        config.check_config(empty)


def test_unreadable_files_say_the_way_out(tmp_path):
    with pytest.raises(UsageError, match="--config"):
        config.read_config(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(UsageError, match="not valid YAML"):
        config.read_config(tmp_path / "bad.yaml")
    (tmp_path / "latin.yaml").write_bytes("scans: Müller.tsv".encode("latin-1"))
    with pytest.raises(UsageError, match="not UTF-8"):
        config.read_config(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("scans: b.tsv\n", "'scans' stands twice in one block (line 2 and line 3); keep one"),
        ("analysis:\n  seed: 1\n  n_bootstrap: 9\n  seed: 2\n", "'seed' stands twice in one block (line 4 and line 6)"),
        ("chunks: " + "[" * 5000, "not valid YAML"),
    ],
)
def test_a_key_that_stands_twice_and_brackets_without_end(tmp_path, block, expected):
    (tmp_path / "c.yaml").write_text("participants: p.tsv\nscans: s.tsv\n" + block)
    with pytest.raises(UsageError) as told:
        config.read_config(tmp_path / "c.yaml")
    assert expected in str(told.value)
