"""The synovial lining has its thickness in millimetres, however fine the grid is."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import marching_cubes

from kneeline.labels import Label
from kneeline.simulate.knee import build_knee, sample_parameters
from kneeline.simulate.lining import facing_mm2, line
from kneeline.simulate.shapes import make_grid
from kneeline.simulate.tissues import Tissue

HALF_MM = (24.0, 9.0, 17.0)


def ellipsoid(spacing_mm):
    """An ellipsoid of fluid, turned by 30 degrees."""
    grid = make_grid((-28,) * 3, (28,) * 3, spacing_mm)
    y, z = np.cos(0.52) * grid.y - np.sin(0.52) * grid.z, np.sin(0.52) * grid.y + np.cos(0.52) * grid.z
    inside = (grid.x / HALF_MM[0]) ** 2 + (y / HALF_MM[1]) ** 2 + (z / HALF_MM[2]) ** 2 < 1
    return grid, inside


def ellipsoid_mm2():
    """Its surface (Thomsen's formula, within 1.1 %)."""
    a, b, c = np.power(HALF_MM, 1.6075)
    return 4 * np.pi * ((a * b + a * c + b * c) / 3) ** (1 / 1.6075)


@pytest.mark.parametrize("spacing_mm", [0.5, 0.9, 1.4])
@pytest.mark.parametrize("mean_mm", [0.4, 1.1])
def test_the_lining_of_an_ellipsoid_is_as_thick_as_asked_for(spacing_mm, mean_mm):
    grid, inside = ellipsoid(spacing_mm)
    lined = line(inside, ~inside, mean_mm, grid, seed=3)
    assert not (lined & inside).any()
    assert lined.sum() * spacing_mm**3 / ellipsoid_mm2() == pytest.approx(mean_mm, rel=0.06)
    away = ndimage.distance_transform_edt(~inside, sampling=spacing_mm)
    assert away[lined].max() <= 4.5 * mean_mm + spacing_mm


def test_it_is_thick_here_and_thin_there_without_large_gaps():
    """Part by part of about 1 cm2 the thickness differs, and nowhere is there nothing."""
    grid, inside = ellipsoid(0.6)
    lined = line(inside, ~inside, 0.4, grid, seed=3)
    touching = np.argwhere(ndimage.binary_dilation(inside) & ~inside)
    part = np.unique((touching * 0.6 // 9).astype(int), axis=0, return_inverse=True)[1].ravel()
    size = np.bincount(part)
    share = (np.bincount(part, lined[tuple(touching.T)]) / size)[size > 100]
    assert len(share) > 20
    assert np.ptp(share) > 0.25
    assert share.min() > 0.05


def test_only_fat_gives_way_and_the_same_seed_gives_the_same_bytes():
    grid, inside = ellipsoid(1.0)
    fat = ~inside & (grid.x > 0)
    lined, again, other = (line(inside, fat, 0.4, grid, seed) for seed in (1, 1, 2))
    assert lined.any()
    assert not (lined & ~fat).any()
    assert np.array_equal(lined, again)
    assert (lined != other).any()
    assert not line(np.zeros_like(fat), fat, 0.4, grid, 1).any()


@pytest.fixture(scope="module")
def knees():
    """One knee built on two grids."""
    parameters = sample_parameters(np.random.default_rng(4), "R", sex="M")
    return [build_knee(parameters, fluid_ml=25.0, spacing_mm=s) for s in (0.8, 1.2)]


def pouch_lining_mm(knee):
    """Lined volume over the area of fluid that faces fat, by marching cubes, above the patella: elsewhere fluid is a
    film of single voxels, whose surface only the voxels know. The pouch is lined alone, because one patch of membrane
    may be thick there and thin below."""
    from_patella = np.argwhere(knee.labels.array == Label.PATELLA)[:, 2].max() + 1
    fluid, tissue = (a[:, :, from_patella:] for a in (knee.labels.array == Label.JOINT_FLUID, knee.tissue.array))
    fat = np.isin(tissue, (Tissue.FAT, Tissue.SYNOVIUM))
    spacing = np.array(knee.labels.spacing_mm)
    grid = make_grid((0, 0, 0), tuple((np.array(fluid.shape) - 1) * spacing), spacing[0])
    smooth = ndimage.gaussian_filter(fluid.astype(np.float32), 0.6)
    corners, faces, normals, _ = marching_cubes(smooth, 0.5, gradient_direction="ascent")
    mm = corners * spacing
    area = np.linalg.norm(np.cross(*(mm[faces[:, k]] - mm[faces[:, 0]] for k in (1, 2))), axis=1) / 2
    outward = normals[faces].mean(1)
    beyond = corners[faces].mean(1) + outward / np.linalg.norm(outward, axis=1, keepdims=True)
    there = tuple(np.clip(np.rint(beyond).astype(int), 0, np.array(tissue.shape) - 1).T)
    return line(fluid, fat, 0.4, grid, seed=3).sum() * knee.labels.voxel_mm3 / area[fat[there]].sum()


def test_a_pouch_is_lined_by_the_measured_thickness_on_every_grid(knees):
    fine, coarse = map(pouch_lining_mm, knees)
    assert coarse == pytest.approx(fine, rel=0.15)
    assert [fine, coarse] == pytest.approx([0.4, 0.4], rel=0.15)


def test_the_whole_joint_is_lined(knees):
    for knee in knees:
        lined, fluid = knee.tissue.array == Tissue.SYNOVIUM, knee.labels.array == Label.JOINT_FLUID
        area = facing_mm2(fluid, lined | (knee.tissue.array == Tissue.FAT), knee.labels.spacing_mm[0])
        assert lined.sum() * knee.labels.voxel_mm3 == pytest.approx(0.4 * area, rel=0.02)
