"""What `kneeline status` says, during a run and after it crashed."""

import io
import json
import os
import time

import pytest

from kneeline import cli, progress, status, watch
from kneeline.errors import UsageError

BEGAN = 1_000_000.0
SCANS = [f"sub-{n}_ses-01_knee-L" for n in range(1, 6)]
GOOD = {"status": "ok", "stage": None, "reason_code": None, "reason": None, "verdict": "ok"}
REFUSED = {"status": "quarantined", "stage": "ingest", "reason_code": "missing_slice", "reason": "one is gone"}


def record(results, scan, steps, outcome=None, running=None, at=BEGAN):
    """Steps that took two seconds each, written at a time."""
    progress.write_record(
        results,
        {
            "scan_id": scan,
            "steps": {step: {"needs": {}, "seconds": 2.0} for step in steps},
            "outcome": outcome,
            "running": running,
            "tries": 0,
        },
    )
    os.utime(progress.record_path(results, scan), (at, at))


@pytest.fixture
def results(tmp_path):
    """Five scans: one was done before this run, one in it, one refused, one at work, one not begun."""
    folder = tmp_path / "results"
    status.write_plan(folder, SCANS, BEGAN)
    record(folder, SCANS[0], progress.LAST, GOOD, at=BEGAN - 100)
    record(folder, SCANS[1], progress.LAST, GOOD, at=BEGAN + 30)
    record(folder, SCANS[2], progress.LAST, REFUSED, at=BEGAN + 40)
    running = {"step": "segment", "since": BEGAN + 50, "host": "node1", "pid": 77}
    record(folder, SCANS[3], ["ingest"], GOOD, running, at=BEGAN + 50)
    return folder


def test_what_a_scored_scan_costs(results):
    """Of those alone that were scored and whose every step is known; the refused one would make it cheap."""
    costs = dict(zip(progress.LAST, (0.5, 6.0, 2.5, 1.0), strict=True))
    for scan, outcome in ((SCANS[1], GOOD), (SCANS[2], REFUSED)):
        path = progress.record_path(results, scan)
        found = json.loads(path.read_text())
        for step, cost in costs.items():
            found["steps"][step]["cpu_seconds"] = cost if outcome is GOOD else 0.0
        path.write_text(json.dumps(found))
    told = status.text(status.standing(results), running=True, now=BEGAN + 60)
    assert "10.0 CPU seconds a scored scan: ingest 5 %, segment 60 %, score 25 %, report 10 %\n" in told


def test_a_run_at_work(results):
    found = status.standing(results)
    assert status.text(found, running=True, now=BEGAN + 60) == (
        "run at work for 1 min\n"
        "2 done, 1 set aside, 1 at work, 2 of 5 to go\n"
        "about 1 min left\n"  # two in a minute, two to go
        "at work:\n"
        "  sub-4_ses-01_knee-L: segment for 10 s on node1 (77)\n"
        "set aside:\n"
        "  missing_slice (1):\n"
        "    sub-3_ses-01_knee-L: one is gone\n"
    )


def test_knees_whose_outlines_were_corrected_are_counted(results):
    assert "corrected" not in status.text(status.standing(results), running=False, now=BEGAN)
    for scan, edit in zip(SCANS, ("one", None, "other"), strict=False):
        found = progress.read_record(results, scan)
        found["steps"]["segment"] = {"needs": {"edit": edit}, "seconds": 2.0}
        progress.write_record(results, found)
    said = status.text(status.standing(results), running=False, now=BEGAN)
    assert "\n2 with outlines that were corrected by hand\n" in said


def test_after_a_crash(results):
    said = status.text(status.standing(results), running=False, now=BEGAN + 1e6)
    assert said.startswith("no run at work\n2 done, 1 set aside, 1 interrupted, 2 of 5 to go\n")
    assert "about 16 s of work left on one core; `kneeline run` goes on" in said  # two scans of four steps of 2 s
    assert "interrupted:\n  sub-4_ses-01_knee-L: segment\n" in said


def test_before_the_first_scan_is_done_no_time_is_promised(tmp_path):
    status.write_plan(tmp_path, SCANS, BEGAN)
    said = status.text(status.standing(tmp_path), running=True, now=BEGAN + 5)
    assert said == "run at work for 5 s\n0 done, 0 set aside, 0 at work, 5 of 5 to go\n"


def test_a_run_of_plain_snakemake_has_no_plan_but_records(results):
    (results / "progress/plan.json").unlink()
    assert "2 done, 1 set aside, 1 interrupted, 1 of 4 to go" in status.text(status.standing(results), False, BEGAN)


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(UsageError, match="holds no run"):
        status.standing(tmp_path)


def test_only_records_and_the_plan_are_read(results, capsys):
    for stage in ("ingest", "segment", "score"):
        (results / stage).mkdir()
        (results / stage / f"{SCANS[0]}_status.json").write_text("not even JSON")
    assert cli.main(["status", str(results)]) == 0
    assert "2 done" in capsys.readouterr().out


def test_many_set_aside_are_counted_and_the_first_shown(tmp_path):
    many = [f"sub-{n}_ses-01_knee-L" for n in range(100)]
    status.write_plan(tmp_path, many, BEGAN)
    for scan in many:
        record(tmp_path, scan, progress.LAST, REFUSED)
    said = status.text(status.standing(tmp_path), False, BEGAN)
    assert "missing_slice (100):" in said
    assert said.count("one is gone") == 20
    assert "... and 80 more" in said


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3569, "59 min"), (3599, "1 h 0 min"), (7800, "2 h 10 min"),
     (273600, "3 d 4 h")],
)  # fmt: skip
def test_durations(seconds, expected):
    assert status.duration(seconds) == expected


def test_the_bar_fits_its_terminal_and_fills_up(results):
    found = status.standing(results)
    half = status.bar(found, BEGAN + 60, 100)
    assert half.startswith("[########################................] 3 of 5 scans, 1 set aside, about 1 min left")
    assert all(len(status.bar(found, BEGAN + 60, width)) < max(width, 1) for width in range(1, 120))


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("out", [io.StringIO(), Terminal()])
def test_a_log_has_plain_lines_a_terminal_a_bar_and_both_pass_faults_on(results, out):
    snakemake = io.BytesIO(b"Select jobs to execute...\nExecute 1 jobs...\n\nRuleException: disk full\n")
    with watch.watching(status.standing(results), snakemake, out):
        time.sleep(0.05)
    said = out.getvalue()
    assert "RuleException: disk full\n" in said
    assert "Select jobs" not in said
    assert ("\r" in said) == out.isatty()
    assert ("[###" in said) == out.isatty()
    assert said.rstrip().endswith("left") or "3 of 5 scans" in said.splitlines()[-1]


def test_what_is_written_to_a_file_is_followed_to_its_end(tmp_path):
    path = tmp_path / "said"
    ended = iter([None, None, 1])
    with path.open("wb", buffering=0) as said, path.open("rb") as heard:
        said.write(b"one\ntw")
        lines = watch.follow(heard, lambda: next(ended))
        assert next(lines) == b"one\n"
        said.write(b"o\nthree\nno end")
        assert list(lines) == [b"two\n", b"three\n", b"no end"]


def test_a_record_that_changes_is_read_again(results):
    found = status.standing(results)
    assert len(found.done) == 3
    record(results, SCANS[3], progress.LAST, GOOD, at=BEGAN + 70)
    found.look()
    assert len(found.done) == 4
    assert found.at_work == []


def test_the_plan_is_plain_json(results):
    assert json.loads((results / "progress/plan.json").read_text()) == {"began": BEGAN, "scans": SCANS}
