"""The sheet that `inventory` writes is one that ingest can follow."""

from dataclasses import replace

import pytest
from tests.ingest import faults
from tests.ingest.vendors import assert_same_image

from kneeline import tables
from kneeline.ingest.run import ingest_scan, inventory
from kneeline.simulate.dicom import Protocol
from kneeline.volume import write_volume

T2 = replace(Protocol(), series_description="SAG T2", echo_times_ms=(85.0,))


def ids(rows):
    return [(r["participant_id"], r["session_id"], r["laterality"]) for r in rows]


def test_one_row_a_knee_with_ids_in_the_order_of_the_folders(tmp_path):
    faults.good(tmp_path / "b_two knees" / "left", faults.leg(seed=2), laterality="L", uid_seed="b")
    faults.good(tmp_path / "b_two knees" / "right", laterality="R", uid_seed="b", series_number=2)
    faults.good(tmp_path / "c_no side" / "x" / "y", laterality=None)
    faults.good(tmp_path / "a_one" / "1", laterality="R", uid_seed="a")
    faults.good(tmp_path / "a_one" / "2", laterality=None, uid_seed="a", series_number=2, protocol=T2)
    (tmp_path / "0_empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    write_volume(tmp_path / "d.nii.gz", faults.leg())
    rows = inventory(tmp_path)
    assert ids(rows) == [
        ("sub-001", "ses-01", "R"),
        ("sub-002", "ses-01", "L"),
        ("sub-002", "ses-01", "R"),
        ("sub-003", "ses-01", None),
        ("sub-004", "ses-01", None),
    ]
    tables.write_table(tmp_path / "scans.tsv", rows, tables.SCANS)
    scans = tables.read_scans(tmp_path / "scans.tsv")
    written = {s.scan_id: ingest_scan(s, tmp_path / "out") for s in scans}
    assert [row["laterality"] for row in written.values()] == ["R", "L", "R", None, None]
    assert {row["status"] for row in written.values()} == {"ok"}
    from kneeline.volume import read_volume

    assert_same_image(read_volume(tmp_path / "out" / "sub-002_ses-01_knee-L_image.nii.gz"), faults.leg(seed=2))


def test_a_second_study_of_a_knee_is_a_second_session(tmp_path):
    faults.good(tmp_path / "p" / "2025", uid_seed="first")
    faults.good(tmp_path / "p" / "2026", uid_seed="second")
    rows = inventory(tmp_path)
    assert ids(rows) == [("sub-001", "ses-01", "R"), ("sub-001", "ses-02", "R")]
    assert [row["path"].rsplit("/", 1)[1] for row in rows] == ["2025", "2026"]


def test_a_study_named_after_one_of_its_two_knees_gives_two_rows(tmp_path):
    for number, side in enumerate("LR", start=1):
        paths = faults.good(tmp_path / "p" / side, laterality=side, series_number=number, uid_seed="p")
        faults.edit(paths, lambda d, _: setattr(d, "StudyDescription", "MRI KNEE RIGHT"))
    assert ids(inventory(tmp_path)) == [("sub-001", "ses-01", "L"), ("sub-001", "ses-01", "R")]


def test_files_directly_in_the_root_are_one_participant(tmp_path):
    faults.good(tmp_path)
    (row,) = inventory(tmp_path)
    assert (row["participant_id"], row["path"]) == ("sub-001", str(tmp_path))


@pytest.mark.parametrize("name", ["empty", "text"])
def test_a_root_without_images_gives_no_row(tmp_path, name):
    if name == "text":
        (tmp_path / "a.txt").write_text("x")
    assert inventory(tmp_path) == []


def test_damaged_files_do_not_stop_it(tmp_path):
    faults.unreadable_file(tmp_path / "a")
    faults.laterality_conflict(tmp_path / "b")
    assert ids(inventory(tmp_path)) == [("sub-001", "ses-01", "R"), ("sub-002", "ses-01", None)]
