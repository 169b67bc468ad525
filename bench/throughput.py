"""Knees per hour of the whole chain, what dominates it, and what the workflow costs on top, at each granularity.

    python bench/throughput.py [--knees 8] [--small] [--cores 1 2] [--granularity scan chunk]

One simulated knee is written as DICOM and listed under so many participants. `one process` takes them through the
chain one after another and gives the CPU seconds of each step without imports: the pure work. The runs are `kneeline
run` up to the last scan, all their processes together; overhead is their CPU seconds over the pure work. `--small`
takes 20 x 144 x 144 voxels instead of a 2-D protocol's. Peak memory is that of the largest process.
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

from kneeline import chain, tables

SMALL = {"spacing_mm": 1.5, "matrix": 144, "pixel_mm": 1.05, "n_slices": 20}
CHUNK = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--knees", type=int, default=8)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--granularity", nargs="*", default=["scan", "chunk"])
    arguments = parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        knee = Path(folder) / "knee"
        shape = _in_another_process(_write_knee, knee, SMALL if arguments.small else {})
        print(f"{arguments.knees} knees of {' x '.join(map(str, shape))} voxels\n")
        pure = _in_another_process(_one_process, knee, Path(folder) / "pure", min(arguments.knees, 6))
        print("| granularity | cores | wall s | CPU s | knees an hour | overhead % | peak MB |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for granularity in arguments.granularity:
            for cores in arguments.cores:
                study = Path(folder) / f"{granularity}-{cores}"
                wall, cpu, peak = _run(study, knee, arguments.knees, granularity, cores)
                overhead = 100 * (cpu / (pure * arguments.knees) - 1)
                print(
                    f"| {granularity} | {cores} | {wall:.0f} | {cpu:.0f} | {3600 * arguments.knees / wall:.0f} | "
                    f"{overhead:.1f} | {peak:.0f} |",
                    flush=True,
                )


def _in_another_process(work, *arguments):
    """So that its imports and its memory are not ours."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _write_knee(folder: Path, options: dict) -> tuple[int, ...]:
    from kneeline.simulate.dicom import Protocol, write_series
    from kneeline.simulate.knee import Lesion
    from kneeline.simulate.run import simulate_knee

    lesions = [Lesion("medial", "posterior_horn", 3)]
    scan = simulate_knee(9001, "PDFS", laterality="R", lesions=lesions, fluid_ml=8.0, **options)
    sequence = scan.acquisition.sequence
    protocol = Protocol(
        repetition_time_ms=sequence.repetition_time_ms,
        echo_times_ms=(sequence.echo_time_ms,),
        slice_thickness_mm=scan.acquisition.slice_thickness_mm,
    )
    write_series(folder, scan.image, uid_seed="bench", laterality="R", protocol=protocol)
    return scan.image.shape


def _scan(number: int, knee: Path) -> tables.Scan:
    who = f"sub-{number:05d}"
    return tables.Scan(tables.scan_id(who, "ses-01", "R"), who, "ses-01", "R", (str(knee),))


def _one_process(knee: Path, results: Path, knees: int) -> float:
    """Print CPU seconds of each step, the first knee (which imports) left out; return their sum."""
    spent = dict.fromkeys(chain.STEPS, 0.0)
    for number in range(knees + 1):
        for step in chain.STEPS:
            start = time.process_time()
            chain.run_step(step, _scan(number, knee), results)
            if number:
                spent[step] += (time.process_time() - start) / knees
    total = sum(spent.values())
    print("| step | CPU s a knee | share % |\n| --- | --- | --- |")
    for step, seconds in spent.items():
        print(f"| {step} | {seconds:.2f} | {100 * seconds / total:.0f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| all | {total:.2f} | |\n\none process, {knees + 1} knees: {peak:.0f} MB at the peak\n", flush=True)
    return total


def _run(study: Path, knee: Path, knees: int, granularity: str, cores: int) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds of all processes, peak MB of the largest."""
    rows = [
        {"participant_id": s.participant_id, "session_id": "ses-01", "laterality": "R", "path": str(knee)}
        for s in (_scan(number, knee) for number in range(knees))
    ]
    tables.write_table(study / "config/scans.tsv", rows, tables.SCANS)
    tables.write_table(study / "config/participants.tsv", [], tables.PARTICIPANTS)
    tables.write_text(
        study / "config/config.yaml",
        "participants: config/participants.tsv\nscans: config/scans.tsv\n"
        f"granularity: {granularity}\nchunks: {max(knees // CHUNK, cores)}\n",
    )
    rule = {"step": "picture"}.get(granularity, f"process_{granularity}")
    command = [
        sys.executable, "-m", "kneeline", "run", "--directory", str(study), "--cores", str(cores),
        "--", "--until", rule,
    ]  # fmt: skip
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    told = process.stderr.read()
    _, code, used = os.wait4(process.pid, 0)
    if code:
        raise SystemExit(told.decode())
    return time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


if __name__ == "__main__":
    main()
