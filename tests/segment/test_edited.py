"""Outlines that a person corrected count instead of the machine's, through reruns, until they are taken back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from tests.segment.test_verdict import GOOD_ML

from kneeline import tables
from kneeline.errors import Refusal
from kneeline.labels import Label
from kneeline.segment import anatomy, run
from kneeline.segment.anatomy import Anatomy
from kneeline.segment.predict import Segmentation
from kneeline.segment.run import segment_scan
from kneeline.tables import Edit
from kneeline.volume import Volume, read_volume, write_volume

SCAN = "sub-001_ses-01_knee-R"
SHAPE = (8, 20, 20)
AFFINE = np.diag([4.0, 0.5, 0.5, 1])


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def drawn():
    """What the machine draws, and what a person made of it: a meniscus of 100 voxels more."""
    machine = np.zeros(SHAPE, np.uint8)
    machine[2:6, 2:8], machine[2:6, 12:18] = Label.FEMUR, Label.TIBIA
    edited = machine.copy()
    edited[2:6, 9:10, :] = Label.MEDIAL_MENISCUS
    edited[2:3, 10:11, :] = Label.MEDIAL_MENISCUS
    return machine, edited


@pytest.fixture
def stage(tmp_path, monkeypatch, drawn):
    """An ingested scan, and a network that finds what it is told to, or refuses; the call of the stage."""
    row = {"scan_id": SCAN, "participant_id": "sub-001", "session_id": "ses-01", "laterality": "R", "status": "ok"}
    (tmp_path / "ingest").mkdir()
    write_volume(tmp_path / "ingest" / f"{SCAN}_image.nii.gz", Volume(np.ones(SHAPE, np.int16), AFFINE))
    tables.write_status(tmp_path / "ingest", row)

    def found(image, laterality):
        confidence = {Label.FEMUR: 0.9}
        return Segmentation(image.with_array(drawn[0]), laterality or "R", "R", confidence, "review", "look at it")

    monkeypatch.setattr(run, "segment", found)

    def refuse(code):
        def refused(image, laterality):
            raise Refusal(code, "expected a knee")

        monkeypatch.setattr(run, "segment", refused)

    def call(edit=None):
        return segment_scan(SCAN, tmp_path / "ingest", tmp_path / "segment", edit)

    call.refuse = refuse
    call.results = tmp_path / "segment"
    call.ingest = tmp_path / "ingest"
    return call


@pytest.fixture
def edit(tmp_path, drawn):
    path = tmp_path / "edit.nii.gz"
    write_volume(path, Volume(drawn[1], AFFINE))
    return Edit(str(path), "anna", "2026-11-23T10:00:00Z", digest(path), "b" * 64, "c" * 64, None)


def of_scan(stage, suffix):
    return stage.results / f"{SCAN}_{suffix}"


def test_the_edit_counts_and_the_machine_s_stays_beside_it(stage, edit, drawn):
    row = stage(edit)
    assert (row["status"], row["outlined_by"]) == ("ok", "edited by anna")
    assert np.array_equal(read_volume(of_scan(stage, "dseg.nii.gz")).array, drawn[1])
    assert np.array_equal(read_volume(of_scan(stage, "machine_dseg.nii.gz")).array, drawn[0])
    assert json.loads(of_scan(stage, "dseg.json").read_text())["outlined_by"] == "edited by anna"
    rows = {r["structure"]: r for r in tables.read_table(of_scan(stage, "structures.tsv"), tables.SEGMENT)}
    assert rows["medial_meniscus"]["volume_mm3"] == 100 * 1.0
    assert {r["confidence"] for r in rows.values()} == {None}  # no network vouches for what a person drew


def test_it_says_what_it_started_from_and_what_the_machine_is_now(stage, edit, monkeypatch):
    stage(edit)
    (row,) = tables.read_table(of_scan(stage, "edit.tsv"), tables.EDITED)
    assert (row["editor_id"], row["at"], row["after_sha256"]) == ("anna", "2026-11-23T10:00:00Z", edit.after_sha256)
    assert (row["network"], row["machine_network"]) == ("c" * 64, run.network_digest())
    assert row["machine_sha256"] == digest(of_scan(stage, "machine_dseg.nii.gz"))
    assert row["changed_ml"] == pytest.approx(0.1)
    assert "another network" in row["note"]
    monkeypatch.setattr(run, "network_digest", lambda: "c" * 64)
    stage(edit)
    (row,) = tables.read_table(of_scan(stage, "edit.tsv"), tables.EDITED)
    assert row["note"] is None


def test_a_corrected_outline_does_not_sharpen_a_blurred_image(stage, edit, drawn, monkeypatch):
    monkeypatch.setattr(anatomy, "measure", lambda *_: Anatomy(GOOD_ML))
    for edge_mm, expected in ((2.2, "ok"), (5.0, "unusable")):
        monkeypatch.setattr(
            run,
            "segment",
            lambda image, side, edge=edge_mm: Segmentation(
                image.with_array(drawn[0]), "R", "R", {}, "ok", None, edge_width_mm=edge
            ),
        )
        assert stage(edit)["verdict"] == expected


def test_a_rerun_with_another_network_keeps_the_edit(stage, edit, drawn, monkeypatch):
    before = stage(edit)
    labels = of_scan(stage, "dseg.nii.gz").read_bytes()
    other = np.where(drawn[0] == Label.TIBIA, 0, drawn[0]).astype(np.uint8)
    monkeypatch.setattr(run, "network_digest", lambda: "d" * 64)
    monkeypatch.setattr(
        run, "segment", lambda image, side: Segmentation(image.with_array(other), "R", "R", {}, "ok", None)
    )
    after = stage(edit)
    assert of_scan(stage, "dseg.nii.gz").read_bytes() == labels
    assert np.array_equal(read_volume(of_scan(stage, "machine_dseg.nii.gz")).array, other)
    assert (after["verdict"], after["outlined_by"]) == (before["verdict"], before["outlined_by"])
    assert after["digest"] != before["digest"]


def test_taken_back_everything_is_as_if_it_had_never_been(stage, edit):
    row = stage()
    before = {path.name: path.read_bytes() for path in stage.results.iterdir()}
    assert row["outlined_by"] == "machine"
    stage(edit)
    stage()
    assert {path.name: path.read_bytes() for path in stage.results.iterdir()} == before


def test_the_verdict_is_on_what_was_drawn(stage, edit, scan, tmp_path):
    """The true outlines of a simulated knee, as if a person had drawn them: judged without a network's word."""
    write_volume(stage.ingest / f"{SCAN}_image.nii.gz", scan.image)
    tables.write_status(stage.ingest, tables.read_status(stage.ingest, SCAN))
    write_volume(tmp_path / "edit.nii.gz", scan.labels)
    stage.refuse("not_a_knee")
    row = stage(replace(edit, after_sha256=digest(tmp_path / "edit.nii.gz")))
    assert (row["status"], row["verdict"], row["reason"]) == ("ok", "ok", None)
    stump = scan.labels.array * (scan.labels.array != Label.TIBIA)
    write_volume(tmp_path / "edit.nii.gz", scan.labels.with_array(stump))
    row = stage(replace(edit, after_sha256=digest(tmp_path / "edit.nii.gz")))
    assert (row["status"], row["verdict"]) == ("ok", "unusable")
    assert "tibia is missing" in row["reason"]


def test_what_the_machine_refuses_a_person_may_outline_unless_the_side_is_in_doubt(stage, edit):
    stage.refuse("not_a_knee")
    assert stage()["status"] == "quarantined"
    assert stage(edit)["status"] == "ok"
    assert not of_scan(stage, "machine_dseg.nii.gz").exists()
    (row,) = tables.read_table(of_scan(stage, "edit.tsv"), tables.EDITED)
    assert (row["machine_sha256"], row["changed_ml"]) == (None, None)
    assert "refuses" in row["note"]
    stage.refuse("laterality_conflict")
    assert stage(edit)["reason_code"] == "laterality_conflict"


def gone(path):
    path.unlink()
    return {}


def painted_over(path):
    volume = read_volume(path)
    write_volume(path, volume.with_array(np.full(SHAPE, Label.FEMUR, np.uint8)))
    return {}


def of_another_series(path):
    write_volume(path, Volume(np.ones((8, 20, 21), np.uint8), AFFINE))
    return {"after_sha256": digest(path)}


@pytest.mark.parametrize(
    ("spoil", "code"),
    [(gone, "edit_missing"), (painted_over, "edit_changed"), (of_another_series, "edit_does_not_fit")],
)
def test_an_edit_that_cannot_be_taken_sets_the_scan_aside_and_the_machine_s_never_stands_in(stage, edit, spoil, code):
    row = stage(replace(edit, **spoil(stage.results.parent / "edit.nii.gz")))
    assert (row["status"], row["stage"], row["reason_code"]) == ("quarantined", "segment", code)
    assert row["reason"].startswith("expected")
    assert [path.name for path in stage.results.iterdir()] == [f"{SCAN}_status.json"]


def test_medial_and_lateral_that_were_named_for_the_other_side_are_refused(stage, edit):
    assert stage(replace(edit, laterality="R"))["status"] == "ok"
    row = stage(replace(edit, laterality="L"))
    assert (row["status"], row["reason_code"]) == ("quarantined", "laterality_conflict")
    assert "the left knee that anna corrected, it is said to be a right one now" in row["reason"]


def test_an_image_that_was_read_anew_is_to_be_looked_at(stage, edit):
    same = replace(edit, image_sha256=digest(stage.ingest / f"{SCAN}_image.nii.gz"))
    told = "the image was read anew since"
    assert told not in (stage(same)["reason"] or "")
    assert told in stage(replace(edit, image_sha256="e" * 64))["reason"]
