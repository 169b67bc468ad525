"""Where a number was measured: lines as long as it says, ending where they should; components of that volume."""

import json

import numpy as np
import pytest
from tests.score.fluid_phantom import phantom

from kneeline import tables
from kneeline.labels import CARTILAGES, Label
from kneeline.score.echo_train import EchoTrain, region_t2, t2_map
from kneeline.score.effusion import find_effusion
from kneeline.score.places import as_json
from kneeline.score.run import score_knee, score_scan
from kneeline.volume import Volume, mirror, reorient, write_volume

POUCH = ((-20, 20, 45), (20, 30, 67))  # 10 mm deep, from y = 20 to 30


def at(labels: Volume, mm) -> int:
    return int(labels.array[tuple(np.rint(labels.geometry.to_voxel(np.array(mm))).astype(int))])


@pytest.fixture(scope="module")
def torn(joint, lesions):
    return joint(lesions=(lesions[3],), width_mm=(-44.0, 2.0)).image_and_labels()


@pytest.fixture(scope="module")
def scores(torn):
    return score_knee(*torn, "R", contrast="PDFS")


@pytest.mark.parametrize("side", ["R", "L"])
def test_the_depth_of_the_pouch_is_drawn_through_it(side):
    knee = phantom([POUCH], side=side, spacing=(3.3, 0.5, 0.5))
    row, places = find_effusion(knee)
    assert [place.column for place in places] == ["midline_depth_mm", "lateral_depth_mm"]
    sign = 1 if side == "R" else -1
    for line in as_json(places, knee, knee.image.geometry, side)["lines"]:
        assert line["length_mm"] == pytest.approx(row[line["column"]], abs=2e-3)
        start, end = np.array(line["from_mm"]), np.array(line["to_mm"])
        assert (start[1], end[1]) == (pytest.approx(20, abs=0.4), pytest.approx(30, abs=0.4))
        assert np.abs((end - start)[[0, 2]]).max() < 0.1  # straight forward
        assert 45 <= start[2] <= 67
        across = start[0] * sign  # in the scan's own world lateral is on the other side of a left knee
        assert abs(across) <= 4 if line["column"].startswith("midline") else 8 <= across <= 20


def test_no_fluid_has_no_line():
    assert find_effusion(phantom())[1] == []


def test_the_components_of_a_row_have_its_volume_and_lie_in_the_meniscus(torn, scores):
    image, labels = torn
    graded = next(row for row in scores.meniscus if row["signal_grade"] == 3)
    keys = {name: graded[name] for name in ("meniscus", "region")}
    own = [c for c in scores.geometry["components"] if keys in c["rows"] and c["counted"]]
    voxels = np.array([[i, j, k + n] for c in own for i, j, k, length in c["runs"] for n in range(length)])
    assert len(voxels) * image.voxel_mm3 == pytest.approx(graded["hyperintense_mm3"], rel=1e-4)
    assert (labels.array[tuple(voxels.T)] == Label.MEDIAL_MENISCUS).mean() > 0.9  # holes are filled
    bright, dark = image.array[tuple(voxels.T)], image.array[labels.array == Label.MEDIAL_MENISCUS]
    assert np.median(bright) > 2 * np.median(dark)


def test_the_way_to_the_surface_ends_at_a_joint_surface(torn, scores):
    _, labels = torn
    lines = [line for line in scores.geometry["lines"] if line["column"] == "surface_distance_mm"]
    assert lines
    for line in lines:
        rows = [r for r in scores.meniscus if {k: r[k] for k in ("meniscus", "region")} in line["rows"]]
        assert all(row["surface_distance_mm"] == pytest.approx(line["length_mm"], abs=2e-3) for row in rows)
        start, end = np.array(line["from_mm"]), np.array(line["to_mm"])
        assert at(labels, start) == Label.MEDIAL_MENISCUS
        beyond = end + (end - start) / np.linalg.norm(end - start) * 0.3
        assert at(labels, beyond) != Label.MEDIAL_MENISCUS
        assert start[0] == pytest.approx(end[0], abs=1e-3)  # within one image


def block(spacing):
    """Tibia below z = 0 under 2.5 mm of cartilage, with a bright ball of 5 mm radius and a hole down to the bone."""
    axes = [np.arange(a, b, s) for a, b, s in zip((-20, -20, -30), (32, 20, 8), spacing, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    label = np.zeros(x.shape, np.uint8)
    label[z < 0] = Label.TIBIA
    label[(z >= 0) & (z < 2.5)] = np.where(x < -2, 6, np.where(x < 4, 0, 7))[(z >= 0) & (z < 2.5)]
    label[(np.hypot(x - 18, y) < 4) & (z >= 0)] = 0
    ball = (x + 8) ** 2 + y**2 + (z + 7) ** 2 < 25
    noise = np.random.default_rng(1).normal(0, 0.012, x.shape)
    grey = np.where(ball, 0.4, np.where(z < -1, 0.11, np.where(z < 0, 0.03, np.where(label > 0, 0.33, 0.57)))) + noise
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -20, -20, -30
    return Volume((1000 * np.abs(grey)).astype(np.float32), affine), Volume(label, affine), ball


@pytest.mark.parametrize("spacing", [(0.7, 0.6, 0.6), (1.0, 0.35, 0.35)])
def test_marrow_and_defects_lie_where_they_were_put(spacing):
    """Also where fine pixels are thinned out: each stands for its block."""
    image, labels, ball = block(spacing)
    scores = score_knee(image, labels, "R", contrast="PDFS")
    (marrow,) = [c for c in scores.geometry["components"] if c["table"] == "marrow"]
    assert marrow["rows"] == [{"bone": "tibia"}]
    found = np.zeros(image.shape, bool)
    found[tuple(np.array([[i, j, k + n] for i, j, k, length in marrow["runs"] for n in range(length)]).T)] = True
    assert 2 * (found & ball).sum() / (found.sum() + ball.sum()) > 0.85
    (row,) = [row for row in scores.marrow if row["bone"] == "tibia"]
    assert found.sum() * image.voxel_mm3 == pytest.approx(row["hyperintense_mm3"], rel=0.02)
    defect = next(s for s in scores.geometry["surfaces"] if s["rows"] == [{"plate": "lateral_tibial_cartilage"}])
    points = np.array(defect["points_mm"])
    points = points[points[:, 0] > 8]  # the bare strip between the plates is read as another
    assert np.hypot(points[:, 0] - 18, points[:, 1]).max() < 6
    assert np.abs(points[:, 2]).max() < 1.5  # on the bone
    assert np.abs(points[:, :2].mean(0) - [18, 0]).max() < 0.7


@pytest.mark.parametrize("codes", ["LPS", "SRA"])
def test_places_do_not_depend_on_how_the_scan_is_stored_nor_on_the_side(torn, scores, codes):
    turned = score_knee(*(reorient(v, codes) for v in torn), "R", contrast="PDFS").geometry
    assert turned["lines"] == scores.geometry["lines"]
    left = score_knee(*(mirror(v) for v in torn), "L", contrast="PDFS").geometry
    assert left["components"] == scores.geometry["components"]  # the same voxels of the mirrored file
    assert len(left["surfaces"]) == len(scores.geometry["surfaces"])
    for line, other in zip(left["lines"], scores.geometry["lines"], strict=True):
        assert line["from_mm"] == [-other["from_mm"][0] + 0.0, *other["from_mm"][1:]]


def test_the_map_of_t2_is_of_menisci_and_cartilage_whatever_the_order_of_echoes(torn):
    image, labels = torn
    te = np.array([30.0, 10, 50, 20, 40])
    is_meniscus, is_cartilage = (
        np.isin(labels.array, group) for group in ([Label.MEDIAL_MENISCUS, Label.LATERAL_MENISCUS], CARTILAGES)
    )
    t2 = np.where(is_meniscus, 14.0, 40.0)
    echoes = (image.array[..., None] * np.exp(-te / t2[..., None])).astype(np.float32)
    train = EchoTrain(np.sort(echoes)[..., ::-1], np.sort(te), 0.0)
    found = t2_map(train, image, labels, echoes, te)
    assert found[is_meniscus] == pytest.approx(0.014, rel=1e-3)
    assert found[is_cartilage] == pytest.approx(0.040, rel=1e-3)
    assert not found[~is_meniscus & ~is_cartilage].any()
    medial = labels.array == Label.MEDIAL_MENISCUS
    median = region_t2(train, (slice(None),) * 3, medial)["t2_ms"]
    assert median == pytest.approx(1000 * float(np.median(found[medial])), rel=1e-5)
    assert t2_map(None, image, labels, echoes, te) is None


def test_the_files_of_a_scan(tmp_path, torn):
    scan, (image, labels) = "sub-001_ses-01_knee-R", torn
    folders = tmp_path / "ingest", tmp_path / "segment", tmp_path / "score"
    for folder in folders[:2]:
        folder.mkdir()
    write_volume(folders[0] / f"{scan}_image.nii.gz", image)
    write_volume(folders[1] / f"{scan}_dseg.nii.gz", labels)
    keys = {"scan_id": scan, "participant_id": "sub-001", "session_id": "ses-01", "laterality": "R", "status": "ok"}
    tables.write_status(folders[1], keys)
    score_scan(scan, *folders)
    told = json.loads((folders[2] / f"{scan}_geometry.json").read_text())
    assert (told["scan_id"], told["laterality"]) == (scan, "R")
    assert told["components"]
    tables.write_status(folders[1], keys | {"status": "quarantined"})
    score_scan(scan, *folders)
    assert not (folders[2] / f"{scan}_geometry.json").exists()
