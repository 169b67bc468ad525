"""Laws that hold from image and labels to rows: what changes nothing, and what can only raise a grade.

One simulated knee with a tear (medial), a line (lateral), 14 mL of fluid and bright marrow, imaged in 3.4 mm steps as
PD-FS, in which all is read that can be; its true labels.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from kneeline.labels import MENISCI, Label
from kneeline.score.run import score_knee
from kneeline.simulate.acquire import Acquisition, acquire
from kneeline.simulate.knee import Lesion, build_knee, sample_parameters
from kneeline.volume import SAGITTAL, Volume, mirror, reorient

LESIONS = [Lesion("medial", "posterior_horn", 3), Lesion("lateral", "posterior_horn", 2)]
PLAN = Acquisition(pixel_mm=0.6, matrix=224, n_slices=28)
EFFUSION_GRADES = ("effusion_grade", "effusion_grade_volume", "pouch_in_view")
# Read between thick images, and flagged so: the least step of a surface between them decides how far a pit reaches.
EXPERIMENTAL = ("defect_area_mm2", "defect_depth_pct", "defect_judged_pct")
# Borders of recesses, and lines along which depth is sampled, follow axes that are found in the bones as they lie; the
# thin ends of a plate follow the local level by which fluid is told from it, and that the cells it is worked out on.
LOOSER = {"_ml": {"rel": 0.05, "abs": 0.2}, "_depth_mm": {"abs": 0.25}, "_p5_mm": {"abs": 0.1}}
# How a knee lies in the scanner: turned by about 8 degrees about each axis and moved.
LYING = np.eye(4)
LYING[:3, :3] = Rotation.from_euler("xyz", [8, -7, 9], degrees=True).as_matrix()
LYING[:3, 3] = 6, -4, 9


def parameters():
    return sample_parameters(np.random.default_rng(5), "R")


@pytest.fixture(scope="module")
def knee():
    return build_knee(parameters(), LESIONS, fluid_ml=14.0, spacing_mm=1.0)


@pytest.fixture(scope="module")
def scan(knee):
    acquired = acquire(knee, PLAN, 1)
    return with_marrow_lesion(acquired.image, acquired.labels), acquired.labels


def with_marrow_lesion(image, labels):
    """A ball of 6 mm radius, brighter than cartilage, under the medial tibial plate."""
    plate = np.argwhere(labels.array == Label.MEDIAL_TIBIAL_CARTILAGE)
    middle = labels.geometry.to_world(plate).mean(0) - (0, 0, 9)
    tibia = np.argwhere(labels.array == Label.TIBIA)
    ball = tibia[np.linalg.norm(labels.geometry.to_world(tibia) - middle, axis=1) <= 6]
    array = image.array.copy()
    array[tuple(ball.T)] = 1.2 * np.median(array[tuple(plate.T)])
    return image.with_array(array)


@pytest.fixture(scope="module")
def scores(scan):
    return score_knee(*scan, "R", contrast="PDFS")


def lying(volumes):
    return [Volume(v.array, LYING @ v.affine) for v in volumes]


def rows(scores):
    return [*scores.meniscus, *scores.extrusion, scores.effusion, *scores.cartilage, *scores.marrow]


def assert_same(scores, expected, **tolerance):
    """Every grade equal; every measurement that is not experimental within `tolerance`, or what its kind is allowed."""
    assert len(rows(scores)) == len(rows(expected))
    faults = []
    for row, other in zip(rows(scores), rows(expected), strict=True):
        for name, value in other.items():
            if name == "laterality" or name in EXPERIMENTAL:
                continue
            if isinstance(value, float):
                looser = [t for end, t in LOOSER.items() if name.endswith(end) and name != "fluid_ml"]
                value = pytest.approx(value, **(looser[0] if looser else tolerance))
            if row[name] != value:
                faults.append((name, row[name], value))
    assert not faults


def signal(scores):
    return [row["signal_grade"] for row in scores.meniscus]


def test_the_knee_shows_what_was_built(scores):
    """Without this the laws would hold of nothing."""
    assert signal(scores) == [0, 0, 3, 0, 0, 2]
    assert scores.effusion["effusion_grade"] == 2
    assert scores.effusion["fluid_ml"] == pytest.approx(14, rel=0.2)
    assert [row["marrow_grade"] for row in scores.marrow] == [0, 1, 0]


def test_threads_change_no_bit(scan, scores):
    assert repr(score_knee(*scan, "R", contrast="PDFS", threads=2)) == repr(scores)


def test_a_mirrored_knee_is_the_other_knee_however_its_voxels_are_stored(scan, scores):
    stored = [reorient(mirror(volume), "SLA") for volume in scan]
    again = score_knee(*stored, "L", contrast="PDFS")
    assert {row["laterality"] for row in rows(again)} == {"L"}
    assert_same(again, scores, rel=1e-6, abs=1e-6)


def test_a_knee_turned_in_the_scanner_with_its_images_changes_nothing(scan, scores):
    assert_same(score_knee(*lying(scan), "R", contrast="PDFS"), scores, rel=0.01, abs=0.01)


@pytest.fixture(scope="module")
def other_days(knee):
    """Lain down otherwise, planned otherwise, other noise: slices cut the knee elsewhere."""
    plans = [
        replace(PLAN, angles_deg=(3.0, -4.0, 5.0), centre_mm=(1.3, 4.0, 19.0)),
        replace(PLAN, angles_deg=(-2.0, 3.0, -3.0), centre_mm=(0.6, 2.0, 20.0)),
        replace(PLAN, angles_deg=(1.0, 2.0, -4.0), centre_mm=(-0.9, 3.0, 19.0)),
    ]
    scans = (acquire(knee, plan, 2 + number) for number, plan in enumerate(plans))
    return [score_knee(*lying((scan.image, scan.labels)), "R", contrast="PDFS") for scan in scans]


def test_another_day_changes_no_grade(other_days, scores):
    for again in other_days:
        assert signal(again) == signal(scores)
        for name in EFFUSION_GRADES:
            assert again.effusion[name] == scores.effusion[name]
        assert again.effusion["fluid_ml"] == pytest.approx(scores.effusion["fluid_ml"], rel=0.05)
        for meniscus in MENISCI:
            volume, before = (
                sum(row["volume_mm3"] for row in s.meniscus if row["meniscus"] == meniscus) for s in (again, scores)
            )
            assert volume == pytest.approx(before, rel=0.08)
        for plate, before in zip(again.cartilage, scores.cartilage, strict=True):
            # Tibial plates lie edge on in few thick images: 95 % of differences reach 0.6 to 0.8 (docs/validation.md).
            limit = 0.45 if "tibial" in plate["plate"] else 0.1
            assert plate["thickness_mean_mm"] == pytest.approx(before["thickness_mean_mm"], abs=limit)


@pytest.mark.parametrize("name", ["midline_depth_mm", "lateral_depth_mm"])
def test_depths_are_right_within_a_millimetre_whatever_the_day(knee, scores, other_days, name):
    """On average over the days: of two scans the lateral depth differs by up to 1.1 mm (docs/validation.md)."""
    true = {"midline_depth_mm": knee.truth.midline_depth_mm, "lateral_depth_mm": knee.truth.lateral_depth_mm}[name]
    assert np.mean([abs(s.effusion[name] - true) for s in (scores, *other_days)]) < 1.0


def test_brightness_has_no_scale(scan, scores):
    image, labels = scan
    again = image.with_array(0.137 * image.array.astype(np.float32) + 45.0)
    assert_same(score_knee(again, labels, "R", contrast="PDFS"), scores, rel=0.02, abs=0.02)


def test_a_moved_field_of_view_changes_nothing(scan, scores):
    """An image less on the left, one more on the right; rows and columns likewise. The joint stays inside."""
    moved = [shifted(reorient(volume, SAGITTAL), (1, -9, -7)) for volume in scan]
    assert_same(score_knee(*moved, "R", contrast="PDFS"), scores, rel=0.02, abs=0.02)


def shifted(volume, steps):
    """The grid moved by whole voxels: what comes into view is empty."""
    array = volume.array
    for axis, step in enumerate(steps):
        array = np.roll(array, -step, axis)
        gone = [slice(None)] * 3
        gone[axis] = slice(-step, None) if step > 0 else slice(0, -step)
        array[tuple(gone)] = 0
    affine = volume.affine.copy()
    affine[:3, 3] = volume.geometry.to_world(np.array(steps))
    return Volume(array, affine)


def test_more_fluid_never_lowers_a_grade():
    """The same joint ever fuller, on its own grid."""
    effusions = []
    for fluid_ml in (1, 5, 10, 18, 36):
        full = build_knee(parameters(), [], fluid_ml=fluid_ml, spacing_mm=1.6).labels
        effusions.append(score_knee(full, full, "R").effusion)
    for name in ("effusion_grade", "effusion_grade_volume"):
        grades = [effusion[name] for effusion in effusions]
        assert grades == sorted(grades)
        assert (grades[0], grades[-1]) == (0, 3)
    for name in ("fluid_ml", "midline_depth_mm", "lateral_depth_mm"):
        assert all(more[name] >= less[name] for less, more in pairwise(effusions))


def test_more_signal_never_lowers_a_grade(scan, scores):
    """Balls as bright as cartilage, put into the menisci one after another, wherever chance has it."""
    image, labels = scan
    rng = np.random.default_rng(11)
    bright = float(np.median(image.array[np.isin(labels.array, (5, 6, 7))]))
    own = np.isin(labels.array, list(MENISCI.values()))
    array, before = image.array.astype(np.float32), signal(scores)
    for radius_mm in (1.4, 1.8, 2.4):
        middle = rng.choice(np.argwhere(own), 4, replace=False)
        seeds = np.ones(own.shape, bool)
        seeds[tuple(middle.T)] = False
        ball = own & (ndimage.distance_transform_edt(seeds, sampling=image.spacing_mm) <= radius_mm)
        array = np.where(ball, np.maximum(array, bright), array)
        after = signal(score_knee(image.with_array(array), labels, "R"))
        assert all(new >= old for new, old in zip(after, before, strict=True)), (before, after)
        before = after
    assert sum(before) > sum(signal(scores))
