"""One step, one scan or one chunk to a job: the same bytes in every table."""

import shutil

import pytest

from kneeline import chain, collect, progress, tables, workers
from kneeline.simulate.dicom import write_series
from kneeline.simulate.run import simulate_knee


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A coarse knee, the same with a slice gone, one named with the other side, and one that is not there."""
    root = tmp_path_factory.mktemp("inputs")
    knee = simulate_knee(
        9001, "PDFS", laterality="R", fluid_ml=8.0, spacing_mm=1.5, matrix=144, pixel_mm=1.05, n_slices=20
    )
    for name in ("whole", "gap"):
        write_series(root / name, knee.image, uid_seed=name, laterality="R")
    sorted((root / "gap").iterdir())[9].unlink()
    rows = (("sub-1", "R", "whole"), ("sub-2", "R", "gap"), ("sub-3", "L", "whole"), ("sub-4", "R", "absent"))
    return [
        tables.Scan(tables.scan_id(who, "ses-01", side), who, "ses-01", side, (str(root / path),))
        for who, side, path in rows
    ]


@pytest.fixture(scope="module")
def by_scan(scans, tmp_path_factory):
    results = tmp_path_factory.mktemp("scan")
    for scan in scans:
        chain.process(scan, results)
    return results


def all_files(results, scans):
    """Every file of every stage, tables collected, except the records, which hold times."""
    collect.collect(scans, results)
    files = [path for path in sorted(results.rglob("*")) if path.is_file() and path.parent.name != progress.FOLDER]
    return {str(path.relative_to(results)): path.read_bytes() for path in files}


def test_the_scans_are_scored_and_set_aside_as_meant(scans, by_scan):
    rows = collect.collect(scans, by_scan)
    assert [row["reason_code"] for row in rows] == [None, "missing_slice", "laterality_conflict", "missing_path"]
    assert len(tables.read_table(by_scan / "score/meniscus.tsv", tables.MENISCUS)) == 6


def test_step_by_step_over_all_scans_gives_the_same_bytes(scans, by_scan, tmp_path):
    for step in chain.STEPS:
        for scan in scans:
            chain.run_step(step, scan, tmp_path)
    assert all_files(tmp_path, scans) == all_files(by_scan, scans)


def test_a_chunk_in_another_process_gives_the_same_bytes_and_the_same_stamp(scans, by_scan, tmp_path):
    outcomes = dict(workers.each(list(reversed(scans)), tmp_path, 1))
    assert [outcomes[scan]["reason_code"] for scan in scans[1:]] == [
        "missing_slice", "laterality_conflict", "missing_path",
    ]  # fmt: skip
    assert all_files(tmp_path, scans) == all_files(by_scan, scans)
    ids = [scan.scan_id for scan in scans]
    progress.write_stamp(tmp_path / "stamp", tmp_path, ids)
    progress.write_stamp(tmp_path / "other", by_scan, ids)
    assert (tmp_path / "stamp").read_bytes() == (tmp_path / "other").read_bytes()


def test_lost_files_of_one_step_come_back_the_same(scans, by_scan, tmp_path):
    results = tmp_path / "copy"
    shutil.copytree(by_scan, results)
    good = scans[0].scan_id
    for step in ("segment", "score", "report"):
        for path in (results / step).glob(f"{good}_*"):
            path.unlink()
    chain.process(scans[0], results)
    assert all_files(results, scans) == all_files(by_scan, scans)
