"""What vendors and archives make of a series: enhanced multi-frame files, compressed files, odd order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gdcm
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from kneeline.volume import Volume, reorient

LPS = np.array([-1.0, -1, 1])

COMPRESSED = {
    "JPEG lossless (process 14)": (gdcm.TransferSyntax.JPEGLosslessProcess14, "1.2.840.10008.1.2.4.57"),
    "JPEG lossless (selection value 1)": (
        gdcm.TransferSyntax.JPEGLosslessProcess14_1,
        "1.2.840.10008.1.2.4.70",
    ),
    "JPEG-LS": (gdcm.TransferSyntax.JPEGLSLossless, "1.2.840.10008.1.2.4.80"),
    "JPEG 2000": (gdcm.TransferSyntax.JPEG2000Lossless, "1.2.840.10008.1.2.4.90"),
    "RLE": (gdcm.TransferSyntax.RLELossless, "1.2.840.10008.1.2.5"),
}


_KEPT = """
StudyInstanceUID SeriesInstanceUID Modality Rows Columns BitsAllocated BitsStored HighBit SeriesDescription
PixelRepresentation SamplesPerPixel PhotometricInterpretation ImageType MagneticFieldStrength
"""


def compress(paths: Sequence[Path], name: str) -> None:
    """Compress files in place with GDCM."""
    for path in paths:
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(COMPRESSED[name][0]))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        assert pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID == COMPRESSED[name][1]


def write_enhanced(
    path: Path,
    paths: Sequence[Path],
    *,
    order: Sequence[int],
    shared: bool = True,
    frame_laterality: str | None = None,
    rescale: Sequence[tuple[float, float]] | None = None,
) -> None:
    """One Enhanced MR file from the files of a classic series, frames in `order`.

    `shared` puts pixel measures and orientation into the shared functional groups, else into each frame's;
    `rescale` holds slope and intercept of each classic file.
    """
    classic = [pydicom.dcmread(p) for p in paths]
    file = Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = classic[0].SOPInstanceUID
    for keyword in _KEPT.split():
        setattr(file, keyword, getattr(classic[0], keyword))
    file.EchoPulseSequence = "SPIN"
    file.NumberOfFrames = len(order)
    common = Dataset()
    common.MRTimingAndRelatedParametersSequence = [_item(RepetitionTime=3200.0, FlipAngle=150.0)]
    common.MRModifierSequence = [_item(SpectrallySelectedSuppression="FAT")]
    if frame_laterality:
        common.FrameAnatomySequence = [_item(FrameLaterality=frame_laterality)]
    frames = []
    for index in order:
        source, frame = classic[index], Dataset()
        frame.PlanePositionSequence = [_item(ImagePositionPatient=source.ImagePositionPatient)]
        frame.MREchoSequence = [_item(EffectiveEchoTime=float(source.EchoTime))]
        # Misleading on purpose: a reader that trusts it mirrors the stack when frames are stored in reverse.
        frame.FrameContentSequence = [_item(InStackPositionNumber=len(frames) + 1, StackID="1")]
        if rescale:
            slope, intercept = rescale[index]
            frame.PixelValueTransformationSequence = [_item(RescaleSlope=slope, RescaleIntercept=intercept)]
        for groups in (common,) if shared else (frame,):
            groups.PlaneOrientationSequence = [_item(ImageOrientationPatient=source.ImageOrientationPatient)]
            groups.PixelMeasuresSequence = [
                _item(PixelSpacing=source.PixelSpacing, SliceThickness=source.SliceThickness)
            ]
        frames.append(frame)
    file.SharedFunctionalGroupsSequence = Items([common])
    file.PerFrameFunctionalGroupsSequence = Items(frames)
    file.PixelData = b"".join(classic[i].PixelData for i in order)
    file["PixelData"].VR = "OW"
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, file, enforce_file_format=True)


def assert_same_image(volume: Volume, truth: Volume, tolerance_mm: float = 1e-3) -> None:
    """Same voxels at the same places, whatever the order of the axes."""
    a, b = reorient(volume), reorient(truth)
    assert a.geometry.same_as(b.geometry, tolerance_mm), f"\n{a.affine}\n{b.affine}"
    assert np.array_equal(a.array, b.array)


def _item(**tags) -> Dataset:
    item = Dataset()
    for keyword, value in tags.items():
        setattr(item, keyword, value)
    return item
