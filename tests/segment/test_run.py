"""The stage: files, status, refusals."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from kneeline import tables
from kneeline.cli import main
from kneeline.errors import UsageError
from kneeline.labels import Label
from kneeline.segment import engine, run
from kneeline.segment.run import segment_scan
from kneeline.steps import network_digest
from kneeline.volume import Volume, mirror, read_volume, write_volume

SCAN = "sub-001_ses-01_knee-unknown"


def ingested(folder, image: Volume | None, **status) -> None:
    folder.mkdir(exist_ok=True)
    row = {"scan_id": SCAN, "participant_id": "sub-001", "session_id": "ses-01", "status": "ok"} | status
    if image is not None:
        write_volume(folder / f"{SCAN}_image.nii.gz", image)
    tables.write_status(folder, row)


def test_a_scan_without_a_side_gets_it_from_the_fibula(tmp_path, coarse, found_coarse):
    ingested(tmp_path / "ingest", coarse)
    row = segment_scan(SCAN, tmp_path / "ingest", tmp_path / "segment")
    assert (row["status"], row["laterality"], row["laterality_source"]) == ("ok", "R", "fibula")
    assert row["laterality_sources"] == "fibula=R"
    assert row["verdict"] == found_coarse.verdict
    assert tables.read_status(tmp_path / "segment", SCAN) == row
    labels = read_volume(tmp_path / "segment" / f"{SCAN}_dseg.nii.gz")
    assert np.array_equal(labels.array, found_coarse.labels.array)
    computed_by = json.loads((tmp_path / "segment" / f"{SCAN}_dseg.json").read_text())
    assert computed_by == {"network": network_digest()} | engine.provenance()
    rows = tables.read_table(tmp_path / "segment" / f"{SCAN}_structures.tsv", tables.SEGMENT)
    assert [r["structure"] for r in rows] == [v.label_name for v in Label if v]
    voxel = labels.voxel_mm3
    assert rows[0]["volume_mm3"] == pytest.approx((labels.array == Label.FEMUR).sum() * voxel, rel=1e-4)


def test_the_fibula_joins_the_sources_that_spoke(tmp_path, monkeypatch, scan, found):
    monkeypatch.setattr(run, "segment", lambda image, laterality: found)
    ingested(tmp_path, scan.image, laterality="R", laterality_source="table", laterality_sources="table=R,tag=R")
    row = segment_scan(SCAN, tmp_path, tmp_path / "out")
    assert row["laterality_source"] == "table"
    assert row["laterality_sources"] == "table=R,tag=R,fibula=R"


def test_a_conflict_is_set_aside_with_its_reason_and_without_files(tmp_path, coarse):
    ingested(
        tmp_path / "ingest", mirror(coarse), laterality="R", laterality_source="table", laterality_sources="table=R"
    )
    row = segment_scan(SCAN, tmp_path / "ingest", tmp_path / "out")
    assert (row["status"], row["stage"], row["reason_code"]) == ("quarantined", "segment", "laterality_conflict")
    assert [p.name for p in (tmp_path / "out").iterdir()] == [f"{SCAN}_status.json"]


def test_a_scan_set_aside_before_is_passed_on_untouched(tmp_path):
    ingested(
        tmp_path / "ingest", None, status="quarantined", stage="ingest", reason_code="missing_slice", reason="a gap"
    )
    row = segment_scan(SCAN, tmp_path / "ingest", tmp_path / "out")
    assert row == tables.read_status(tmp_path / "ingest", SCAN)
    assert [p.name for p in (tmp_path / "out").iterdir()] == [f"{SCAN}_status.json"]


@pytest.mark.parametrize(
    ("error", "raised"), [(ZeroDivisionError("x"), False), (MemoryError(), True), (UsageError("no such engine"), True)]
)
def test_the_unforeseen_is_set_aside_but_the_machine_s_failures_are_not(tmp_path, monkeypatch, error, raised):
    def fail(image, laterality):
        raise error

    monkeypatch.setattr(run, "segment", fail)
    ingested(tmp_path, Volume(np.ones((2, 2, 2), np.float32), np.eye(4)))
    if raised:
        with pytest.raises(type(error)):
            segment_scan(SCAN, tmp_path, tmp_path / "out")
        assert not any((tmp_path / "out").iterdir())
    else:
        row = segment_scan(SCAN, tmp_path, tmp_path / "out")
        assert row["reason_code"] == "unexpected_error"
        assert "ZeroDivisionError" in row["reason"]


def test_an_old_result_does_not_outlive_a_new_refusal(tmp_path, monkeypatch, found):
    ingested(tmp_path, None, status="quarantined", stage="ingest", reason_code="missing_slice", reason="a gap")
    out = tmp_path / "out"
    out.mkdir()
    (out / f"{SCAN}_dseg.nii.gz").write_bytes(b"old")
    segment_scan(SCAN, tmp_path, out)
    assert not (out / f"{SCAN}_dseg.nii.gz").exists()


def damaged(folder, kind: str) -> None:
    """An ingested scan whose image is not what ingest writes."""
    import nibabel

    ingested(folder, Volume(np.ones((16, 100, 100), np.float32), np.diag([4.0, 1, 1, 1])), laterality="R")
    path = folder / f"{SCAN}_image.nii.gz"
    if kind == "missing":
        path.unlink()
    elif kind == "no NIfTI":
        path.write_bytes(b"not an image")
    elif kind == "cut short":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "four axes":
        nibabel.save(nibabel.Nifti1Image(np.ones((16, 60, 60, 3), np.float32), np.diag([4.0, 1, 1, 1])), path)
    elif kind == "colour":
        nibabel.save(
            nibabel.Nifti1Image(np.zeros((16, 60, 60), [("R", "u1"), ("G", "u1"), ("B", "u1")]), np.eye(4)), path
        )
    elif kind == "not a number":
        write_volume(path, Volume(np.full((16, 100, 100), np.nan, np.float32), np.diag([4.0, 1, 1, 1])))


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("missing", "unreadable_volume"),
        ("no NIfTI", "unreadable_volume"),
        ("cut short", "unreadable_volume"),
        ("four axes", "unreadable_volume"),
        ("colour", "not_grayscale"),
        ("not a number", "bad_values"),
        ("constant", "not_a_knee"),
    ],
)
def test_bad_input_is_set_aside_with_its_cause_and_leaves_a_status_only(tmp_path, kind, code):
    damaged(tmp_path / "ingest", kind)
    row = segment_scan(SCAN, tmp_path / "ingest", tmp_path / "out")
    assert (row["status"], row["stage"], row["reason_code"]) == ("quarantined", "segment", code)
    assert row["reason"].startswith("expected")
    assert [p.name for p in (tmp_path / "out").iterdir()] == [f"{SCAN}_status.json"]


@pytest.mark.parametrize("broken", ["write_volume", "write_table"])
def test_outputs_appear_whole_or_not_at_all(tmp_path, monkeypatch, scan, found, broken):
    def fail(*_):
        raise OSError("disk full")

    ingested(tmp_path / "ingest", scan.image, laterality="R")
    monkeypatch.setattr(run, "segment", lambda image, laterality: found)
    monkeypatch.setattr(run if broken == "write_volume" else run.tables, broken, fail)
    with pytest.raises(OSError, match="disk full"):
        segment_scan(SCAN, tmp_path / "ingest", tmp_path / "out")
    assert not any((tmp_path / "out").iterdir())


def test_an_unusable_knee_says_so_in_its_status(tmp_path, monkeypatch, scan, found):
    unusable = replace(found, verdict="unusable", reason="no meniscus was found")
    ingested(tmp_path / "ingest", scan.image, laterality="R")
    monkeypatch.setattr(run, "segment", lambda image, laterality: unusable)
    row = segment_scan(SCAN, tmp_path / "ingest", tmp_path / "out")
    assert (row["status"], row["verdict"], row["reason"]) == ("ok", "unusable", "no meniscus was found")


@pytest.mark.parametrize("kind", ["four axes", "colour", "not a number", "no NIfTI"])
@pytest.mark.parametrize("command", ["segment", "score"])
def test_the_command_line_refuses_bad_images_and_writes_nothing(tmp_path, capsys, command, kind):
    damaged(tmp_path / "in", kind)
    out = tmp_path / "out"
    target = out / "labels.nii.gz" if command == "segment" else out
    path = tmp_path / "in" / f"{SCAN}_image.nii.gz"
    assert main([command, str(path), "-o", str(target), "--laterality", "R"]) != 0
    assert "expected" in capsys.readouterr().err
    assert not out.exists()
