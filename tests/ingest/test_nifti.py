"""NIfTI by the same rules, where a NIfTI can break them."""

import json

import nibabel
import numpy as np
import pytest
from tests.ingest import faults
from tests.ingest.vendors import assert_same_image

from kneeline.errors import Refusal
from kneeline.ingest.run import load_knee
from kneeline.volume import Volume, mirror, read_volume, reorient, write_volume


def refusal_of(path) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        load_knee(path)
    return refusal.value


@pytest.mark.parametrize("codes", ["RIP", "LAS", "PSR", "SRA"])
def test_any_orientation_is_kept_as_it_is_in_the_file(tmp_path, codes):
    image = reorient(faults.leg(), codes)
    write_volume(tmp_path / "knee.nii.gz", image)
    knee = load_knee(tmp_path / "knee.nii.gz")
    assert knee.image.orientation == codes
    assert_same_image(knee.image, faults.leg())
    assert knee.series[0]["plane"] == "sagittal"
    assert (knee.series[0]["n_slices"], knee.series[0]["slice_spacing_mm"]) == (24, 4)


def test_the_sidecar_gives_side_contrast_and_times(tmp_path):
    write_volume(tmp_path / "knee.nii.gz", faults.leg())
    facts = {"Laterality": "L", "EchoTime": 0.03, "RepetitionTime": 3.2, "SeriesDescription": "PD FS left knee"}
    (tmp_path / "knee.json").write_text(json.dumps(facts))
    knee = load_knee(tmp_path)  # a folder without DICOM
    assert (knee.laterality, knee.laterality_source, knee.laterality_sources) == ("L", "tag", "tag=L,text=L")
    assert knee.quality["contrast"] == "PDFS"
    assert (knee.sidecar["EchoTime"], knee.sidecar["RepetitionTime"]) == (0.03, 3.2)


@pytest.mark.parametrize("other", ["ProtocolName", "StudyDescription"])
def test_texts_of_the_sidecar_that_differ_are_a_conflict(tmp_path, other):
    write_volume(tmp_path / "knee.nii.gz", faults.leg())
    (tmp_path / "knee.json").write_text(json.dumps({"SeriesDescription": "PD left knee", other: "right knee"}))
    with pytest.raises(Refusal) as refusal:
        load_knee(tmp_path)
    assert refusal.value.code == "laterality_conflict"


def test_what_ingest_wrote_it_reads_again_alike(tmp_path):
    from kneeline.ingest.run import ingest_scan
    from kneeline.tables import Scan

    faults.good(tmp_path / "in", laterality="L")
    ingest_scan(Scan("s", "sub-001", "ses-01", None, (str(tmp_path / "in"),)), tmp_path)
    first, second = load_knee(tmp_path / "in"), load_knee(tmp_path / "s_image.nii.gz")
    assert_same_image(second.image, first.image)
    assert second.laterality == "L"
    assert second.quality == pytest.approx(first.quality)


def test_without_sidecar_nothing_is_assumed(tmp_path):
    write_volume(tmp_path / "knee.nii.gz", faults.leg())
    knee = load_knee(tmp_path / "knee.nii.gz")
    assert (knee.laterality, knee.quality["contrast"], knee.quality["slice_thickness_mm"]) == (None, "other", None)
    assert "EchoTime" not in knee.sidecar


def test_four_axes_need_echo_times(tmp_path):
    array = np.stack([faults.leg(seed=s).array for s in range(2)], axis=-1)
    nibabel.save(nibabel.Nifti1Image(array, faults.leg().affine), tmp_path / "knee.nii")
    assert refusal_of(tmp_path / "knee.nii").code == "not_three_dimensional"
    (tmp_path / "knee.json").write_text(json.dumps({"EchoTimes": [0.015, 0.06]}))
    knee = load_knee(tmp_path / "knee.nii")
    assert knee.echo_times_ms == [15.0, 60.0]
    assert np.array_equal(knee.echoes, array)
    assert np.array_equal(knee.image.array, array[..., 0])


def test_scaled_values_and_metres_are_understood(tmp_path):
    image = faults.leg()
    nifti = nibabel.Nifti1Image(image.array, np.diag([1e-3, 1e-3, 1e-3, 1]) @ image.affine)
    nifti.header.set_xyzt_units("meter")
    nifti.header.set_slope_inter(2.0, 5.0)
    nibabel.save(nifti, tmp_path / "knee.nii")
    raw = nibabel.load(tmp_path / "knee.nii")
    knee = load_knee(tmp_path / "knee.nii")
    assert_same_image(knee.image, Volume(np.asarray(raw.dataobj).astype(np.float32), image.affine))


def test_mirroring_changes_the_place_and_nothing_else(tmp_path):
    write_volume(tmp_path / "a.nii.gz", faults.leg())
    write_volume(tmp_path / "b.nii.gz", mirror(faults.leg()))
    a, b = load_knee(tmp_path / "a.nii.gz"), load_knee(tmp_path / "b.nii.gz")
    assert np.array_equal(a.image.array, b.image.array)
    assert a.quality == b.quality


def test_refusals(tmp_path):
    image = faults.leg()

    def written(array, affine=image.affine, change=lambda header: None):
        nifti = nibabel.Nifti1Image(array, affine)
        change(nifti.header)
        nibabel.save(nifti, tmp_path / "knee.nii")
        return tmp_path / "knee.nii"

    assert refusal_of(written(image.array[:11])).code == "too_few_slices"
    assert refusal_of(written(image.array, image.affine @ np.diag([0.4, 1, 1, 1]))).code == "too_little_coverage"
    assert refusal_of(written(np.full(image.shape, np.nan, np.float32))).code == "bad_values"
    assert refusal_of(written(image.array, faults.leg(axes=faults.CORONAL).affine)).code == "not_sagittal"
    wide = faults.leg((70, 32, 32), (4.4, 4.4, 4.4), centres_mm=(-90, 90))
    assert refusal_of(written(wide.array, wide.affine)).code == "both_knees"
    path = written(image.array)
    body = path.read_bytes()
    path.write_bytes(body[: len(body) // 2])
    assert refusal_of(path).code == "truncated_pixels"
    path.write_bytes(b"not a nifti")
    assert refusal_of(path).code == "unreadable_file"
    nifti = nibabel.Nifti1Image(image.array, image.affine)
    nifti.header["sform_code"] = nifti.header["qform_code"] = 0
    nibabel.save(nibabel.Nifti1Image(image.array, None, nifti.header), path)
    assert refusal_of(path).code == "bad_geometry"
    header = bytearray(written(image.array).read_bytes())
    header[42:48] = np.array([20000, 20000, 20000], "<i2").tobytes()
    path.write_bytes(bytes(header))
    assert refusal_of(path).code == "too_large"


def test_an_orientation_whose_code_does_not_exist_is_not_left_aside_for_another(tmp_path):
    image = faults.leg()
    nifti = nibabel.Nifti1Image(image.array, image.affine)
    nifti.set_qform(image.affine @ np.block([[np.eye(3), np.full((3, 1), 9.0)], [np.zeros((1, 3)), 1]]), code=1)
    nibabel.save(nifti, tmp_path / "knee.nii")
    header = bytearray((tmp_path / "knee.nii").read_bytes())
    header[254:256] = (99).to_bytes(2, "little")  # the sform's
    (tmp_path / "knee.nii").write_bytes(bytes(header))
    assert refusal_of(tmp_path / "knee.nii").code == "unreadable_file"


def test_dicom_goes_before_nifti_in_one_folder(tmp_path):
    faults.good(tmp_path)
    write_volume(tmp_path / "made_from_it.nii.gz", faults.leg(seed=9))
    assert_same_image(load_knee(tmp_path).image, faults.leg())
    assert read_volume(tmp_path / "made_from_it.nii.gz").shape == (24, 64, 64)
