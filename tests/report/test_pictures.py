"""Pictures: orientation, scale and outlines against knees built voxel by voxel."""

import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from kneeline import tables
from kneeline.labels import Label, color
from kneeline.report import pictures
from kneeline.volume import SAGITTAL, Volume, reorient, write_volume

SPACING = (3.0, 0.5, 0.8)  # left-right, superior-inferior, anterior-posterior
SHAPE = (20, 240, 160)  # 60 x 120 x 128 mm
SCAN = "sub-007_ses-01_knee-R"
KEYS = {"participant_id": "sub-007", "session_id": "ses-01", "laterality": "R"}


def sagittal(array):
    affine = np.zeros((4, 4))
    affine[0, 0], affine[2, 1], affine[1, 2], affine[3, 3] = SPACING[0], -SPACING[1], -SPACING[2], 1
    return Volume(array, affine)


@pytest.fixture
def knee():
    """Grey image, blocks as menisci, patella and fluid; one slice each so that the choice is known."""
    image = np.full(SHAPE, 100, np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:7, 150:170, 30:60] = Label.MEDIAL_MENISCUS  # one block: no two horns
    labels[5, 150:170, 40:50] = 0  # here front and back horn
    labels[9:12, 40:80, 10:30] = Label.PATELLA
    labels[14, 150:170, 30:50] = Label.LATERAL_MENISCUS
    labels[8, 20:60, 40:80] = Label.JOINT_FLUID
    labels[17, 20:30, 40:50] = Label.JOINT_FLUID
    assert sagittal(labels).orientation == SAGITTAL
    return sagittal(image), sagittal(labels)


def panels_of(packed, panels):
    """Plain and outlined panels as float RGB arrays, cut out of the sheet."""
    sheet = np.asarray(Image.open(io.BytesIO(packed)).convert("RGB")).astype(float)
    gap, head = pictures._GAP, pictures._HEAD
    back = np.asarray(pictures._BACK)
    row = sheet[head + 40]
    starts = [gap]
    width = next(x for x in range(gap, sheet.shape[1]) if (row[x : x + gap] == back).all()) - gap
    column = sheet[:, gap + width // 2]
    height = next(y for y in range(head, sheet.shape[0]) if (column[y : y + gap] == back).all()) - head
    starts = [gap + k * (width + gap) for k in range(len(panels))]
    return [
        (
            sheet[head : head + height, x : x + width],
            sheet[head + height + gap : head + 2 * height + gap, x : x + width],
        )
        for x in starts
    ]


def test_chosen_slices(knee):
    found = {p.title: p.index for p in pictures.choose_panels(knee[1])}
    assert found == {"medial meniscus": 5, "midline of the patella": 10, "lateral meniscus": 14, "most fluid": 8}


def test_absent_structures_get_no_panel():
    empty = sagittal(np.zeros(SHAPE, np.uint8))
    assert pictures.choose_panels(empty) == [pictures.Panel(10, "middle slice")]
    only = np.zeros(SHAPE, np.uint8)
    only[12, 150:170, 30:60] = Label.LATERAL_MENISCUS
    assert [p.index for p in pictures.choose_panels(sagittal(only))] == [12]


@pytest.mark.parametrize("codes", ["RIP", "LAS", "PSR", "SLA", "AIL"])
def test_anterior_superior_is_top_left_whatever_the_storage(codes):
    """A bright marker at the anterior, superior corner of each slice, stored in any orientation."""
    image = np.full(SHAPE, 50, np.int16)
    image[:, 2:50, 2:40] = 1000  # superior: small row; anterior: small column
    labels = np.zeros(SHAPE, np.uint8)
    labels[4, 100:110, 60:70] = Label.MEDIAL_MENISCUS
    stored = [reorient(sagittal(a), codes) for a in (image, labels)]
    panels = pictures.choose_panels(stored[1])
    assert [p.index for p in panels] == [4]
    # The whole slice is shown: a joint of least size reaches the image's edges here.
    labels[4, 2:238, 2:158] = Label.MEDIAL_MENISCUS
    packed = pictures.draw_knee(stored[0], reorient(sagittal(labels), codes), panels, None)
    plain, _ = panels_of(packed, panels)[0]
    grey = plain.mean(axis=2)
    h, w = grey.shape
    # A band below the letters in the corner: bright in front, dark behind; and dark further down.
    upper, lower = slice(int(h * 0.10), int(h * 0.16)), slice(int(h * 0.7), int(h * 0.8))
    front, back = slice(int(w * 0.1), int(w * 0.2)), slice(int(w * 0.8), int(w * 0.9))
    assert grey[upper, front].min() > 200
    assert max(grey[upper, back].max(), grey[lower, front].max(), grey[lower, back].max()) < 50


def test_pixels_have_their_true_aspect(knee):
    image, labels = knee
    box = pictures.joint_box(labels)
    plain, _ = panels_of(pictures.draw_knee(image, labels, [pictures.Panel(5, "x")], "R"), [0])[0]
    assert plain.shape[0] / plain.shape[1] == pytest.approx(box.height_mm / box.width_mm, rel=0.01)
    assert box.height_mm == (box.row[1] - box.row[0]) * SPACING[1]
    assert box.width_mm == (box.column[1] - box.column[0]) * SPACING[2]


def test_a_speck_far_away_does_not_make_the_joint_small(knee):
    clean = knee[1].array.copy()
    clean[clean == Label.PATELLA] = 0
    box = pictures.joint_box(knee[1].with_array(clean))
    clean[17, 235, 155] = Label.JOINT_FLUID
    assert pictures.joint_box(knee[1].with_array(clean)) == box
    clean[:, 225:238, 150:158] = Label.JOINT_FLUID  # no speck any more
    assert pictures.joint_box(knee[1].with_array(clean)) != box


def test_outline_lies_on_the_boundary_of_the_label(knee):
    """Every coloured pixel is within 2 pixels of the block's edge, and all four edges are drawn."""
    image, labels = knee
    array = np.zeros(SHAPE, np.uint8)
    rows, columns = (120, 170), (50, 90)
    array[5, slice(*rows), slice(*columns)] = Label.LATERAL_MENISCUS
    labels = labels.with_array(array)
    box = pictures.joint_box(labels)
    plain, outlined = panels_of(pictures.draw_knee(image, labels, [pictures.Panel(5, "x")], None), [0])[0]
    red, _, blue = bytes.fromhex(color(Label.LATERAL_MENISCUS)[1:])
    drawn = np.argwhere(outlined[..., 0] - outlined[..., 2] > 0.3 * (red - blue))  # the rest of the panel is grey
    assert len(drawn) > 100
    scale = np.array([plain.shape[0] / (box.row[1] - box.row[0]), plain.shape[1] / (box.column[1] - box.column[0])])
    top_left = (np.array([rows[0], columns[0]]) - [box.row[0], box.column[0]]) * scale
    bottom_right = (np.array([rows[1], columns[1]]) - [box.row[0], box.column[0]]) * scale
    centre = drawn + 0.5
    inside = np.minimum(centre - top_left, bottom_right - centre)
    distance = np.abs(inside.min(axis=1))
    assert distance.max() <= 2
    for edge in (centre[:, 0] - top_left[0], bottom_right[0] - centre[:, 0]):
        assert (np.abs(edge) <= 2).sum() > 0.8 * (bottom_right[1] - top_left[1])
    for edge in (centre[:, 1] - top_left[1], bottom_right[1] - centre[:, 1]):
        assert (np.abs(edge) <= 2).sum() > 0.8 * (bottom_right[0] - top_left[0])


def test_contours_are_exact_and_closed_at_the_image_edge():
    mask = np.zeros((40, 40), bool)
    mask[:10, 20:30] = True  # touches the top edge
    box = pictures.Box((0, 40), (0, 40), 40.0, 40.0)
    (line,) = pictures.placed(pictures.outline(mask), box, (80, 80))
    x, y = line.T
    assert line[0].tolist() == line[-1].tolist()
    assert (x.min(), x.max(), y.min(), y.max()) == (40.0, 60.0, 0.0, 20.0)


def test_window_ignores_outliers_and_survives_flat_or_empty_images():
    values = np.random.default_rng(0).normal(100, 10, 10_000).astype(np.float32)
    values[:5] = 30_000
    values[5] = np.nan
    low, high = pictures.window(values)
    assert 60 < low < 85
    assert 115 < high < 150
    assert pictures.window(np.full(10, 7.0, np.float32)) == (7.0, 8.0)
    assert pictures.window(np.full(10, np.nan, np.float32)) == (0.0, 1.0)


def test_a_noisy_large_scan_stays_within_the_size_limit(knee):
    """White noise is the worst case for compression."""
    image = np.random.default_rng(1).integers(0, 1000, SHAPE).astype(np.int16)
    packed = pictures.draw_knee(knee[0].with_array(image), knee[1], pictures.choose_panels(knee[1]), "L")
    assert len(packed) <= pictures.MAX_BYTES <= 300_000
    assert Image.open(io.BytesIO(packed)).width > 700


def test_image_and_labels_on_two_grids_are_refused(knee):
    image, labels = knee
    with pytest.raises(ValueError, match="not on one grid"):
        pictures.draw_knee(Volume(image.array, image.affine * 1.01), labels, [pictures.Panel(5, "x")], "R")


# --- the stage ---


def write_knee(folder, knee, **status):
    image, labels = knee
    folder.mkdir(parents=True, exist_ok=True)
    write_volume(folder / f"{SCAN}_image.nii.gz", image)
    write_volume(folder / f"{SCAN}_dseg.nii.gz", labels)
    tables.write_status(folder, {"scan_id": SCAN, **KEYS, "status": "ok", "verdict": "ok", **status})


def test_picture_scan_writes_the_same_bytes_twice(tmp_path, knee):
    write_knee(tmp_path / "in", knee)
    for out in ("a", "b"):
        pictures.picture_scan(SCAN, *[tmp_path / "in"] * 3, tmp_path / out)
    first, second = (
        {str(p.relative_to(tmp_path / out)): p.read_bytes() for p in (tmp_path / out).rglob("*.*")}
        for out in ("a", "b")
    )
    assert first == second
    own = {name for name in first if "page-" not in name}
    assert own == {
        f"{SCAN}_overlay.png", f"{SCAN}_picture.json",
        *(f"knees/{SCAN}{end}" for end in (".html", "_pixels.js", "_thumbnail.png")),
    }  # fmt: skip
    assert sum(len(first[name]) for name in own if "pixels" not in name) < 300_000
    marker = json.loads(first[f"{SCAN}_picture.json"])
    assert [p["slice"] for p in marker["panels"]] == [6, 11, 15, 9]
    assert marker["picture"] == f"{SCAN}_overlay.png"


def test_the_marker_changes_with_the_picture_alone(tmp_path, knee):
    """Other greys, same slices: only the checksum can tell that the page is out of date."""
    markers = []
    rows = np.arange(SHAPE[1])[None, :, None]
    for slope in (0, 2):
        image, labels = knee
        shaded = Volume((image.array + slope * rows).astype(np.int16), image.affine)
        write_knee(tmp_path / str(slope), (shaded, labels))
        pictures.picture_scan(SCAN, *[tmp_path / str(slope)] * 3, tmp_path / "out")
        markers.append(json.loads((tmp_path / "out" / f"{SCAN}_picture.json").read_text()))
        png = (tmp_path / "out" / f"{SCAN}_overlay.png").read_bytes()
        assert markers[-1]["sha256"] == hashlib.sha256(png).hexdigest()
    assert markers[0]["panels"] == markers[1]["panels"]
    assert markers[0] != markers[1]


def test_a_scan_that_was_set_aside_gets_a_marker_and_no_picture(tmp_path, knee):
    write_knee(tmp_path, knee, status="quarantined", stage="segment", reason_code="not_a_knee", reason="no knee")
    out = tmp_path / "out"
    out.mkdir()
    for name in (f"{SCAN}_overlay.png", f"knees/{SCAN}.html", f"knees/{SCAN}_pixels.js", f"knees/{SCAN}_thumbnail.png"):
        tables.write_bytes(out / name, b"from an earlier run")
    pictures.picture_scan(SCAN, *[tmp_path] * 3, out)
    assert [p.name for p in out.rglob("*.*")] == [f"{SCAN}_picture.json"]
    assert json.loads((out / f"{SCAN}_picture.json").read_text())["reason"] == "set aside: no knee"


def test_a_broken_label_file_is_told_and_does_not_stop_the_run(tmp_path, knee):
    write_knee(tmp_path, knee)
    (tmp_path / f"{SCAN}_dseg.nii.gz").write_bytes(b"not a NIfTI")
    pictures.picture_scan(SCAN, *[tmp_path] * 3, tmp_path / "out")
    assert "could not be drawn" in json.loads((tmp_path / "out" / f"{SCAN}_picture.json").read_text())["reason"]


def test_caption_shows_grades_and_missing_as_such(tmp_path):
    meniscus = [
        {**KEYS, "meniscus": m, "region": r, "signal_grade": 2 if (m, r) == ("medial", "posterior_horn") else 0}
        for m in tables.grading.MENISCI
        for r in tables.grading.REGIONS
    ]
    meniscus[-1]["signal_grade"] = None
    tables.write_table(tmp_path / f"{SCAN}_meniscus.tsv", meniscus, tables.MENISCUS)
    tables.write_table(tmp_path / f"{SCAN}_effusion.tsv", [{**KEYS, "fluid_ml": 12.34}], tables.EFFUSION)
    first, second = pictures.caption(SCAN, tmp_path, {"verdict": "review"})
    assert SCAN in first
    assert "review" in first
    assert "medial 0 / 0 / 2,  lateral 0 / 0 / n/a" in second
    assert "effusion grade n/a, 12.3 mL" in second
    assert len(pictures.caption(SCAN, tmp_path / "none", {})) == 1
    (edited,) = pictures.caption(SCAN, tmp_path / "none", {"verdict": "ok", "outlined_by": "edited by anna"})
    assert edited.endswith("segmentation: ok, outlines edited by anna")


def test_an_unexpected_fault_is_told_by_its_name_only(tmp_path, knee, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("text of a header")

    write_knee(tmp_path, knee)
    monkeypatch.setattr(pictures, "draw_knee", fail)
    pictures.picture_scan(SCAN, *[tmp_path] * 3, tmp_path / "out")
    text = (tmp_path / "out" / f"{SCAN}_picture.json").read_text()
    assert "ZeroDivisionError" in text
    assert "header" not in text
