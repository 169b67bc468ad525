"""Write an image as the DICOM series that a scanner would have sent: classic MR Image Storage, one file a slice.

World millimetres are RAS+ in kneeline and LPS+ in DICOM; the conversion of this direction happens here, once.
Same arguments give the same bytes: UIDs are derived from a seed text, dates are arguments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kneeline.volume import Laterality, Volume

_IMPLEMENTATION = "2.25.217842406915417164093671203461184790613"
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Protocol:
    """How a series was acquired, as far as its header tells. The default is the knee's commonest: sagittal PD-FS.

    `echo_times_ms` holds one time, or several for a multi-echo series. `slice_thickness_mm` may be smaller than the
    distance of the slices, which comes from the image's affine; None means no gap.
    """

    series_description: str = "SAG PD FS"
    protocol_name: str = "Knee routine"
    sequence_name: str = "tse2d1_9"
    scanning_sequence: str = "SE"
    repetition_time_ms: float = 3200.0
    echo_times_ms: tuple[float, ...] = (30.0,)
    echo_train_length: int = 9
    flip_angle_deg: float = 150.0
    fat_suppressed: bool = True
    three_d: bool = False
    field_strength_t: float = 3.0
    slice_thickness_mm: float | None = None
    manufacturer: str = "SIEMENS"
    model_name: str = "Skyra"
    coil: str = "TxRx_Knee_15"


def write_series(
    folder: Path,
    image: Volume | Sequence[Volume],
    *,
    uid_seed: str,
    laterality: Laterality | None = None,
    protocol: Protocol = Protocol(),
    series_number: int = 1,
    identity: Mapping[str, str] | None = None,
    study_date: str = "20260105",
    transfer_syntax: str = "1.2.840.10008.1.2.1",
) -> list[Path]:
    """Write a series into `folder` (made if absent) and return its files in the order of InstanceNumber.

    Parameters
    ----------
    image
        (slices, rows, columns); axis J runs down the image and axis K to its right, so the canonical "RIP" gives
        upright sagittal images. Any affine with perpendicular axes. Values 0..65535, rounded to whole numbers.
        For a multi-echo series one volume for each of the protocol's echo times, on the same grid.
    uid_seed
        Text from which all UIDs derive: the same for two series makes them one study in one frame of reference,
        told apart by `series_number`.
    laterality
        For the Laterality tag; None leaves it out.
    identity
        DICOM keywords and values to set on every file, e.g. `{"PatientName": "Doe^Jane"}`.
    transfer_syntax
        UID of an uncompressed transfer syntax, or deflated; Explicit VR Little Endian unless told.

    Raises
    ------
    ValueError
        If values do not fit 16 bits, the axes are not perpendicular, or echoes do not match the protocol.
    """
    echoes = [image] if isinstance(image, Volume) else list(image)
    if len(echoes) != len(protocol.echo_times_ms):
        raise ValueError(f"{len(echoes)} image(s) for {len(protocol.echo_times_ms)} echo time(s)")
    if any(not e.geometry.same_as(echoes[0].geometry) for e in echoes):
        raise ValueError("the echoes of a series share one grid, these do not")
    grid = _plane_geometry(echoes[0])
    stored = [_stored_values(e.array) for e in echoes]
    bits = 12 if max(int(s.max()) for s in stored) < 4096 else 16

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    base = _series_dataset(protocol, uid_seed, series_number, laterality, study_date, bits)
    for keyword, value in grid["shared"].items():
        setattr(base, keyword, value)
    base.SliceThickness = _ds(protocol.slice_thickness_mm or echoes[0].spacing_mm[0])
    base.AcquisitionMatrix = [0, echoes[0].shape[1], echoes[0].shape[2], 0]
    paths = []
    for i, position in enumerate(grid["positions"]):
        for e, echo_time in enumerate(protocol.echo_times_ms):
            instance = len(paths) + 1
            base.InstanceNumber = instance
            base.SOPInstanceUID = derive_uid(uid_seed, "instance", series_number, instance)
            base.ImagePositionPatient = [_ds(v) for v in position]
            base.SliceLocation = _ds(position @ grid["normal"])
            base.EchoTime = _ds(echo_time)
            base.EchoNumbers = e + 1
            window = max(int(stored[e].max()), 2)
            base.WindowCenter, base.WindowWidth = _ds(window / 2), _ds(window)
            base.PixelData = stored[e][i].tobytes()
            for keyword, value in (identity or {}).items():
                setattr(base, keyword, value)
            paths.append(folder / f"IM{instance:04d}.dcm")
            _write_file(paths[-1], base, transfer_syntax)
    return paths


def derive_uid(*parts: object) -> str:
    """A UID of the 2.25 (UUID) form that depends on `parts` alone."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _plane_geometry(image: Volume) -> dict:
    spacing = np.array(image.spacing_mm)
    directions = _RAS_TO_LPS[:, None] * image.affine[:3, :3] / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > 1e-4:
        raise ValueError("DICOM planes need perpendicular axes; this affine is sheared")
    right, down = directions[:, 2], directions[:, 1]
    first, step = _RAS_TO_LPS * image.affine[:3, 3], _RAS_TO_LPS * image.affine[:3, 0]
    return {
        "positions": [first + i * step for i in range(image.shape[0])],
        "normal": np.cross(right, down),
        "shared": {
            "Rows": image.shape[1],
            "Columns": image.shape[2],
            "PixelSpacing": [_ds(spacing[1]), _ds(spacing[2])],
            "SpacingBetweenSlices": _ds(spacing[0]),
            "ImageOrientationPatient": [_ds(v) for v in (*right, *down)],
        },
    }


def _stored_values(array: np.ndarray) -> np.ndarray:
    values = np.rint(array) if array.dtype.kind == "f" else array
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 65535:
        raise ValueError("stored pixel values are whole numbers from 0 to 65535; scale the image first")
    return np.ascontiguousarray(values, dtype="<u2")


def _series_dataset(protocol, uid_seed, series_number, laterality, study_date, bits):
    from pydicom.dataset import Dataset
    from pydicom.uid import MRImageStorage

    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    ds.SOPClassUID = MRImageStorage
    for when in ("Study", "Series", "Acquisition", "Content"):
        setattr(ds, f"{when}Date", study_date)
        setattr(ds, f"{when}Time", "120000")
    ds.AccessionNumber = ""
    ds.Modality = "MR"
    ds.Manufacturer = protocol.manufacturer
    ds.ManufacturerModelName = protocol.model_name
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "kneeline simulation"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "Knee MRI"
    ds.SeriesDescription = protocol.series_description
    ds.ProtocolName = protocol.protocol_name
    ds.PatientName = "Simulated^Knee"
    ds.PatientID = "SIM"
    ds.PatientBirthDate = ""
    ds.PatientSex = ""
    ds.BodyPartExamined = "KNEE"
    ds.ScanningSequence = protocol.scanning_sequence
    ds.SequenceVariant = "SK" if protocol.scanning_sequence == "SE" else "SS"
    ds.ScanOptions = "FS" if protocol.fat_suppressed else ""
    ds.MRAcquisitionType = "3D" if protocol.three_d else "2D"
    ds.SequenceName = protocol.sequence_name
    ds.AngioFlag = "N"
    ds.RepetitionTime = _ds(protocol.repetition_time_ms)
    ds.NumberOfAverages = "1"
    ds.ImagingFrequency = _ds(42.577478 * protocol.field_strength_t)
    ds.ImagedNucleus = "1H"
    ds.MagneticFieldStrength = _ds(protocol.field_strength_t)
    ds.EchoTrainLength = protocol.echo_train_length
    ds.PixelBandwidth = "200"
    ds.FlipAngle = _ds(protocol.flip_angle_deg)
    ds.ReceiveCoilName = protocol.coil
    ds.InPlanePhaseEncodingDirection = "ROW"
    ds.PatientPosition = "FFS"
    ds.StudyInstanceUID = derive_uid(uid_seed, "study")
    ds.SeriesInstanceUID = derive_uid(uid_seed, "series", series_number)
    ds.FrameOfReferenceUID = derive_uid(uid_seed, "frame of reference")
    ds.StudyID = "1"
    ds.SeriesNumber = series_number
    ds.AcquisitionNumber = 1
    ds.PositionReferenceIndicator = ""
    if laterality is not None:
        ds.Laterality = laterality
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = 16
    ds.BitsStored = bits
    ds.HighBit = bits - 1
    ds.PixelRepresentation = 0
    return ds


def _write_file(path: Path, base, transfer_syntax: str) -> None:
    from pydicom import dcmwrite
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID

    syntax = UID(transfer_syntax)
    file = Dataset(base)
    file.preamble = b"\0" * 128
    file.file_meta = FileMetaDataset()
    file.file_meta.MediaStorageSOPClassUID = base.SOPClassUID
    file.file_meta.MediaStorageSOPInstanceUID = base.SOPInstanceUID
    file.file_meta.TransferSyntaxUID = syntax
    file.file_meta.ImplementationClassUID = _IMPLEMENTATION
    file.file_meta.ImplementationVersionName = "KNEELINE"
    if not syntax.is_little_endian:
        file.PixelData = np.frombuffer(base.PixelData, "<u2").byteswap().tobytes()
    file["PixelData"].VR = "OW"
    dcmwrite(path, file, enforce_file_format=True)


def _ds(value: float) -> str:
    """Decimal string of at most 16 characters, as precise as that allows."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value) + 0.0)
