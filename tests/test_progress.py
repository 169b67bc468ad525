"""Records, stamps and chunks of scans."""

import subprocess
import sys

from kneeline import progress, tables

SETTINGS = {"chunks": 7}


def scan(number, path="a"):
    return tables.Scan(f"sub-{number:04d}_ses-01_knee-L", f"sub-{number:04d}", "ses-01", "L", (path,))


def test_every_scan_is_in_one_chunk_and_a_new_one_touches_one():
    before = progress.members(map(scan, range(500)), 20)
    assert sorted(s.scan_id for chunk in before.values() for s in chunk) == [scan(n).scan_id for n in range(500)]
    assert len(before) == 20
    assert max(map(len, before.values())) < 50
    after = progress.members(map(scan, range(501)), 20)
    assert len([name for name in after if after[name] != before.get(name)]) == 1


def test_a_chunk_does_not_depend_on_the_order_of_the_sheet_or_on_this_process():
    ids = [scan(n).scan_id for n in range(10)]
    names = [progress.chunk_of(scan_id, 20) for scan_id in ids]
    code = f"from kneeline import progress; print(*(progress.chunk_of(scan, 20) for scan in {ids}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == names


def test_a_scan_has_one_output_at_each_granularity():
    one = scan(1).scan_id
    told = [progress.output_of(SETTINGS | {"granularity": g}, one, "segment") for g in ("step", "scan", "chunk")]
    assert told[0] == f"results/segment/{one}_status.json"
    assert told[1] == f"results/progress/{one}_done.json"
    assert told[2] == f"results/progress/chunk-{progress.chunk_of(one, 7)}_done.json"


def test_removing_the_stamps_of_a_scan_leaves_those_of_others(tmp_path):
    first, second, third = (scan(n).scan_id for n in (1, 2, 3))
    for name in (first, second, third):
        for step in ("score", "report"):
            tables.write_text(progress.last_file(tmp_path, step, name), "{}")
    for chunk, members in (("1-of-2", [first, second]), ("2-of-2", [third])):
        progress.write_stamp(tmp_path / progress.chunk_stamp(chunk), tmp_path, members)
    for name in (first, second):
        progress.write_stamp(tmp_path / progress.scan_stamp(name), tmp_path, [name])
    progress.remove_stamps(tmp_path, [second])
    left = sorted(p.name for p in (tmp_path / "progress").iterdir())
    assert left == ["chunk-2-of-2_done.json", f"{first}_done.json"]


def test_a_stamp_differs_when_what_was_made_does_and_only_then(tmp_path):
    one = scan(1).scan_id
    stamps = []
    for score, picture in (("a", "b"), ("a", "b"), ("c", "b"), ("a", "d")):
        tables.write_text(progress.last_file(tmp_path, "score", one), score)
        tables.write_text(progress.last_file(tmp_path, "report", one), picture)
        progress.write_stamp(tmp_path / "stamp", tmp_path, [one])
        stamps.append((tmp_path / "stamp").read_bytes())
    assert stamps[0] == stamps[1]
    assert len(set(stamps)) == 3


def test_a_record_keeps_no_path(tmp_path):
    assert "Doe" not in progress.row_digest(scan(1, "/archive/Doe^John"))
    assert progress.row_digest(scan(1, "a")) != progress.row_digest(scan(1, "b"))


def test_a_record_that_was_cut_off_counts_as_none(tmp_path):
    path = progress.record_path(tmp_path, "sub-1_ses-01_knee-L")
    tables.write_text(path, '{"steps": {"ingest"')
    assert progress.read_record(tmp_path, "sub-1_ses-01_knee-L")["steps"] == {}


_HOLD = """
import sys
from kneeline import progress
with progress.held(sys.argv[1], sys.argv[2]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_scan_that_another_process_works_on_is_waited_for_others_are_not(tmp_path):
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    first = subprocess.Popen([*command, "one"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "held\n"
    assert progress.anyone_at_work(tmp_path)
    with progress.held(tmp_path, "another"):
        pass
    second = subprocess.Popen([*command, "one"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        second.wait(0.5)
        raise AssertionError("it did not wait")
    except subprocess.TimeoutExpired:
        pass
    first.kill()
    assert second.stdout.readline() == "held\n"
    second.communicate("\n")
    first.communicate()
    assert not progress.anyone_at_work(tmp_path)
