"""A defect that the outline covers is opened where the image shows fluid in it, and only there."""

import numpy as np
import pytest
from scipy import ndimage

from kneeline.labels import Label
from kneeline.score.cartilage import measure_cartilage
from kneeline.score.frame import canonical
from kneeline.score.pits import open_pits
from kneeline.volume import Volume

SPACING = (0.7, 0.5, 0.5)
PLATE = Label.MEDIAL_TIBIAL_CARTILAGE
PIT_MM3 = np.pi * 4**2 * 3


def plate(fluid=1.7, pit=True, shading=0.0, wet=True, noise=0.03, patches=0.0):
    """40 x 40 mm of bone under 3 mm of cartilage outlined whole, fluid above; in the image a round pit of 4 mm radius
    reaches the bone. `patches`: SD of brightness that varies within some millimetres, as it does in sound tissue."""
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
    image = image * (1 + shading * x / 20)
    rng = np.random.default_rng(2)
    if patches:
        uneven = ndimage.gaussian_filter(rng.standard_normal(shape), [2 / s for s in SPACING])
        image = image * (1 + patches * uneven / uneven.std())
    image = image + rng.normal(0, noise, shape)
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


UNEVEN = {"noise": 0.08, "patches": 0.08}


@pytest.mark.parametrize("fluid", [1.4, 1.5])
def test_uneven_cartilage_is_no_pit_where_fluid_is_little_brighter(fluid):
    """Some of it is nearer to fluid than to the cartilage around it: 40 to 100 mm3 were opened for that alone."""
    knee = plate(fluid=fluid, pit=False, **UNEVEN)
    sound = knee.image.array[knee.mask(PLATE)]
    assert (sound > 500 * (1 + fluid) / 2).mean() > 0.005
    opened = open_pits(knee, "PDFS")
    assert opened.opened_mm3[PLATE] == 0
    row = next(row for row in measure_cartilage(knee, "PDFS") if row["plate"] == PLATE.label_name)
    assert (row["cartilage_grade"], row["flags"]) == (0, "experimental")


@pytest.mark.parametrize("fluid", [1.4, 1.5])
def test_a_pit_in_uneven_cartilage_is_found_all_the_same(fluid):
    knee = plate(fluid=fluid, **UNEVEN)
    assert open_pits(knee, "PDFS").opened_mm3[PLATE] == pytest.approx(PIT_MM3, rel=0.15)
    assert grade(knee) == 4


def test_what_is_too_small_for_a_defect_is_not_opened():
    """Specks in the middle of the plate, as bright as fluid: 6 mm3, and 60 mm3 over the area of the least defect."""
    knee = plate(pit=False)
    middle = [n // 2 for n in knee.image.shape]
    for wide_mm, opens in ((2.0, False), (4.6, True)):
        image = knee.image.array.copy()
        half = [round(wide_mm / 2 / s) for s in knee.spacing_mm]
        box = tuple(slice(m - h, m + h) for m, h in zip(middle, half, strict=True))
        image[box] = np.where(knee.mask(PLATE)[box], 850, image[box])
        opened = open_pits(type(knee)(knee.image.with_array(image), knee.labels), "PDFS").opened_mm3[PLATE]
        assert (opened > 0) is opens


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
