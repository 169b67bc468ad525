"""On a real SLURM of two nodes: a job over its time, one over its memory, a node that loses its power."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.workflow.conftest import all_files
from tests.workflow.test_plan import real_scans

from kneeline import chain, progress, tables

SCRIPT = Path(__file__).with_name("slurm.sh")
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch")
# Quicker than the profile, whose pace is that of a cluster in use.
PACE = (
    "--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "3", "--latency-wait", "10",
)  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Environment in which sbatch reaches two idle nodes, and the folder of the cluster."""
    absent = [tool for tool in NEEDED if not shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")]
    if absent:
        pytest.skip(
            f"SLURM is not installed ({', '.join(absent)}); apt-get install slurmctld slurmd slurm-client munge"
        )
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([SCRIPT, "start", folder], check=True)
    try:
        yield {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}, folder
    finally:
        subprocess.run([SCRIPT, "stop", folder], check=False)


def said(command, environment) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def jobs(environment) -> dict[str, str]:
    """State of each job that SLURM remembers."""
    return dict(re.findall(r"JobId=(\d+).*?JobState=(\w+)", said(["scontrol", "show", "jobs"], environment), re.DOTALL))


def states(environment, before) -> list[str]:
    """Of the jobs that have come since."""
    return [state for job, state in sorted(jobs(environment).items(), key=lambda j: int(j[0])) if job not in before]


def until(true, process, seconds):
    deadline = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, "the run ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.slow
def test_a_node_that_dies_loses_nothing(cluster, scans, by_scan, tmp_path):
    environment, slurm = cluster
    rows = [(scan.participant_id, scan.session_id, scan.laterality, scan.paths[0]) for scan in scans]
    folder = real_scans(tmp_path, *rows, config="granularity: chunk\nchunks: 2\n")
    log = (tmp_path / "run.log").open("w")
    run = subprocess.Popen(
        [sys.executable, "-m", "kneeline", "run", "--directory", folder, "--profile", "slurm", "--",
         *PACE, "--until", "collect"],
        env=environment, stdout=log, stderr=log,
    )  # fmt: skip
    at_work = [sys.executable, "-m", "kneeline", "status", folder / "results"]
    segmenting = (folder / "results/ingest/sub-1_ses-01_knee-R_status.json").exists
    until(segmenting, run, 180)
    assert "run at work for" in said(at_work, environment)
    node = said(["squeue", "-h", "-t", "running", "-o", "%N"], environment).split()[0]
    subprocess.run([SCRIPT, "node-kill", slurm, node.removeprefix("node")], check=True)
    assert run.wait(420) == 0, (tmp_path / "run.log").read_text()
    assert "JobState=NODE_FAIL" in said(["scontrol", "show", "jobs"], environment)
    told = said(at_work, environment)
    assert told.startswith("no run at work\n2 done, 3 set aside, 0 interrupted, 0 of 5 to go")
    assert all_files(folder / "results", scans) == all_files(by_scan, scans)


@pytest.mark.slow
def test_a_job_over_its_time_and_one_over_its_memory_are_tried_again_with_more(cluster, tmp_path, monkeypatch):
    """The first try waits for a lock of ours; the second has less memory than Snakemake takes.

    SLURM counts time limits in whole minutes: we move the end of the first try's minute to now.
    """
    environment, slurm = cluster
    folder = real_scans(tmp_path / "study", ("sub-1", "ses-01", "R", "gone"), config="granularity: chunk\nchunks: 1\n")
    (scan,) = tables.read_scans(folder / "config/scans.tsv")
    log = (tmp_path / "run.log").open("w")
    before = jobs(environment)
    with progress.held(folder / "results", scan.scan_id):
        run = subprocess.Popen(
            [sys.executable, "-m", "kneeline", "run", "--directory", folder, "--profile", "slurm", "--", *PACE,
             "--set-resources", "process_chunk:runtime=1 + 29 * (attempt > 1)",
             "process_chunk:mem_mb=1000 - 900 * (attempt in (2,))", "--until", "process_chunk"],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        until((folder / "logs/process/chunk-1-of-1.log").exists, run, 180)
        (job,) = jobs(environment).keys() - before.keys()
        assert "TimeLimit=00:01:00" in said(["scontrol", "show", "job", job], environment)
        said(["scontrol", "update", f"JobId={job}", "EndTime=now"], environment)
        until(lambda: "TIMEOUT" in states(environment, before), run, 420)
    assert run.wait(420) == 0, (tmp_path / "run.log").read_text()
    assert states(environment, before) == ["TIMEOUT", "FAILED", "COMPLETED"]
    assert any("exceeded memory limit" in path.read_text() for path in (slurm / "log").glob("slurmd-*.log"))
    monkeypatch.chdir(folder)
    chain.process(scan, tmp_path / "alone")
    assert all_files(folder / "results", [scan]) == all_files(tmp_path / "alone", [scan])
