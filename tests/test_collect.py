import pytest

from kneeline import tables
from kneeline.collect import collect
from kneeline.errors import UsageError
from kneeline.tables import Scan


def finished(results, scan_id, laterality, volume, status="ok", **more):
    """What the stages leave of a scan."""
    key = {"participant_id": "sub-1", "session_id": "ses-01", "laterality": laterality}
    tables.write_status(results / "score", {"scan_id": scan_id, **key, "status": status, **more})
    tables.write_table(
        results / "ingest" / f"{scan_id}_series.tsv", [{"scan_id": scan_id, "series": 1, "chosen": True}], tables.SERIES
    )
    if status == "ok":
        for table in (
            tables.QUALITY,
            tables.SEGMENT,
            tables.MENISCUS,
            tables.EXTRUSION,
            tables.CARTILAGE,
            tables.MARROW,
        ):
            folder, name = table.name.split("/")
            tables.write_table(results / folder / f"{scan_id}_{name}.tsv", [], table)
        row = {**key, "fluid_ml": volume, "pouch_in_view": True}
        tables.write_table(results / "score" / f"{scan_id}_effusion.tsv", [row], tables.EFFUSION)


def scan(scan_id):
    return Scan(scan_id, "sub-1", "ses-01", None, ("x",))


def fluid(results):
    return [row["fluid_ml"] for row in tables.read_table(results / "score/effusion.tsv", tables.EFFUSION)]


def test_rows_come_in_the_order_of_the_scans_table_and_refused_scans_keep_theirs(tmp_path):
    finished(tmp_path, "b", "R", 2.0)
    finished(tmp_path, "a", "L", 1.0)
    finished(tmp_path, "c", None, 9.0, status="quarantined", stage="ingest", reason_code="no_series", reason="because")
    rows = collect([scan("b"), scan("c"), scan("a")], tmp_path)
    assert [(row["scan_id"], row["reason_code"]) for row in rows] == [("b", None), ("c", "no_series"), ("a", None)]
    assert fluid(tmp_path) == [2.0, 1.0]
    assert len(tables.read_table(tmp_path / "ingest/series.tsv", tables.SERIES)) == 3
    assert tables.read_table(tmp_path / "ingest/scans.tsv", tables.INGEST_SCANS) == rows


def test_two_scans_of_one_knee_count_once_and_the_other_says_why(tmp_path):
    finished(tmp_path, "a", "L", 1.0)
    finished(tmp_path, "b", "L", 2.0)
    rows = collect([scan("a"), scan("b")], tmp_path)
    assert rows[1]["reason_code"] == "duplicate_knee"
    assert "same knee of the same visit as a" in rows[1]["reason"]
    assert fluid(tmp_path) == [1.0]


def test_a_scan_that_was_never_finished_is_an_error_not_a_gap(tmp_path):
    finished(tmp_path, "a", "L", 1.0)
    with pytest.raises(UsageError, match="run the stage before"):
        collect([scan("a"), scan("b")], tmp_path)


def test_no_scan_gives_tables_with_headers(tmp_path):
    assert collect([], tmp_path) == []
    assert (tmp_path / "score/meniscus.tsv").read_text() == "\t".join(tables.MENISCUS.header) + "\n"


def test_a_table_that_somebody_removed_is_missed(tmp_path):
    finished(tmp_path, "a", "L", 1.0)
    gone = tmp_path / "score/a_marrow.tsv"
    gone.unlink()
    with pytest.raises(UsageError, match="a_marrow.tsv: is gone, though its scan came through; `kneeline run` makes"):
        collect([scan("a")], tmp_path)
