"""What is drawn over the slices: every voxel and every line where it was, seen from the page's stack."""

import zlib

import numpy as np
import pytest

from kneeline.labels import Label
from kneeline.viewer.assets import in_script
from kneeline.viewer.overlay import T2_STEP_MS, in_stack, pack_labels, pack_t2, structures, voxels_of
from kneeline.volume import Volume, reorient

SHAPE = (5, 8, 6)


def labels_of(seed=1):
    array = np.random.default_rng(seed).integers(0, 12, SHAPE).astype(np.uint8)
    affine = np.array([[3.0, 0, 0, -9], [0, 0, -0.8, 40], [0, -0.5, 0, 7], [0, 0, 0, 1]])
    return Volume(array, affine)


def unpacked(data, shape):
    return np.frombuffer(zlib.decompress(data), np.uint8).reshape(shape)


@pytest.mark.parametrize("codes", ["RIP", "SAL", "PRS"])
@pytest.mark.parametrize("side", ["R", "L"])
def test_labels_lie_in_the_stack_from_lateral_to_medial_however_the_file_lies(codes, side):
    """Slices of `labels` go to the right of the patient: to lateral in a right knee."""
    labels = labels_of()
    stack = unpacked(pack_labels(reorient(labels, codes), side), SHAPE)
    assert (stack == (labels.array[::-1] if side == "R" else labels.array)).all()


@pytest.mark.parametrize("codes", ["RIP", "SAL", "PRS"])
@pytest.mark.parametrize("side", ["R", "L"])
def test_components_and_lines_follow(codes, side):
    labels = reorient(labels_of(), codes)
    runs = [[0, 1, 2, 3], [2, 2, 0, 1]]
    marked = np.zeros(labels.shape, np.uint8)
    marked[tuple(voxels_of(runs).T)] = 1
    at = np.array([1, 4, 3])  # of the stack: slice, row, column
    start = at if side == "L" else np.array([SHAPE[0] - 1 - at[0], *at[1:]])
    world = labels_of().geometry.to_world(np.stack([start, start + [0, 0, 2]]))
    what = {"table": "t", "column": "c", "rows": [{}]}
    geometry = {
        "lines": [what | {"length_mm": 1.6, "from_mm": world[0].tolist(), "to_mm": world[1].tolist()}],
        "components": [what | {"counted": True, "component_mm3": 2.0, "runs": runs}],
        "surfaces": [what | {"points_mm": world.tolist()}],
    }
    line, component, surface = in_stack(geometry, labels, side)
    assert np.allclose(surface["points"], line["ends"], atol=0.01)
    assert surface["slice"] == 1
    assert np.allclose(line["ends"], [at, at + [0, 0, 2]], atol=1e-3)
    assert line["slice"] == 1
    flat = np.cumsum(component["voxels"])
    expected = unpacked(pack_labels(labels.with_array(marked), side), SHAPE)
    assert (np.flatnonzero(expected.ravel()) == flat).all()
    assert expected[component["slice"]].sum() == expected.sum((1, 2)).max()


def test_t2_keeps_half_milliseconds_and_nothing_is_nothing():
    labels = labels_of()
    seconds = np.zeros(SHAPE, np.float32)
    seconds[0, 0, :4] = 0.0123, 0.0502, 0.4, 0.0005
    found = unpacked(pack_t2(labels.with_array(seconds), "L"), SHAPE)[0, 0]
    assert (found[:4] * T2_STEP_MS).tolist() == [12.5, 50.0, 127.5, 0.5]
    assert not found[4:].any()


def test_structures_are_those_that_are_there():
    labels = labels_of()
    some = np.where(labels.array == 3, Label.PATELLA, np.where(labels.array == 9, Label.MEDIAL_MENISCUS, 0))
    found = structures(labels.with_array(some.astype(np.uint8)))
    assert [(one["name"], one["group"]) for one in found] == [("medial meniscus", "meniscus"), ("patella", "bone")]


def test_text_in_a_script_ends_no_script():
    text = in_script('{"a": "</script><!-- & ]]>"}')
    assert not set("<>&") & set(text)
