"""Nothing of a person leaves a header: names, ids, dates, comments and private tags are planted in every place that
takes them, and every byte of the output is searched, packed files too."""

import gzip
import json
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import DicomDictionary, dictionary_VR, keyword_for_tag
from tests.ingest import faults
from tests.ingest.vendors import write_enhanced

from kneeline.ingest.inventory import scans_below
from kneeline.ingest.run import ingest_scan, load_knee
from kneeline.tables import Scan

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")

NAME, NUMBER, DATE, TIME = "Quistelhaus", "7719402268", "19511127", "084512.347"
UID = "1.3.12.2.1107.5.2.43.771940"
_TEXT = {"LO", "SH", "LT", "ST", "UT", "PN", "UC", "UR"}


def plant(dataset: pydicom.Dataset, number: int) -> None:
    """Fill every text, date, time and UID tag that the standard has, as far as the file stays readable."""
    for tag in DicomDictionary:
        keyword, vr = keyword_for_tag(tag), dictionary_VR(tag)
        if not keyword or tag >> 16 in (0x0002, 0x7FE0) or tag >> 16 == 0:
            continue
        if vr in _TEXT:
            dataset.add_new(tag, vr, f"{NAME} {NUMBER}"[: 16 if vr == "SH" else 60])
        elif vr == "DA":
            dataset.add_new(tag, vr, DATE)
        elif vr == "TM":
            dataset.add_new(tag, vr, TIME)
        elif vr == "UI" and keyword not in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"):
            dataset.add_new(tag, vr, UID)
        elif vr == "CS" and keyword in ("ScanningSequence", "SequenceVariant", "ScanOptions", "BodyPartExamined"):
            dataset.add_new(tag, vr, [NAME.upper(), "SE"])
    dataset.SeriesInstanceUID = UID
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{UID}.{number}"
    private = dataset.private_block(0x0029, f"{NAME} PRIVATE", create=True)
    private.add_new(0x10, "LO", f"{NAME} {NUMBER}")
    dataset.EchoTime, dataset.RepetitionTime = 30, 3200


def searched(folder: Path) -> bytes:
    """All names and bytes below a folder, unpacked."""
    found = b""
    for path in sorted(folder.rglob("*")):
        found += str(path.relative_to(folder)).encode()
        if path.is_file():
            body = path.read_bytes()
            found += body + (gzip.decompress(body) if path.suffix == ".gz" else b"")
    return found


def assert_nobody_in(content: bytes) -> None:
    lower = content.lower()
    for text in (NAME, NUMBER, DATE, TIME[:6], UID, "1951"):
        for encoding in ("utf-8", "utf-16-le"):
            assert text.lower().encode(encoding) not in lower, text


@pytest.fixture
def planted(tmp_path) -> Path:
    folder = tmp_path / f"{NAME}_{NUMBER}"
    faults.edit(faults.good(folder), plant)
    assert NAME.encode() in next(folder.iterdir()).read_bytes()
    return folder


def test_a_good_scan_tells_nobody(planted, tmp_path):
    row = ingest_scan(Scan("sub-001_ses-01_knee-R", "sub-001", "ses-01", "R", (str(planted),)), tmp_path / "out")
    assert row["status"] == "ok"
    assert_nobody_in(searched(tmp_path / "out"))
    assert_nobody_in(repr(load_knee(planted)).encode())


def test_an_enhanced_scan_tells_nobody(planted, tmp_path):
    write_enhanced(tmp_path / "one" / "one", sorted(planted.iterdir()), order=range(24))
    faults.edit([tmp_path / "one" / "one"], lambda d, n: plant(d, n))
    row = ingest_scan(Scan("s", "sub-001", "ses-01", "R", (str(tmp_path / "one"),)), tmp_path / "out")
    assert row["status"] == "ok"
    assert_nobody_in(searched(tmp_path / "out"))


def test_a_quarantined_scan_tells_nobody(planted, tmp_path):
    sorted(planted.iterdir())[7].unlink()
    row = ingest_scan(Scan("s", "sub-001", "ses-01", None, (str(planted),)), tmp_path / "out")
    assert row["reason_code"] == "missing_slice"
    assert_nobody_in(searched(tmp_path / "out"))


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
    assert_nobody_in(searched(tmp_path / "out"))


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
