"""Damaged and hostile scans, made from good ones: mutant n of a seed is always the same.

`BASES` are good small scans (14 slices of 16 x 16, one of each encoding), `MUTATIONS` what is done to them.
`make` writes one mutant into an empty folder. Each mutation names what it does; what may come of it is decided by
`tests.ingest.trial`, which compares every accepted mutant with the truth.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from tests.ingest import faults
from tests.ingest.vendors import COMPRESSED, compress, write_enhanced

from kneeline.simulate.dicom import Protocol
from kneeline.volume import Volume, reorient

# In every hostile text: it must not turn up in any output.
MARK = "Quistelhaus7719402268"
HOSTILE = (
    f"../../../../tmp/{MARK}",
    f"$(touch {MARK})",
    f"`touch {MARK}`; rm -rf {MARK}",
    f"{{scan}} {{wildcards.{MARK}}}",
    f'"{MARK}\'\\" quotes',
    f"{MARK}\nline\r\nbreak\ttab",
    f"\x1b[2J\x1b]0;{MARK}\x07",
    f"{MARK} \u202egnp.exe \u0130\u00df\u0000nul",
    f"膝 коліно ركبة 🦵 {MARK}",
    f"<script>alert('{MARK}')</script>",
    f'=HYPERLINK("http://{MARK}")',
    f"%s%n%x{MARK}" + "A" * 5000,
    MARK + "\ufdfa" * 3000,
)
NAMES = (
    "with blank",
    " leading",
    'quo"te',
    "quo'te",
    "new\nline",
    "tab\tname",
    "..dots",
    "$(touch x)",
    "`id`",
    "{wildcards.scan}",
    "{scan}",
    "膝 коліно 🦵",
    "-rf",
    "*",
    "%s",
    "a;b&c|d",
    "n\u0303",
    b"\xff\xfe latin".decode("utf-8", "surrogateescape"),
    "x" * 200,
    "~",
    "#",
    "con.nii",
    "DICOMDIR2",
)
NUMBERS = (
    "nan",
    "inf",
    "-inf",
    "1e308",
    "-1e308",
    "1e999",
    "0",
    "-0",
    "-1",
    "",
    "abc",
    "1\\2\\3\\4\\5\\6\\7",
    "9" * 400,
    "1e-320",
    "0x10",
    " ",
    "1,5",
    "٣",
)


@dataclass(frozen=True, eq=False)
class Base:
    """A good scan: its files by name, and the image that they hold (axes in any order)."""

    files: dict[str, bytes]
    truth: Volume


@dataclass(frozen=True, eq=False)
class Mutant:
    """`path` is what the scans table would say; `root` holds all of it, `truth` is the image before the damage."""

    base: str
    mutation: str
    root: Path
    path: Path
    truth: Volume


def small_leg(seed: int = 0) -> Volume:
    return faults.leg((14, 16, 16), (5.0, 4.5, 4.5), seed=seed)


@functools.cache
def bases() -> dict[str, Base]:
    """All good scans, by name."""
    image = small_leg()
    found = {}
    with tempfile.TemporaryDirectory() as top:
        root = Path(top)

        def keep(name: str, truth: Volume = image) -> None:
            found[name] = Base({p.name: p.read_bytes() for p in sorted((root / name).iterdir())}, truth)

        for name, syntax in {
            "explicit": "1.2.840.10008.1.2.1",
            "implicit": "1.2.840.10008.1.2",
            "big endian": "1.2.840.10008.1.2.2",
            "deflated": "1.2.840.10008.1.2.1.99",
        }.items():
            faults.good(root / name, image, transfer_syntax=syntax)
            keep(name)
        bare = faults.good(root / "bare names", image)
        for path in bare:
            path.rename(path.with_suffix(""))
        keep("bare names")
        values = [(1.5 + 0.25 * i, 3.0 * i - 7) for i in range(image.shape[0])]

        def rescale(dataset, number):
            dataset.RescaleSlope, dataset.RescaleIntercept = values[number]

        faults.edit(faults.good(root / "rescaled", image), rescale)
        scaled = np.stack([image.array[i] * np.float32(m) + np.float32(b) for i, (m, b) in enumerate(values)])
        keep("rescaled", image.with_array(scaled))
        faults.good(root / "echoes", [image, small_leg(1)], protocol=replace(Protocol(), echo_times_ms=(15.0, 70.0)))
        keep("echoes")
        for name in COMPRESSED:
            compress(faults.good(root / name, image), name)
            keep(name)
        classic = faults.good(root / "classic", image)
        order = np.random.default_rng(3).permutation(14)
        for name, shared in {"enhanced": True, "enhanced, own groups": False}.items():
            write_enhanced(root / name / "one.dcm", classic, order=order, shared=shared, frame_laterality="R")
            keep(name)
        write_enhanced(root / "enhanced, JPEG 2000" / "one.dcm", classic, order=order)
        _compress_pixels(root / "enhanced, JPEG 2000" / "one.dcm")
        keep("enhanced, JPEG 2000")
        for name, (file, dtype, codes) in {
            "nifti": ("knee.nii", np.int16, "RIP"),
            "nifti packed": ("knee.nii.gz", np.uint16, "LAS"),
            "nifti real": ("knee.nii", np.float32, "PSR"),
            "nifti packed real": ("knee.nii.gz", np.float64, "RIP"),
        }.items():
            turned = reorient(image, codes)
            nifti = nibabel.Nifti1Image(turned.array.astype(dtype), turned.affine)
            nifti.set_qform(turned.affine, code=1)
            nifti.set_sform(turned.affine, code=1)
            (root / name).mkdir()
            nibabel.save(nifti, root / name / file)
            (root / name / "knee.json").write_text(json.dumps({"Laterality": "R", "EchoTime": 0.03}))
            keep(name)
    return found


def _compress_pixels(path: Path) -> None:
    """JPEG 2000 for the pixels alone: GDCM, which makes it, also writes functional groups of its own."""
    dataset = pydicom.dcmread(path)
    compress([path], "JPEG 2000")
    packed = pydicom.dcmread(path)
    dataset.PixelData = packed.PixelData
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID
    dataset.save_as(path)


def make(number: int, seed: int, root: Path) -> Mutant:
    """Write mutant `number` below the empty folder `root`. Every base meets every mutation before one comes again."""
    base = list(bases())[number % len(bases())]
    choice = mutations_of(base)
    return build(base, choice[number // len(bases()) % len(choice)], [seed, number], root)


def mutations_of(base: str) -> tuple[str, ...]:
    return (*COMMON, *(NIFTI if base.startswith("nifti") else DICOM))


def build(base: str, mutation: str, seed: int | list[int], root: Path) -> Mutant:
    """Write a chosen mutant below the empty folder `root`."""
    folder = root / "scan"
    folder.mkdir(parents=True)
    for file, content in bases()[base].files.items():
        (folder / file).write_bytes(content)
    path = MUTATIONS[mutation](folder, np.random.default_rng(seed)) or folder
    return Mutant(base, mutation, root, path, bases()[base].truth)


# --- what is done ---------------------------------------------------------------------------------------------------


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix != ".json")


def _one(folder: Path, rng: np.random.Generator) -> Path:
    """Any image, the first and last of a stack more often: a loss there shows least."""
    paths = _images(folder)
    return paths[rng.choice([0, -1])] if rng.random() < 0.4 else paths[rng.integers(len(paths))]


def _change(path: Path, change: Callable[[bytearray], bytes | bytearray | None]) -> None:
    """Change the bytes of a file; of a packed one, as often the packed bytes as what they unfold to."""
    body = bytearray(path.read_bytes())
    path.write_bytes(bytes(change(body) or body))


def _inside(path: Path, rng, change) -> None:
    if path.suffix == ".gz" and rng.random() < 0.5:
        body = bytearray(gzip.decompress(path.read_bytes()))
        path.write_bytes(gzip.compress(bytes(change(body) or body), mtime=0))
    else:
        _change(path, change)


def truncate(folder, rng):
    """At the start, in the header, where pixels start, in the pixels, one byte from the end, to nothing."""
    path = _one(folder, rng)

    def cut(body):
        places = [0, 1, 131, 132, 140, 348, 352, len(body) // 2, len(body) - 1, len(body) - 2, len(body) - 500]
        at = rng.choice([*places, *rng.integers(0, len(body), 8)])
        return body[: max(int(at), 0)] or b" " if rng.random() < 0.9 else body[:0] + b"\0"

    _inside(path, rng, cut)


def empty_file(folder, rng):
    _one(folder, rng).write_bytes(b"")


def flip_header(folder, rng):
    def flip(body):
        for place in rng.integers(0, min(len(body), 1300), rng.integers(1, 4)):
            body[place] ^= 1 << rng.integers(8)

    _inside(_one(folder, rng), rng, flip)


def flip_anywhere(folder, rng):
    def flip(body):
        for place in rng.integers(0, len(body), rng.integers(1, 9)):
            body[place] ^= 1 << rng.integers(8)

    _inside(_one(folder, rng), rng, flip)


def flip_pixels(folder, rng):
    def flip(body):
        for place in rng.integers(max(len(body) - 400, 0), len(body), rng.integers(1, 9)):
            body[place] ^= 1 << rng.integers(8)

    _inside(_one(folder, rng), rng, flip)


def same_flip_in_all(folder, rng):
    place, bit = rng.integers(132, 1300), 1 << rng.integers(8)

    def flip(body):
        if place < len(body):
            body[place] ^= bit

    for path in _images(folder):
        _change(path, flip)


def overwrite(folder, rng):
    """A run of zeros, ones or noise, as a bad sector leaves it."""

    def write(body):
        length = int(rng.choice([1, 2, 4, 16, 128, 512, 4096]))
        at = int(rng.integers(0, len(body)))
        run = {0: bytes(length), 1: b"\xff" * length, 2: rng.bytes(length)}[int(rng.integers(3))]
        body[at : at + length] = run[: len(body) - at]

    _inside(_one(folder, rng), rng, write)


def insert_or_delete(folder, rng):
    def shift(body):
        at, length = int(rng.integers(0, len(body))), int(rng.choice([1, 2, 3, 8, 64]))
        if rng.random() < 0.5:
            body[at:at] = rng.bytes(length)
        else:
            del body[at : at + length]

    _inside(_one(folder, rng), rng, shift)


def append(folder, rng):
    _inside(_one(folder, rng), rng, lambda body: body + rng.bytes(int(rng.choice([1, 2, 32, 512, 5000]))))


def swap_contents(folder, rng):
    """Another kind of file under an image's name."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"../{MARK}", bytes(1 << 20))
    other = [
        packed.getvalue(),
        gzip.compress(bytes(1 << 16)),
        b"%PDF-1.4",
        b"\x89PNG\r\n",
        b"#!/bin/sh\nid\n",
        bytes(4096),
        b"\x02\x00" * 3000,
        b"\x08\x00\x05\x00CS" + b"\xff" * 500,
        bytes(128) + b"DICM" + bytes(8000),
        json.dumps({}).encode(),
    ]
    _one(folder, rng).write_bytes(other[rng.integers(len(other))])


def hostile_names(folder, rng):
    """Blanks, quotes, line breaks, wildcards and bytes that are no UTF-8, in folders and files."""
    for path in _images(folder):
        name = str(rng.choice(NAMES))
        suffix = "".join(path.suffixes) if path.name.startswith("knee") else f"{path.stem}{path.suffix}"
        target = folder / name[:150]
        target.mkdir(exist_ok=True)
        path.rename(target / f"{name[:150]}{suffix}")
    moved = folder.with_name(str(rng.choice(NAMES)))
    if moved.exists():
        return folder
    folder.rename(moved)
    return moved


def odd_places(folder, rng):
    """Circles of links, links to nowhere, pipes, deep folders, beside good files."""
    what = rng.integers(5)
    if what == 0:
        (folder / "circle").symlink_to(folder)
        (folder / "self").symlink_to("self2")
        (folder / "self2").symlink_to("self")
    elif what == 1:
        os.mkfifo(folder / "pipe.dcm")
        os.mkfifo(folder / "pipe.nii")
        os.mkfifo(folder / "pipe")
    elif what == 2:
        (folder / "gone.dcm").symlink_to(folder / "nowhere")
    elif what == 3:
        path, deep = _one(folder, rng), folder
        for _ in range(400):
            deep = deep / "d"
            deep.mkdir()
        path.rename(deep / path.name)
    else:
        (folder / "zero.dcm").symlink_to("/dev/zero")
        (folder / "other").symlink_to(folder.parent)
    return None


def huge_file(folder, rng):
    """Three sparse gigabytes, of which nothing is on the disk."""
    os.truncate(_one(folder, rng), 3 << 30)


# DICOM alone


def _edit(paths: list[Path], change: Callable[[pydicom.Dataset], None]) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in paths:
            dataset = pydicom.dcmread(path)
            try:
                change(dataset)
                dataset.save_as(path)
            except Exception:
                return


def _some(folder, rng) -> list[Path]:
    return _images(folder) if rng.random() < 0.4 else [_one(folder, rng)]


def wrong_length(folder, rng):
    """The declared length of one element becomes another."""
    path = _one(folder, rng)
    header = pydicom.dcmread(path)
    tells = [e.value_tell for e in header._dict.values() if getattr(e, "value_tell", None)]
    lengths = [
        0,
        1,
        2,
        0xFFFF,
        0x7FFFFFFF,
        0xFFFFFFFE,
        0xFFFFFFFF,
        int(rng.integers(1 << 32)),
        int(rng.integers(1 << 12)),
    ]
    at, length = int(rng.choice(tells)), lengths[rng.integers(len(lengths))]

    def write(body):
        if rng.random() < 0.5:
            body[at - 2 : at] = struct.pack("<H", length & 0xFFFF)
        else:
            body[at - 4 : at] = struct.pack("<I", length)

    _change(path, write)


def wrong_type(folder, rng):
    """The type of one element becomes another, a sequence among them."""
    types = (b"SQ", b"UN", b"OB", b"DS", b"IS", b"US", b"UL", b"FD", b"PN", b"UT", b"AT", b"\0\0", b"ZZ")

    def write(body):
        places = [
            i
            for i in range(132, min(len(body), 1300))
            if body[i : i + 2] in (b"DS", b"US", b"IS", b"UI", b"CS", b"LO", b"SQ")
        ]
        if places:
            at = int(rng.choice(places))
            body[at : at + 2] = types[rng.integers(len(types))]

    _change(_one(folder, rng), write)


def huge_declared(folder, rng):
    """A hundred gigabytes declared by a file of a kilobyte."""
    values = (0, 1, 15, 17, 32767, 65535)
    change = {
        "Rows": values,
        "Columns": values,
        "BitsAllocated": (0, 1, 8, 12, 24, 32, 64, 65535),
        "SamplesPerPixel": (0, 3, 65535),
        "BitsStored": (0, 1, 11, 17, 32, 65535),
        "HighBit": (0, 15, 31, 65535),
        "PixelRepresentation": (1, 2, 65535),
        "NumberOfFrames": ("0", "-1", "2000000000", "13", "15", "32768"),
    }
    keyword = list(change)[rng.integers(len(change))]
    value = change[keyword][rng.integers(len(change[keyword]))]
    _edit(_some(folder, rng), lambda d: setattr(d, keyword, value))


def hostile_numbers(folder, rng):
    """Words, infinities and endless digits where the geometry's numbers stand."""
    keywords = (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "EchoTime",
        "RepetitionTime",
        "RescaleSlope",
        "RescaleIntercept",
        "NumberOfFrames",
        "InstanceNumber",
        "MagneticFieldStrength",
        "FlipAngle",
        "EffectiveEchoTime",
    )
    keyword, text = keywords[rng.integers(len(keywords))], NUMBERS[rng.integers(len(NUMBERS))]
    tag, vr = tag_for_keyword(keyword), dictionary_VR(keyword)
    # The implicit and big-endian forms would need another element; these bases are reached by the other mutations.
    values = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}.get(keyword, 1)
    whole = text if "\\" in text else "\\".join([text] * (values if rng.random() < 0.5 else int(rng.integers(1, 8))))

    def put(dataset):
        for place in _places_of(dataset, keyword):
            if vr in ("DS", "IS"):
                _put_raw(dataset, place, tag, vr, whole.encode())
            else:
                setattr(place, keyword, [float("nan"), float("inf"), -1.0, 1e300][rng.integers(4)])

    _edit(_some(folder, rng), put)


def _put_raw(dataset, place, tag: int, vr: str, value: bytes) -> None:
    """Bytes as they are, in the encoding of the file, whatever their type allows."""
    syntax = dataset.file_meta.TransferSyntaxUID
    value += b" " * (len(value) % 2)
    place._dict[pydicom.tag.Tag(tag)] = pydicom.dataelem.RawDataElement(
        pydicom.tag.Tag(tag), vr, len(value), value, 0, syntax.is_implicit_VR, syntax.is_little_endian
    )


def _places_of(dataset, keyword) -> list:
    """Data sets that hold a tag, the functional groups of frames among them; the top one if none does."""
    found = [dataset] if keyword in dataset else []
    for groups in (
        *dataset.get("SharedFunctionalGroupsSequence", []),
        *dataset.get("PerFrameFunctionalGroupsSequence", []),
    ):
        found += [element.value[0] for element in groups if element.VR == "SQ" and keyword in element.value[0]]
    return found or [dataset]


def hostile_texts(folder, rng):
    """Every text tag that the standard has holds what shells, pages, terminals and paths choke on."""

    tags = _text_tags()[rng.integers(7) :: 7]  # another seventh of them in each mutant

    def put(dataset):
        dataset.SpecificCharacterSet = str(
            rng.choice(["ISO_IR 192", "ISO_IR 100", "unicode_escape", "zlib_codec", "ISO 2022 IR 87", "no such set"])
        )
        for tag in tags:
            text = HOSTILE[rng.integers(len(HOSTILE))]
            raw = text.encode("utf-8", "ignore")[: 60000 if rng.random() < 0.01 else 200]
            _put_raw(dataset, dataset, tag, dictionary_VR(tag) if rng.random() < 0.7 else "UN", raw)
        dataset.private_block(0x0029, MARK, create=True).add_new(1, "LO", MARK)

    _edit(_images(folder), put)


@functools.cache
def _text_tags() -> list[int]:
    from pydicom.datadict import DicomDictionary

    kept = {"SeriesInstanceUID", "SpecificCharacterSet"}
    tags = [t for t in DicomDictionary if dictionary_VR(t) in {"LO", "SH", "LT", "ST", "UT", "PN", "UC", "UR"}]
    return [t for t in tags if t >> 16 not in (0, 2, 0x7FE0) and keyword_for_tag(t) not in kept]


def deep_sequences(folder, rng):
    """Sequences inside sequences, by known and unknown lengths, 20 000 deep; or a hundred thousand empty items."""
    depth = int(rng.choice([50, 400, 3000, 20000]))
    tag = struct.pack("<HH", *[(0x5200, 0x9230), (0x0008, 0x1140), (0x0029, 0x1010)][rng.integers(3)])
    kind = rng.integers(3)
    if kind == 0:
        inner = tag + b"SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
        block = inner * depth
        if rng.random() < 0.5:
            block += (b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0") * depth
    elif kind == 1:
        block = b""
        for _ in range(min(depth, 3000)):
            block = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(block)) + block
            block = tag + b"SQ\0\0" + struct.pack("<I", len(block)) + block
    else:
        items = b"\xfe\xff\x00\xe0\0\0\0\0" * 100_000
        block = tag + b"SQ\0\0" + struct.pack("<I", len(items)) + items

    def put(body):
        at = body.find(b"\x28\x00\x02\x00US")
        at = at if at > 0 else 132
        body[at:at] = block

    for path in _some(folder, rng)[:3]:
        _change(path, put)


def endless_elements(folder, rng):
    """Millions of empty elements where the pixels should be."""

    def put(body):
        at = max(body.find(b"\xe0\x7f\x10\x00"), 400)
        return body[:at] + bytes(8 << 20)

    _change(_one(folder, rng), put)


def identifiers(folder, rng):
    """UIDs shared by what differs, differing in what belongs together, absent, or several in one."""
    keyword = str(rng.choice(["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPClassUID"]))
    value = [
        "1.2.3",
        "",
        "1.2\\3.4",
        f"{MARK}/../x",
        "1.2.840.10008.5.1.4.1.1.4.1",
        "1.2.840.10008.5.1.4.1.1.2",
        "9" * 300,
    ][rng.integers(7)]

    def put(dataset):
        dataset.add_new(tag_for_keyword(keyword), "UI", value.split("\\") if "\\" in value else value)

    _edit(_some(folder, rng), put)


def copies(folder, rng):
    """One image twice, under another name, linked, or with another UID."""
    path, what = _one(folder, rng), rng.integers(3)
    copy = path.with_name(f"copy-{path.name}")
    if what == 0:
        copy.write_bytes(path.read_bytes())
    elif what == 1:
        copy.symlink_to(path)
    else:
        copy.write_bytes(path.read_bytes())
        _edit([copy], lambda d: setattr(d, "SOPInstanceUID", "1.2.3.4"))


def loss_inside(folder, rng):
    paths = _images(folder)
    if len(paths) > 2:
        paths[rng.integers(1, len(paths) - 1)].unlink()


def other_syntax(folder, rng):
    """A transfer syntax that the pixels are not in."""
    uids = (
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.100",
        "1.2.840.113619.5.2",
        "9.9",
        MARK,
    )
    uid = uids[rng.integers(len(uids))].encode()
    uid += b"\0" * (len(uid) % 2)

    def put(body):
        at = body.find(b"\x02\x00\x10\x00UI")
        if at > 0:
            old = struct.unpack("<H", body[at + 6 : at + 8])[0]
            body[at + 6 : at + 8 + old] = struct.pack("<H", len(uid)) + uid
            total = struct.unpack("<I", body[140:144])[0] - old + len(uid)
            body[140:144] = struct.pack("<I", total)

    for path in _some(folder, rng):
        _change(path, put)


def damaged_stream(folder, rng):
    """Bytes inside the pixels' own stream, where a decoder's state machine lives."""

    def put(body):
        at = body.find(b"\xe0\x7f\x10\x00")
        places = rng.integers(max(at, 0), min(max(at, 0) + 220, len(body)), rng.integers(1, 5))
        for place in places:
            body[place] = rng.integers(256) if rng.random() < 0.7 else rng.choice([0, 0x7F, 0x80, 0xFF])

    for path in _some(folder, rng):
        _change(path, put)


def deflated_bomb(folder, rng):
    """A few kilobytes that unfold to half a gigabyte, under the header of the image that they replace."""
    path = _one(folder, rng)
    dataset = pydicom.dcmread(path)
    header, meta = io.BytesIO(), io.BytesIO()
    del dataset.PixelData
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    pydicom.dcmwrite(header, dataset, enforce_file_format=True)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    pydicom.dcmwrite(meta, dataset, enforce_file_format=True)
    start, end = (144 + struct.unpack("<I", file.getvalue()[140:144])[0] for file in (meta, header))
    squeeze = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = meta.getvalue()[:start] + squeeze.compress(header.getvalue()[end:]) + squeeze.flush(zlib.Z_FULL_FLUSH)
    # After a full flush nothing refers back, so a packed block may stand any number of times.
    body += (squeeze.compress(bytes(1 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)) * int(rng.choice([16, 512]))
    path.write_bytes(body + squeeze.flush())


# NIfTI alone


def _header(change: Callable[[bytearray, np.random.Generator], None]):
    def mutate(folder, rng):
        path = _images(folder)[0]
        packed = path.suffix == ".gz"
        body = bytearray(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
        change(body, rng)
        path.write_bytes(gzip.compress(bytes(body), mtime=0) if packed else bytes(body))

    mutate.__doc__ = change.__doc__
    return mutate


def _dimensions(body, rng):
    """Axes of no, negative and endless length, and as many as the format has."""
    what = rng.integers(4)
    if what == 0:
        struct.pack_into(
            "<h", body, 40 + 2 * int(rng.integers(0, 8)), int(rng.choice([0, 1, -1, 8, 13, 15, 32767, -32768]))
        )
    elif what == 1:
        struct.pack_into("<8h", body, 40, 3, 5000, 5000, 4000, 1, 1, 1, 1)
    elif what == 2:
        struct.pack_into("<8h", body, 40, *map(int, rng.integers(-5, 40, 8)))
    else:
        struct.pack_into("<8h", body, 40, 7, *[32767] * 7)


def _types(body, rng):
    """Other types of value, and types that there are not."""
    struct.pack_into(
        "<h",
        body,
        70,
        int(rng.choice([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304, 9999])),
    )
    if rng.random() < 0.5:
        struct.pack_into("<h", body, 72, int(rng.choice([0, 1, 8, 16, 32, 64, 128, 256, -1])))


def _offset(body, rng):
    """Values before, behind and far behind the header."""
    struct.pack_into("<f", body, 108, float(rng.choice([0, -1, 351, 353, 368, 1e6, 1e9, 3e38, np.nan, np.inf])))
    if rng.random() < 0.5:  # an extension that declares two gigabytes
        body[348:356] = b"\1\0\0\0" + struct.pack("<i", 0x7FFFFFF0)


def _places(body, rng):
    """Affines that are not finite, flat, endless, sheared, or that contradict each other."""
    field = int(rng.choice([76, 80, 84, 88, 256, 260, 264, 268, 272, 276, *range(280, 328, 4)]))
    value = float(rng.choice([np.nan, np.inf, -np.inf, 0, 1e30, -1e30, 1e-30, 1, -1, 5.5]))
    struct.pack_into("<f", body, field, value)
    if rng.random() < 0.3:
        struct.pack_into("<2h", body, 252, *map(int, rng.choice([0, 1, 2, 4, -1, 99], 2)))
    if rng.random() < 0.2:
        body[123] = int(rng.integers(256))


def _scalings(body, rng):
    """Scalings that are no number, or turn every value into none."""
    values = [np.nan, np.inf, 0, 1e38, -1e38, 1e-38, -1]
    struct.pack_into("<2f", body, 112, *map(float, rng.choice(values, 2)))


def nifti_bomb(folder, rng):
    """A gzip file that unfolds without end, in one member or in many, or empty members alone."""
    path = _images(folder)[0]
    body = path.read_bytes()
    body = gzip.decompress(body) if path.suffix == ".gz" else body
    what = rng.integers(4)
    if what == 0:  # behind the values
        packed = gzip.compress(body, mtime=0) + gzip.compress(bytes(8 << 20), mtime=0) * 320
    elif what == 1:  # an extension of two gigabytes
        large = bytearray(body)
        struct.pack_into("<f", large, 108, 2.0e9)
        large[348:356] = b"\1\0\0\0" + struct.pack("<i", 0x7FFFFFF0)
        packed = gzip.compress(bytes(large), mtime=0) + gzip.compress(bytes(8 << 20), mtime=0) * 264
    elif what == 2:
        packed = gzip.compress(b"", mtime=0) * 200_000
    else:  # as large as declared, and declared as large as can be
        large = bytearray(body[:352])
        struct.pack_into("<8h", large, 40, 3, 600, 600, 370, 1, 1, 1, 1)
        packed = gzip.compress(bytes(large), mtime=0) + gzip.compress(bytes(2 << 20), mtime=0) * 512
    path.unlink()
    (folder / "knee.nii.gz").write_bytes(packed)


def hostile_sidecar(folder, rng):
    """A sidecar that is deep, endless, no object, or full of the wrong things."""
    texts = [
        "[" * 100_000,
        '{"EchoTime": 1e999, "RepetitionTime": -1e999}',
        "null",
        "[1, 2]",
        "{",
        '{"EchoTimes": "x"}',
        json.dumps(
            dict.fromkeys(
                ("SeriesDescription", "ProtocolName", "Manufacturer", "ScanOptions", "ScanningSequence"), MARK
            )
        ),
        json.dumps(dict.fromkeys(("SeriesDescription", "Manufacturer", "EchoTime", "Laterality"), [[MARK]] * 9)),
        json.dumps({"EchoTime": 10**4000, "RepetitionTime": True, "ContrastClass": MARK, "Laterality": MARK}),
        '{"EchoTime": NaN, "FlipAngle": Infinity}',
        json.dumps({"SeriesDescription": HOSTILE[-1] * 400}),
        "\0" * 100,
    ]
    (folder / "knee.json").write_text(texts[rng.integers(len(texts))], encoding="utf-8")
    if rng.random() < 0.1:
        (folder / "knee.json").unlink()
        os.mkfifo(folder / "knee.json")


COMMON = (
    "truncate",
    "empty file",
    "flip header",
    "flip anywhere",
    "flip pixels",
    "same flip in all",
    "overwrite",
    "insert or delete",
    "append",
    "swap contents",
    "hostile names",
    "odd places",
    "huge file",
)
DICOM = (
    "wrong length",
    "wrong type",
    "huge declared",
    "hostile numbers",
    "hostile texts",
    "deep sequences",
    "endless elements",
    "identifiers",
    "copies",
    "loss inside",
    "other syntax",
    "damaged stream",
    "deflated bomb",
)
NIFTI = ("dimensions", "types", "offset", "places", "scalings", "nifti bomb", "hostile sidecar")
MUTATIONS: dict[str, Callable] = {
    "truncate": truncate,
    "empty file": empty_file,
    "flip header": flip_header,
    "flip anywhere": flip_anywhere,
    "flip pixels": flip_pixels,
    "same flip in all": same_flip_in_all,
    "overwrite": overwrite,
    "insert or delete": insert_or_delete,
    "append": append,
    "swap contents": swap_contents,
    "hostile names": hostile_names,
    "odd places": odd_places,
    "huge file": huge_file,
    "wrong length": wrong_length,
    "wrong type": wrong_type,
    "huge declared": huge_declared,
    "hostile numbers": hostile_numbers,
    "hostile texts": hostile_texts,
    "deep sequences": deep_sequences,
    "endless elements": endless_elements,
    "identifiers": identifiers,
    "copies": copies,
    "loss inside": loss_inside,
    "other syntax": other_syntax,
    "damaged stream": damaged_stream,
    "deflated bomb": deflated_bomb,
    "dimensions": _header(_dimensions),
    "types": _header(_types),
    "offset": _header(_offset),
    "places": _header(_places),
    "scalings": _header(_scalings),
    "nifti bomb": nifti_bomb,
    "hostile sidecar": hostile_sidecar,
}
