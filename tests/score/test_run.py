"""Rows of a knee, and the files of a scan."""

import json

import numpy as np
import pytest

from kneeline import grading, tables
from kneeline.errors import Refusal
from kneeline.labels import Label
from kneeline.score.effusion import grade_row
from kneeline.score.run import score_knee, score_scan
from kneeline.volume import Volume, write_array, write_volume

SCAN = "sub-001_ses-01_knee-R"
STATUS = {
    "scan_id": SCAN,
    "participant_id": "sub-001",
    "session_id": "ses-01",
    "laterality": "R",
    "status": "ok",
    "verdict": "ok",
}


@pytest.fixture(scope="module")
def torn(joint, lesions):
    return joint(lesions=(lesions[3],), noise=0.03, width_mm=(-44.0, 2.0)).image_and_labels()


@pytest.fixture
def folders(tmp_path, torn):
    ingest, segment = tmp_path / "ingest", tmp_path / "segment"
    ingest.mkdir()
    segment.mkdir()
    write_volume(ingest / f"{SCAN}_image.nii.gz", torn[0])
    write_volume(segment / f"{SCAN}_dseg.nii.gz", torn[1])
    tables.write_status(segment, STATUS)
    return ingest, segment, tmp_path / "score"


def test_the_tables_of_a_scan_grade_again_to_the_same(folders):
    ingest, segment, out = folders
    assert score_scan(SCAN, ingest, segment, out)["status"] == "ok"
    rows = tables.read_table(out / f"{SCAN}_meniscus.tsv", tables.MENISCUS)
    assert len(rows) == 6
    for row in rows:
        grade = grading.grade_signal(row["hyperintense_mm3"], row["signal_extent_mm"], row["surface_slices"])
        assert grade == row["signal_grade"]
        assert row["participant_id"] == "sub-001"
    assert max(r["signal_grade"] for r in rows if r["meniscus"] == "medial") == 3
    medial, lateral = tables.read_table(out / f"{SCAN}_extrusion.tsv", tables.EXTRUSION)
    assert (medial["meniscus"], medial["signal_grade"]) == ("medial", 3)
    by_region = sum(row["volume_mm3"] for row in rows if row["meniscus"] == "medial")
    assert medial["volume_mm3"] == pytest.approx(by_region, rel=1e-4)
    assert lateral["flags"] == "not_segmented"
    (effusion,) = tables.read_table(out / f"{SCAN}_effusion.tsv", tables.EFFUSION)
    assert grade_row(effusion) == effusion
    assert len(tables.read_table(out / f"{SCAN}_cartilage.tsv", tables.CARTILAGE)) == 4


def test_the_same_input_gives_the_same_bytes(folders):
    ingest, segment, out = folders
    score_scan(SCAN, ingest, segment, out)
    score_scan(SCAN, ingest, segment, out.with_name("again"))
    for path in out.iterdir():
        assert path.read_bytes() == (out.with_name("again") / path.name).read_bytes()


def test_a_quarantined_scan_passes_through(folders):
    ingest, segment, out = folders
    away = STATUS | {"status": "quarantined", "stage": "ingest", "reason_code": "missing_slice", "reason": "because"}
    score_scan(SCAN, ingest, segment, out)
    tables.write_status(segment, away)
    assert score_scan(SCAN, ingest, segment, out)["reason_code"] == "missing_slice"
    assert [p.name for p in out.iterdir()] == [f"{SCAN}_status.json"]


def test_labels_on_another_grid_are_a_quarantine(folders, torn):
    ingest, segment, out = folders
    write_volume(segment / f"{SCAN}_dseg.nii.gz", Volume(torn[1].array[:-1], torn[1].affine))
    row = score_scan(SCAN, ingest, segment, out)
    assert (row["status"], row["stage"], row["reason_code"]) == ("quarantined", "score", "labels_do_not_fit")


def test_an_unreadable_image_is_a_quarantine(folders):
    ingest, segment, out = folders
    (ingest / f"{SCAN}_image.nii.gz").write_bytes(b"no image")
    assert score_scan(SCAN, ingest, segment, out)["reason_code"] == "unreadable_volume"


def test_an_unexpected_error_names_its_class_only(folders, monkeypatch):
    ingest, segment, out = folders
    monkeypatch.setattr("kneeline.score.run.find_effusion", lambda *_: 1 / 0)
    row = score_scan(SCAN, ingest, segment, out)
    assert row["reason_code"] == "unexpected_error"
    assert "ZeroDivisionError" in row["reason"]


@pytest.mark.parametrize("threads", [2, 3])
def test_the_number_of_threads_changes_no_bit(torn, threads):
    one, more = (score_knee(*torn, "R", contrast="PDFS", threads=n) for n in (1, threads))
    assert repr(more) == repr(one)


def test_empty_labels_are_refused(torn):
    with pytest.raises(Refusal, match="empty") as caught:
        score_knee(torn[0], torn[1].with_array(np.zeros_like(torn[1].array)), "R")
    assert caught.value.code == "empty_labels"


def test_t2_of_each_region(folders, torn):
    """Echoes in any order; meniscus 11 ms, everything else 40 ms; the times come in seconds from the sidecar."""
    ingest, segment, out = folders
    image, labels = torn
    te = np.array([25.0, 6.3, 12.6, 18.9, 31.5])
    t2 = np.where(labels.array == Label.MEDIAL_MENISCUS, 11.0, 40.0)
    echoes = (1000 * np.exp(-te / t2[..., None])).astype(np.float32)
    write_array(ingest / f"{SCAN}_echoes.nii.gz", echoes, image.affine)
    (ingest / f"{SCAN}_image.json").write_text(json.dumps({"EchoTimes": (te / 1000).tolist()}))
    score_scan(SCAN, ingest, segment, out)
    rows = tables.read_table(out / f"{SCAN}_meniscus.tsv", tables.MENISCUS)
    for row in rows:
        assert row["t2_ms"] == (pytest.approx(11, rel=0.02) if row["meniscus"] == "medial" else None)


def test_echoes_on_another_grid_are_refused(torn):
    with pytest.raises(Refusal, match="echoes"):
        score_knee(*torn, "R", np.zeros((3, 3, 3, 4)), [1, 2, 3, 4])


@pytest.mark.parametrize(("contrast", "read"), [("PDFS", True), ("PD", False)])
def test_marrow_is_read_by_the_contrast_of_the_sidecar(folders, contrast, read):
    ingest, segment, out = folders
    (ingest / f"{SCAN}_image.json").write_text(json.dumps({"ContrastClass": contrast}))
    score_scan(SCAN, ingest, segment, out)
    rows = {row["bone"]: row for row in tables.read_table(out / f"{SCAN}_marrow.tsv", tables.MARROW)}
    assert list(rows) == ["femur", "tibia", "patella"]
    assert ("not_fat_suppressed" in rows["tibia"]["flags"]) is not read
    # Of the tibia the phantom holds the medial half, and one of its two plates.
    assert rows["femur"]["marrow_grade"] == (0 if read else None)
    assert rows["patella"]["flags"] == "experimental,not_segmented"


@pytest.mark.parametrize(("contrast", "flagged"), [("PDFS", False), ("DESS", False), (None, False), ("T1", True)])
def test_menisci_and_fluid_say_where_fat_is_bright(torn, contrast, flagged):
    scores = score_knee(*torn, "R", contrast=contrast)
    assert ("not_fat_suppressed" in (scores.effusion["flags"] or "").split(",")) is flagged
    rows = scores.meniscus
    medial = [(row["flags"] or "").split(",") for row in rows if row["meniscus"] == "medial"]
    assert ["not_fat_suppressed" in flags for flags in medial] == [flagged] * 3
    assert max(row["signal_grade"] or 0 for row in rows) == 3


def test_every_row_says_how_far_to_trust_the_outlines(folders):
    ingest, segment, out = folders
    tables.write_status(segment, tables.read_status(segment, SCAN) | {"verdict": "review"})
    score_scan(SCAN, ingest, segment, out)
    for table in (tables.MENISCUS, tables.EXTRUSION, tables.EFFUSION, tables.CARTILAGE, tables.MARROW):
        name = table.name.rpartition("/")[2]
        assert {row["verdict"] for row in tables.read_table(out / f"{SCAN}_{name}.tsv", table)} == {"review"}, name
