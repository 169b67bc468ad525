"""One step, one scan or one chunk to a job: the same bytes in every table."""

import shutil

from tests.workflow.conftest import all_files

from kneeline import chain, collect, progress, tables, workers
from kneeline.ingest import run as ingest_run
from kneeline.report.pictures import picture_scan
from kneeline.score import run as score_run
from kneeline.score.run import score_scan
from kneeline.segment import run as segment_run
from kneeline.segment.run import segment_scan

REASONS = ["missing_slice", "laterality_conflict", "missing_path"]


def test_the_scans_are_scored_and_set_aside_as_meant(scans, by_scan):
    rows = collect.collect(scans, by_scan)
    assert [row["reason_code"] for row in rows] == [None, None, *REASONS]
    assert len(tables.read_table(by_scan / "score/meniscus.tsv", tables.MENISCUS)) == 2 * 6


def test_step_by_step_over_all_scans_gives_the_same_bytes(scans, by_scan, tmp_path):
    for step in chain.STEPS:
        for scan in scans:
            chain.run_step(step, scan, tmp_path)
    assert all_files(tmp_path, scans) == all_files(by_scan, scans)


def test_a_refused_scan_passes_through_the_later_steps_as_they_themselves_would_have_it(scans, by_scan, tmp_path):
    """The chain spares itself their imports."""
    refused = scans[2].scan_id
    ingest = by_scan / "ingest"
    segment_scan(refused, ingest, tmp_path / "segment")
    score_scan(refused, ingest, tmp_path / "segment", tmp_path / "score")
    picture_scan(refused, ingest, tmp_path / "segment", tmp_path / "score", tmp_path / "report")
    found = [path.relative_to(tmp_path) for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert len(found) == 3
    for path in found:
        assert (by_scan / path).read_bytes() == (tmp_path / path).read_bytes()
    for stage in ("segment", "score", "report"):
        assert len(list((by_scan / stage).rglob(f"{refused}_*"))) == 1


def test_every_file_of_a_scan_has_a_name_that_is_known(scans, by_scan):
    """The digest of a status, and what is removed of a refused scan, go by these names."""
    good = scans[0].scan_id
    known = {f"{good}_{end}" for end in (*tables.SCAN_FILES, "status.json", "picture.json", "steps.json")}
    known |= {name.format(good) for name in chain._OF_PICTURE}
    stages = (by_scan / stage for stage in (*chain.STEPS, progress.FOLDER))
    found = {str(path.relative_to(stage)) for stage in stages for path in stage.rglob(f"{good}[._]*")}
    assert len(found) > 15
    assert found <= known
    declared = {*ingest_run._FILES, *segment_run._FILES, score_run.GEOMETRY, score_run.T2_MAP}
    assert declared <= {*tables.SCAN_FILES, "status.json"}


def test_a_chunk_in_another_process_gives_the_same_bytes_and_the_same_stamp(scans, by_scan, tmp_path):
    outcomes = dict(workers.each(list(reversed(scans)), tmp_path, 1))
    assert [outcomes[scan]["reason_code"] for scan in scans] == [None, None, *REASONS]
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
