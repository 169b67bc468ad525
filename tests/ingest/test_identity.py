"""Nothing of a person leaves a header: names, ids, dates, comments and private tags are planted in every place that
takes them, and every byte of the output is searched, packed files too."""

import json
from pathlib import Path

import pydicom
import pytest
from tests.ingest import faults
from tests.ingest.identity import DATE, NAME, NUMBER, TIME, UID, bytes_below, plant, plant_identity
from tests.ingest.vendors import write_enhanced

from kneeline.ingest.inventory import scans_below
from kneeline.ingest.run import ingest_scan, load_knee
from kneeline.tables import Scan


def assert_nobody_in(content: bytes) -> None:
    """The outputs of this stage hold few numbers, so the year and the time alone are looked for too."""
    lower = content.lower()
    for text in (NAME, NUMBER, DATE, TIME[:6], UID, "1951"):
        for encoding in ("utf-8", "utf-16-le"):
            assert text.lower().encode(encoding) not in lower, text


@pytest.fixture
def planted(tmp_path) -> Path:
    folder = tmp_path / f"{NAME}_{NUMBER}"
    faults.good(folder)
    plant_identity(folder)
    return folder


def test_what_is_planted_is_there_to_be_found(tmp_path):
    """Planting touches DICOM files only, and leaves series apart that were apart."""
    for number in (1, 2):
        faults.good(tmp_path / str(number), faults.leg((12, 16, 16), (5, 9, 9)), series_number=number)
    (tmp_path / "notes.txt").write_text("not an image\n")
    traces = plant_identity(tmp_path)
    content = bytes_below(tmp_path)
    for text in (NAME, NAME.upper(), NUMBER, DATE, TIME, UID):
        assert text.encode() in traces
        assert text.encode() in content
    assert (tmp_path / "notes.txt").read_text() == "not an image\n"
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in sorted(tmp_path.rglob("*.dcm"))]
    assert len({h.SOPInstanceUID for h in headers}) == len(headers) == 24
    assert len({h.SeriesInstanceUID for h in headers}) == 2
    assert {str(h.PatientName) for h in headers} == {f"{NAME} {NUMBER}"}
    assert all(h.private_block(0x0029, f"{NAME} PRIVATE")[0x10].value for h in headers)
    assert [row["reason_code"] for row in load_knee(tmp_path).series] == [None, None]


def test_a_good_scan_tells_nobody(planted, tmp_path):
    row = ingest_scan(Scan("sub-001_ses-01_knee-R", "sub-001", "ses-01", "R", (str(planted),)), tmp_path / "out")
    assert row["status"] == "ok"
    assert_nobody_in(bytes_below(tmp_path / "out"))
    assert_nobody_in(repr(load_knee(planted)).encode())


def test_an_enhanced_scan_tells_nobody(planted, tmp_path):
    write_enhanced(tmp_path / "one" / "one", sorted(planted.iterdir()), order=range(24))
    faults.edit([tmp_path / "one" / "one"], plant)
    row = ingest_scan(Scan("s", "sub-001", "ses-01", "R", (str(tmp_path / "one"),)), tmp_path / "out")
    assert row["status"] == "ok"
    assert_nobody_in(bytes_below(tmp_path / "out"))


def test_a_quarantined_scan_tells_nobody(planted, tmp_path):
    sorted(planted.iterdir())[7].unlink()
    row = ingest_scan(Scan("s", "sub-001", "ses-01", None, (str(planted),)), tmp_path / "out")
    assert row["reason_code"] == "missing_slice"
    assert_nobody_in(bytes_below(tmp_path / "out"))


def test_nifti_and_its_sidecar_tell_nobody(tmp_path):
    import nibabel

    image = faults.leg()
    nifti = nibabel.Nifti1Image(image.array, image.affine)
    nifti.header["descrip"] = f"{NAME} {NUMBER}".encode()
    nifti.header["intent_name"] = NAME.encode()
    nifti.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", f"{NAME} {DATE}".encode()))
    path = tmp_path / f"{NAME}.nii"
    nibabel.save(nifti, path)
    texts = ("PatientName", "SeriesDescription", "Manufacturer", "ScanningSequence", "EchoTime", "AcquisitionDateTime")
    path.with_suffix(".json").write_text(json.dumps(dict.fromkeys(texts, f"{NAME} {DATE}") | {"FlipAngle": 20}))
    row = ingest_scan(Scan("s", "sub-001", "ses-01", "L", (str(path),)), tmp_path / "out")
    assert row["status"] == "ok"
    assert json.loads((tmp_path / "out" / "s_image.json").read_text())["FlipAngle"] == 20
    assert_nobody_in(bytes_below(tmp_path / "out"))


def test_the_sheet_has_numbers_for_names(planted, tmp_path):
    """Ids come from the order of folders; the folders' own names stay in the path column, which opens them."""
    for row in scans_below(tmp_path):
        assert_nobody_in(" ".join(str(v) for k, v in row.items() if k != "path").encode())
        assert row["participant_id"] == "sub-001"


def test_the_sidecar_has_no_key_beyond_the_list(planted):
    allowed = {
        "Modality", "Manufacturer", "ManufacturersModelName", "ScanningSequence", "SequenceVariant",
        "MRAcquisitionType", "MagneticFieldStrength", "EchoTime", "EchoTimes", "AnatomicalEcho", "RepetitionTime",
        "InversionTime", "FlipAngle", "EchoTrainLength", "SliceThickness", "SpacingBetweenSlices", "PixelBandwidth",
        "Multiframe", "ContrastClass", "FatSuppressed", "Laterality", "LateralitySource", "LateralitySources",
    }  # fmt: skip
    assert set(load_knee(planted).sidecar) <= allowed
