"""A defect that the outline covers is opened where the image shows fluid in it, and only there."""

import numpy as np
import pytest

from kneeline.labels import Label
from kneeline.score.cartilage import measure_cartilage
from kneeline.score.frame import canonical
from kneeline.score.pits import open_pits
from kneeline.volume import Volume

SPACING = (0.7, 0.5, 0.5)
PLATE = Label.MEDIAL_TIBIAL_CARTILAGE
PIT_MM3 = np.pi * 4**2 * 3


def plate(fluid=1.7, pit=True, shading=0.0, wet=True, noise=0.03):
    """40 x 40 mm of bone under 3 mm of cartilage outlined whole, fluid above; in the image a round pit of 4 mm radius
    reaches the bone."""
    axes = [np.arange(-20, 20, s) + 0.3 * s for s in SPACING[:2]] + [np.arange(-6, 8, SPACING[2])]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    shape = np.broadcast_shapes(x.shape, y.shape, z.shape)
    label = np.zeros(shape, np.uint8)
    label[np.broadcast_to(z < 0, shape)] = Label.TIBIA
    inner = (np.abs(x) < 16) & (np.abs(y) < 16)
    label[inner & (z >= 0) & (z < 3)] = PLATE
    if wet:
        label[np.broadcast_to((z >= 3) & (z < 5), shape)] = Label.JOINT_FLUID
    image = np.where(label == PLATE, 1.0, np.where(label == Label.JOINT_FLUID, fluid, 0.3))
    if pit:
        image[(x**2 + y**2 < 16) & (z >= 0) & (z < 3)] = fluid
    image = image * (1 + shading * x / 20) + np.random.default_rng(2).normal(0, noise, shape)
    affine = np.diag([*SPACING, 1.0])
    return canonical(Volume((500 * image).astype(np.float32), affine), Volume(label, affine), "R")


def grade(knee):
    return next(row for row in measure_cartilage(knee, "PDFS") if row["plate"] == PLATE.label_name)["cartilage_grade"]


@pytest.mark.parametrize("shading", [0.0, 0.2])
def test_fluid_under_the_outline_is_a_pit(shading):
    knee = plate(shading=shading)
    opened = open_pits(knee, "PDFS")
    assert opened.opened_mm3[PLATE] == pytest.approx(PIT_MM3, rel=0.1)
    changed = opened.knee.labels.array != knee.labels.array
    assert set(opened.knee.labels.array[changed]) == {Label.JOINT_FLUID}
    assert grade(knee) == 4


@pytest.mark.parametrize(
    "knee",
    [
        {"pit": False},
        {"pit": False, "shading": 0.2},
        {"fluid": 1.15},  # fluid hardly brighter than cartilage
        {"fluid": 0.6},  # T1
        {"wet": False},  # no fluid to compare with
    ],
)
def test_the_outline_stays_where_the_image_does_not_contradict_it(knee):
    knee = plate(**knee)
    opened = open_pits(knee, "PDFS")
    assert opened.opened_mm3[PLATE] < 0.01 * PIT_MM3
    assert (opened.knee.labels.array != knee.labels.array).mean() < 1e-4
    assert grade(knee) == 0


def test_much_fluid_in_an_outline_is_flagged():
    flags = {r["plate"]: r["flags"] for r in measure_cartilage(plate(), "PDFS")}
    assert flags[PLATE.label_name] == "experimental"
    knee = plate()
    wet = knee.image.array.copy()
    wet[:12] = 850
    drowned = type(knee)(knee.image.with_array(wet), knee.labels)
    flags = {r["plate"]: r["flags"] for r in measure_cartilage(drowned, "PDFS")}
    assert flags[PLATE.label_name] == "experimental,fluid_in_outline"


@pytest.mark.parametrize("contrast", ["PD", "T2", None])
def test_without_fat_suppression_bright_may_be_fat_and_the_outline_stays(contrast):
    knee = plate()
    assert open_pits(knee, contrast).knee is knee
