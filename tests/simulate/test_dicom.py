"""The simulated scanner's files, read back by readers that are not ours."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from kneeline.simulate.dicom import Protocol, write_series
from kneeline.volume import Volume

UNCOMPRESSED = {
    "explicit little": "1.2.840.10008.1.2.1",
    "implicit little": "1.2.840.10008.1.2",
    "explicit big": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
}


def oblique_image(shape=(14, 24, 20), spacing=(4.0, 0.7, 0.6), seed=1) -> Volume:
    """Sagittal, 12 degrees turned about z and 5 about x; every voxel its own value."""
    (cz, sz), (cx, sx) = [(np.cos(a), np.sin(a)) for a in np.radians([12, 5])]
    turn = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.array([[1.0, 0, 0], [0, 0, -1], [0, -1, 0]]) * spacing
    affine[:3, 3] = [-31.234567, 41.5, 77.125]
    array = np.random.default_rng(seed).permutation(np.prod(shape)).reshape(shape).astype(np.uint16)
    return Volume(array, affine)


def dciodvfy(path: Path) -> str:
    tool = Path(sys.executable).parent / "dciodvfy"
    if not tool.exists():
        pytest.skip("dciodvfy is not installed (development requirement dicom3tools)")
    done = subprocess.run([tool, path], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.parametrize("laterality", ["L", "R"])
def test_dciodvfy_finds_neither_error_nor_warning(tmp_path, laterality):
    paths = write_series(tmp_path, oblique_image(), uid_seed="a", laterality=laterality)
    assert dciodvfy(paths[3]).split() == ["MRImage"]


def test_dciodvfy_sees_faults():
    """The oracle speaks when there is something to say."""
    assert "Error" in dciodvfy(Path(__file__))


def test_simpleitk_reads_the_same_voxels_and_places(tmp_path):
    image = oblique_image()
    paths = write_series(tmp_path, image, uid_seed="a")
    read = sitk.ReadImage([str(p) for p in paths])
    assert np.array_equal(sitk.GetArrayFromImage(read), image.array)
    ras = np.diag([-1.0, -1, 1])
    for ijk in [(0, 0, 0), (13, 0, 0), (0, 23, 0), (5, 7, 19)]:
        point = np.array(read.TransformIndexToPhysicalPoint(tuple(int(v) for v in reversed(ijk))))
        assert np.allclose(ras @ point, image.geometry.to_world(np.array(ijk)), atol=1e-4)


@pytest.mark.parametrize("syntax", UNCOMPRESSED.values(), ids=UNCOMPRESSED)
def test_every_transfer_syntax_holds_the_same_values(tmp_path, syntax):
    image = oblique_image()
    paths = write_series(tmp_path, image, uid_seed="a", transfer_syntax=syntax)
    for path, expected in zip(paths, image.array, strict=True):
        file = pydicom.dcmread(path)
        assert file.file_meta.TransferSyntaxUID == syntax
        assert np.array_equal(file.pixel_array, expected)


def test_same_arguments_same_bytes_and_other_seed_other_uids(tmp_path):
    for name, seed in {"a": "x", "b": "x", "c": "y"}.items():
        write_series(tmp_path / name, oblique_image(), uid_seed=seed)
    bytes_of = {n: [p.read_bytes() for p in sorted((tmp_path / n).iterdir())] for n in "abc"}
    assert bytes_of["a"] == bytes_of["b"]
    uids = [{pydicom.dcmread(p).SOPInstanceUID for p in (tmp_path / n).iterdir()} for n in "ac"]
    assert len(uids[0]) == 14
    assert not uids[0] & uids[1]


def test_two_series_of_one_seed_are_one_study(tmp_path):
    first, second = (
        pydicom.dcmread(write_series(tmp_path / str(n), oblique_image(), uid_seed="a", series_number=n)[0])
        for n in (1, 2)
    )
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_echoes_lie_in_one_series_told_apart_by_echo_time(tmp_path):
    echoes = [oblique_image(seed=s) for s in (1, 2)]
    protocol = replace(Protocol(), echo_times_ms=(12.5, 50.0), fat_suppressed=False)
    files = [pydicom.dcmread(p) for p in write_series(tmp_path, echoes, uid_seed="a", protocol=protocol)]
    assert len({f.SeriesInstanceUID for f in files}) == 1
    for e, time in enumerate((12.5, 50.0)):
        slices = [f.pixel_array for f in files if f.EchoTime == time]
        assert np.array_equal(slices, echoes[e].array)


def test_identity_and_gap_reach_the_header(tmp_path):
    path = write_series(
        tmp_path,
        oblique_image(),
        uid_seed="a",
        protocol=replace(Protocol(), slice_thickness_mm=3.0),
        identity={"PatientName": "Doe^Jane", "PatientComments": "calls on Mondays"},
    )[0]
    file = pydicom.dcmread(path)
    assert (file.PatientName, file.PatientComments) == ("Doe^Jane", "calls on Mondays")
    assert (file.SliceThickness, file.SpacingBetweenSlices) == (3, 4)


def test_floats_are_rounded(tmp_path):
    image = oblique_image()
    path = write_series(tmp_path, Volume(image.array + 0.4, image.affine), uid_seed="a")[2]
    assert np.array_equal(pydicom.dcmread(path).pixel_array, image.array[2])


@pytest.mark.parametrize("value", [-1.0, 70000.0, np.nan])
def test_values_that_do_not_fit_are_refused(tmp_path, value):
    image = oblique_image()
    array = image.array.astype(float)
    array[0, 0, 0] = value
    with pytest.raises(ValueError, match="scale the image"):
        write_series(tmp_path, Volume(array, image.affine), uid_seed="a")


def test_a_sheared_grid_is_refused(tmp_path):
    image = oblique_image()
    affine = image.affine.copy()
    affine[:3, 0] += 0.1 * affine[:3, 1]
    with pytest.raises(ValueError, match="perpendicular"):
        write_series(tmp_path, Volume(image.array, affine), uid_seed="a")
