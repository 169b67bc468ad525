"""Knees per hour on a real SLURM of one and of two nodes, one job a node at a time.

    python bench/cluster_throughput.py [--knees 40] [--chunks 4] [--nodes 1 2]

The cluster is that of the tests: both nodes are this machine, so two nodes can be no faster than two of its cores. The
knees are small ones (20 x 144 x 144 voxels); up to the last scan. `of it work` is what the steps spent, as the scans'
records say; the rest of the job-time is imports, Snakemake inside each job, and SLURM's clocks.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from throughput import SMALL, in_another_process, write_knee, write_study

from kneeline import progress, status

SLURM = Path(__file__).parent.parent / "tests/workflow/slurm.sh"
# As in the tests: quicker than the profile, whose pace is that of a cluster in use.
PACE = (
    "--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "3", "--latency-wait", "10",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, default=40)
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2], choices=(1, 2))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        in_another_process(write_knee, folder / "knee", SMALL)
        subprocess.run([SLURM, "start", folder / "slurm"], check=True)
        try:
            print("| nodes | knees | jobs | wall s | knees an hour | of it work, CPU s |")
            print("| --- | --- | --- | --- | --- | --- |", flush=True)
            for nodes in arguments.nodes:
                _measure(folder, nodes, arguments.knees, arguments.chunks)
        finally:
            subprocess.run([SLURM, "stop", folder / "slurm"], check=False)


def _measure(folder: Path, nodes: int, knees: int, chunks: int) -> None:
    environment = {**os.environ, "PATH": f"{folder}/slurm/bin:{os.environ['PATH']}"}
    state = ["State=RESUME"] if nodes == 2 else ["State=DRAIN", "Reason=unused"]
    subprocess.run(["scontrol", "update", "NodeName=node1", *state], env=environment, check=nodes == 1)
    study = folder / f"study-{nodes}"
    write_study(study, folder / "knee", knees, "chunk", chunks)
    command = [
        sys.executable, "-m", "kneeline", "run", "--directory", str(study), "--profile", "slurm", "--", *PACE,
        "--jobs", str(nodes), "--default-resources", "slurm_extra='--exclusive'", "mem_mb=2000", "runtime=60",
        "--until", "process_chunk",
    ]  # fmt: skip
    start = time.monotonic()
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall = time.monotonic() - start
    if ran.returncode:
        raise SystemExit(ran.stderr)
    work = knees * sum(status.standing(study / "results").cpu_seconds().values())
    jobs = len(list((study / "results" / progress.FOLDER).glob("chunk-*_done.json")))
    print(f"| {nodes} | {knees} | {jobs} | {wall:.0f} | {3600 * knees / wall:.0f} | {work:.0f} |", flush=True)


if __name__ == "__main__":
    main()
