"""Balls of bright marrow in blocks of bone: volume, extent and grade are known, and so is what is no lesion."""

from __future__ import annotations

import numpy as np
import pytest

from kneeline.labels import Label
from kneeline.score.frame import canonical
from kneeline.score.marrow import measure_marrow
from kneeline.volume import Volume

THIN, THICK = (0.7, 0.6, 0.6), (3.4, 0.52, 0.52)
MARROW, RED_MARROW, CARTILAGE, LESION, FLUID = 0.11, 0.19, 0.33, 0.40, 0.57


def block(spacing, balls=(), *, marrow=MARROW, lesion=LESION, red=(), shading=0.0, noise=0.012, scar=False):
    """Tibia below z = 0 under 2.5 mm of cartilage and a film of fluid; balls and `red` are (x, y, z, radius)."""
    low, high = np.array([-22.0, -22.0, -32.0]), np.array([22.0, 22.0, 8.0])
    rng = np.random.default_rng(5)
    parts = max(round(spacing[0] / 0.7), 1)
    axes = [np.arange(a, b, s) for a, b, s in zip(low, high, spacing, strict=True)]
    label = np.zeros([len(a) for a in axes], np.uint8)
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    label[np.broadcast_to(z < 0, label.shape)] = Label.TIBIA
    for side, plate in ((x < 0, Label.MEDIAL_TIBIAL_CARTILAGE), (x >= 0, Label.LATERAL_TIBIAL_CARTILAGE)):
        label[np.broadcast_to(side & (z >= 0) & (z < 2.5), label.shape)] = plate
    image = np.zeros(label.shape, np.float32)
    for shift in (np.arange(parts) + 0.5) / parts - 0.5:
        at = x + shift * spacing[0]
        grey = np.where(z < -1.0, marrow, np.where(z < 0, 0.03, np.where(z < 2.5, CARTILAGE, FLUID)))
        grey = np.broadcast_to(grey, label.shape).astype(np.float32)
        for value, group in ((RED_MARROW, red), (lesion, balls)):
            for a, b, c, radius in group:
                inside = (at - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 < radius**2
                grey = np.where(inside & (z < -1.0), np.float32(value), grey)
        if scar:
            grey = np.where(np.abs(z + 22) < 0.6, np.float32(LESION), grey)
        image += grey / parts
    image *= 1 + shading * np.sin(x / 16) * np.cos(y / 20)
    image = np.hypot(image + rng.normal(0, noise, image.shape), rng.normal(0, noise, image.shape))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    return canonical(Volume(1000 * image.astype(np.float32), affine), Volume(label, affine), "R")


def tibia(knee, contrast="PDFS"):
    return next(row for row in measure_marrow(knee, contrast) if row["bone"] == "tibia")


def ball_mm3(radius, centre_z, edge_mm=2.0):
    """Volume of a ball below the bone's outermost 2 mm."""
    z = np.linspace(-radius, radius, 4001)
    inside = (centre_z + z) < -edge_mm
    return float((np.pi * (radius**2 - z**2) * inside).sum() * (z[1] - z[0]))


@pytest.mark.parametrize(("spacing", "error"), [(THIN, 0.12), (THICK, 0.3)])
@pytest.mark.parametrize(("radius", "z", "grade"), [(4.0, -4.0, 1), (7.0, -5.0, 1), (10.8, 0.5, 2)])
def test_volume_extent_and_grade_of_a_ball(spacing, error, radius, z, grade):
    row = tibia(block(spacing, [(0.3, 0.2, z, radius)]))
    assert row["hyperintense_mm3"] == pytest.approx(ball_mm3(radius, z), rel=error)
    widest = 2 * np.sqrt(radius**2 - max(0.0, z + 2.0) ** 2)
    assert row["hyperintense_extent_mm"] == pytest.approx(widest, abs=1.0 if spacing == THIN else 3.4)
    assert (row["marrow_grade"], row["flags"]) == (grade, "experimental")


@pytest.mark.parametrize("spacing", [THIN, THICK])
@pytest.mark.parametrize(
    "innocent",
    [
        {},
        {"shading": 0.25},
        {"red": [(0, 0, -8, 9.0)]},
        {"scar": True},
        {"balls": [(0, 0, -4, 1.8)]},  # too small
        {"balls": [(0, 0, -20, 6.0)]},  # far from the joint
    ],
)
def test_what_is_no_lesion_is_grade_0(spacing, innocent):
    row = tibia(block(spacing, **innocent))
    assert (row["hyperintense_mm3"], row["marrow_grade"]) == (0, 0)


def test_at_long_echo_times_marrow_itself_sets_the_bar():
    """T2: marrow nearly as bright as cartilage (0.64), a lesion twice as bright; a little brighter is marrow."""
    found = [
        tibia(block(THIN, [(0, 0, -5, 6.0)], marrow=0.64 * CARTILAGE, lesion=lesion * CARTILAGE), "T2FS")
        for lesion in (0.9, 2.1)
    ]
    assert [row["marrow_grade"] for row in found] == [0, 1]
    assert found[1]["hyperintense_mm3"] == pytest.approx(ball_mm3(6.0, -5.0), rel=0.15)


def test_shading_changes_a_lesion_little():
    plain, shaded = (tibia(block(THIN, [(8, 0, -5, 6.0)], shading=s)) for s in (0.0, 0.25))
    assert shaded["hyperintense_mm3"] == pytest.approx(plain["hyperintense_mm3"], rel=0.1)


def test_scale_and_offset_free_of_units():
    knee = block(THIN, [(0, 0, -5, 6.0)])
    louder = type(knee)(knee.image.with_array(7 * knee.image.array), knee.labels)
    assert tibia(knee) == tibia(louder)


@pytest.mark.parametrize("contrast", ["PD", "T2", "T1", "DESS", "other", None])
def test_other_contrasts_are_not_read(contrast):
    row = tibia(block(THIN, [(0, 0, -5, 6.0)]), contrast)
    assert row["hyperintense_mm3"] is row["marrow_grade"] is None
    assert row["flags"] == "experimental,not_fat_suppressed"


def test_failed_fat_suppression_is_said():
    row = tibia(block(THIN, marrow=0.32))
    assert row["marrow_grade"] is None
    assert row["flags"] == "experimental,fat_not_suppressed"


def test_bones_that_are_not_there_are_missing():
    rows = {row["bone"]: row for row in measure_marrow(block(THIN), "PDFS")}
    assert list(rows) == ["femur", "tibia", "patella"]
    assert rows["patella"]["marrow_grade"] is None
    assert rows["patella"]["flags"] == "experimental,not_segmented"


def test_a_bone_without_cartilage_has_no_reference():
    knee = block(THIN)
    bare = np.where(knee.labels.array == Label.TIBIA, knee.labels.array, 0).astype(np.uint8)
    row = tibia(type(knee)(knee.image, knee.labels.with_array(bare)))
    assert row["marrow_grade"] is None
    assert row["flags"] == "experimental,no_reference"


def relabelled(knee, names):
    table = np.arange(256, dtype=np.uint8)
    for old, new in names.items():
        table[old] = new
    return type(knee)(knee.image, knee.labels.with_array(table[knee.labels.array]))


def patella(knee):
    return next(row for row in measure_marrow(knee, "PDFS") if row["bone"] == "patella")


PLATES = (Label.MEDIAL_TIBIAL_CARTILAGE, Label.LATERAL_TIBIAL_CARTILAGE)


@pytest.mark.parametrize(("x", "grade"), [(-9.0, 1), (15.0, 0)])
def test_a_bone_is_read_under_its_own_cartilage_only(x, grade):
    """A patella with its own cartilage medially, and laterally the femur's against it."""
    names = {Label.TIBIA: Label.PATELLA, PLATES[0]: Label.PATELLAR_CARTILAGE, PLATES[1]: Label.FEMORAL_CARTILAGE}
    row = patella(relabelled(block(THIN, [(x, 0, -5, 4.5)]), names))
    assert (row["marrow_grade"], row["flags"]) == (grade, "experimental")


@pytest.mark.parametrize("bone", ["patella", "tibia"])
def test_a_bone_whose_cartilage_is_not_outlined_is_not_read(bone):
    """A patella beside the femur's cartilage, and a tibia with one of its two plates."""
    names = {PLATES[0]: Label.FEMORAL_CARTILAGE}
    if bone == "patella":
        names |= {Label.TIBIA: Label.PATELLA, PLATES[1]: Label.FEMORAL_CARTILAGE}
    rows = measure_marrow(relabelled(block(THIN, [(0, 0, -5, 6.0)]), names), "PDFS")
    row = next(row for row in rows if row["bone"] == bone)
    assert row["marrow_grade"] is row["zone_mm3"] is None
    assert row["flags"] == "experimental,no_cartilage"


def test_more_signal_is_never_a_lower_grade():
    grades = [tibia(block(THIN, [(0, 0, 0, r)] if r else []))["marrow_grade"] for r in (0, 3.5, 6, 9, 12)]
    assert grades == sorted(grades)
    assert (grades[0], grades[-1]) == (0, 2)
