"""Which steps of a scan are done, and which need not be."""

import errno
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from kneeline import chain, progress, steps, tables, workers

SCAN = tables.Scan("sub-1_ses-01_knee-L", "sub-1", "ses-01", "L", ("input",))


@pytest.fixture
def called(tmp_path, monkeypatch):
    """Steps that write the least they must; the names of those that ran. Ingest tells what its input says."""
    monkeypatch.chdir(tmp_path)
    Path("input").mkdir()
    Path("input/1.dcm").write_text("ok")
    ran = []

    def stage(name):
        def run(scan, results, viewer=True):
            ran.append(name if viewer else f"{name} without slices")
            row = {"scan_id": scan.scan_id, "participant_id": "sub-1", "session_id": "ses-01", "status": "ok"}
            if name == "ingest":
                tables.write_text(results / name / f"{scan.scan_id}_image.json", Path("input/1.dcm").read_text())
            if name in ("segment", "score"):
                row = tables.read_status(results / {"segment": "ingest", "score": "segment"}[name], scan.scan_id)
            if name == "report":
                tables.write_text(progress.last_file(results, name, scan.scan_id), "{}")
            else:
                tables.write_status(results / name, row)

        return run

    monkeypatch.setattr(chain, "STEPS", {name: stage(name) for name in chain.STEPS})
    return ran


@pytest.fixture
def done(called):
    results = Path("results")
    assert chain.process(SCAN, results)["status"] == "ok"
    assert called == ["ingest", "segment", "score", "report"]
    called.clear()
    return results


def test_what_is_current_is_not_done_again(called, done):
    chain.process(SCAN, done)
    assert called == []
    assert progress.is_done(progress.read_record(done, SCAN.scan_id))


@pytest.mark.parametrize("step", ["ingest", "segment", "score", "report"])
def test_a_raised_version_reruns_exactly_its_step_when_the_output_stays_the_same(called, done, monkeypatch, step):
    monkeypatch.setitem(steps.VERSIONS, step, "next")
    assert progress.stale_step(progress.read_record(done, SCAN.scan_id), SCAN, look=True) == step
    chain.process(SCAN, done)
    assert called == [step]


def test_pages_without_slices_are_made_again_and_nothing_else(called, done):
    def stale(viewer):
        return progress.stale_step(progress.read_record(done, SCAN.scan_id), SCAN, look=True, viewer=viewer)

    assert (stale(True), stale(False)) == (None, "report")
    chain.process(SCAN, done, viewer=False)
    assert called == ["report without slices"]
    assert (stale(True), stale(False)) == ("report", None)


def test_a_scan_that_is_refused_now_keeps_no_page(done):
    page, other = (done / "report" / "knees" / f"{scan}.html" for scan in (SCAN.scan_id, "sub-11_ses-01_knee-L"))
    for path in (page, other, page.with_name(f"{SCAN.scan_id}_pixels.js")):
        tables.write_text(path, "from an earlier run")
    refused = {"status": "quarantined", "reason_code": "not_a_knee", "reason": "no knee"}
    tables.write_status(done / "score", tables.read_status(done / "score", SCAN.scan_id) | refused)
    chain.process(SCAN, done, only="report")
    assert [path.name for path in (done / "report" / "knees").iterdir()] == [other.name]


def test_another_engine_segments_again_and_nothing_else(called, done, monkeypatch):
    monkeypatch.setenv(steps.ENGINE_VARIABLE, "openvino")
    chain.process(SCAN, done)
    assert called == ["segment"]


def test_an_edit_begins_at_segment_each_time_it_changes_and_when_it_goes(called, done):
    edit = tables.Edit("edits/x.nii.gz", "anna", "2026-11-23T10:00:00Z", "a" * 64, None, None, None)
    for now in (edit, replace(edit, after_sha256="b" * 64), replace(edit, editor_id="bea"), None):
        scan = replace(SCAN, edit=now)
        assert progress.stale_step(progress.read_record(done, SCAN.scan_id), scan, look=True) == "segment"
        chain.process(scan, done)
        assert called == ["segment"]  # what follows runs as the output differs, which here it does not
        record = progress.read_record(done, SCAN.scan_id)
        assert progress.stale_step(record, scan, look=True) is None
        assert progress.is_edited(record) == bool(now)
        called.clear()
        chain.process(scan, done)
        assert called == []


def test_other_files_are_noticed_and_what_follows_runs_when_the_output_differs(called, done):
    record = progress.read_record(done, SCAN.scan_id)
    os.utime("input/1.dcm", ns=(1, 1))
    assert progress.stale_step(record, SCAN, look=True) == "ingest"
    assert progress.stale_step(record, SCAN, look=False) is None
    chain.process(SCAN, done)
    assert called == ["ingest"]  # the same pixels
    called.clear()
    Path("input/1.dcm").write_text("repaired")
    chain.process(SCAN, done)
    assert called == ["ingest", "segment", "score", "report"]


def test_another_row_is_stale_without_looking(called, done):
    moved = replace(SCAN, paths=("elsewhere",))
    assert progress.stale_step(progress.read_record(done, SCAN.scan_id), moved, look=False) == "ingest"


@pytest.mark.parametrize("step", ["ingest", "segment", "score", "report"])
def test_a_withdrawn_step_runs_again(called, done, step):
    progress.withdraw(done, SCAN.scan_id, step)
    assert not progress.is_done(progress.read_record(done, SCAN.scan_id))
    chain.process(SCAN, done)
    assert called == [step]


def interrupted(step, error, results):
    def fail(scan, results):
        raise error

    whole = chain.STEPS[step]
    chain.STEPS[step] = fail
    with pytest.raises(type(error)):
        chain.process(SCAN, results)
    chain.STEPS[step] = whole


def test_a_scan_goes_on_where_it_was_stopped(called):
    interrupted("score", KeyboardInterrupt(), Path("results"))
    assert called == ["ingest", "segment"]
    record = progress.read_record("results", SCAN.scan_id)
    assert (record["running"], record["tries"]) == (None, 0)
    chain.process(SCAN, Path("results"))
    assert called == ["ingest", "segment", "score", "report"]


@pytest.mark.parametrize("step", ["ingest", "segment", "score", "report"])
def test_a_scan_whose_process_dies_each_time_is_set_aside_and_the_next_version_tries_again(called, monkeypatch, step):
    results = Path("results")
    for _ in range(chain.MOST_TRIES):
        interrupted(step, MemoryError(), results)
    called.clear()
    row = chain.process(SCAN, results)
    assert step not in called
    if step == "report":
        assert "died 3 times" in progress.last_file(results, step, SCAN.scan_id).read_text()
    else:
        assert (row["status"], row["stage"], row["reason_code"]) == ("quarantined", step, "process_died")
        assert "rerun-failed" in row["reason"]
        tables.INGEST_SCANS["reason"].parse(row["reason"])
    monkeypatch.setitem(steps.VERSIONS, step, "next")
    assert chain.process(SCAN, results)["status"] == "ok"


def lose_power(step, results):
    """Begun, not ended, and nobody there to tell: as a node leaves it that dies with all its processes."""
    if os.fork() == 0:
        chain.STEPS[step] = lambda scan, results: os._exit(1)
        try:
            chain.process(SCAN, results)
        finally:
            os._exit(1)
    os.wait()


def test_a_node_that_fails_is_no_fault_of_the_scan_unless_it_never_ends(called):
    results = Path("results")
    for times in range(chain.MOST_TRIES + 1):
        lose_power("segment", results)
        record = progress.read_record(results, SCAN.scan_id)
        assert (record["running"]["step"], record["lost"], record["tries"]) == ("segment", times, 0)
    assert chain.process(SCAN, results)["status"] == "ok"
    assert progress.read_record(results, SCAN.scan_id)["lost"] == 0
    progress.withdraw(results, SCAN.scan_id, "segment")
    for _ in range(chain.MOST_LOST):
        lose_power("segment", results)
    row = chain.process(SCAN, results)
    assert (row["reason_code"], row["stage"]) == ("process_died", "segment")
    assert "lost with its job 9 times" in row["reason"]


def die(scan, results):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_scan_that_kills_its_process_alone_is_set_aside_and_the_others_go_on(called, monkeypatch):
    """As the kernel does when memory runs out: the process above it sees that and tells."""
    results = Path("results")
    other = replace(SCAN, scan_id="sub-2_ses-01_knee-L", participant_id="sub-2")
    whole = chain.STEPS["score"]
    monkeypatch.setitem(chain.STEPS, "score", lambda s, r: die(s, r) if s == SCAN else whole(s, r))
    for tries in range(1, chain.MOST_TRIES + 1):
        assert dict(workers.each([SCAN], results, 1, start="fork")) == {SCAN: "its process died (signal 9)"}
        record = progress.read_record(results, SCAN.scan_id)
        assert (record["running"], record["lost"], record["tries"]) == (None, 0, tries)
    told = dict(workers.each([SCAN, other], results, 1, start="fork"))
    assert (told[SCAN]["reason_code"], told[other]["status"]) == ("process_died", "ok")
    assert "died 3 times" in told[SCAN]["reason"]


def test_a_full_disk_is_not_the_scans_doing(called):
    for _ in range(chain.MOST_TRIES + 1):
        interrupted("segment", OSError(errno.ENOSPC, "No space left on device"), Path("results"))
    assert chain.process(SCAN, Path("results"))["status"] == "ok"


def test_one_step_alone_is_done_whether_current_or_not_and_needs_the_one_before(called, done):
    chain.run_step("score", SCAN, done)
    assert called == ["score"]
    other = tables.Scan("sub-2_ses-01_knee-L", "sub-2", "ses-01", "L", ("input",))
    with pytest.raises(tables.UsageError, match="run the stage before this one first"):
        chain.run_step("score", other, done)
