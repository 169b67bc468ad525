"""Damaged and hostile scans: two hundred of the mutants of `bench/hostile.py`, and each defect that they have shown."""

import gzip
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from tests.ingest import faults, mutants, trial
from tests.ingest.vendors import COMPRESSED, compress, write_enhanced

from kneeline import cli, tables
from kneeline.errors import Refusal, UsageError
from kneeline.ingest import isolated, limits, unpack, walk
from kneeline.ingest.run import ingest_scan, inventory, load_knee
from kneeline.tables import Scan
from kneeline.volume import Volume, read_volume, write_volume

PLAIN = ("explicit", "implicit", "big endian", "bare names", "rescaled", "echoes", "enhanced", "enhanced, own groups")
PACKED = ("deflated", "JPEG 2000", "JPEG-LS", "RLE", "JPEG lossless (process 14)")
NIFTI = ("nifti", "nifti packed", "nifti real", "nifti packed real")
# Decoders need a process of their own, so only what reaches them is worth it here.
BASES = dict.fromkeys(mutants.DICOM, PLAIN[1:7]) | dict.fromkeys(mutants.NIFTI, NIFTI)
BASES |= dict.fromkeys(mutants.COMMON, (*PLAIN[::2], *NIFTI[:3]))
BASES |= {
    "damaged stream": PACKED[1:],
    "other syntax": (*PLAIN[:4], "RLE"),
    "endless elements": PLAIN[6:],
    "deep sequences": PLAIN[5:],
    "deflated bomb": PLAIN[:2],
}


@pytest.mark.parametrize("mutation", mutants.MUTATIONS)
def test_a_mutant_is_right_or_refused(tmp_path, mutation):
    """No crash, no hang, no endless memory, nothing written beside the output, and never a wrong image."""
    outcomes = {}
    for seed, base in enumerate(BASES[mutation]):
        mutant = mutants.build(base, mutation, seed, tmp_path / str(seed) / "in")
        outcomes[base] = trial.run(mutant)
        subprocess.run(["rm", "-rf", "--", tmp_path / str(seed)], check=True)
    bad = {b: o for b, o in outcomes.items() if o.verdict not in ("as_before", "as_the_file_says", "refused")}
    assert not bad
    assert not [o for o in outcomes.values() if o.detail == "unexpected_error"]


def test_the_judge_finds_what_is_wrong(tmp_path):
    """A mirrored image, a lost slice, one other voxel and a shift are differences; another order of axes is none."""
    truth = mutants.small_leg()
    shifted = truth.affine.copy()
    shifted[0, 3] += 0.2
    other = truth.array.copy()
    other[3, 4, 5] += 1
    assert trial.differs(truth, truth) is None
    assert trial.differs(Volume(truth.array[:, ::-1].copy(), truth.affine), truth)
    assert trial.differs(Volume(truth.array[1:], truth.affine), truth)
    assert trial.differs(truth.with_array(other), truth) == "1 voxels"
    assert trial.differs(Volume(truth.array, shifted), truth) == "0.2 mm away"


def refusal_of(path, laterality=None) -> str:
    with pytest.raises(Refusal) as refusal:
        load_knee(path, laterality)
    return refusal.value.code


# --- places -----------------------------------------------------------------------------------------------------------


def test_pipes_and_devices_are_not_opened(tmp_path):
    faults.good(tmp_path / "in", mutants.small_leg())
    for name in ("pipe.dcm", "pipe.nii", "pipe"):
        os.mkfifo(tmp_path / "in" / name)
    (tmp_path / "in" / "null.nii").symlink_to("/dev/null")
    assert load_knee(tmp_path / "in").image.shape == (14, 16, 16)
    assert refusal_of(tmp_path / "in" / "pipe.nii") == "no_series"
    write_volume(tmp_path / "knee.nii.gz", mutants.small_leg())
    os.mkfifo(tmp_path / "knee.json")
    assert load_knee(tmp_path / "knee.nii.gz").laterality is None


def test_folders_deeper_than_the_stack(tmp_path):
    deep = tmp_path / "in"
    for _ in range(1500):
        deep = deep / "d"
        deep.parent.mkdir()
    deep.mkdir()
    (deep / "x").touch()
    assert len(list(walk.files_below(tmp_path / "in"))) == 1
    subprocess.run(["rm", "-rf", "--", tmp_path / "in"], check=True)


def test_a_folder_that_cannot_be_listed_is_refused_not_skipped(tmp_path, monkeypatch):
    paths = faults.good(tmp_path / "in", mutants.small_leg())
    closed = tmp_path / "in" / "more"
    closed.mkdir()
    paths[-1].rename(closed / "last.dcm")
    real = os.scandir

    def scandir(path):  # as the kernel answers to anyone but root
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert refusal_of(tmp_path / "in") == "unreadable_folder"


def test_a_name_that_no_file_can_have_is_a_missing_path():
    assert refusal_of("x" * 5000) == "missing_path"
    assert refusal_of("a\0b") == "missing_path"


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    faults.good(tmp_path, mutants.small_leg())
    monkeypatch.setattr("kneeline.ingest.headers.MAX_DICOM_FILES", 13)
    assert refusal_of(tmp_path) == "too_many_files"
    monkeypatch.setattr("kneeline.ingest.walk.MAX_FILES", 13)
    assert refusal_of(tmp_path) == "too_many_files"


@pytest.mark.parametrize("name", ["tab\tname", "line\nbreak", "blank ", b"\xff".decode("utf-8", "surrogateescape")])
def test_inventory_refuses_names_that_a_table_cannot_hold(tmp_path, name):
    faults.good(tmp_path / name, mutants.small_leg(), uid_seed="a")
    with pytest.raises(UsageError, match="a table cannot hold this name"):
        inventory(tmp_path)


@pytest.mark.parametrize("name", ['quo"te', "$(touch x)", "{wildcards.scan}", "膝 🦵", " #a", "-rf", "a,b;c", "dots.."])
def test_other_hostile_names_lead_back_to_their_folder(tmp_path, name):
    faults.good(tmp_path / "root" / name, mutants.small_leg())
    tables.write_table(tmp_path / "scans.tsv", inventory(tmp_path / "root"), tables.SCANS)
    (scan,) = tables.read_scans(tmp_path / "scans.tsv")
    assert ingest_scan(scan, tmp_path / "out")["status"] == "ok"
    assert not (tmp_path / "x").exists()


# --- headers ----------------------------------------------------------------------------------------------------------


def test_the_last_slice_under_another_series_number_is_not_lost_in_silence(tmp_path):
    faults.edit(faults.good(tmp_path, mutants.small_leg())[-1:], lambda d, _: setattr(d, "SeriesInstanceUID", "1.2"))
    assert refusal_of(tmp_path) == "split_series"


def test_a_last_slice_that_cannot_be_read_and_whose_number_is_damaged(tmp_path):
    """Regression: a number that no readable file has made it another series' file."""
    path = faults.good(tmp_path, mutants.small_leg())[-1]
    uid = pydicom.dcmread(path).SeriesInstanceUID.encode()
    body = path.read_bytes().replace(uid, uid[:5] + b"\xff" * (len(uid) - 5))
    path.write_bytes(body[: body.find(b"\x28\x00\x10\x00US")])
    assert refusal_of(tmp_path) == "unreadable_file"


def test_a_last_slice_that_lost_its_number_and_its_place(tmp_path):
    def lose(dataset, _):
        dataset.SeriesInstanceUID = "1.2"
        del dataset.ImagePositionPatient

    faults.edit(faults.good(tmp_path, mutants.small_leg())[-1:], lose)
    assert refusal_of(tmp_path) == "split_series"


def test_one_slice_beside_the_line_of_the_others(tmp_path):
    """Along the stack nothing shows; the fitted line would tilt."""
    paths = faults.good(tmp_path, mutants.small_leg())
    faults.edit(paths[:1], lambda d, _: setattr(d, "ImagePositionPatient", [*d.ImagePositionPatient[:2], 32.75]))
    assert refusal_of(tmp_path) == "sheared_stack"


def test_two_whole_series_side_by_side_are_not_fragments_of_each_other(tmp_path):
    """The second has one slice more at its end, where the first ends."""
    long = faults.leg((15, 16, 16), (5.0, 4.5, 4.5))
    affine = long.affine.copy()
    faults.good(tmp_path, Volume(long.array[:14], affine), uid_seed="a")
    for path in faults.good(tmp_path / "b", Volume(long.array, affine), uid_seed="b", series_number=2):
        path.rename(tmp_path / f"b{path.name}")
    assert [row["reason_code"] for row in load_knee(tmp_path).series] == [None, None]


def test_a_last_slice_that_is_no_dicom_any_more_but_named_like_one(tmp_path):
    paths = [p.rename(p.with_suffix("")) for p in faults.good(tmp_path, mutants.small_leg())]
    paths[-1].write_bytes(b"")
    assert refusal_of(tmp_path) == "unreadable_file"


def test_the_header_of_one_last_slice_refused_takes_its_series_along(tmp_path):
    def huge(dataset, _):
        dataset.Rows = dataset.Columns = 65535

    faults.edit(faults.good(tmp_path, mutants.small_leg())[-1:], huge)
    with pytest.raises(Refusal):
        load_knee(tmp_path)


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SeriesInstanceUID", "BitsStored"])
def test_several_values_where_one_belongs_are_no_failure(tmp_path, keyword):
    values = [16, 12] if keyword == "BitsStored" else ["1.2", "1.3"]
    faults.edit(faults.good(tmp_path, mutants.small_leg())[3:4], lambda d, _: setattr(d, keyword, values))
    assert refusal_of(tmp_path) != "unexpected_error"


def test_rescale_that_one_slice_lacks_or_that_is_no_number(tmp_path):
    def rescale(dataset, number):
        if number != 5:
            dataset.RescaleSlope, dataset.RescaleIntercept = 2, -7

    paths = faults.good(tmp_path, mutants.small_leg())
    faults.edit(paths, rescale)
    assert refusal_of(tmp_path) == "bad_values"
    faults.edit(paths, lambda d, _: (setattr(d, "RescaleSlope", 0), setattr(d, "RescaleIntercept", 0)))
    assert refusal_of(tmp_path) == "bad_values"


@pytest.mark.parametrize(
    "change",
    [
        {"Rows": 8}, {"Columns": 15}, {"BitsStored": 8}, {"HighBit": 13}, {"PixelRepresentation": 2},
        {"BitsAllocated": 8},
    ],
    ids=str,
)  # fmt: skip
def test_pixels_that_do_not_fill_what_is_declared(tmp_path, change):
    def declare(dataset, _):
        for keyword, value in change.items():
            setattr(dataset, keyword, value)

    faults.edit(faults.good(tmp_path, mutants.small_leg()), declare)
    assert refusal_of(tmp_path) == "bad_pixel_format"


def test_fewer_frames_declared_than_described(tmp_path):
    write_enhanced(tmp_path / "in" / "one", faults.good(tmp_path / "classic", mutants.small_leg()), order=range(14))
    faults.edit([tmp_path / "in" / "one"], lambda d, _: setattr(d, "NumberOfFrames", 13))
    assert refusal_of(tmp_path / "in") == "bad_geometry"


def test_long_undefined_sequences_before_the_pixels_are_read(tmp_path):
    """Regression: a sequence of unknown length that is cut where the first bytes end made the file unreadable."""
    image = faults.leg((160, 16, 16), (0.6, 4.5, 4.5))
    write_enhanced(tmp_path / "in" / "one", faults.good(tmp_path / "classic", image), order=range(160))

    def undefined(dataset, _):
        for keyword in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
            dataset[keyword].is_undefined_length = True
            for item in dataset[keyword].value:
                item.is_undefined_length_sequence_item = True

    faults.edit([tmp_path / "in" / "one"], undefined)
    body = (tmp_path / "in" / "one").read_bytes()
    assert body.find(b"\xe0\x7f\x10\x00") > 16384
    assert load_knee(tmp_path / "in").image.shape == (160, 16, 16)


def test_a_header_takes_no_more_than_its_budget(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(1000))
    with open(path, "rb") as raw:
        stream = limits.HeaderStream(raw, 1000)
        assert len(stream.read(0xFFFFFFFF)) == 1000
        stream.seek(2000)
        assert stream.read(8) == b""
        stream.seek(0)
        reads = (stream.read(0) for _ in range(1 << 20))
        with pytest.raises(ValueError, match="limits"):
            sum(map(len, reads))


def test_float_pixels_are_not_read_as_integers(tmp_path):
    def as_float(path):
        body = path.read_bytes()
        path.write_bytes(body.replace(b"\xe0\x7f\x10\x00OW", b"\xe0\x7f\x08\x00OF"))

    for path in faults.good(tmp_path, mutants.small_leg()):
        as_float(path)
    assert refusal_of(tmp_path) == "no_pixels"


# --- compressed pixels ------------------------------------------------------------------------------------------------


def test_a_decoder_that_dies_costs_the_scan_alone(tmp_path, monkeypatch):
    compress(faults.good(tmp_path / "in", mutants.small_leg()), "RLE")
    monkeypatch.setattr(isolated.sys, "executable", "/bin/false")
    row = ingest_scan(Scan("s", "sub-001", "ses-01", None, (str(tmp_path / "in"),)), tmp_path / "out")
    assert row["reason_code"] == "truncated_pixels"


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_stream_of_another_size_than_the_header_is_refused(tmp_path, name):
    """As many pixels, in other rows: a decoder would fill the image without a word."""
    image = faults.leg((14, 16, 32), (5.0, 4.5, 4.5))
    paths = faults.good(tmp_path, image)
    compress(paths, name)

    def turned(dataset, _):
        dataset.Rows, dataset.Columns = 32, 16

    faults.edit(paths, turned)
    if name != "RLE":  # whose stream knows no rows
        assert refusal_of(tmp_path) == "truncated_pixels"
    stream = next(pydicom.encaps.generate_frames(pydicom.dcmread(paths[0]).PixelData, number_of_frames=1))
    assert isolated.size_in_stream(stream) == (None if name == "RLE" else (16, 32))


def test_values_of_more_bits_than_the_header_says_come_from_a_damaged_stream(tmp_path, monkeypatch):
    """A decoder that lost its way fills all bits; cutting the upper ones off would hide it."""
    compress(faults.good(tmp_path, mutants.small_leg()), "JPEG 2000")
    noise = [np.full((16, 16), 4095 + (slot == 5), np.uint16) for slot in range(14)]
    monkeypatch.setattr("kneeline.ingest.pixels.decode", lambda files: iter(noise))
    assert refusal_of(tmp_path) == "truncated_pixels"


# --- NIfTI ------------------------------------------------------------------------------------------------------------


def nifti(tmp_path, name="knee.nii.gz") -> tuple[Path, bytearray]:
    write_volume(tmp_path / "knee.nii.gz", mutants.small_leg())
    body = bytearray(gzip.decompress((tmp_path / "knee.nii.gz").read_bytes()))
    (tmp_path / "knee.nii.gz").unlink()
    return tmp_path / name, body


def test_one_flipped_bit_in_a_packed_image_fails_its_checksum(tmp_path):
    path, body = nifti(tmp_path)
    packed = bytearray(gzip.compress(bytes(body), 0, mtime=0))  # stored, so that a flip unpacks without complaint
    path.write_bytes(packed)
    assert load_knee(path).image.shape == (14, 16, 16)
    packed[-3000] ^= 1
    path.write_bytes(packed)
    assert refusal_of(path) == "truncated_pixels"


@pytest.mark.parametrize("name", ["knee.nii", "knee.nii.gz"])
def test_more_values_than_declared_are_refused(tmp_path, name):
    path, body = nifti(tmp_path, name)
    struct.pack_into("<h", body, 42 + 2, 15)
    path.write_bytes(gzip.compress(bytes(body)) if path.suffix == ".gz" else bytes(body))
    assert refusal_of(path) == "bad_pixel_format"


def test_packed_files_of_many_members_and_padding_are_read(tmp_path):
    path, body = nifti(tmp_path)
    parts = [gzip.compress(bytes(body[i : i + 1000]), mtime=0) for i in range(0, len(body), 1000)]
    path.write_bytes(b"".join(parts) + gzip.compress(b"", mtime=0) + bytes(512))
    assert np.array_equal(load_knee(path).image.array, mutants.small_leg().array)
    path.write_bytes(b"".join(parts) + b"rubbish")
    assert refusal_of(path) == "truncated_pixels"


def test_a_stream_without_end_is_read_as_far_as_asked(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(bytes(1 << 20), mtime=0) * 2000)
    with unpack.Unpacked(path) as stream:
        assert stream.read(352) == bytes(352)
        assert len(stream.read(3 << 20)) == 3 << 20
    path.write_bytes(gzip.compress(b"", mtime=0) * 100_000)
    with unpack.Unpacked(path) as stream:
        assert stream.read(352) == b""


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda h: struct.pack_into("<f", h, 280, float("nan")), "bad_geometry"),
        (lambda h: struct.pack_into("<f", h, 292, float("inf")), "bad_geometry"),
        (lambda h: struct.pack_into("<f", h, 292, 1e30), "bad_geometry"),
        (lambda h: struct.pack_into("<f", h, 284, 2.5), "sheared_stack"),
        (lambda h: struct.pack_into("<f", h, 292, 40.0), "bad_geometry"),  # qform says another place
        (lambda h: struct.pack_into("<f", h, 80, 2.0), "bad_geometry"),  # voxel sizes of another grid
        (lambda h: struct.pack_into("<f", h, 112, float("inf")), "bad_values"),
        (lambda h: struct.pack_into("<f", h, 112, 3e38), "bad_values"),
        (lambda h: struct.pack_into("<h", h, 70, 128), "not_grayscale"),
        (lambda h: struct.pack_into("<f", h, 108, 1e9), "unreadable_file"),
        (lambda h: struct.pack_into("<4s", h, 344, b"ni1\0"), "unreadable_file"),
    ],
)
def test_headers_that_contradict_themselves(tmp_path, change, code):
    path, body = nifti(tmp_path, "knee.nii")
    path.write_bytes(bytes(body))
    assert load_knee(path).image.shape == (14, 16, 16)
    change(body)
    path.write_bytes(bytes(body))
    assert refusal_of(path) == code


def test_a_sidecar_that_is_endless_or_hostile_is_left_out(tmp_path):
    path, body = nifti(tmp_path, "knee.nii")
    path.write_bytes(bytes(body))
    for text in (
        "[" * 100_000,
        '{"EchoTime": 1' + "0" * 4000 + "}",
        '{"FlipAngle": 20, "x": "' + "a" * (1 << 20) + '"}',
    ):
        (tmp_path / "knee.json").write_text(text)
        assert "FlipAngle" not in load_knee(path).sidecar
        assert "EchoTime" not in load_knee(path).sidecar


# --- what is written --------------------------------------------------------------------------------------------------


def test_a_run_over_hostile_scans_writes_its_results_alone_and_leaves_the_input_as_it_was(
    tmp_path, monkeypatch, capsys
):
    """`kneeline ingest` over a mutant of each kind, from a folder of its own."""
    rows = []
    for number, name in enumerate(mutants.MUTATIONS):
        base = "nifti" if name in mutants.NIFTI else "enhanced" if number % 3 else "explicit"
        mutant = mutants.build(base, name, 5, tmp_path / "archive" / str(number))
        try:
            mutant.path.relative_to(tmp_path).as_posix().encode()
        except UnicodeEncodeError:
            continue
        path = str(mutant.path)
        if tables.SCANS["path"].parse(tables.SCANS["path"].format(path)) == path:
            rows.append({"participant_id": f"sub-{number}", "laterality": "R", "path": path})
    work = tmp_path / "work"
    tables.write_table(work / "scans.tsv", rows, tables.SCANS)
    monkeypatch.chdir(work)
    before = trial.state(tmp_path)
    assert cli.main(["ingest", "--scans", "scans.tsv", "--out", "results/ingest"]) == 0
    after = trial.state(tmp_path)
    beside = {path for path in set(after) - set(before) if not path.startswith(str(work / "results"))}
    assert beside == set()
    folder = str(work)
    assert {p: v for p, v in before.items() if p != folder} == {p: after[p] for p in before if p != folder}
    said = capsys.readouterr()
    assert mutants.MARK not in said.out + said.err
    assert f"[{len(rows)}/{len(rows)}]" in said.out
    assert len(rows) > 25
    for row in rows:
        status = tables.read_status("results/ingest", f"{row['participant_id']}_ses-01_knee-R")
        assert status["status"] == "ok" or status["reason"]


def test_score_writes_where_it_is_told_and_nowhere_else(tmp_path):
    """A refused series leaves no trace at all, the input least."""
    mutant = mutants.build("enhanced", "hostile texts", 1, tmp_path / "in")
    before = trial.state(tmp_path)
    command = [sys.executable, "-m", "kneeline", "score", str(mutant.path), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1)
    assert mutants.MARK not in done.stdout + done.stderr
    assert {p: v for p, v in trial.state(tmp_path).items() if not p.startswith(str(tmp_path / "out"))} == before


def test_the_plainest_reader_agrees_on_what_is_whole():
    """The oracle that judges damaged files reads every undamaged base as it was made."""
    import tempfile

    from tests.ingest import oracle

    for name, base in mutants.bases().items():
        with tempfile.TemporaryDirectory() as folder:
            for file, content in base.files.items():
                Path(folder, file).write_bytes(content)
            assert trial.differs(oracle.read(Path(folder)), base.truth) is None, name


def test_large_volumes_are_written_without_a_second_copy(tmp_path):
    """The bytes are those of nibabel's own writer."""
    import nibabel

    image = faults.leg((9, 8, 7), (5.0, 4.5, 4.5))
    write_volume(tmp_path / "a.nii.gz", image)
    expected = nibabel.Nifti1Image(image.array, image.affine)
    expected.set_sform(image.affine, code=1)
    expected.set_qform(image.affine, code=1, strip_shears=True)
    expected.header.set_xyzt_units("mm")
    assert gzip.decompress((tmp_path / "a.nii.gz").read_bytes()) == expected.to_bytes()
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz").array, image.array)
