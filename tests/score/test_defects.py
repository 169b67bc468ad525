"""Focal defects of plates that are known exactly: what is there is found, what is not there is not."""

import numpy as np
import pytest

from kneeline.grading import CARTILAGE, grade_cartilage
from kneeline.labels import Label
from kneeline.score.cartilage import measure_cartilage, thickness_map, thickness_rows
from kneeline.score.defects import find_defects
from kneeline.score.frame import canonical
from kneeline.simulate.defects import CartilageDefect
from kneeline.volume import Volume, mirror

THIN, THICK = (0.7, 0.45, 0.45), (3.4, 0.52, 0.52)
RADIUS = 22.0


def dome(spacing, defects=(), thickness=2.4, taper_mm=5.0, place=(0.35, 1.4)):
    """The lower half of a sphere of bone under cartilage that tapers towards the equator, with pits around one place
    (angles from the pole and about it)."""
    axes = [np.arange(-27, 27, s) + 0.31 * s for s in spacing]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    r = np.sqrt(x**2 + y**2 + z**2)
    height = RADIUS * np.arcsin(np.clip(-z / r, -1, 1))
    layer = thickness * np.clip(height / taper_mm, 0, 1)
    tilt, turn = place
    middle = np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), -np.cos(tilt)
    away = RADIUS * np.arccos(np.clip((x * middle[0] + y * middle[1] + z * middle[2]) / r, -1, 1))
    for defect in defects:
        layer = layer * (1 - defect.profile(away))
    label = np.zeros(r.shape, np.uint8)
    label[r < RADIUS] = Label.FEMUR
    label[(r >= RADIUS) & (r < RADIUS + layer) & (z < 0)] = Label.FEMORAL_CARTILAGE
    volume = Volume(label, np.diag([*spacing, 1.0]))
    return canonical(volume, volume, "R")


def pit(radius_mm, depth, conical=False):
    return CartilageDefect(Label.FEMORAL_CARTILAGE, radius_mm, depth, conical)


def found(knee):
    return find_defects(thickness_map(knee, Label.FEMORAL_CARTILAGE))


@pytest.mark.parametrize("spacing", [THIN, THICK])
@pytest.mark.parametrize("thickness", [1.6, 2.4, 3.5])
def test_an_intact_plate_with_its_taper_is_grade_0(spacing, thickness):
    row = measure_cartilage(dome(spacing, thickness=thickness))[0]
    assert (row["defect_area_mm2"], row["cartilage_grade"]) == (0, 0)
    assert row["defect_judged_pct"] > (75 if spacing == THIN else 40)


@pytest.mark.parametrize(
    ("spacing", "radius", "depth", "grade", "error"),
    [
        (THIN, 4.0, 0.6, 3, 0.3),
        (THIN, 4.0, 1.0, 4, 0.3),
        (THIN, 6.0, 0.47, 2, 0.3),
        (THIN, 6.0, 0.6, 3, 0.2),
        (THICK, 5.0, 0.6, 3, 0.3),
        (THICK, 5.0, 1.0, 4, 0.35),
    ],
)
def test_area_and_grade_of_a_round_pit(spacing, radius, depth, grade, error):
    defects = found(dome(spacing, [pit(radius, depth)]))
    assert defects.area_mm2 == pytest.approx(np.pi * radius**2, rel=error)
    assert grade_cartilage(defects.area_mm2, defects.depth_pct) == grade
    if depth < 0.9:
        assert defects.depth_pct == pytest.approx(100 * depth, abs=6)


def test_a_cone_counts_where_it_is_deep_enough():
    cone = pit(6.5, 1.0, conical=True)
    defects = found(dome(THIN, [cone]))
    assert defects.area_mm2 == pytest.approx(cone.area_mm2(CARTILAGE.min_depth_pct / 100), rel=0.2)
    assert defects.area_mm2 < 0.6 * np.pi * 6.5**2


@pytest.mark.parametrize("defect", [pit(5.0, 0.2), pit(1.5, 1.0)])
def test_what_is_too_shallow_or_too_small_is_not_counted(defect):
    assert found(dome(THIN, [defect])).area_mm2 == 0


def test_a_bay_of_the_rim_is_no_defect():
    """A full-thickness notch that opens to the equator."""
    notch = dome(THIN, [pit(5.0, 1.0)], place=(np.pi / 2 - 0.1, 1.4))
    assert found(notch).area_mm2 == 0


def test_a_plate_that_is_thin_all_over_has_no_focal_defect():
    assert found(dome(THIN, thickness=1.1)).area_mm2 == 0


def test_deeper_is_never_a_lower_grade():
    grades = []
    for depth in (0.2, 0.45, 0.6, 0.75, 1.0):
        defects = found(dome(THIN, [pit(4.5, depth)]))
        grades.append(grade_cartilage(defects.area_mm2, defects.depth_pct))
    assert grades == sorted(grades)
    assert (grades[0], grades[-1]) == (0, 4)


def test_the_map_says_where():
    """Points of the map are in the world of the knee: the defect's middle is where it was cut."""
    knee = dome(THIN, [pit(4.0, 1.0)])
    surface = thickness_map(knee, Label.FEMORAL_CARTILAGE)
    defects = find_defects(surface)
    middle = surface.points_mm[defects.defect].mean(0)
    centre = -np.array([27 - 0.31 * s for s in THIN])
    cut = np.array([np.sin(0.35) * np.cos(1.4), np.sin(0.35) * np.sin(1.4), -np.cos(0.35)]) * RADIUS
    assert np.linalg.norm(middle - (cut - centre)) < 1.5
    assert np.median(defects.reference_mm[defects.defect]) == pytest.approx(2.4, abs=0.15)
    np.testing.assert_allclose(np.linalg.norm(surface.normals, axis=1), 1, atol=1e-6)
    assert surface.area_mm2[surface.thickness_mm > 0].sum() == pytest.approx(2 * np.pi * RADIUS**2, rel=0.08)


def test_rows_of_the_map_are_in_the_world_of_the_scan():
    """Of a left knee, the mirror image, x changes its sign and nothing else."""
    labels = dome(THIN, [pit(4.0, 1.0)]).labels
    right, left = thickness_rows(labels, labels, "R"), thickness_rows(mirror(labels), mirror(labels), "L")
    assert len(right) == len(left) > 1000
    for r, m in zip(right[::97], left[::97], strict=True):
        assert m == {**r, "x_mm": pytest.approx(-r["x_mm"])}
    bare = [row for row in right if row["defect"]]
    assert {row["plate"] for row in right} == {"femoral_cartilage"}
    assert min(row["thickness_mm"] for row in bare) == 0
    assert all(1.5 < row["reference_mm"] < 3 for row in bare)
