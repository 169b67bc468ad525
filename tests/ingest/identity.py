"""A person to look for: planted into headers, so that every byte of an output can be searched.

`plant_identity` fills an existing series and tells what to look for; `bytes_below` gives what to search.
"""

from __future__ import annotations

import gzip
import warnings
import zlib
from pathlib import Path

import pydicom
from pydicom.datadict import DicomDictionary, dictionary_VR, keyword_for_tag
from tests.ingest import faults

NAME, NUMBER, DATE, TIME = "Quistelhaus", "7719402268", "19511127", "084512.347"
UID = "1.3.12.2.1107.5.2.43.771940"
_TEXT = {"LO", "SH", "LT", "ST", "UT", "PN", "UC", "UR"}
_TERMS = ("ScanningSequence", "SequenceVariant", "ScanOptions", "BodyPartExamined")
# Also as a table or a page would write them. All are too long to turn up in numbers or packed pictures by chance.
_TRACES = (NAME, NAME.upper(), NAME.lower(), NUMBER, DATE, "1951-11-27", TIME, "08:45:12", UID)


def plant_identity(folder: Path) -> list[bytes]:
    """Plant a person's name, ids, dates, comments and private tags into all DICOM files below a folder.

    The files stay readable as the series they were: numbers, side tags and the grouping by UID are kept. Texts are not,
    so a side or a contrast that only a text told is lost.

    Returns
    -------
    list of bytes
        All that must not be found in an output, in each spelling and encoding.
    """
    paths = sorted(p for p in Path(folder).rglob("*") if p.is_file() and p.read_bytes()[128:132] == b"DICM")
    assert paths, "no DICOM file to plant into"
    faults.edit(paths, plant)
    return [trace.encode(encoding) for trace in _TRACES for encoding in ("utf-8", "utf-16-le")]


def plant(dataset: pydicom.Dataset, _number: int) -> None:
    """Fill every text, date, time and UID tag that the standard has, as far as the file stays readable."""
    uids = {k: _uid(dataset.get(k)) for k in ("SeriesInstanceUID", "SOPInstanceUID")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # texts where the standard wants codes
        for tag in DicomDictionary:
            keyword, vr = keyword_for_tag(tag), dictionary_VR(tag)
            if not keyword or tag >> 16 in (0x0000, 0x0002, 0x7FE0):
                continue
            if vr in _TEXT:
                dataset.add_new(tag, vr, f"{NAME} {NUMBER}"[: 16 if vr == "SH" else 60])
            elif vr == "DA":
                dataset.add_new(tag, vr, DATE)
            elif vr == "TM":
                dataset.add_new(tag, vr, TIME)
            elif vr == "UI" and keyword != "SOPClassUID":
                dataset.add_new(tag, vr, uids.get(keyword, UID))
            elif keyword in _TERMS:
                known = dataset.get(keyword) or []
                dataset.add_new(tag, vr, [NAME.upper(), *([known] if isinstance(known, str) else known)])
        private = dataset.private_block(0x0029, f"{NAME} PRIVATE", create=True)
        private.add_new(0x10, "LO", f"{NAME} {NUMBER}")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def _uid(known: object) -> str:
    """The person's UID with an ending of its own for each UID that was there."""
    return f"{UID}.{zlib.crc32(str(known).encode())}"


def bytes_below(folder: Path) -> bytes:
    """All names and bytes below a folder, also unpacked where packed."""
    found = []
    for path in sorted(Path(folder).rglob("*")):
        found.append(str(path.relative_to(folder)).encode())
        if path.is_file():
            body = path.read_bytes()
            found += [body, gzip.decompress(body)] if path.suffix == ".gz" else [body]
    return b"\n".join(found)
