"""A whole run is stopped in every way, and its clock was wrong: the same command goes on, and nothing is half-written.

Its scans are absent, so that a run is Snakemake and little else; one is held up by a lock as long as the test likes.
"""

import os
import signal
import subprocess
import sys
import time

import pytest
from tests.conftest import heed_ctrl_c
from tests.workflow.conftest import all_files
from tests.workflow.test_plan import planned, real_scans

from kneeline import chain, errors, launch, progress, tables


def command(folder, *more):
    return [sys.executable, "-m", "kneeline", "run", "--directory", str(folder), "--cores", "2", *more]


def until(true, what):
    deadline = time.monotonic() + 300
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def nobody_left(group) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run stopped by SIGTERM, by Ctrl-C and by SIGKILL while a job was at work, one of which `kneeline run` alone
    is killed and Snakemake goes on, then one that finds all done: the folder, the exit code of each and what a second
    run said meanwhile."""
    folder = real_scans(tmp_path_factory.mktemp("study"), *((f"sub-{n}", "ses-01", "R", "gone") for n in (1, 2)))
    scans = tables.read_scans(folder / "config/scans.tsv")
    log, results = folder / f"logs/process/{scans[0].scan_id}.log", folder / "results"
    codes, second = {}, None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        with progress.held(results, scans[0].scan_id):  # the job waits for us
            run = subprocess.Popen(
                command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                preexec_fn=heed_ctrl_c,
            )  # fmt: skip
            until(lambda: log.exists() or run.poll() is not None, "the job never began")  # noqa: B023
            assert run.poll() is None
            if second is None:
                second = subprocess.run(command(folder), capture_output=True, text=True, check=False)
            if number == signal.SIGTERM:
                run.send_signal(number)  # as `kill` does; it lets the jobs at work end
            else:
                os.killpg(run.pid, number)  # as a terminal does, or a power cut
                codes[number] = run.wait(300)
        if number == signal.SIGTERM:
            codes[number] = run.wait(300)
            progress.remove_stamps(results, [scan.scan_id for scan in scans])
        until(lambda: nobody_left(run.pid), "a process outlived its run")  # noqa: B023
        assert not (results / "report/report.html").exists()
        log.unlink(missing_ok=True)
    with progress.held(results, scans[0].scan_id):
        run = subprocess.Popen(
            command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        until(lambda: log.exists() or run.poll() is not None, "the job never began")
        run.kill()
        codes["alone"] = run.wait(300)
    until(lambda: nobody_left(run.pid), "Snakemake hung when nobody heard it any more")
    assert (results / "report/report.html").exists()
    codes[0] = subprocess.run(command(folder), capture_output=True, check=False).returncode
    return folder, scans, codes, second


def test_each_way_of_stopping_has_its_exit_code_and_the_last_run_finishes(stopped):
    codes = stopped[2]
    killed = -signal.SIGKILL
    assert codes == {signal.SIGTERM: 1, signal.SIGINT: 130, signal.SIGKILL: killed, "alone": killed, 0: 0}


def test_a_second_run_at_once_is_refused(stopped):
    second = stopped[3]
    assert second.returncode == 2
    assert "another kneeline run is at work" in second.stderr


def test_the_tables_are_those_of_an_undisturbed_run_and_nothing_is_half_written(stopped, tmp_path, monkeypatch):
    folder, scans, _, _ = stopped
    monkeypatch.chdir(folder)
    for scan in scans:
        chain.process(scan, tmp_path)
    wanted = all_files(tmp_path, scans)
    found = {name: (folder / "results" / name).read_bytes() for name in wanted}
    assert found == wanted
    assert not [path for path in folder.rglob("*") if path.name.endswith(".partial")]


def test_after_a_clock_that_was_ahead_an_edit_is_noticed_and_the_rest_is_not_done_again(stopped):
    folder = stopped[0]
    ahead = time.time() + 86400
    outputs = [path for path in (folder / "results").rglob("*") if path.is_file()]
    for path in outputs:
        os.utime(path, (ahead, ahead))
    before = {path: path.read_bytes() for path in outputs}
    sheet = folder / "config/participants.tsv"
    rows = tables.read_table(sheet, tables.PARTICIPANTS)
    tables.write_table(sheet, [rows[0] | {"age_years": 41.0}, *rows[1:]], tables.PARTICIPANTS)
    assert launch.drop_times_to_come(folder / "results", time.time()) > 20
    assert launch.drop_times_to_come(folder / "results", time.time()) == 0
    assert before == {path: path.read_bytes() for path in outputs}
    jobs = planned(subprocess.run(command(folder, "--dry-run"), capture_output=True, text=True, check=False))
    assert jobs == {"cohort": 1, "report": 1, "all": 1, "total": 3}


def test_inputs_of_a_time_to_come_do_not_make_a_run_begin_again_and_again(stopped):
    """The sheets as they were, but from tomorrow."""
    folder = stopped[0]
    sheet = folder / "config/participants.tsv"
    rows = tables.read_table(sheet, tables.PARTICIPANTS)
    tables.write_table(sheet, [rows[0] | {"age_years": None}, *rows[1:]], tables.PARTICIPANTS)
    for path in (folder / "config").iterdir():
        os.utime(path, (time.time() + 86400,) * 2)
    assert planned(subprocess.run(command(folder, "--dry-run"), capture_output=True, text=True, check=False)) == {}


def test_what_was_made_while_the_clock_was_ahead_is_not_older_news_than_tables_made_before(stopped):
    """A scan done again by a run that was killed before its tables."""
    folder = stopped[0]
    stamp = folder / "results" / progress.scan_stamp(stopped[1][0].scan_id)
    kept, at = stamp.read_bytes(), stamp.stat().st_mtime
    stamp.write_bytes(kept.replace(b"{", b"{ "))
    os.utime(stamp, (time.time() + 86400,) * 2)
    assert launch.drop_times_to_come(folder / "results", time.time()) == 1
    jobs = planned(subprocess.run(command(folder, "--dry-run"), capture_output=True, text=True, check=False))
    stamp.write_bytes(kept)
    os.utime(stamp, (at, at))
    assert jobs == {"collect": 1, "cohort": 1, "report": 1, "all": 1, "total": 4}


def test_scans_of_the_night_are_added_and_the_others_not_touched(stopped):
    folder, scans, _, _ = stopped
    results, sheet = folder / "results", folder / "config/scans.tsv"
    before = {path: path.stat().st_mtime_ns for path in results.rglob(f"{scans[0].participant_id}*")}
    assert len(before) > 5
    rows = tables.read_table(sheet, tables.SCANS)
    tables.write_table(sheet, [*rows, rows[0] | {"participant_id": "sub-3"}], tables.SCANS)
    people = folder / "config/participants.tsv"
    runners = tables.read_table(people, tables.PARTICIPANTS)
    tables.write_table(people, [*runners, runners[0] | {"participant_id": "sub-3"}], tables.PARTICIPANTS)
    for path in (sheet, people):  # written where the clock is ahead
        os.utime(path, (time.time() + 86400,) * 2)
    out = subprocess.run(command(folder), capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    assert before == {path: path.stat().st_mtime_ns for path in before}
    found = tables.read_table(results / "ingest/scans.tsv", tables.INGEST_SCANS)
    assert [row["participant_id"] for row in found] == ["sub-1", "sub-2", "sub-3"]
    assert "sub-3" in (results / "report/report.html").read_text(encoding="utf-8")


def test_a_folder_that_allows_no_writing_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(errors.UsageError, match="allows no writing"):
        launch.run(launch.Call(directory=tmp_path))
