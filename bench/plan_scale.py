"""CPU seconds and memory of planning (a dry run) at each granularity, for thousands of scans.

    python bench/plan_scale.py [--scans 10000 100000] [--granularity trivial scan chunk]

The scans are rows of a table that lead nowhere: planning looks at no scan. Aims: 10 000 scans in 15 CPU s and 400 MB at
`scan`, 5 CPU s at `chunk` (one chunk for 25 scans). A plan of snakemake alone, without what `kneeline run` does before.
`trivial` is what nobody can get below on the machine: a workflow of one rule, `touch {output}`, a job a scan.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kneeline import tables
from kneeline.config import workflow_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, nargs="+", default=[10, 1000, 10_000])
    parser.add_argument("--granularity", nargs="+", default=["step", "scan", "chunk"])
    arguments = parser.parse_args()
    print("| scans | granularity | jobs | CPU s | wall s | peak MB |\n| --- | --- | --- | --- | --- | --- |")
    for scans in arguments.scans:
        for granularity in arguments.granularity:
            with tempfile.TemporaryDirectory() as folder:
                if granularity == "trivial":
                    snakefile = _write_trivial(Path(folder), scans)
                else:
                    _write_sheets(Path(folder), scans, granularity)
                    snakefile = workflow_folder() / "Snakefile"
                print(f"| {scans} | {granularity} | {_measured(folder, snakefile)} |", flush=True)


def _write_sheets(folder: Path, scans: int, granularity: str) -> None:
    rows = [
        {
            "participant_id": f"sub-{n:06d}",
            "session_id": "ses-01",
            "laterality": "LR"[n % 2],
            "path": f"archive/{n:06d}",
        }
        for n in range(scans)
    ]
    tables.write_table(folder / "config/scans.tsv", rows, tables.SCANS)
    tables.write_table(folder / "config/participants.tsv", [], tables.PARTICIPANTS)
    tables.write_text(
        folder / "config/config.yaml",
        "participants: config/participants.tsv\nscans: config/scans.tsv\n"
        f"granularity: {granularity}\nchunks: {max(scans // 25, 1)}\n",
    )


def _write_trivial(folder: Path, scans: int) -> Path:
    path = folder / "Snakefile"
    path.write_text(
        f'rule all:\n    input: [f"r/{{i}}.json" for i in range({scans})]\n\n'
        'rule one:\n    output: "r/{i}.json"\n    shell: "touch {output}"\n'
    )
    return path


def _measured(folder: str, snakefile: Path) -> str:
    """Jobs, CPU seconds, wall seconds, peak MB of one plan."""
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--cores", "1",
        "--dry-run", "--quiet", "rules", "reason", "host",
    ]  # fmt: skip
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    told = process.stdout.read()
    _, code, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    if code:
        raise SystemExit(told)
    jobs = next(line.split()[1] for line in told.splitlines() if line.startswith("total "))
    return f"{jobs} | {used.ru_utime + used.ru_stime:.1f} | {wall:.1f} | {_megabytes(used):.0f}"


def _megabytes(used: resource.struct_rusage) -> float:
    return used.ru_maxrss / 1024  # kB on Linux


if __name__ == "__main__":
    main()
