"""Every encoding of one image gives the same voxels at the same places: against the truth written, and SimpleITK."""

import shutil
from dataclasses import replace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.fileset import FileSet
from tests.ingest import faults
from tests.ingest.vendors import COMPRESSED, assert_same_image, compress, write_enhanced
from tests.simulate.test_dicom import UNCOMPRESSED, oblique_image

from kneeline.errors import Refusal
from kneeline.ingest.run import load_knee
from kneeline.simulate.dicom import Protocol, write_series
from kneeline.volume import Volume

RANGE = [*range(16)]
ORDERS = {"forward": RANGE, "reversed": RANGE[::-1], "shuffled": [*np.random.default_rng(5).permutation(16)]}


@pytest.fixture(scope="module")
def truth() -> Volume:
    return oblique_image((16, 24, 20))


@pytest.mark.parametrize("syntax", UNCOMPRESSED.values(), ids=UNCOMPRESSED)
def test_uncompressed(tmp_path, truth, syntax):
    write_series(tmp_path, truth, uid_seed="a", transfer_syntax=syntax)
    assert_same_image(load_knee(tmp_path).image, truth)


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed(tmp_path, truth, name):
    compress(write_series(tmp_path, truth, uid_seed="a"), name)
    knee = load_knee(tmp_path)
    assert_same_image(knee.image, truth)
    assert knee.image.array.dtype == np.uint16


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_enhanced_frames_in_any_order(tmp_path, truth, order, shared):
    """Regression for a fault of other readers: frames in reverse came out mirrored, medial for lateral."""
    paths = write_series(tmp_path / "classic", truth, uid_seed="a")
    write_enhanced(tmp_path / "enhanced" / "one", paths, order=order, shared=shared, frame_laterality="L")
    knee = load_knee(tmp_path / "enhanced")
    assert_same_image(knee.image, truth)
    assert (knee.laterality, knee.laterality_source) == ("L", "tag")
    assert knee.quality["contrast"] == "PDFS"
    assert knee.sidecar["RepetitionTime"] == 3.2


def test_enhanced_compressed(tmp_path, truth):
    paths = write_series(tmp_path / "classic", truth, uid_seed="a")
    write_enhanced(tmp_path / "enhanced" / "one", paths, order=ORDERS["reversed"])
    compress([tmp_path / "enhanced" / "one"], "JPEG-LS")
    assert_same_image(load_knee(tmp_path / "enhanced").image, truth)


def test_enhanced_with_a_rescale_of_its_own_for_each_frame(tmp_path, truth):
    paths = write_series(tmp_path / "classic", truth, uid_seed="a")
    rescale = [(0.5 + 0.25 * i, 10.0 * i - 3) for i in range(16)]
    write_enhanced(tmp_path / "enhanced" / "one", paths, order=ORDERS["shuffled"], rescale=rescale)
    expected = np.stack([truth.array[i] * np.float32(m) + np.float32(b) for i, (m, b) in enumerate(rescale)])
    image = load_knee(tmp_path / "enhanced").image
    assert image.array.dtype == np.float32
    assert_same_image(image, truth.with_array(expected))


def test_classic_with_a_rescale_of_its_own_for_each_slice(tmp_path, truth):
    def rescale(dataset, number):
        dataset.RescaleSlope, dataset.RescaleIntercept = 1 + number / 2, -number

    faults.edit(write_series(tmp_path, truth, uid_seed="a"), rescale)
    expected = np.stack([truth.array[i] * np.float32(1 + i / 2) - np.float32(i) for i in range(16)])
    assert_same_image(load_knee(tmp_path).image, truth.with_array(expected))


def test_simpleitk_agrees(tmp_path, truth):
    """GDCM's own sorting and geometry, where it is valid: one echo, no hole."""
    write_series(tmp_path, truth, uid_seed="a", protocol=replace(Protocol(), slice_thickness_mm=3.0))
    read = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path)))
    affine = np.eye(4)
    affine[:3, :3] = np.array(read.GetDirection()).reshape(3, 3) * read.GetSpacing()
    affine[:3, 3] = read.GetOrigin()
    theirs = Volume(sitk.GetArrayFromImage(read).transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ affine)
    assert_same_image(load_knee(tmp_path).image, theirs)


def test_a_gap_counts_by_the_distance_of_slices(tmp_path, truth):
    write_series(tmp_path, truth, uid_seed="a", protocol=replace(Protocol(), slice_thickness_mm=3.0))
    knee = load_knee(tmp_path)
    assert knee.image.spacing_mm[0] == pytest.approx(4.0, abs=1e-6)
    assert (knee.sidecar["SliceThickness"], knee.sidecar["SpacingBetweenSlices"]) == (3.0, 4.0)
    assert knee.quality["slice_thickness_mm"] == 3.0


def test_jitter_in_the_header_is_forgiven(tmp_path, truth):
    rng = np.random.default_rng(1)

    def jitter(dataset, _):
        dataset.ImageOrientationPatient = [
            round(v + e, 7) for v, e in zip(dataset.ImageOrientationPatient, rng.uniform(-2e-5, 2e-5, 6), strict=True)
        ]
        dataset.ImagePositionPatient = [
            round(v + e, 5) for v, e in zip(dataset.ImagePositionPatient, rng.uniform(-1e-3, 1e-3, 3), strict=True)
        ]

    faults.edit(write_series(tmp_path, truth, uid_seed="a"), jitter)
    assert_same_image(load_knee(tmp_path).image, truth, tolerance_mm=3e-3)


def test_signed_pixels_and_bits_above_the_stored_ones(tmp_path, truth):
    """12 signed bits in 16, the upper four filled with an old overlay: GE and archives did so."""
    values = (truth.array.astype(int) % 4096) - 2048

    def signed(dataset, number):
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 1
        dataset.PixelData = ((values[number] & 0x0FFF) | 0x5000).astype("<u2").tobytes()

    faults.edit(write_series(tmp_path, truth, uid_seed="a"), signed)
    image = load_knee(tmp_path).image
    assert image.array.dtype == np.int16
    assert_same_image(image, truth.with_array(values))


def test_names_extensions_preambles_and_other_files_do_not_matter(tmp_path, truth):
    paths = write_series(tmp_path / "made", truth, uid_seed="a")
    folder = tmp_path / "archive" / "DISK1" / "A"
    (folder / "deeper").mkdir(parents=True)
    shuffle = np.random.default_rng(2).permutation(len(paths))
    for number, path in enumerate(paths):
        place = folder / ("deeper" if number % 2 else "") / f"{shuffle[number]:08X}"
        if number % 3:
            shutil.copy(path, place)
        else:  # a bare data set, as old archives keep it: no preamble, no meta information, implicit VR
            dataset = pydicom.dcmread(path)
            bare = pydicom.Dataset({element.tag: element for element in dataset})
            with open(place, "wb") as stream:
                pydicom.filewriter.write_dataset(_implicit(stream), bare)
    (folder / "report.pdf").write_bytes(b"%PDF-1.4 nothing")
    (folder / "notes.txt").write_text("08 notes\n")
    (folder / "empty").write_bytes(b"")
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "archive" / "DISK1" / "autorun.inf").write_text("[autorun]\n")
    assert_same_image(load_knee(tmp_path / "archive").image, truth)


def _implicit(stream):
    buffer = pydicom.filebase.DicomIO(stream)
    buffer.is_implicit_VR, buffer.is_little_endian = True, True
    return buffer


def test_a_disc_with_its_index(tmp_path, truth):
    """The DICOMDIR itself is no image; given as the path it stands for its disc."""
    paths = write_series(tmp_path / "images", truth, uid_seed="a")
    index = FileSet()
    for path in paths:
        index.add(path)
    index.write(tmp_path / "disc")
    assert (tmp_path / "disc" / "DICOMDIR").exists()
    assert_same_image(load_knee(tmp_path / "disc").image, truth)
    assert_same_image(load_knee(tmp_path / "disc" / "DICOMDIR").image, truth)


def test_a_single_enhanced_file_may_be_the_path(tmp_path, truth):
    paths = write_series(tmp_path / "classic", truth, uid_seed="a")
    write_enhanced(tmp_path / "one.dcm", paths, order=RANGE)
    assert_same_image(load_knee(tmp_path / "one.dcm").image, truth)


def test_echoes_are_split_by_echo_time_and_all_are_kept(tmp_path):
    times = (10.0, 20.5, 40.0)
    echoes = [oblique_image((16, 24, 20), seed=s) for s in range(3)]
    write_series(tmp_path, echoes, uid_seed="a", protocol=replace(Protocol(), echo_times_ms=times))
    knee = load_knee(tmp_path)
    assert knee.echo_times_ms == [10.0, 20.5, 40.0]
    assert knee.echoes.shape == (16, 24, 20, 3)
    for e in range(3):
        assert_same_image(Volume(knee.echoes[..., e], knee.image.affine), echoes[e])
    assert_same_image(knee.image, echoes[1])  # nearest to 18 ms
    assert knee.sidecar["EchoTimes"] == [0.01, 0.0205, 0.04]
    assert knee.sidecar["EchoTime"] == 0.0205


def test_enhanced_echoes(tmp_path):
    echoes = [oblique_image((16, 24, 20), seed=s) for s in range(2)]
    protocol = replace(Protocol(), echo_times_ms=(15.0, 70.0))
    paths = write_series(tmp_path / "classic", echoes, uid_seed="a", protocol=protocol)
    write_enhanced(tmp_path / "enhanced" / "one", paths, order=[*np.random.default_rng(4).permutation(32)])
    knee = load_knee(tmp_path / "enhanced")
    assert_same_image(Volume(knee.echoes[..., 1], knee.image.affine), echoes[1])
    assert_same_image(knee.image, echoes[0])


def test_phase_images_in_the_same_series_are_another_candidate(tmp_path, truth):
    paths = write_series(tmp_path, truth, uid_seed="a")

    def as_phase(dataset, number):
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "PHASE MAP"]
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.77{number}"

    copies = [shutil.copy(p, p.with_name("phase" + p.name)) for p in paths]
    faults.edit(copies, as_phase)
    knee = load_knee(tmp_path)
    assert_same_image(knee.image, truth)
    assert [row["reason_code"] for row in knee.series] == [None, "derived_image"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "PDF"])
@pytest.mark.parametrize("name", ["slice 12", "IM0001.dcm"])
def test_a_picture_is_called_one_and_the_way_out_is_told(tmp_path, kind, name):
    (tmp_path / "study").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / "study" / name, format=kind)
    (tmp_path / "study/notes.txt").write_text("what the scanner said")
    for path in (tmp_path / "study", tmp_path / "study" / name):
        with pytest.raises(Refusal, match=rf"this is a picture \({kind}\).*give the folder of DICOM files") as told:
            load_knee(path)
        assert told.value.code == "no_series"


def test_a_picture_beside_a_scan_does_not_matter(tmp_path):
    faults.good(tmp_path / "in", laterality="R")
    Image.new("L", (9, 9)).save(tmp_path / "in" / "preview.png")
    assert load_knee(tmp_path / "in").laterality == "R"
