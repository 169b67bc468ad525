"""A study of two knees whose label maps are boxes: small, but named, placed and stored as the workflow stores them."""

import json

import numpy as np
import pytest

from kneeline import cli, tables
from kneeline.labels import Label
from kneeline.volume import Volume, write_volume

SHAPE = (14, 40, 30)
FIRST, SECOND = "sub-1_ses-01_knee-R", "sub-2_ses-01_knee-R"
NETWORK = "a" * 64
# Half-open boxes in a right knee, in which medial is -x, the lower index of the first axis.
BOXES = {
    Label.FEMUR: ((1, 13), (2, 16), (4, 26)),
    Label.TIBIA: ((1, 13), (24, 38), (4, 26)),
    Label.PATELLA: ((4, 10), (4, 14), (0, 3)),
    Label.FEMORAL_CARTILAGE: ((1, 13), (16, 18), (4, 26)),
    Label.MEDIAL_TIBIAL_CARTILAGE: ((1, 6), (22, 24), (4, 26)),
    Label.LATERAL_TIBIAL_CARTILAGE: ((8, 13), (22, 24), (4, 26)),
    Label.PATELLAR_CARTILAGE: ((4, 10), (4, 14), (3, 4)),
    Label.MEDIAL_MENISCUS: ((1, 6), (18, 22), (6, 24)),
    Label.LATERAL_MENISCUS: ((8, 13), (18, 22), (6, 24)),
    Label.JOINT_FLUID: ((6, 8), (18, 22), (6, 24)),
}


def affine():
    """Sagittal slices of 4 mm, turned a little about two axes, as a scan is planned."""
    a, b = np.radians(7), np.radians(-4)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    columns = np.array([[4.0, 0, 0], [0, 0, -0.5], [0, -0.5, 0]])  # R, I, P
    full = np.eye(4)
    full[:3, :3] = turn @ columns
    full[:3, 3] = (-31.25, 18.5, 40.125)
    return full


def boxes():
    array = np.zeros(SHAPE, np.uint8)
    for label, box in BOXES.items():
        array[tuple(slice(*ends) for ends in box)] = label
    return array


@pytest.fixture
def machine():
    return Volume(boxes(), affine())


@pytest.fixture
def study(tmp_path, monkeypatch, machine):
    """A study that has been run as far as `segment`."""
    monkeypatch.chdir(tmp_path)
    rows = [{"participant_id": f"sub-{n}", "laterality": "R", "path": "in"} for n in (1, 2)]
    tables.write_table("config/scans.tsv", rows, tables.SCANS)
    tables.write_table("config/participants.tsv", [{"participant_id": f"sub-{n}"} for n in (1, 2)], tables.PARTICIPANTS)
    tables.write_text("config/config.yaml", "participants: config/participants.tsv\nscans: config/scans.tsv\n")
    for scan in (FIRST, SECOND):
        segmented(tmp_path / "results", scan, machine)
    return tmp_path


def segmented(results, scan, machine, outlined_by="machine"):
    """What ingest and segment leave of a scan, as far as an edit needs it."""
    noise = np.random.default_rng(5).integers(0, 900, SHAPE).astype(np.int16)
    row = {"scan_id": scan, "participant_id": scan.split("_")[0], "session_id": "ses-01", "laterality": "R"}
    for stage in ("ingest", "segment"):
        (results / stage).mkdir(parents=True, exist_ok=True)
    write_volume(results / "ingest" / f"{scan}_image.nii.gz", machine.with_array(noise))
    tables.write_status(results / "ingest", row | {"status": "ok"})
    write_volume(results / "segment" / f"{scan}_dseg.nii.gz", machine)
    tables.write_text(results / "segment" / f"{scan}_dseg.json", json.dumps({"network": NETWORK}))
    tables.write_status(results / "segment", row | {"status": "ok", "verdict": "ok", "outlined_by": outlined_by})


def corrected(machine):
    """The medial meniscus one voxel thicker below."""
    array = machine.array.copy()
    (i, j), (_, below), (k, m) = BOXES[Label.MEDIAL_MENISCUS]
    array[i:j, below, k:m] = Label.MEDIAL_MENISCUS
    return machine.with_array(array)


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def bring(path, *more, scan=FIRST, editor="anna"):
    return run("import-edit", scan, path, "--editor", editor, *more)
