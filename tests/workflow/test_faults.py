"""The machine fails in the middle of a scan: the same call goes on, to the same bytes, and nothing is half-written."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from kneeline import chain, progress, workers


@pytest.fixture
def disk(tmp_path):
    """A file system in memory that can be made small, large or read-only: `disk("size=400k")`."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", place], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("mounting a small disk needs root")

    def remount(option) -> Path:
        subprocess.run(["mount", "-o", f"remount,{option}", place], check=True)
        return place

    yield remount
    subprocess.run(["umount", place], check=True)


def files_of(results, scan):
    """Every file of a scan, except its record, which holds times."""
    found = [path for path in results.rglob(f"*{scan.scan_id}*") if path.parent.name != progress.FOLDER]
    return {str(path.relative_to(results)): path.read_bytes() for path in found}


def half_written(results):
    return [path for path in results.rglob("*") if path.name.endswith(".partial")]


def test_a_full_and_a_read_only_disk(scans, by_scan, disk):
    sizes = {name: -(-len(content) // 4096) * 4 for name, content in files_of(by_scan, scans[0]).items()}  # kB of pages
    image, picture = (next(sizes[name] for name in sizes if name.endswith(end)) for end in ("image.nii.gz", "png"))
    within_ingest, within_the_picture = image // 2, sum(sizes.values()) - picture // 2
    results = disk(f"size={within_ingest}k") / "results"
    for option, word in (
        ("rw", "No space left"), (f"size={within_the_picture}k", "No space left"), ("ro", "Read-only"),
    ):  # fmt: skip
        disk(option)
        with pytest.raises(OSError, match=word):
            chain.process(scans[0], results)
        assert not half_written(results)
    disk("rw,size=50m")
    assert chain.process(scans[0], results)["status"] == "ok"
    assert files_of(results, scans[0]) == files_of(by_scan, scans[0])


def test_a_worker_killed_in_the_middle_of_a_step(scans, by_scan, tmp_path):
    def kill_once():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            running = progress.read_record(tmp_path, scans[0].scan_id)["running"]
            if running and running["step"] == "segment":
                return os.kill(running["pid"], signal.SIGKILL)
            time.sleep(0.02)

    killer = threading.Thread(target=kill_once)
    killer.start()
    told = dict(workers.each([scans[0], scans[4]], tmp_path, 1))
    killer.join()
    assert told[scans[0]] == "its process died (signal 9)"
    assert told[scans[4]]["reason_code"] == "missing_path"
    record = progress.read_record(tmp_path, scans[0].scan_id)
    assert (record["running"], record["tries"], record["lost"]) == (None, 1, 0)
    assert not progress.anyone_at_work(tmp_path)
    ingested = (tmp_path / "ingest" / f"{scans[0].scan_id}_status.json").stat().st_mtime_ns
    assert chain.process(scans[0], tmp_path)["status"] == "ok"
    assert (tmp_path / "ingest" / f"{scans[0].scan_id}_status.json").stat().st_mtime_ns == ingested
    assert files_of(tmp_path, scans[0]) == files_of(by_scan, scans[0])
