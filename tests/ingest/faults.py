"""Folders with exactly one thing wrong each, and good ones: shared by the tests of ingest and of the whole workflow.

Each function of FAULTS writes one faulty DICOM folder. The images are small and coarse (2.2 mm pixels) so that a whole
set is written in a second; a good one passes every rule of ingest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import UID

from kneeline.simulate.dicom import Protocol, derive_uid, write_series
from kneeline.volume import Volume

SAGITTAL = np.array([[1.0, 0, 0], [0, 0, -1], [0, -1, 0]])
CORONAL = np.array([[0, 0, 1.0], [1, 0, 0], [0, -1, 0]])


def leg(shape=(24, 64, 64), spacing=(4.0, 2.2, 2.2), axes=SAGITTAL, centres_mm=(0.0,), seed=0) -> Volume:
    """Grey cylinders (legs) of 60 mm radius along z with noise, at the given x; (slices, rows, columns)."""
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    index = np.moveaxis(np.indices(shape), 0, -1)
    x, y, _ = np.moveaxis(index @ affine[:3, :3].T + affine[:3, 3], -1, 0)
    inside = np.zeros(shape, bool)
    for centre in centres_mm:
        inside |= (x - centre) ** 2 + y**2 < 60**2
    noise = np.random.default_rng(seed).normal(0, 12, shape)
    return Volume(np.clip(np.where(inside, 400, 20) + noise, 0, 4095).astype(np.uint16), affine)


def good(folder: Path, image: Volume | None = None, **options) -> list[Path]:
    """A series without fault; options go to `write_series`."""
    options = {"uid_seed": folder.name, "laterality": "R"} | options
    return write_series(folder, image or leg(), **options)


def edit(paths: list[Path], change: Callable[[pydicom.Dataset, int], None]) -> None:
    """Apply `change(dataset, number)` to each file and write it back."""
    for number, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        change(dataset, number)
        dataset.save_as(path)


def missing_slice(folder: Path) -> None:
    good(folder)[11].unlink()


def uneven_spacing(folder: Path) -> None:
    def shift(dataset, number):
        if number >= 12:
            dataset.ImagePositionPatient[0] += 1.3

    edit(good(folder), shift)


def duplicate_positions(folder: Path) -> None:
    paths = good(folder)
    copy = pydicom.dcmread(paths[5])
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = derive_uid(folder.name, "copy")
    copy.save_as(folder / "IM9999.dcm")


def mixed_orientation(folder: Path) -> None:
    def turn(dataset, number):
        if number < 3:
            dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    edit(good(folder), turn)


def localizer(folder: Path) -> None:
    edit(good(folder), lambda d, _: setattr(d, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]))


def too_few_slices(folder: Path) -> None:
    good(folder, leg((11, 64, 64), (6.0, 2.2, 2.2)))


def too_little_coverage(folder: Path) -> None:
    good(folder, leg((24, 64, 64), (2.0, 2.2, 2.2)))


def truncated_pixels(folder: Path) -> None:
    path = good(folder)[7]
    path.write_bytes(path.read_bytes()[:-2000])


def no_pixels(folder: Path) -> None:
    def strip(dataset, number):
        if number == 7:
            del dataset.PixelData

    edit(good(folder), strip)


def not_mr(folder: Path) -> None:
    def as_ct(dataset, _):
        dataset.Modality = "CT"
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")

    edit(good(folder), as_ct)


def secondary_capture(folder: Path) -> None:
    def as_capture(dataset, _):
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")

    edit(good(folder), as_capture)


def screen_capture(folder: Path) -> None:
    edit(good(folder), lambda d, _: setattr(d, "ImageType", ["DERIVED", "SECONDARY", "SCREEN SAVE"]))


def burned_in_annotation(folder: Path) -> None:
    edit(good(folder), lambda d, _: setattr(d, "BurnedInAnnotation", "YES"))


def both_knees(folder: Path) -> None:
    """Sagittal slices through both legs."""
    good(folder, leg((70, 32, 32), (4.4, 4.4, 4.4), centres_mm=(-90, 90)), laterality=None)


def both_knees_coronal(folder: Path) -> None:
    """Coronal slices 350 mm wide, with air between the legs."""
    good(folder, leg((20, 48, 100), (4.0, 3.5, 3.5), CORONAL, (-85, 85)), laterality=None)


def unsupported_compression(folder: Path) -> None:
    def as_htj2k(dataset, _):
        dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.201")
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f" + bytes(64)])
        dataset["PixelData"].VR = "OB"

    edit(good(folder), as_htj2k)


def unreadable_file(folder: Path) -> None:
    path = good(folder)[9]
    path.write_bytes(path.read_bytes()[:300])


def not_sagittal(folder: Path) -> None:
    good(folder, leg((24, 64, 64), (4.0, 2.2, 2.2), CORONAL))


def laterality_conflict(folder: Path) -> None:
    good(folder, protocol=replace(Protocol(), series_description="SAG PD FS LEFT KNEE"))


def no_series(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "readme.txt").write_text("the disc was empty\n")


# Name of the folder: the function that writes it and the reason code that a scan of it must get.
FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing_slice": (missing_slice, "missing_slice"),
    "uneven_spacing": (uneven_spacing, "uneven_spacing"),
    "duplicate_positions": (duplicate_positions, "duplicate_positions"),
    "mixed_orientation": (mixed_orientation, "mixed_orientation"),
    "too_few_slices": (too_few_slices, "too_few_slices"),
    "truncated_pixels": (truncated_pixels, "truncated_pixels"),
    "secondary_capture": (secondary_capture, "secondary_capture"),
    "both_knees": (both_knees, "both_knees"),
    "unsupported_compression": (unsupported_compression, "unsupported_compression"),
    "unreadable_file": (unreadable_file, "unreadable_file"),
}
MORE_FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "localizer": (localizer, "localizer"),
    "too_little_coverage": (too_little_coverage, "too_little_coverage"),
    "no_pixels": (no_pixels, "no_pixels"),
    "not_mr": (not_mr, "not_mr"),
    "screen_capture": (screen_capture, "screen_capture"),
    "burned_in_annotation": (burned_in_annotation, "burned_in_annotation"),
    "both_knees_coronal": (both_knees_coronal, "both_knees"),
    "not_sagittal": (not_sagittal, "not_sagittal"),
    "laterality_conflict": (laterality_conflict, "laterality_conflict"),
    "no_series": (no_series, "no_series"),
}


def plant_faults(root: Path) -> dict[str, str]:
    """Write the ten faulty folders of FAULTS below `root`; return folder name -> expected reason code."""
    for name, (write, _) in FAULTS.items():
        write(root / name)
    return {name: code for name, (_, code) in FAULTS.items()}


def plant_good(root: Path, n: int, images: list[Volume] | None = None) -> list[Path]:
    """Write n good folders `good-1`, ... below `root`, of cylinders or of the given images; return them."""
    folders = [root / f"good-{number}" for number in range(1, n + 1)]
    for number, folder in enumerate(folders):
        good(folder, images[number] if images else leg(seed=number))
    return folders
