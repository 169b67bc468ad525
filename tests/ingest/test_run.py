"""The stage: what it writes for good scans, what it says of planted faults, and which series it takes."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from tests.ingest import faults
from tests.ingest.vendors import COMPRESSED, assert_same_image, compress, write_enhanced

from kneeline import tables
from kneeline.errors import Refusal
from kneeline.ingest.run import ingest_scan, load_knee
from kneeline.simulate.dicom import Protocol
from kneeline.tables import Scan
from kneeline.volume import read_echoes, read_volume

PDFS = Protocol()
PLAIN = replace(PDFS, fat_suppressed=False)
T1 = replace(PLAIN, series_description="SAG T1", repetition_time_ms=600, echo_times_ms=(12.0,))
T2 = replace(PLAIN, series_description="SAG T2", echo_times_ms=(85.0,))


def scan(*folders: Path, laterality=None, name="sub-001_ses-01_knee-R") -> Scan:
    return Scan(name, "sub-001", "ses-01", laterality, tuple(str(f) for f in folders))


def refusal_of(*folders, laterality=None) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        load_knee(folders, laterality)
    return refusal.value


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("faulty")
    assert faults.plant_faults(root) == {name: code for name, (_, code) in faults.FAULTS.items()}
    faults.plant_good(root, 3)
    for name, (write, _) in faults.MORE_FAULTS.items():
        write(root / name)
    return root


@pytest.mark.parametrize("name", [*faults.FAULTS, *faults.MORE_FAULTS])
def test_each_fault_is_set_aside_with_its_own_reason(faulty, tmp_path, name):
    row = ingest_scan(scan(faulty / name), tmp_path)
    _, expected = (faults.FAULTS | faults.MORE_FAULTS)[name]
    assert (row["status"], row["stage"], row["reason_code"]) == ("quarantined", "ingest", expected)
    assert len(row["reason"].split()) > 6  # plain words, not a code
    written = {p.name.removeprefix("sub-001_ses-01_knee-R_") for p in tmp_path.iterdir()}
    assert written == {"status.json", "series.tsv"}
    series = tables.read_table(tmp_path / "sub-001_ses-01_knee-R_series.tsv", tables.SERIES)
    assert all(not r["chosen"] and r["reason_code"] and r["score"] is None for r in series)


def test_ten_faults_beside_three_good_knees(faulty, tmp_path):
    expected = {name: code for name, (_, code) in faults.FAULTS.items()}
    good = [f"good-{n}" for n in (1, 2, 3)]
    assert len(expected) == len(set(expected.values())) == 10
    rows = {name: ingest_scan(scan(faulty / name, name=name), tmp_path) for name in [*expected, *good]}
    assert {name: row["reason_code"] for name, row in rows.items() if row["status"] == "quarantined"} == expected
    assert [name for name, row in rows.items() if row["status"] == "ok"] == good


def test_a_good_scan_is_written_whole(tmp_path):
    image = faults.leg()
    faults.good(tmp_path / "in", image)
    row = ingest_scan(scan(tmp_path / "in", laterality="R"), tmp_path / "out")
    stem = str(tmp_path / "out" / "sub-001_ses-01_knee-R_")
    assert row == tables.read_status(tmp_path / "out", "sub-001_ses-01_knee-R")
    assert (row["status"], row["laterality"], row["laterality_source"]) == ("ok", "R", "table")
    assert row["laterality_sources"] == "table=R,tag=R"
    assert_same_image(read_volume(stem + "image.nii.gz"), image)
    (quality,) = tables.read_table(stem + "quality.tsv", tables.QUALITY)
    assert quality["n_slices"] == 24
    assert quality["slice_spacing_mm"] == 4
    assert quality["pixel_mm"] == pytest.approx(2.2)
    assert quality["coverage_mm"] == 96
    assert quality["in_plane_mm"] == pytest.approx(140.8)
    assert quality["contrast"] == "PDFS"
    assert quality["flags"] == "low_resolution"
    (series,) = tables.read_table(stem + "series.tsv", tables.SERIES)
    assert series["chosen"]
    parts = dict(part.split("=") for part in series["score_parts"].split(","))
    assert series["score"] == pytest.approx(sum(map(float, parts.values())), abs=0.01)
    sidecar = json.loads(Path(stem + "image.json").read_text())
    assert (sidecar["Laterality"], sidecar["ContrastClass"], sidecar["EchoTime"]) == ("R", "PDFS", 0.03)


def test_echoes_are_written_beside_the_image(tmp_path):
    protocol = replace(PDFS, echo_times_ms=(12.0, 60.0), fat_suppressed=False)
    echoes = [faults.leg(seed=s) for s in range(2)]
    faults.good(tmp_path / "in", echoes, protocol=protocol)
    ingest_scan(scan(tmp_path / "in"), tmp_path / "out")
    array, affine = read_echoes(tmp_path / "out" / "sub-001_ses-01_knee-R_echoes.nii.gz")
    image = read_volume(tmp_path / "out" / "sub-001_ses-01_knee-R_image.nii.gz")
    assert np.allclose(affine, image.affine)
    assert np.array_equal(array[..., 0], image.array)
    assert array.shape == (24, 64, 64, 2)


def test_a_scan_ingested_again_has_the_same_bytes_and_nothing_left_over(tmp_path):
    protocol = replace(PDFS, echo_times_ms=(12.0, 60.0))
    faults.good(tmp_path / "two", [faults.leg(seed=s) for s in range(2)], protocol=protocol)
    faults.good(tmp_path / "one")

    def state():
        return {p.name: hashlib.sha256(p.read_bytes()).digest() for p in (tmp_path / "out").iterdir()}

    ingest_scan(scan(tmp_path / "one"), tmp_path / "out")
    first = state()
    ingest_scan(scan(tmp_path / "two"), tmp_path / "out")
    assert len(state()) == len(first) + 1
    ingest_scan(scan(tmp_path / "one"), tmp_path / "out")
    assert state() == first


def test_the_inputs_are_left_alone(tmp_path):
    paths = faults.good(tmp_path / "in")
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in paths}
    ingest_scan(scan(tmp_path / "in"), tmp_path / "out")
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "in").iterdir()}


def test_the_best_of_a_mixed_study_is_taken_and_every_series_logged(tmp_path):
    """Six series in one heap of files: the fat-suppressed sagittal one wins."""
    folder = tmp_path / "study"
    wanted = faults.leg(seed=3)
    for number, (image, protocol) in enumerate(
        [
            (faults.leg(seed=1), T1),
            (faults.leg(axes=faults.CORONAL), replace(PDFS, series_description="COR PD FS")),
            (wanted, PDFS),
            (faults.leg(seed=2), T2),
            (faults.leg((5, 64, 64)), replace(PDFS, series_description="SAG short")),
        ],
        start=1,
    ):
        paths = faults.good(tmp_path / str(number), image, protocol=protocol, series_number=number, uid_seed="s")
        folder.mkdir(exist_ok=True)
        for path in paths:
            shutil.move(path, folder / f"{number}{path.name}")
    knee = load_knee(folder)
    assert_same_image(knee.image, wanted)
    assert [(r["contrast"], r["reason_code"], r["chosen"]) for r in knee.series] == [
        ("T1", None, False),
        ("PDFS", "not_sagittal", False),
        ("PDFS", None, True),
        ("T2", None, False),
        ("PDFS", "too_few_slices", False),
    ]
    scores = {r["contrast"]: r["score"] for r in knee.series if r["score"] is not None}
    assert scores["PDFS"] > scores["T2"] > scores["T1"]


def test_when_the_best_series_has_damaged_pixels_the_next_is_used(tmp_path):
    for number, protocol in enumerate([PDFS, T2], start=1):
        paths = faults.good(
            tmp_path / str(number), faults.leg(seed=number), protocol=protocol, series_number=number, uid_seed="s"
        )
        if number == 1:
            compress(paths, "JPEG-LS")
            body = paths[3].read_bytes()
            paths[3].write_bytes(body[:1700] + bytes(len(body) - 1700))
    knee = load_knee(tmp_path)
    assert_same_image(knee.image, faults.leg(seed=2))
    assert [(r["chosen"], r["reason_code"]) for r in knee.series] == [(False, "truncated_pixels"), (True, None)]


def test_several_unusable_series_are_summed_up(tmp_path):
    faults.missing_slice(tmp_path / "a")
    faults.truncated_pixels(tmp_path / "b")
    faults.not_sagittal(tmp_path / "c")
    refusal = refusal_of(tmp_path)
    assert refusal.code == "nothing_usable"
    assert "missing_slice, truncated_pixels" in refusal.reason
    shutil.rmtree(tmp_path / "a")
    assert refusal_of(tmp_path).code == "truncated_pixels"  # a coronal series beside it explains nothing


def test_several_paths_of_one_scan_are_one_study(tmp_path):
    faults.not_sagittal(tmp_path / "a")
    faults.good(tmp_path / "b")
    knee = load_knee([tmp_path / "a", tmp_path / "b"])
    assert [row["chosen"] for row in knee.series] == [False, True]


# --- sides ------------------------------------------------------------------------------------------------------------


def test_sources_that_agree_are_all_named(tmp_path):
    faults.good(tmp_path, protocol=replace(PDFS, series_description="SAG PD FS knee right"))
    knee = load_knee(tmp_path, "R")
    assert (knee.laterality, knee.laterality_source) == ("R", "table")
    assert knee.laterality_sources == "table=R,tag=R,text=R"
    assert load_knee(tmp_path).laterality_source == "tag"


def test_without_any_source_the_side_stays_open(tmp_path):
    faults.good(tmp_path, laterality=None)
    knee = load_knee(tmp_path)
    assert (knee.laterality, knee.laterality_source, knee.laterality_sources) == (None, None, None)


@pytest.mark.parametrize(
    ("table", "tag", "text"),
    [("L", "R", ""), ("L", None, "SAG KNEE RT"), (None, "R", "SAG KNEE LT"), ("R", "R", "LEFT")],
)
def test_two_sources_that_differ_are_a_conflict(tmp_path, table, tag, text):
    faults.good(tmp_path, laterality=tag, protocol=replace(PDFS, series_description=text))
    assert refusal_of(tmp_path, laterality=table).code == "laterality_conflict"
    row = ingest_scan(scan(tmp_path, laterality=table), tmp_path / "out")
    said = {"table": table, "tag": tag, "text": {"SAG KNEE RT": "R", "": None}.get(text, "L")}
    assert row["laterality_sources"] == ",".join(f"{k}={v}" for k, v in said.items() if v)


def _texts(**texts):
    def write(dataset, _):
        for keyword in ("SeriesDescription", "ProtocolName", "BodyPartExamined", "StudyDescription"):
            setattr(dataset, keyword, texts.get(keyword, ""))

    return write


@pytest.mark.parametrize(
    ("texts", "sources"),
    [
        ({"SeriesDescription": "SAG LEFT", "StudyDescription": "MRI KNEE RIGHT"}, "text=L,study=R"),
        ({"SeriesDescription": "SAG LEFT", "ProtocolName": "KNEE RIGHT"}, "text=L,other_text=R"),
        ({"ProtocolName": "KNEE RIGHT", "BodyPartExamined": "LKNEE"}, "text=L,other_text=R"),
    ],
)
@pytest.mark.parametrize("table", [None, "L", "R"])
def test_two_texts_that_differ_are_a_conflict_whatever_the_table_says(tmp_path, texts, sources, table):
    faults.edit(faults.good(tmp_path / "in", laterality=None), _texts(**texts))
    row = ingest_scan(scan(tmp_path / "in", laterality=table), tmp_path / "out")
    assert (row["status"], row["reason_code"]) == ("quarantined", "laterality_conflict")
    assert row["laterality_sources"] == (f"table={table}," if table else "") + sources


@pytest.mark.parametrize(("table", "tag"), [("L", None), (None, "L"), ("L", "L")])
def test_the_text_of_the_study_is_checked_against_the_table_and_the_tag(tmp_path, table, tag):
    faults.edit(faults.good(tmp_path, laterality=tag), _texts(StudyDescription="MRI KNEE RIGHT"))
    assert refusal_of(tmp_path, laterality=table).code == "laterality_conflict"


def test_the_text_of_the_study_decides_where_nothing_else_speaks(tmp_path):
    faults.edit(faults.good(tmp_path / "in", laterality=None), _texts(StudyDescription="MRI KNEE RIGHT"))
    row = ingest_scan(scan(tmp_path / "in"), tmp_path / "out")
    assert (row["laterality"], row["laterality_source"], row["laterality_sources"]) == ("R", "text", "study=R")


@pytest.mark.parametrize("study", ["MRI KNEE LEFT AND RIGHT", "KNEES L/R"])
def test_a_study_text_that_names_both_sides_is_no_vote(tmp_path, study):
    faults.edit(faults.good(tmp_path, laterality="L"), _texts(SeriesDescription="SAG LEFT", StudyDescription=study))
    assert load_knee(tmp_path).laterality_sources == "tag=L,text=L"


def test_a_study_named_after_one_of_its_two_knees_still_gives_that_knee(tmp_path):
    """The left series come first and would do as well; they differ from their study's text, the right ones do not."""
    right = faults.leg(seed=2)
    for number, (side, image) in enumerate([("L", faults.leg(seed=1)), ("R", right)], start=1):
        paths = faults.good(tmp_path / side, image, laterality=side, series_number=number, uid_seed="s")
        faults.edit(paths, _texts(StudyDescription="MRI KNEE RIGHT"))
    assert_same_image(load_knee(tmp_path, "R").image, right)
    assert refusal_of(tmp_path, laterality="L").code == "laterality_conflict"
    assert refusal_of(tmp_path).code == "two_knees_in_folder"


def test_series_of_the_other_knee_are_no_candidates(tmp_path):
    right, left = faults.leg(seed=1), faults.leg(seed=2)
    faults.good(tmp_path / "1", right, laterality="R")
    faults.good(tmp_path / "2", left, laterality="L", protocol=T2)
    faults.good(tmp_path / "3", laterality=None)
    assert_same_image(load_knee(tmp_path, "R").image, right)
    knee = load_knee(tmp_path, "L")
    assert_same_image(knee.image, left)  # though the other two are the better series
    codes = [row["reason_code"] for row in knee.series]
    assert codes == ["other_knee", None, "side_unknown_beside_two_knees"]
    assert refusal_of(tmp_path).code == "two_knees_in_folder"


def test_both_knees_named_by_a_tag(tmp_path):
    faults.edit(faults.good(tmp_path, laterality=None), lambda d, _: setattr(d, "ImageLaterality", "B"))
    assert refusal_of(tmp_path).code == "both_knees"


# --- damage -----------------------------------------------------------------------------------------------------------


def test_one_unreadable_file_among_several_series_is_flagged_and_the_series_used(tmp_path):
    for number, protocol in enumerate([PDFS, T2], start=1):
        faults.good(tmp_path / str(number), protocol=protocol, series_number=number)
    for path in (tmp_path / "2").iterdir():
        shutil.move(path, tmp_path / "1" / f"b{path.name}")
    (tmp_path / "1" / "IM0500.dcm").write_bytes(bytes(128) + b"DICM" + bytes(40))
    assert "unreadable_file_nearby" in load_knee(tmp_path / "1").quality["flags"]


def test_a_slice_lost_at_the_end_does_not_pass_silently(tmp_path):
    """The remaining stack is even and complete in itself: only the damaged file tells."""
    path = faults.good(tmp_path)[-1]
    path.write_bytes(bytes(len(path.read_bytes())))
    assert refusal_of(tmp_path).code == "unreadable_file"


def test_a_header_that_declares_a_huge_image_is_refused_before_it_is_allocated(tmp_path):
    def huge(dataset, _):
        dataset.Rows = dataset.Columns = 65535

    faults.edit(faults.good(tmp_path), huge)
    assert refusal_of(tmp_path).code == "too_large"


def test_a_multi_frame_file_that_declares_endless_frames_is_refused(tmp_path):
    write_enhanced(tmp_path / "in" / "one", faults.good(tmp_path / "classic"), order=range(24))
    faults.edit([tmp_path / "in" / "one"], lambda d, _: setattr(d, "NumberOfFrames", 2_000_000_000))
    assert refusal_of(tmp_path / "in").code == "too_large"


def test_linked_folders_are_followed_and_a_circle_of_links_ends(tmp_path):
    faults.good(tmp_path / "store" / "series")
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "link").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "circle").symlink_to(tmp_path / "scan")
    assert load_knee(tmp_path / "scan").image.shape == (24, 64, 64)


def test_blank_images_are_refused(tmp_path):
    faults.edit(faults.good(tmp_path), lambda d, _: setattr(d, "PixelData", bytes(64 * 64 * 2)))
    assert refusal_of(tmp_path).code == "no_pixels"


def test_inverted_and_colour_images_are_refused(tmp_path):
    faults.edit(faults.good(tmp_path), lambda d, _: setattr(d, "PhotometricInterpretation", "MONOCHROME1"))
    assert refusal_of(tmp_path).code == "not_grayscale"


def test_a_path_that_is_not_there(tmp_path):
    assert refusal_of(tmp_path / "gone").code == "missing_path"
    assert ingest_scan(scan(tmp_path / "gone"), tmp_path / "out")["reason_code"] == "missing_path"


def test_an_unforeseen_failure_becomes_a_row_and_names_its_kind_only(tmp_path, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("with Jane Doe in the message")

    monkeypatch.setattr("kneeline.ingest.run.quality_row", fail)
    faults.good(tmp_path / "in")
    row = ingest_scan(scan(tmp_path / "in"), tmp_path / "out")
    assert row["reason_code"] == "unexpected_error"
    assert "ZeroDivisionError" in row["reason"]
    assert "Jane" not in row["reason"]


@pytest.mark.parametrize("seed", range(6))
def test_bytes_damaged_at_random_give_an_image_or_a_refusal_never_an_error(tmp_path, seed):
    rng = np.random.default_rng(seed)
    for path in faults.good(tmp_path / "in", faults.leg((14, 16, 16), (5, 9, 9))):
        body = bytearray(path.read_bytes())
        for place in rng.integers(0, 1500, 3):
            body[place] = rng.integers(0, 256)
        path.write_bytes(bytes(body[: rng.integers(200, len(body))] if rng.random() < 0.1 else body))
    row = ingest_scan(scan(tmp_path / "in"), tmp_path / "out")
    assert row["reason_code"] != "unexpected_error"
    assert row["status"] in ("ok", "quarantined")


def test_damaged_compressed_streams_are_refused(tmp_path):
    for name in COMPRESSED:
        folder = tmp_path / name
        paths = faults.good(folder, faults.leg((14, 16, 16), (5, 9, 9)))
        compress(paths, name)
        dataset = pydicom.dcmread(paths[4])
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8" + bytes(30)])
        dataset["PixelData"].VR = "OB"
        dataset.save_as(paths[4])
        assert refusal_of(folder).code == "truncated_pixels", name
