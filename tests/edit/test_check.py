"""A corrected label map comes back from editor programs in many forms: the same voxels, or a reason."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from tests.edit.conftest import BOXES, affine, boxes, corrected

from kneeline.edit.check import changes, check_names, read_label_map
from kneeline.edit.grid import place_on
from kneeline.errors import UsageError
from kneeline.labels import Label
from kneeline.volume import Geometry, Volume, mirror


def save(path, array, sform=None, qform=None):
    """A NIfTI with just the places that are given."""
    image = nibabel.Nifti1Image(array, None)
    if qform is not None:
        image.set_qform(qform, code=1)
    if sform is not None:
        image.set_sform(sform, code=2)
    nibabel.save(image, path)


def turned(array, matrix, order, flips):
    """The same voxels with axes in another order and direction, and the affine that goes with them."""
    array, matrix = array.transpose(order), matrix[:, [*order, 3]].copy()
    for axis in flips:
        array = np.flip(array, axis)
        matrix[:3, 3] += matrix[:3, axis] * (array.shape[axis] - 1)
        matrix[:3, axis] *= -1
    return np.ascontiguousarray(array), matrix


def through_itk(path, array):
    """What ITK writes, on which both editors are built."""
    save(path, array, sform=affine(), qform=affine())
    image = sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkInt16)
    sitk.WriteImage(sitk.DICOMOrient(image, "LPS"), str(path))


def cut(array):
    """Only the box of what is labelled, as 3D Slicer saves a segment."""
    low = np.argwhere(array).min(axis=0)
    high = np.argwhere(array).max(axis=0) + 1
    matrix = affine()
    matrix[:3, 3] = matrix[:3, :3] @ low + matrix[:3, 3]
    return array[tuple(slice(*ends) for ends in zip(low, high, strict=True))], matrix


def padded(array):
    matrix = affine()
    matrix[:3, 3] -= matrix[:3, :3] @ (2, 3, 4)
    return np.pad(array, ((2, 1), (3, 1), (4, 0))), matrix


WAYS = {
    "as it was": lambda path, a: save(path, a, affine(), affine()),
    "float": lambda path, a: save(path, a.astype(np.float32), affine(), affine()),
    "int16": lambda path, a: save(path, a.astype(np.int16), affine(), affine()),
    "only a qform": lambda path, a: save(path, a, qform=affine()),
    "only an sform": lambda path, a: save(path, a, sform=affine()),
    "an sform of its own, the qform right": lambda path, a: save(path, a, np.diag([-1.0, -1, 1, 1]), affine()),
    "a qform of its own, the sform right": lambda path, a: save(path, a, sform=affine(), qform=np.eye(4)),
    "axes turned": lambda path, a: save(path, *turned(a, affine(), (2, 0, 1), (0, 2))),
    "every axis flipped": lambda path, a: save(path, *turned(a, affine(), (0, 1, 2), (0, 1, 2))),
    "through ITK, turned to LPS": through_itk,
    "cut to what is drawn": lambda path, a: save(path, *cut(a)),
    "larger than the image": lambda path, a: save(path, *padded(a)),
    "with a fourth axis": lambda path, a: save(path, a[..., None], affine(), affine()),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_however_an_editor_writes_it_the_voxels_come_back(tmp_path, machine, way):
    wanted = corrected(machine).array
    WAYS[way](tmp_path / "back.nii.gz", wanted)
    found = read_label_map(tmp_path / "back.nii.gz", machine.geometry)
    assert found.array.dtype == np.uint8
    assert np.array_equal(found.array, wanted)
    assert np.array_equal(found.affine, machine.affine)


def finer(array):
    matrix = affine() @ np.diag([1, 0.5, 1, 1])
    return np.repeat(array, 2, axis=1), matrix


def half_a_voxel_on(array):
    matrix = affine()
    matrix[:3, 3] += matrix[:3, 2] / 2
    return array, matrix


def far_away(array):
    matrix = affine()
    matrix[:3, 3] += matrix[:3, 0] * 100
    return array, matrix


def with_values(**values):
    def change(array):
        out = array.astype(np.float32)
        for at, value in enumerate(values.values()):
            out[at, 0, : at + 1] = value
        return out, affine()

    return change


FAULTS = {
    "another grid": (
        finer,
        r"expected the grid of the image, 14 x 40 x 30 voxels .* got 14 x 80 x 30 .* not resampled",
    ),
    "moved": (half_a_voxel_on, r"its middle 0.25 mm away"),
    "elsewhere": (far_away, "lies beside the image"),
    "unknown labels": (with_values(a=12, b=200), r"does not know: 12 \(1 voxel\), 200 \(2 voxels\).*9 medial meniscus"),
    "negative": (with_values(a=-1), r"-1 \(1 voxel\)"),
    "fractions": (with_values(a=1.5), "not whole"),
    "not a number": (with_values(a=np.nan), "not whole"),
    "empty": (lambda a: (np.zeros_like(a), affine()), "nothing is labelled.*--remove"),
    "labelled outside": (lambda a: padded(np.full_like(a, 1))[:1] + (affine(),), "labelled outside the image"),
    "colours": (lambda a: (np.zeros(a.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")]), affine()), "colours"),
    "two volumes": (lambda a: (np.stack([a, a], -1), affine()), "expected one 3-D label map"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_label_map_of_this_image_is_refused_with_the_way_out(tmp_path, machine, fault):
    spoil, words = FAULTS[fault]
    save(tmp_path / "back.nii.gz", *spoil(corrected(machine).array))
    with pytest.raises(UsageError, match=words):
        read_label_map(tmp_path / "back.nii.gz", machine.geometry)


def test_a_header_that_tells_no_place_or_two_is_refused(tmp_path, machine):
    save(tmp_path / "none.nii.gz", machine.array)
    with pytest.raises(UsageError, match="does not say where it lies"):
        read_label_map(tmp_path / "none.nii.gz", machine.geometry)
    flipped = turned(machine.array, affine(), (0, 1, 2), (0,))[1]
    save(tmp_path / "two.nii.gz", machine.array, affine(), flipped)
    with pytest.raises(UsageError, match="two ways that both fit"):
        read_label_map(tmp_path / "two.nii.gz", machine.geometry)


@pytest.mark.parametrize(("name", "words"), [("x.nrrd", "expected a NIfTI"), ("x.nii.gz", "no such file")])
def test_other_files_are_refused(tmp_path, machine, name, words):
    with pytest.raises(UsageError, match=words):
        read_label_map(tmp_path / name, machine.geometry)


def test_a_damaged_file_is_refused(tmp_path, machine):
    save(tmp_path / "whole.nii.gz", machine.array, affine())
    content = (tmp_path / "whole.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(UsageError, match="cannot be read as NIfTI"):
        read_label_map(tmp_path / "cut.nii.gz", machine.geometry)


def test_every_order_and_direction_of_axes_is_undone():
    """Against world positions: each voxel's value is what lies at its place in the turned map."""
    rng = np.random.default_rng(1)
    array = rng.integers(0, 12, (3, 4, 5)).astype(np.uint8)
    geometry = Geometry(array.shape, affine())
    for order in ((0, 1, 2), (1, 2, 0), (2, 1, 0), (0, 2, 1)):
        for flips in ((), (0,), (1, 2), (0, 1, 2)):
            moved, matrix = turned(array, affine(), order, flips)
            placed = place_on(moved, matrix, geometry)
            for index in np.ndindex(array.shape):
                at = np.rint(Geometry(moved.shape, matrix).to_voxel(geometry.to_world(np.array(index)))).astype(int)
                assert placed[index] == moved[tuple(at)]
            assert np.array_equal(placed, array)


# --- names ------------------------------------------------------------------------------------------------------------


def test_an_honest_correction_has_nothing_to_explain(machine):
    check_names(corrected(machine), machine, "R")
    removed = machine.array.copy()
    removed[removed == Label.JOINT_FLUID] = 0
    check_names(machine.with_array(removed), machine, "R")


def test_labels_that_a_program_numbered_anew_are_noticed(machine):
    """Without a fibula the labels 1, 2, 3, 5, 6 ... become 1, 2, 3, 4, 5 ...: every one of them is known."""
    anew = np.zeros(256, np.uint8)
    present = [v for v in np.unique(machine.array) if v]
    anew[present] = range(1, len(present) + 1)
    with pytest.raises(UsageError, match="femoral cartilage is now fibula;.*values of the colour table.*--as-meant"):
        check_names(machine.with_array(anew[machine.array]), machine, "R")


def test_a_map_turned_over_or_of_another_knee_is_noticed(machine):
    with pytest.raises(UsageError, match="in common with the outlines that were given out"):
        check_names(machine.with_array(np.roll(machine.array, 20, axis=1) * (machine.array == 0)), machine, "R")


def test_sides_that_were_exchanged_are_noticed_in_either_knee(machine):
    swap = np.arange(256, dtype=np.uint8)
    swap[[Label.MEDIAL_MENISCUS, Label.LATERAL_MENISCUS]] = Label.LATERAL_MENISCUS, Label.MEDIAL_MENISCUS
    swapped = machine.with_array(swap[machine.array])
    for side, knee, wrong in (("R", machine, swapped), ("L", mirror(machine), mirror(swapped))):
        check_names(knee, knee, side)
        with pytest.raises(UsageError, match="medial meniscus lies lateral of the lateral meniscus"):
            check_names(wrong, knee, side)
        check_names(knee, wrong, side)  # a machine's exchange may be put right


def test_what_changed_is_counted(machine):
    (i, j), _, (k, m) = BOXES[Label.MEDIAL_MENISCUS]
    ml, structures = changes(corrected(machine), machine)
    assert ml == pytest.approx((j - i) * (m - k) * 4.0 * 0.5 * 0.5 / 1000)
    assert structures == [Label.MEDIAL_TIBIAL_CARTILAGE, Label.MEDIAL_MENISCUS]
    assert changes(Volume(boxes(), affine()), machine) == (0, [])
