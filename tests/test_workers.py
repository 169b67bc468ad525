"""Processes that take one scan after another."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from kneeline import workers
from kneeline.tables import Scan
from tests.conftest import ROOT
from tests.fake_work import work


def scans(*fates):
    return [Scan(f"sub-{n}_ses-01_knee-L", f"sub-{n}", "ses-01", "L", (fate,)) for n, fate in enumerate(fates)]


@pytest.mark.parametrize("number", [1, 2])
def test_a_killed_worker_and_a_full_disk_are_told_and_the_others_go_on(tmp_path, number):
    wanted = scans("fine", "killed", "fine", "full disk", "fine")
    found = dict(workers.each(wanted, tmp_path, number, work))
    assert set(found) == set(wanted)
    told = [found[scan] for scan in wanted]
    assert told[1] == "its process died (signal 9)"
    assert told[3] == "OSError: No space left on device"
    assert all(told[n]["status"] == "ok" and told[n]["pid"] != os.getpid() for n in (0, 2, 4))


def test_a_worker_takes_one_scan_after_another(tmp_path):
    told = [outcome for _, outcome in workers.each(scans("fine", "fine", "fine"), tmp_path, 1, work)]
    assert len({row["pid"] for row in told}) == 1
    assert [row["nth"] for row in told] == [1, 2, 3]


def test_no_more_processes_than_scans(tmp_path):
    told = workers.each(scans("fine"), tmp_path, 4, work)
    next(told)
    assert len(multiprocessing.active_children()) == 1
    assert list(told) == []


_PARENT = """
import sys
from pathlib import Path
from tests.fake_work import work
from tests.test_workers import scans
from kneeline import workers
from kneeline.stopping import stop_orderly
if __name__ == "__main__":
    stop_orderly()
    for _ in workers.each(scans("slow"), Path(sys.argv[1]), 1, work):
        pass
"""


def test_a_stopped_parent_takes_its_workers_with_it(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    while not (tmp_path / "slow").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker = (tmp_path / "slow").read_text()
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(20) == 128 + signal.SIGTERM
    assert not os.path.exists(f"/proc/{worker}")
